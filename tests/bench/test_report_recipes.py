"""Recipes, complexity and sizes in the report, out of made-up records."""

import csv
from pathlib import Path
from typing import Any

import pytest

from bench.originals import CONVNEXT_NOTE
from bench.record import CostRecord, LayerTimesRecord, Record, TrainingRecord, of_kind
from bench.record_layers import OperatorTimes
from bench.report import write_report
from bench.report_content import Report, build_report
from bench.report_layout import Table
from bench.report_recipes import differences
from tests.bench.gate_records import judged, machine

LETTERS = "aabbcc" * 5
BASE = {"image_size": 96, "mixup": 0.0, "augment": {"flip": True, "erasing": 0.0}}


def trained(approach: str, *, wrong: int = 6, **changes: Any) -> list[Record]:
    """Return a training with the validation and test photos of its float variant.

    The first ``wrong`` photos, of both sides, are taken for class c.
    """
    name, sha = f"{approach}.float.tflite", approach
    recipe: dict[str, Any] = {"weights": "random", "recipe": {**BASE, **changes.pop("recipe", {})}}
    parameters, maccs = changes.pop("parameters", 1_500_000), changes.pop("maccs", 120_000_000)
    fields: dict[str, Any] = {"photos": {"train": 90, "validation": 30, "test": 30}, **changes}
    shared: dict[str, Any] = {"network_sha256": sha, "split_method": "grouped"}
    guesses = "c" * wrong + LETTERS[wrong:]
    sides = ("validation", "test") if fields["photos"]["validation"] else ("test",)
    return [
        TrainingRecord(
            variant=f"{approach}.float.keras", approach=approach, environment="e" * 16,
            recipe=recipe, dataset="clothing", dataset_fingerprint="f" * 64,
            labels=("a", "b", "c"), seed=0, weights_source="random", weights_coverage=0.0,
            head_validation_f1=None, train_losses=(1.0, 0.5), validation_f1s=(0.5, 0.75),
            epoch_seconds=(10.0, 10.0), images_per_epoch=90, **shared, **fields,
        ),
        CostRecord(
            variant=name, environment="e" * 16, maccs=maccs, parameters=parameters,
            receptive_field=255, uncounted={}, file_bytes=6_000_000, gzip_bytes=5_000_000, **shared,
        ),
        *(judged(LETTERS, guesses, variant=name, side=side, **shared) for side in sides),
    ]  # fmt: skip


def timed_layers(variant: str, runtime: str, us: float) -> LayerTimesRecord:
    """Return two layers, of which ``conv`` takes three quarters of ``4 * us``."""
    operators = tuple(
        OperatorTimes(
            name=f"net/{layer}/Conv2D", operator="CONV_2D", engine="xnnpack", kernels=("k",),
            sources=(f"net/{layer}/Conv2D",), times_us=(times * us,),
        )
        for layer, times in (("stem", 1.0), ("conv", 3.0))
    )  # fmt: skip
    return LayerTimesRecord(
        variant=variant, split_method="grouped", environment="e" * 16, network_sha256="custom-cnn",
        runtime=runtime, threads=2, calls_us=(4 * us,), latencies_us=(4 * us,),
        optimized={}, inserted={}, fused={}, operators=operators,
    )  # fmt: skip


def cells(table: Table | None, row: int) -> dict[str, str]:
    """Return one row by its headers."""
    assert table is not None
    return dict(zip(table.headers, table.rows[row], strict=True))


@pytest.fixture(scope="module")
def ablation() -> Report:
    """Return the report of a network trained in four ways."""
    records: list[Record] = [machine(), *trained("cnn-baseline")]
    records += trained("cnn-no-flip", wrong=18, recipe={"augment": {"flip": False, "erasing": 0.0}})
    records += trained("cnn-mixup", recipe={"mixup": 0.2})
    records += trained("cnn-refit", photos={"train": 120, "validation": 0, "test": 30})
    return build_report(records, title="t")


