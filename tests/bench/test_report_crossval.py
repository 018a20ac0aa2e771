"""Approaches, cross-validations and classes in the report, out of made-up records."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bench.record import AccuracyRecord, CrossvalRecord, Record, TrainingRecord
from bench.report import write_report
from bench.report_content import build_report
from bench.report_sentences import weights_sentences

LABELS = ("Shirt", "<b>Hat</b>")
TRUTHS = (0, 0, 1, 1) * 5
FOLDS = tuple(number % 5 for number in range(20))
FLOAT = "custom-cnn.float.tflite"


def crossval(*, wrong: int = 2, **changes: Any) -> CrossvalRecord:
    """Return five folds of four photos, of which the first ``wrong`` are taken for the other."""
    predictions = tuple(1 - truth if i < wrong else truth for i, truth in enumerate(TRUTHS))
    fields: dict[str, Any] = {
        "approach": "custom-cnn",
        "split_method": "stratified",
        "dataset": "clothing",
        "weights_source": "random",
        "weights_coverage": 0.0,
        "seed": 0,
        "labels": LABELS,
        "environment": "one",
    }
    fields |= changes
    return CrossvalRecord(
        variant=fields["approach"],
        network="custom-cnn",
        recipe={},
        dataset_fingerprint="f" * 64,
        folds=5,
        sender_names=tuple(f"s{number:02}" for number in range(10)),
        senders=tuple(number // 2 for number in range(20)),
        photo_ids=tuple(f"p{number}" for number in range(20)),
        photo_folds=FOLDS,
        truths=TRUTHS,
        predictions=predictions,
        top_classes=tuple((one, 1 - one) for one in predictions),
        confidences=(0.9,) * 20,
        fold_seconds=(10.0,) * 5,
        feature_seconds=30.0,
        views=4,
        **fields,
    )


def judged(runtime: str = "litert 2.3.0", **changes: Any) -> AccuracyRecord:
    fields: dict[str, Any] = {
        "variant": FLOAT,
        "split_method": "stratified",
        "environment": "one",
        "side": "test",
        "network_sha256": "a",
        "labels": LABELS,
        "photo_ids": ("t0", "t1", "t2", "t3"),
        "senders": ("x", "y", "z", "w"),
        "truths": (0, 0, 1, 1),
        "predictions": (0, 0, 1, 0),
    }
    return AccuracyRecord(runtime=runtime, **{**fields, **changes})


def training(**changes: Any) -> TrainingRecord:
    fields: dict[str, Any] = {
        "variant": "custom-cnn.float.keras",
        "split_method": "stratified",
        "approach": "custom-cnn",
        "dataset": "clothing",
        "network_sha256": "a",
        "labels": LABELS,
        "photos": {"train": 100},
        "weights_source": "random",
        "weights_coverage": 0.0,
        "feature_runtime": "litert 2.3.0",
        "feature_seconds": 12.4,
        "trainable_parameters": 1_234_567,
        "environment": "one",
    }
    return TrainingRecord(
        recipe={},
        dataset_fingerprint="f" * 64,
        seed=0,
        head_validation_f1=None,
        train_losses=(1.0,),
        validation_f1s=(0.5,),
        epoch_seconds=(8.0,),
        images_per_epoch=100,
        **{**fields, **changes},
    )


def column(report: Any, header: str) -> list[str]:
    table = report.approach_table
    return [row[table.headers.index(header)] for row in table.rows]


def test_an_approach_has_one_row_whatever_its_figures_come_from() -> None:
    grouped = judged(split_method="grouped", network_sha256="b", predictions=(0, 0, 1, 1))
    records: list[Record] = [
        training(), judged(), training(split_method="grouped", network_sha256="b"), grouped,
        crossval(), crossval(split_method="grouped", wrong=0),
    ]  # fmt: skip
    report = build_report(records, title="t")
    (row,) = report.approaches
    assert (row.approach, row.classes, row.dataset, row.refit) == (
        "custom-cnn", 2, "clothing", False,
    )  # fmt: skip
    assert report.approach_table is not None
    cells = report.approach_table.rows[0]
    # Stratified: 2 of 2 and 1 of 2 found: F1 4/5 and 2/3, mean 0.733; accuracy 3/4. Grouped: all.
    # Photos 0 and 1, of folds 0 and 1, are both a shirt taken for a hat. Fold 0 holds photos 0, 5,
    # 10, 15: shirts 0, 5; hats 10, 15: shirt F1 2/3, hat 2*2/(2+3) = 4/5, mean 11/15; fold 1
    # (1, 6, 11, 16): shirts 1, 16, hats 6, 11: likewise. Mean (2*11/15 + 3) / 5 = 67/75.
    folds = row.under("stratified").crossval
    assert folds is not None
    assert folds.f1s == pytest.approx((11 / 15, 11 / 15, 1.0, 1.0, 1.0))
    starts = (
        "custom-cnn", "2", "0.733 [", "0.750", "0.733", "0.66", f"{67 / 75:.3f} ± 0.146", "0.899",
        "1.000 [", "1.000", "1.000", "1.000 ± 0.000", "1.000 [",
    )  # fmt: skip
    assert len(cells) == len(starts)
    for cell, start in zip(cells, starts, strict=True):
        assert cell.startswith(start)
    assert "as it reported them" in report.approach_table.note


def test_a_refit_is_marked() -> None:
    refit = training(
        approach="custom-cnn-refit", network_sha256="r", photos={"train": 120, "validation": 0}
    )
    records: list[Record] = [training(), judged(), refit]
    records += [judged(variant="custom-cnn-refit.float.tflite", network_sha256="r")]
    report = build_report(records, title="t")
    assert column(report, "trained on") == ["training", "training, validation"]
    assert [row.refit for row in report.approaches] == [False, True]


def test_an_approach_trained_twice_has_a_row_a_network_and_its_folds_one() -> None:
    later: dict[str, Any] = {"network_sha256": "b" * 64, "environment": "two"}
    records: list[Record] = [
        training(network_sha256="a" * 64), judged(network_sha256="a" * 64),
        training(**later), judged(variant_sha256="b", predictions=(0, 0, 1, 1), **later),
        crossval(environment="two"),
    ]  # fmt: skip
    report = build_report(records, title="t")
    assert column(report, "network") == ["a" * 8, "b" * 8]
    tests = [row.under("stratified").test for row in report.approaches]
    assert [test and round(test.weighted_f1, 3) for test in tests] == [0.733, 1.0]
    assert [bool(row.under("stratified").crossval) for row in report.approaches] == [False, True]
    assert "first digits of its digest" in report.approach_table.note
    names = {row.approach for row in report.classes if row.judged_on == "test"}
    assert names == {f"custom-cnn ({digit * 8})" for digit in "ab"}


def test_one_approach_on_other_classes_has_a_row_of_its_own() -> None:
    three = (*LABELS, "Shoe")
    top: dict[str, Any] = {"network_sha256": "b", "labels": three}
    records: list[Record] = [
        training(), judged(), crossval(), training(**top), judged(variant_sha256="b", **top),
        crossval(labels=three),
    ]  # fmt: skip
    report = build_report(records, title="t")
    assert [row.classes for row in report.approaches] == [2, 3]
    assert all(row.under("stratified").crossval for row in report.approaches)
    assert all(row.under("stratified").test for row in report.approaches)
    assert len({(row.approach, row.classes, row.label) for row in report.classes}) == 5


@pytest.mark.parametrize(
    "change", [{"dataset": "garments"}, {"approach": "efficientnet-lite0"}], ids=str
)
def test_the_original_stands_by_its_own_photos_and_approaches_alone(change: Any) -> None:
    report = build_report([crossval(**change)], title="t")
    assert report.approach_table is not None
    assert not [name for name in report.approach_table.headers if "original" in name]
    assert "original" not in report.approach_table.note


def test_the_originals_five_folds_are_quoted() -> None:
    report = build_report([crossval(approach="convnext-tiny")], title="t")
    assert column(report, "the original: 5 folds") == ["0.88"]


def test_litert_judges_an_approach_before_another_runtime() -> None:
    onnx = judged("onnxruntime 1.32.0", variant="custom-cnn.float.onnx")
    int8 = judged(variant="custom-cnn.int8.tflite")
    for records in ([onnx, judged(), int8], [judged(), onnx, int8]):
        (row,) = build_report(records, title="t").approaches
        found = row.under("stratified")
        assert (found.variant, found.runtime) == (FLOAT, "litert 2.3.0")


def test_the_latest_of_two_cross_validations_counts() -> None:
    report = build_report([crossval(wrong=5), crossval(wrong=0)], title="t")
    assert [row.scores.mean for row in report.crossvals] == [1.0]


def test_classes_stand_side_by_side_the_most_frequent_first() -> None:
    records: list[Record] = [judged(), crossval(), crossval(approach="other", wrong=0)]
    tables = build_report(records, title="t").class_tables
    assert [table.caption for table in tables] == [
        "F1 (precision, recall) of each of 2 classes on the test photos, stratified split",
        "F1 (precision, recall) of each of 2 classes out of fold, stratified split",
    ]
    assert tables[1].headers == ("class", "photos", "custom-cnn", "other")
    # 10 shirts, 8 found, none wrongly: F1 16/18; 10 hats, all found, 2 wrongly: F1 20/22.
    assert tables[1].rows == (
        ("Shirt", "10", "0.889 (1.000, 0.800)", "1.000 (1.000, 1.000)"),
        ("<b>Hat</b>", "10", "0.909 (0.833, 1.000)", "1.000 (1.000, 1.000)"),
    )


def test_many_approaches_stand_side_by_side_by_f1_alone() -> None:
    (table,) = build_report([crossval(approach=name) for name in "abcd"], title="t").class_tables
    assert table.caption == "F1 of each of 2 classes out of fold, stratified split"
    assert table.rows[0] == ("Shirt", "10", *["0.889"] * 4)
    assert "classes.csv" in table.note


def test_other_classes_have_a_table_of_their_own() -> None:
    records = [crossval(), crossval(approach="top", labels=("Shirt", "Hat"))]
    assert len(build_report(records, title="t").class_tables) == 2


def test_random_weights_are_named_with_their_reason() -> None:
    why = "random (download of convnext.h5 failed: timed out)"
    sentences = weights_sentences(
        [
            training(),
            crossval(),
            crossval(approach="convnext-tiny", weights_source=why),
            training(approach="resnet", weights_source="a.npz", weights_coverage=0.45),
            training(approach="lite", weights_source="package", weights_coverage=0.99),
        ]
    )
    assert sentences == (
        "Began from random weights: custom-cnn.",
        "Began from random weights (download of convnext.h5 failed: timed out): convnext-tiny.",
        "resnet: 55.0 % of its parameters began random, the others from a.npz.",
    )


def test_training_says_what_it_took() -> None:
    table = build_report([training()], title="t").trainings
    row = dict(zip(table.headers, table.rows[0], strict=True))
    assert row["seconds"] == "8"
    assert row["images/s"] == "12"  # 100 photos in 8 s
    assert row["trainable, 10⁶"] == "1.23"
    assert row["features, seconds"] == "12"
    assert row["features by"] == "litert 2.3.0"


def test_older_trainings_have_no_empty_columns() -> None:
    old = {"feature_runtime": "", "feature_seconds": 0.0, "trainable_parameters": 0}
    assert build_report([training(**old)], title="t").trainings.headers[-1] == "images/s"


def test_everything_of_the_folds_is_written(tmp_path: Path) -> None:
    records = [crossval(), crossval(split_method="grouped")]
    write_report(records, tmp_path, title="Folds")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Cross-validation" in text and "![Confusion matrices" in text
    assert "Began from random weights: custom-cnn." in text
    assert (tmp_path / "confusions.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="confusion-2"' in page and "<b>Hat" not in page
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["crossvals"][0]["confusion"] == [[8, 2], [0, 10]]
    assert content["approaches"][0]["grouped"]["crossval"]["mean"] == pytest.approx(67 / 75)
    with (tmp_path / "crossval.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert float(lines[0]["scores.mean"]) == pytest.approx(67 / 75)
    assert float(lines[0]["scores.pooled.accuracy"]) == 0.9
    with (tmp_path / "classes.csv").open(encoding="utf-8", newline="") as stream:
        classes = list(csv.DictReader(stream))
    assert (classes[0]["label"], float(classes[0]["recall"])) == ("Shirt", 0.8)
    write_report([judged()], tmp_path, title="None")
    for name in ("confusions.png", "crossval.csv", "classes.csv"):
        assert not (tmp_path / name).exists()


def test_few_senders_of_the_folds_are_doubtful() -> None:
    few = crossval().model_copy(update={"sender_names": ("x", "y"), "senders": (0, 1) * 10})
    said = " ".join(build_report([few], title="t").doubts)
    assert "5 stratified folds: the photos come from 2 senders" in said


def test_the_evidence_of_folds_stands_without_any_training() -> None:
    report = build_report([crossval()], title="t")
    (table,) = (one for one in report.evidence if one.caption == "Photos")
    assert table.rows == (
        ("clothing", "f" * 64, "5 stratified folds", "0", "all 20", "2: Shirt, <b>Hat</b>"),
    )
    assert report.choices == () and report.pictures == ()
