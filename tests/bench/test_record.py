"""Records: one JSON line each, immutable, and strict about what they are read from."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.record import (
    AccuracyRecord,
    CostRecord,
    CrossvalRecord,
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    ParityRecord,
    Record,
    TrainingRecord,
    of_kind,
    read_records,
    to_line,
    write_records,
)
from bench.subject import without_paths
from train.errors import ArtifactError, DataError

COMMON = {"variant": "custom-cnn.int8.tflite", "split_method": "grouped", "environment": "e" * 16}
LATENCY = LatencyRecord(
    **COMMON,
    runtime="litert 2.3.0",
    threads=2,
    warmup_runs=20,
    load_ms=1.5,
    cold_start_ms=9.0,
    base_rss_bytes=1000,
    peak_rss_bytes=3000,
    latencies_ms=(3.0, 1.0, 2.0, 10.0),
)
FAILURE = FailureRecord(**COMMON, stage="latency", runtime="litert", reason="truncated")
ONE_OF_EACH: list[Record] = [
    EnvironmentRecord(
        environment="e" * 16,
        cpu="a CPU",
        cores=2,
        memory_bytes=2**33,
        cpu_features=("avx2",),
        system="Linux",
        python="3.11.7",
        packages={"numpy": "2.4.6"},
    ),
    TrainingRecord(
        **COMMON,
        approach="custom-cnn",
        recipe={"epochs": 3},
        dataset="garments",
        dataset_fingerprint="f" * 64,
        photos={"train": 70},
        labels=("a", "b"),
        seed=0,
        weights_source="random",
        weights_coverage=0.0,
        head_validation_f1=None,
        train_losses=(2.0, 1.0, 0.5),
        validation_f1s=(0.2, 0.6, 0.5),
        epoch_seconds=(3.0, 1.0, 1.5),
        images_per_epoch=70,
    ),
    CostRecord(**COMMON, maccs=21, parameters=7, uncounted={"Odd": 2}, file_bytes=9, gzip_bytes=8),
    AccuracyRecord(
        **COMMON,
        runtime="litert 2.3.0",
        side="test",
        labels=("a", "b"),
        photo_ids=("1", "2"),
        senders=("x", "y"),
        truths=(0, 1),
        predictions=(0, 0),
    ),
    LATENCY,
    ParityRecord(
        **COMMON,
        runtime="litert 2.3.0",
        images=8,
        max_difference=0.01,
        argmax_agreement=1.0,
        tolerance=0.05,
        min_agreement=0.9,
        passed=True,
    ),
    FAILURE,
    CrossvalRecord(
        variant="custom-cnn",
        split_method="stratified",
        environment="e" * 16,
        approach="custom-cnn",
        network="custom-cnn",
        recipe={"epochs": 3},
        dataset="garments",
        dataset_fingerprint="f" * 64,
        labels=("a", "b"),
        folds=2,
        seed=0,
        weights_source="random",
        weights_coverage=0.0,
        sender_names=("x", "y"),
        senders=(1, 0, 1),
        photo_ids=("1", "2", "3"),
        photo_folds=(0, 1, 1),
        truths=(0, 1, 0),
        predictions=(0, 1, 1),
        top_classes=((0, 1), (1, 0), (1, 0)),
        confidences=(0.9, 0.8, 0.7),
        fold_seconds=(2.0, 3.0),
        feature_seconds=1.5,
        views=2,
    ),
]
CROSSVAL = ONE_OF_EACH[-1]


def test_every_kind_comes_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write_records(path, ONE_OF_EACH)
    assert read_records(path) == (ONE_OF_EACH, [])
    assert path.read_text().count("\n") == len(ONE_OF_EACH)


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: record.kind)
def test_a_line_is_plain_json_that_names_its_kind_and_schema(record: Record) -> None:
    line = json.loads(to_line(record))
    assert (line["kind"], line["schema_version"]) == (record.kind, 1)


def test_statistics_come_from_the_samples_and_are_not_stored() -> None:
    training, cost = ONE_OF_EACH[1], ONE_OF_EACH[2]
    assert isinstance(training, TrainingRecord)
    assert isinstance(cost, CostRecord)
    assert LATENCY.median_ms == 2.5  # of 1, 2, 3, 10: the mean of 2 and 3
    assert training.best_validation_f1 == 0.6
    assert training.train_seconds == 5.5
    assert cost.flops == 42  # two for each of 21 MACCs
    assert "median_ms" not in to_line(LATENCY)
    assert "flops" not in to_line(cost)


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LATENCY.threads = 4


@pytest.mark.parametrize(
    "change",
    [
        {"latencies_ms": ()},
        {"threads": 0},
        {"warmup_runs": -1},
        {"load_ms": -0.1},
        {"load_ms": float("nan")},
        {"latencies_ms": (1.0, float("inf"))},
        {"surprise": 1},
    ],
)
def test_impossible_measurements_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LatencyRecord.model_validate({**LATENCY.model_dump(), **change})


def test_a_line_cut_off_by_a_killed_run_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(to_line(FAILURE) + to_line(LATENCY)[:-20])
    assert read_records(path) == (
        [FAILURE],
        ["records.jsonl: line 2 was cut off (a killed run); passed over"],
    )


def test_a_whole_line_that_is_broken_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(to_line(FAILURE) + '{"kind": "latency"}\n')
    with pytest.raises(DataError, match=r"records\.jsonl: line 2: "):
        read_records(path)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(to_line(FAILURE).replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(DataError, match=r"line 1: .*schema_version"):
        read_records(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_unreadable_records_are_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "records.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no readable records"):
        read_records(path)


def test_an_interrupted_writing_keeps_the_records_that_were_there(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write_records(path, [FAILURE])

    def broken() -> object:
        yield LATENCY
        raise OSError(28, "No space left on device")

    with pytest.raises((ArtifactError, OSError)):
        write_records(path, broken())  # type: ignore[arg-type]
    assert read_records(path) == ([FAILURE], [])
    assert [child.name for child in tmp_path.iterdir()] == ["records.jsonl"]


def test_of_kind_keeps_the_order() -> None:
    assert of_kind(ONE_OF_EACH, LatencyRecord) == [LATENCY]
    assert of_kind([FAILURE, LATENCY, FAILURE], FailureRecord) == [FAILURE, FAILURE]


def test_line_separators_within_a_text_do_not_cut_a_record(tmp_path: Path) -> None:
    record = FailureRecord(
        variant="net.int8.tflite", split_method="grouped", environment="e", stage="s",
        reason="one\u2028two\u0085three",
    )  # fmt: skip
    write_records(tmp_path / "r.jsonl", [record, record])
    assert read_records(tmp_path / "r.jsonl") == ([record, record], [])


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("/home/me/runs/net/model.tflite: cannot be read", "model.tflite: cannot be read"),
        ("open('/tmp/a/b.onnx') failed", "open('b.onnx') failed"),
        ("1/2 of the photos, 3.5 ms/call", "1/2 of the photos, 3.5 ms/call"),
    ],
)
def test_reasons_hold_no_folders(reason: str, kept: str) -> None:
    assert without_paths(reason) == kept


def test_accuracy_lists_must_run_in_parallel() -> None:
    fields = {
        "variant": "net.int8.tflite", "split_method": "grouped", "environment": "e",
        "runtime": "litert 2", "side": "test", "labels": ("a", "b"), "photo_ids": ("p", "q"),
        "senders": ("s", "s"), "truths": (0, 1), "predictions": (0, 1),
    }  # fmt: skip
    AccuracyRecord.model_validate(fields)
    for wrong in ({"truths": (0,)}, {"predictions": (0, 2)}, {"photo_ids": ()}):
        with pytest.raises(ValidationError):
            AccuracyRecord.model_validate({**fields, **wrong})


def test_lines_of_before_top_classes_still_read(tmp_path: Path) -> None:
    line = json.loads(to_line(ONE_OF_EACH[3]))
    for later in ("top_classes", "confidences"):
        del line[later]
    (tmp_path / "r.jsonl").write_text(json.dumps(line) + "\n")
    assert read_records(tmp_path / "r.jsonl") == ([ONE_OF_EACH[3]], [])


def test_crossval_names_senders_and_sums_times() -> None:
    assert isinstance(CROSSVAL, CrossvalRecord)
    assert CROSSVAL.photo_senders == ("y", "x", "y")
    assert CROSSVAL.train_seconds == 6.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"photo_folds": (0, 0, 0)}, "2 folds need photos in each"),
        ({"photo_folds": (0, 1, 2)}, "2 folds need photos in each"),
        ({"fold_seconds": (1.0,)}, "2 folds took 1 times"),
        ({"senders": (0, 1, 2)}, "not one of its 2"),
        ({"senders": (0, 1)}, "equally long"),
        ({"top_classes": ((0, 1), (1, 0))}, "equally long"),
        ({"top_classes": ((1, 0), (1, 0), (1, 0))}, "do not begin with prediction 0"),
        ({"top_classes": ((0, 0), (1, 0), (1, 0))}, "do not begin with prediction 0"),
        ({"confidences": (0.9, 0.8, 1.2)}, "less than or equal to 1"),
        ({"folds": 1}, "greater than or equal to 2"),
    ],
)
def test_impossible_cross_validations_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CrossvalRecord.model_validate({**CROSSVAL.model_dump(), **change})


def test_quantiles_lie_between_two_calls() -> None:
    assert [LATENCY.quantile_ms(share) for share in (0.0, 0.5, 0.9, 1.0)] == pytest.approx(
        [1.0, 2.5, 3.0 + 0.7 * 7.0, 10.0]  # of 1, 2, 3 and 10: place 0.9 x 3 = 2.7
    )
    one = LATENCY.model_copy(update={"latencies_ms": (4.0,)})
    assert one.quantile_ms(0.99) == 4.0


def test_calls_stand_in_their_turns() -> None:
    whole = LATENCY.model_copy(update={"calls_per_turn": 2})
    assert whole.turns == ((3.0, 1.0), (2.0, 10.0))
    odd = LATENCY.model_copy(update={"calls_per_turn": 3})
    assert odd.turns == ((3.0,), (1.0,), (2.0,), (10.0,))


def test_times_of_before_cold_starts_and_memory_still_read(tmp_path: Path) -> None:
    old = json.loads(to_line(LATENCY))
    for name in ("batch", "cold_start_ms", "base_rss_bytes", "peak_rss_bytes"):
        del old[name]
    (tmp_path / "records.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    ((read,), _) = read_records(tmp_path / "records.jsonl")
    assert isinstance(read, LatencyRecord)
    assert (read.batch, read.cold_start_ms, read.peak_rss_bytes) == (1, None, None)