def test_a_record_older_than_a_setting_has_its_default() -> None:
    recipes: list[dict[str, Any]] = [{}, {"schedule": "cosine"}, {"schedule": "constant"}]
    first, same, other = (
        of_kind(trained("cnn", recipe=recipe), TrainingRecord)[0] for recipe in recipes
    )
    assert differences(first, same) == ()
    assert differences(first, other) == ("schedule: cosine → constant",)


def test_recipes_say_what_differs_from_the_first(ablation: Report) -> None:
    assert [(row.approach, row.changed) for row in ablation.recipes] == [
        ("cnn-baseline", ()),
        ("cnn-no-flip", ("augment.flip: true → false",)),
        ("cnn-mixup", ("mixup: 0 → 0.2",)),
        ("cnn-refit", ("trained on: training → training, validation",)),
    ]
    assert [row.is_first for row in ablation.recipes] == [True, False, False, False]


def test_recipes_say_what_it_was_worth(ablation: Report) -> None:
    first, flip, mixup, refit = ablation.recipes
    assert first.validation_change is None and first.test_change is None
    # 30 photos, 10 a class. Base: the first 6 (2 of each) taken for c: hits 8, 8, 10; predictions
    # 8, 8, 14: F1 16/18, 16/18, 20/24. No flip: of 18 (6 of each): hits 4, 4, 10; predictions 4,
    # 4, 22: F1 8/14, 8/14, 20/32. Classes weigh alike.
    base = (16 / 18 + 16 / 18 + 20 / 24) / 3
    without = (8 / 14 + 8 / 14 + 20 / 32) / 3
    assert first.validation is not None and flip.validation_change is not None
    assert first.validation.weighted_f1 == pytest.approx(base)
    assert flip.validation_change.value == pytest.approx(without - base)
    assert flip.test_change is not None and flip.test_change.high < 0.0
    assert mixup.validation_change is not None and mixup.validation_change.value == 0.0
    assert refit.validation is None and refit.test_change is not None
    assert first.seconds == 20.0 and first.epochs == 2
    (table,) = ablation.recipe_tables
    assert table.caption == "Recipes beside cnn-baseline, grouped split, 3 classes"
    assert table.rows[0][1] == "what the others are held against"


def test_other_networks_and_lone_trainings_have_no_recipes() -> None:
    records = [*trained("cnn"), *trained("wider", parameters=3_000_000)]
    assert build_report(records, title="t").recipes == ()


def test_many_recipes_say_how_many_would_differ_by_chance() -> None:
    records = [one for number in range(5) for one in trained(f"cnn-{number}", wrong=6 + number % 2)]
    (table,) = build_report(records, title="t").recipe_tables
    assert table.note.startswith("Of 4 differences on the validation photos 0 lie off 0; 0.2 would")


def test_recipes_and_complexity_are_written(tmp_path: Path) -> None:
    records = [*trained("cnn"), *trained("cnn-mixup", recipe={"mixup": 0.2})]
    write_report(records, tmp_path, title="t")
    with (tmp_path / "recipes.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert lines[1]["changed"] == "mixup: 0 → 0.2" and float(lines[1]["test_change.value"]) == 0.0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Recipes" in text and "## Complexity" in text
    assert 'id="recipes"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_complexity_stands_beside_the_originals() -> None:
    records: list[Record] = [*trained("custom-cnn"), *trained("custom-cnn-mixup")]
    records.append(timed_layers("custom-cnn.float.onnx", "onnxruntime 1.32.0", 200.0))
    records.append(timed_layers("custom-cnn.float.tflite", "litert 2.3.0", 100.0))
    records.append(timed_layers("custom-cnn.int8.tflite", "litert 2.3.0", 10.0))
    table = build_report(records, title="t").complexity_table
    row = cells(table, 0)
    assert row["network"] == "custom-cnn and custom-cnn-mixup"  # one graph, one row
    assert (row["FLOPs, 10⁶"], row["MACCs, 10⁶"], row["input, px"]) == ("240.00", "120.00", "96")
    assert row["receptive field, px"] == "255"
    assert row["most expensive layer"] == "conv"
    # No record tells what machine it was.
    assert (
        row["timed"] == "custom-cnn.float.tflite on litert 2.3.0, unknown machine eeeeeeeeeeeeeeee"
    )
    assert (row["its time, ms"], row["its share"]) == ("0.300", "75 %")
    assert row["the original: MACCs, 10⁶"] == "14,945.97"
    assert row["the original's most expensive layer"] == "Batch-Normalization"
    assert table is not None and CONVNEXT_NOTE not in table.note


def test_the_originals_convnext_is_corrected_in_words() -> None:
    report = build_report(trained("convnext-tiny"), title="t")
    assert report.complexity_table is not None
    assert report.complexity_table.note.endswith(CONVNEXT_NOTE)
    (row,) = report.complexity
    assert row.original is not None and row.original.flops == 2 * row.original.maccs


def test_without_layers_and_originals_there_are_no_columns_for_them() -> None:
    table = build_report(trained("mobilenet-v2"), title="t").complexity_table
    assert table is not None and table.headers == (
        "network", "input, px", "FLOPs, 10⁶", "MACCs, 10⁶", "parameters, 10⁶",
        "receptive field, px",
    )  # fmt: skip


def test_three_sizes_of_one_network_make_a_curve(tmp_path: Path) -> None:
    records = trained("cnn")
    shared: dict[str, Any] = {"network_sha256": "cnn", "split_method": "grouped"}
    for size, maccs in ((64, 53_000_000), (128, 213_000_000)):
        name = f"cnn.at{size}.float.tflite"
        cost = CostRecord(
            variant=name, environment="e" * 16, maccs=maccs, parameters=1_500_000, uncounted={},
            file_bytes=6_000_000, gzip_bytes=5_000_000, **shared,
        )  # fmt: skip
        records += [cost, judged(LETTERS, LETTERS, variant=name, **shared)]
    assert build_report(records[:-2], title="t").size_curves == ()  # two sizes
    report = build_report(records, title="t")
    (chart,) = report.size_curves
    assert chart["description"] == "F1 against MACCs, grouped split, 3 classes"
    (points,) = chart["datasets"].values() if "datasets" in chart else [chart["data"]["values"]]
    assert sorted(point["maccs"] for point in points) == [53.0, 120.0, 213.0]
    assert sorted(row.image_size or 0 for row in report.complexity) == [64, 96, 128]
    write_report(records, tmp_path, title="t")
    assert (tmp_path / "f1-maccs.png").read_bytes()[:4] == b"\x89PNG"


def test_records_of_before_without_a_receptive_field_are_of_the_same_graph() -> None:
    records = trained("cnn-old")
    records = [
        one.model_copy(update={"receptive_field": None}) if isinstance(one, CostRecord) else one
        for one in records
    ]
    (row,) = build_report([*records, *trained("cnn-new")], title="t").complexity
    assert row.networks == ("cnn-new", "cnn-old") and row.receptive_field == 255


def test_trainings_of_two_machines_say_whose_seconds_they_are() -> None:
    one, other = machine(), machine("f" * 16)
    records = [one, *trained("cnn"), *trained("cnn-mixup", recipe={"mixup": 0.2})]
    assert "machines" not in build_report(records, title="t").trainings.note
    moved = [
        each.model_copy(update={"environment": "f" * 16})
        if isinstance(each, TrainingRecord) and each.approach == "cnn-mixup"
        else each
        for each in records
    ]
    report = build_report([*moved, other], title="t")
    expected = (
        "Seconds of different machines are not to be compared."
        " A CPU (eeeeeeee): cnn; A CPU (ffffffff): cnn-mixup."
    )
    assert report.trainings.note == expected
    assert report.recipe_tables[0].note.endswith(expected)
