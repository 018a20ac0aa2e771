"""The report out of made-up records: what it says, what it escapes, and that it repeats."""

import csv
import json
import re
import statistics
import sys
import time
from dataclasses import astuple
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.record import (
    AccuracyRecord,
    CostRecord,
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    ParityRecord,
    Record,
    TrainingRecord,
)
from bench.report import write_report
from bench.report_charts import chart_scripts
from bench.report_choice import ALONE
from bench.report_content import Extras, build_report
from bench.report_format import as_markdown, as_ms
from bench.report_scores import change_between, interval, pareto_front, score_of
from bench.scores import paired_difference, score
from tests.bench.report_many import many_records
from tests.test_house import BARE_SECONDS, seconds_of
from train.metrics import interval_of

LABELS = ("shirt", "<script>alert(1)</script>")
PHOTOS = tuple(f"photo-{number}" for number in range(40))
TRUTHS = tuple(number % 2 for number in range(40))
FLOAT, INT8 = "custom-cnn.float.tflite", "custom-cnn.int8.tflite"


def machine(name: str = "one", cpu: str = "Test CPU") -> EnvironmentRecord:
    return EnvironmentRecord(
        environment=name,
        cpu=cpu,
        cores=2,
        memory_bytes=2**33,
        cpu_features=("avx2",),
        system="Linux",
        python="3.11",
        packages={"onnxruntime": "1.32.0"},
    )


def predictions(wrong: int) -> tuple[int, ...]:
    """Return the truths with the first ``wrong`` of them turned round."""
    return tuple(1 - truth if i < wrong else truth for i, truth in enumerate(TRUTHS))


def judged(variant: str, *, wrong: int, side: Any = "test", **changes: Any) -> AccuracyRecord:
    fields: dict[str, Any] = {
        "split_method": "grouped",
        "environment": "one",
        "runtime": "litert 2.3.0",
        "labels": LABELS,
        "photo_ids": PHOTOS,
        "senders": PHOTOS,
        "truths": TRUTHS,
        "predictions": predictions(wrong),
    }
    return AccuracyRecord(variant=variant, side=side, **{**fields, **changes})


def timed(variant: str, ms: float, **changes: Any) -> LatencyRecord:
    fields: dict[str, Any] = {
        "split_method": "grouped",
        "environment": "one",
        "runtime": "litert 2.3.0",
        "threads": 2,
    }
    return LatencyRecord(
        variant=variant,
        warmup_runs=3,
        load_ms=1.0,
        latencies_ms=(ms, ms, 1.5 * ms),
        **{**fields, **changes},
    )


def training(**changes: Any) -> TrainingRecord:
    fields: dict[str, Any] = {
        "approach": "custom-cnn",
        "validation_f1s": (0.5, 0.75),
        "train_losses": (1.0, 0.5),
        "epoch_seconds": (10.0, 10.0),
    }
    fields = {
        "variant": "custom-cnn.float.keras",
        "dataset_fingerprint": "f" * 64,
        "labels": LABELS,
        "seed": 0,
        "photos": {"train": 100, "validation": 20, "test": 20},
        **fields,
    }
    return TrainingRecord(
        split_method="grouped",
        environment="one",
        recipe={},
        dataset="clothing",
        weights_source="random",
        weights_coverage=0.0,
        head_validation_f1=None,
        images_per_epoch=100,
        **{**fields, **changes},
    )


def whole_run(*, wrong_int8: int = 4) -> list[Record]:
    """Return a float variant at 20 ms and an int8 one at 8 ms, both judged on both sides."""
    records: list[Record] = [machine(), training()]
    for variant, wrong, ms in ((FLOAT, 4, 20.0), (INT8, wrong_int8, 8.0)):
        shared: dict[str, Any] = {
            "variant": variant, "split_method": "grouped", "environment": "one"
        }  # fmt: skip
        cost = CostRecord(
            maccs=84_000_000, parameters=400_000, uncounted={"Erf": 3}, file_bytes=1_600_000,
            gzip_bytes=1_500_000, **shared,
        )  # fmt: skip
        parity = ParityRecord(
            runtime="litert 2.3.0", images=8, max_difference=0.5, argmax_agreement=0.75,
            tolerance=0.1, min_agreement=0.9, passed=False, **shared,
        )  # fmt: skip
        sides = [judged(variant, wrong=wrong, side=side) for side in ("validation", "test")]
        records += [cost, *sides, parity, timed(variant, ms)]
    return records


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)


def test_speedup_change_and_front_by_hand() -> None:
    rows = build_report(whole_run(wrong_int8=4), title="t").rows
    base, int8 = rows
    assert (base.variant, int8.variant) == (FLOAT, INT8)
    assert base.speedup is None and base.f1_change is None
    assert int8.speedup == pytest.approx(20.0 / 8.0)
    assert int8.f1_change is not None
    assert (int8.f1_change.value, int8.f1_change.low, int8.f1_change.high) == (0.0, 0.0, 0.0)
    # 4 of 40 wrong, 2 of each class: precision = recall = 18/20 in both, so F1 = 0.9.
    assert int8.f1 is not None and int8.f1.weighted_f1 == pytest.approx(0.9)
    assert int8.on_front and not base.on_front
    assert int8.flops == 168_000_000


def test_pareto_front_keeps_what_nothing_beats() -> None:
    points = [(10.0, 0.8), (5.0, 0.7), (10.0, 0.9), (20.0, 0.9), (4.0, 0.6)]
    assert pareto_front(points) == [4, 1, 2]


def test_int8_as_good_as_float_is_chosen_for_its_speed() -> None:
    choice, smallest = build_report(whole_run(wrong_int8=4), title="t").choices
    assert choice.outcome == "chosen"
    assert choice.row is not None and choice.row.variant == INT8
    # Both files have as many bytes, and the better one counts.
    assert smallest.row is not None and smallest.row.variant == INT8


def test_much_worse_int8_is_passed_over() -> None:
    choice, *_ = build_report(whole_run(wrong_int8=30), title="t").choices
    assert choice.outcome == "chosen"
    assert choice.row is not None and choice.row.variant == FLOAT
    assert choice.rivals == ()


def test_an_interval_across_the_bound_is_undecided() -> None:
    # One photo of 40 more is wrong: -2.5 points, but many resamples leave that photo out.
    choice, *_ = build_report(whole_run(wrong_int8=5), title="t").choices
    assert choice.outcome == "undecided"
    assert choice.row is not None and choice.row.variant == FLOAT
    assert [row.variant for row in choice.rivals] == [INT8]


def test_test_photos_have_no_part_in_the_choice() -> None:
    records = [
        judged(INT8, wrong=35) if isinstance(one, AccuracyRecord)
        and (one.variant, one.side) == (INT8, "test") else one
        for one in whole_run(wrong_int8=4)
    ]  # fmt: skip
    choice, *_ = build_report(records, title="t").choices
    assert choice.row is not None and choice.row.variant == INT8


def test_no_validation_records_no_choice() -> None:
    records = [one for one in whole_run() if getattr(one, "side", "") != "validation"]
    choice, *_ = build_report(records, title="t").choices
    assert choice.outcome == "none"
    assert "No choice is made" in choice.headline


def test_a_refit_is_shown_and_never_chosen(tmp_path: Path) -> None:
    # Trained on its validation photos too, it is the fastest, and right on every test photo.
    refit = "custom-cnn-refit.float.tflite"
    records = [
        *whole_run(),
        training(
            variant="custom-cnn-refit.float.keras", network_sha256="r", validation_f1s=(),
            photos={"train": 120, "validation": 0, "test": 20},
        ),
        judged(refit, wrong=0, network_sha256="r"),
        timed(refit, 1.0, network_sha256="r"),
    ]  # fmt: skip
    report = build_report(records, title="t")
    assert [choice.row.variant for choice in report.choices if choice.row] == [INT8, INT8]
    for choice in report.choices:
        assert choice.reasons[-1].startswith(
            f"Not chosen: {refit} on litert 2.3.0, because no photos were left to choose on:"
        )
    (row,) = [row for row in report.rows if row.variant == refit]
    assert row.f1 is not None and row.f1.weighted_f1 == 1.0 and row.validation_f1 is None
    cells = dict(zip(report.trainings.headers, report.trainings.rows[1], strict=True))
    assert cells["best validation F1"] == "n/a" and cells["epochs"] == "2"
    write_report(records, tmp_path, title="t")
    assert refit in (tmp_path / "report.md").read_text(encoding="utf-8")
    alone = [one for one in records if getattr(one, "variant", "").startswith("custom-cnn-refit")]
    (choice,) = build_report(alone, title="t").choices
    assert choice.outcome == "none" and "no photos were left" in choice.reasons[0]


def test_a_variant_that_validation_photos_never_judged_is_named() -> None:
    records = [*whole_run(), timed("custom-cnn.pruned.float.tflite", 1.0)]
    choice, *_ = build_report(records, title="t").choices
    assert choice.reasons[-1] == (
        "Not chosen: custom-cnn.pruned.float.tflite on litert 2.3.0, because no record judges it on"
        " validation photos."
    )


def test_a_variant_of_unknown_photos_is_named_beside_the_choices() -> None:
    records = [*whole_run(), timed("other.float.tflite", 1.0, network_sha256="u")]
    choices = build_report(records, title="t").choices
    assert len(choices) == 2
    for choice in choices:
        assert choice.reasons[-1].startswith("Not chosen: other.float.tflite on litert 2.3.0,")


def test_the_smallest_and_the_most_accurate_under_a_time() -> None:
    small = [
        one.model_copy(update={"file_bytes": 400_000})
        if isinstance(one, CostRecord) and one.variant == FLOAT
        else one
        for one in whole_run()
    ]
    fastest, smallest, accurate = build_report(
        small, title="t", extras=Extras(under_ms=10.0)
    ).choices
    assert fastest.row is not None and fastest.row.variant == INT8
    assert smallest.row is not None and smallest.row.variant == FLOAT
    assert accurate.row is not None and accurate.row.variant == INT8  # 8 ms; the float takes 20
    assert accurate.goal == "the most accurate variant with a median under 10 ms"
    # Both are right on the same photos, and the quicker one of them is the best of all.
    assert not any("Given up" in reason for reason in accurate.reasons)
    *_, none = build_report(small, title="t", extras=Extras(under_ms=1.0)).choices
    assert none.outcome == "none" and "No variant stays under 1 ms" in none.headline


def test_of_two_that_cannot_be_told_apart_the_accurate_one_is_undecided() -> None:
    *_, choice = build_report(
        whole_run(wrong_int8=5), title="t", extras=Extras(under_ms=30.0)
    ).choices
    # One photo of 40 less: the interval of the difference reaches 0 and not above it.
    assert choice.outcome == "chosen" and choice.row is not None and choice.row.variant == FLOAT
    swapped = [
        one.model_copy(update={"predictions": (*predictions(0)[:35], *predictions(40)[35:])})
        if isinstance(one, AccuracyRecord) and one.variant == INT8
        else one
        for one in whole_run()
    ]
    *_, choice = build_report(swapped, title="t", extras=Extras(under_ms=30.0)).choices
    assert choice.outcome == "undecided" and [row.variant for row in choice.rivals] == [INT8]


def test_a_limit_of_time_says_what_is_given_up_for_it() -> None:
    *_, choice = build_report(
        whole_run(wrong_int8=30), title="t", extras=Extras(under_ms=10.0)
    ).choices
    assert choice.row is not None and choice.row.variant == INT8
    # 4 of 40 wrong, 2 of each class, against 30, 15 of each: F1 0.9 and 0.25.
    (said,) = (reason for reason in choice.reasons if "Given up" in reason)
    assert said.startswith("Given up for the time: \u221265.0 [")
    assert said.endswith("]), which takes 20.0 ms.")
    assert f"the best of all, {FLOAT} on litert 2.3.0 (0.900 [" in said


def test_other_validation_photos_are_not_compared() -> None:
    other = {"photo_ids": tuple(f"other-{i}" for i in range(40))}
    records = [
        judged(INT8, wrong=4, side="validation", **other) if isinstance(one, AccuracyRecord)
        and (one.variant, one.side) == (INT8, "validation") else one
        for one in whole_run()
    ]  # fmt: skip
    choices = build_report(records, title="t").choices
    assert [choice.row.variant for choice in choices[::2] if choice.row] == [FLOAT, INT8]


def test_everything_is_written_and_repeats_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        write_report(whole_run(), tmp_path / folder, title="Run", command="threadlite run p.toml")
    first = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert first == [
        "approaches.csv", "complexity.csv", "f1-latency.png", "learning-curves.png", "ledger.png",
        "report.csv", "report.html", "report.json", "report.md",
    ]  # fmt: skip
    for name in first:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    with Image.open(tmp_path / "first" / "f1-latency.png") as picture:
        assert picture.width > 800
    assert (tmp_path / "first" / "report.html").stat().st_size < 5_000_000


def test_markdown_csv_and_json_carry_the_figures(tmp_path: Path) -> None:
    write_report(
        whole_run(), tmp_path, title="Run", command="threadlite run p.toml", warnings=["cut off"],
        notes=["int8 is slow because of X"],
    )  # fmt: skip
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for expected in (
        f"**Ship {INT8} on litert 2.3.0.**", "0.900 [", "2.50\u00d7", "FAILED",
        "threadlite run p.toml",
        "cut off", "int8 is slow because of X", "Test CPU", "not a phone's", "f" * 64,
        "its MACCs leave out 3 Erf", "![Weighted F1 against latency",
    ):  # fmt: skip
        assert expected in text
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["variant"] for line in lines] == [FLOAT, INT8]
    assert float(lines[1]["speedup"]) == pytest.approx(2.5)
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert content["choices"][0]["row"]["variant"] == INT8
    assert content["rows"][1]["maccs"] == 84_000_000


def test_every_markdown_table_row_has_all_columns(tmp_path: Path) -> None:
    failure = FailureRecord(
        variant=INT8, split_method="grouped", environment="one", stage="convert",
        reason="a | b\nc",
    )  # fmt: skip
    write_report([*whole_run(), failure], tmp_path, title="Run")
    blocks = re.findall(r"(?:^\|.*\n)+", (tmp_path / "report.md").read_text(), re.MULTILINE)
    assert len(blocks) == 11  # the complexity is the last that came
    for block in blocks:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1
    assert any(r"a \| b c" in block for block in blocks)


def test_markup_in_records_stays_text(tmp_path: Path) -> None:
    attack = "</script><script>alert(2)</script><img src=x onerror=alert(3)>"
    failure = FailureRecord(
        variant=attack, split_method=attack, environment=attack, stage=attack, reason=attack
    )
    records = [
        *whole_run(), failure, training(approach=attack), machine("one", cpu=attack),
        judged(attack, wrong=1, runtime=attack), timed(attack, 3.0, runtime=attack),
    ]  # fmt: skip
    write_report(records, tmp_path, title=attack, command=attack, warnings=[attack], notes=[attack])
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    names = [name for name, _ in page.tags]
    assert "img" not in names
    data = [attrs for name, attrs in page.tags if name == "script" and attrs.get("type")]
    assert names.count("script") == len(data) + 2  # the charts' library and the page's own
    assert attack in "".join(page.words)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script" not in markdown and "<img" not in markdown


def test_page_asks_no_network(tmp_path: Path) -> None:
    write_report(whole_run(), tmp_path, title="Run")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    for _, attrs in page.tags:
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith(("#", "data:"))
    policies = [attrs["content"] or "" for _, attrs in page.tags if "http-equiv" in attrs]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    assert "unsafe-eval" not in policies[0]


def test_two_machines_never_share_a_picture(tmp_path: Path) -> None:
    records = [*whole_run(), machine("two", cpu="Other CPU"), timed(INT8, 3.0, environment="two")]
    report = build_report(records, title="t")
    assert [chart["description"] for chart in report.pictures] == [
        "grouped split, 2 classes, Test CPU, 2 threads",
        "grouped split, 2 classes, Other CPU, 2 threads",
    ]
    assert len(report.variants) == 2
    other = [row for row in report.rows if row.environment == "two"]
    assert [row.speedup for row in other] == [None]  # no float time of that machine
    write_report(records, tmp_path, title="t")
    assert "not to be compared" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_two_machines_of_one_name_are_told_apart(tmp_path: Path) -> None:
    mine, other = machine("a" * 16), machine("b" * 16)
    times = [
        timed(variant, ms, environment=name)
        for name in ("a" * 16, "b" * 16)
        for variant, ms in ((FLOAT, 20.0), (INT8, 8.0))
    ]
    judgements = [one for one in whole_run() if isinstance(one, AccuracyRecord)]
    report = build_report([mine, other, *judgements, *times], title="t")
    assert [chart["description"] for chart in report.pictures] == [
        "grouped split, 2 classes, Test CPU (aaaaaaaa), 2 threads",
        "grouped split, 2 classes, Test CPU (bbbbbbbb), 2 threads",
    ]
    names = {name for chart in report.pictures for name in chart["datasets"]}
    assert len(names) == 4  # as many as there are, so that none takes another's place in the PNG
    assert report.ledger.table is not None
    assert [row[2] for row in report.ledger.table.rows] == [
        "litert 2.3.0, Test CPU (aaaaaaaa)",
        "litert 2.3.0, Test CPU (bbbbbbbb)",
    ]
    titles = [chart["description"] for chart in report.ledger.charts]
    assert len(set(titles)) == len(titles) and all("Test CPU (" in title for title in titles)
    write_report([mine, other, *judgements, *times], tmp_path, title="t")
    said = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert (
        "Times are those of Test CPU (aaaaaaaa) and of Test CPU (bbbbbbbb), not a phone's" in said
    )


def test_a_phone_s_times_are_not_called_a_computer_s() -> None:
    phone = machine("one", cpu="Pixel").model_copy(update={"system": "Android 15 Linux 6.1"})
    report = build_report([phone, judged(INT8, wrong=4), timed(INT8, 8.0)], title="t")
    assert report.machines_mean == "Times are those of Pixel."


def test_scripts_are_bundled_once_for_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def bundle(vl_version: str) -> str:
        made.append(vl_version)
        return "script()"

    monkeypatch.setattr("vl_convert.javascript_bundle", bundle)
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    assert [chart_scripts(), chart_scripts()] == ["script()", "script()"] and len(made) == 1
    closed = tmp_path / "closed"
    closed.write_text("a file is no folder", encoding="utf-8")
    monkeypatch.setenv("THREADLITE_CACHE", str(closed))
    assert chart_scripts() == "script()" and len(made) == 2


def other_task(**changes: Any) -> list[Record]:
    """Return a network of other photos, faster and better than those of ``whole_run``."""
    fields: dict[str, Any] = {"network_sha256": "t", "labels": ("shoe", "hat"), **changes}
    name, learned = "custom-cnn-top.float.tflite", "custom-cnn-top"
    return [
        training(variant=f"{learned}.float.keras", approach=learned, **fields)
        .model_copy(update={"dataset_fingerprint": "e" * 64}),
        *(judged(name, wrong=0, side=side, **fields) for side in ("validation", "test")),
        timed(name, 1.0, network_sha256="t"),
    ]  # fmt: skip


def test_other_classes_never_share_a_front_a_choice_or_a_table() -> None:
    report = build_report([*whole_run(), *other_task(labels=(*LABELS, "shoe"))], title="t")
    assert [chart["description"] for chart in report.pictures] == [
        "grouped split, 2 classes, Test CPU, 2 threads",
        "grouped split, 3 classes, Test CPU, 2 threads",
    ]
    # On one front the faster and better network of other classes would stand alone.
    assert [row.on_front for row in report.rows] == [False, True, True]
    fastest = {one.row.classes: one.row.variant for one in report.choices[::2] if one.row}
    assert fastest == {2: INT8, 3: "custom-cnn-top.float.tflite"}
    assert "3 classes" in report.choice_names[2]
    assert report.choices[2].reasons[0] == ALONE
    assert [table.caption for table in report.variants] == [
        "2 classes, measured on Test CPU, 2 threads",
        "3 classes, measured on Test CPU, 2 threads",
    ]


def test_other_photos_of_as_many_classes_are_told_apart_by_their_fingerprint() -> None:
    report = build_report([*whole_run(), *other_task()], title="t")
    assert [chart["description"] for chart in report.pictures] == [
        "grouped split, 2 classes of clothing ffffffff, Test CPU, 2 threads",
        "grouped split, 2 classes of clothing eeeeeeee, Test CPU, 2 threads",
    ]
    assert [len(chart["datasets"]) for chart in report.pictures] == [2, 2]


def test_other_test_photos_of_the_same_task_have_a_picture_of_their_own() -> None:
    ids = {"photo_ids": tuple(f"other-{number}" for number in range(40))}
    same = {"labels": LABELS, "dataset_fingerprint": "f" * 64}
    records = [one for one in other_task() if not isinstance(one, AccuracyRecord | TrainingRecord)]
    seeded = training(variant="net.float.keras", network_sha256="t", seed=1, **same)
    name = "custom-cnn-top.float.tflite"
    tested = judged(name, wrong=0, network_sha256="t", **ids)
    report = build_report([*whole_run(), seeded, tested, *records], title="t")
    names = [chart["description"] for chart in report.pictures]
    assert len(names) == 2 and all("2 classes, test photos " in one for one in names)
    assert len(report.variants) == 1  # of one task, so they share a table
    assert [row.on_front for row in report.rows] == [False, True, True]


def test_the_picture_can_be_filtered_and_rows_say_by_what() -> None:
    report = build_report([*whole_run(), timed("odd", 3.0), judged("odd", wrong=1)], title="t")
    assert report.filters == (
        ("network", ("custom-cnn", "odd")),
        ("technique", ("none",)),
        ("runtime", ("litert 2.3.0",)),
        ("precision", ("?", "float", "int8")),
    )
    (table,) = report.variants
    assert table.tags[1] == ("custom-cnn", "none", "litert 2.3.0", "int8")
    points = [
        point
        for points in report.pictures[0]["datasets"].values()
        for point in points
        if "technique" in point
    ]
    assert sorted(point["variant"] for point in points) == [FLOAT, INT8, "odd"]


def test_the_front_runs_from_the_axis_to_the_right_end() -> None:
    # 20 ms at 0.9 and 8 ms at 0.9: the quicker one alone is on the front.
    (chart,) = build_report(whole_run(wrong_int8=4), title="t").pictures
    (front,) = [points for points in chart["datasets"].values() if "technique" not in points[0]]
    assert [point["median_ms"] for point in front] == [8.0, 8.0, pytest.approx(1.05 * 28.0)]
    assert [point["f1"] for point in front[1:]] == [0.9, 0.9] and front[0]["f1"] < 0.9


def test_failures_stand_by_the_picture_with_their_reason(tmp_path: Path) -> None:
    failure = FailureRecord(
        variant=INT8, split_method="grouped", environment="one", stage="convert", reason="no kernel"
    )
    write_report([*whole_run(), *[failure] * 12], tmp_path, title="t")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    picture = page[page.index('id="picture"') : page.index('id="variants"')]
    assert f"{INT8} (grouped split, convert): no kernel" in picture
    assert "2 more, in" in picture


def test_scores_are_those_of_the_bench() -> None:
    base, other = judged(FLOAT, wrong=4), judged(INT8, wrong=9)
    mine, theirs = astuple(score_of(base))[:7], astuple(score(base))[:7]
    assert mine == pytest.approx(theirs, abs=1e-12)  # sums of 2 classes round alike, nearly
    mine = astuple(change_between(base, other) or score(base))
    assert mine == pytest.approx(astuple(paired_difference(other, parent=base)), abs=1e-12)
    shuffled = other.model_copy(
        update={
            name: getattr(other, name)[::-1]
            for name in ("photo_ids", "senders", "truths", "predictions")
        }
    )
    assert change_between(base, shuffled) == change_between(base, other)
    assert change_between(base, other.model_copy(update={"senders": ("x",) * 40})) is None


@pytest.mark.parametrize("count", [1, 2, 3, 40, 41, 2_000])
def test_intervals_are_those_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert interval(values) == interval_of(values)


@pytest.mark.slow
def test_ten_thousand_records_make_a_page_in_seconds(tmp_path: Path) -> None:
    records = many_records(10_000)
    starts = [seconds_of([sys.executable, "-c", "pass"]) for _ in range(5)]
    started = time.process_time()  # what other programs take is not ours
    write_report(records, tmp_path, title="Many")
    took = time.process_time() - started
    starts += [seconds_of([sys.executable, "-c", "pass"]) for _ in range(5)]
    # Where a bare interpreter starts late, the machine is slow or busy by that factor.
    assert took < 10.0 * max(1.0, statistics.median(starts) / BARE_SECONDS)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_splits_stand_side_by_side() -> None:
    other = judged(FLOAT, wrong=2, split_method="stratified")
    report = build_report([*whole_run(), other], title="t")
    assert report.comparison is not None
    assert report.comparison.headers[2:] == ("task", "stratified", "grouped")
    assert report.comparison.rows[0][3].startswith("0.950")
    assert report.comparison.rows[0][4].startswith("0.900")
    assert "flatters" in report.splits


@pytest.mark.parametrize("record", [one for one in whole_run()[:6]], ids=lambda one: one.kind)
def test_one_record_alone_makes_a_report(tmp_path: Path, record: Record) -> None:
    write_report([record], tmp_path, title="One")
    assert "1 record" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_no_records_is_said_and_removes_old_pictures(tmp_path: Path) -> None:
    (tmp_path / "f1-latency.png").write_bytes(b"of an earlier report")
    write_report([], tmp_path, title="Nothing")
    for name in ("report.md", "report.html"):
        assert "nothing was measured" in (tmp_path / name).read_text(encoding="utf-8")
    assert not (tmp_path / "f1-latency.png").exists()


def test_missing_f1_or_latency_is_said() -> None:
    report = build_report(
        [machine(), judged(FLOAT, wrong=4), timed(INT8, 8.0, environment="gone")], title="t"
    )
    assert report.pictures == ()
    said = " ".join(report.doubts)
    assert f"{FLOAT} on litert 2.3.0 (grouped) has no latency" in said
    assert f"{INT8} on litert 2.3.0 (grouped) has no test F1" in said
    assert "No record describes the machine gone" in said


def test_latest_of_two_measurements_counts() -> None:
    report = build_report([machine(), timed(INT8, 8.0), timed(INT8, 9.0)], title="t")
    assert [row.median_ms for row in report.rows] == [9.0]
    assert report.doubts[0] == (
        f"{INT8} on litert 2.3.0 (grouped) was timed 2 times, with medians of 8.00, 9.00 ms; the"
        " last one counts."
    )


def test_doubtful_times_are_named() -> None:
    record = timed(INT8, 8.0, warnings=("never became steady",))
    assert any("never became steady" in text for text in build_report([record], title="t").doubts)


def test_spreadsheet_takes_no_variant_for_a_formula(tmp_path: Path) -> None:
    write_report([timed("=1+1", 8.0)], tmp_path, title="t")
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream))["variant"] == "'=1+1"


def test_numbers_and_markdown_are_written_plainly() -> None:
    assert [as_ms(value) for value in (0.1234, 1.234, 12.34, 1234.0)] == [
        "0.123", "1.23", "12.3", "1234",
    ]  # fmt: skip
    assert as_markdown("a|b\n[x](y) `c` *d*") == r"a\|b [x]\(y) \`c\` \*d\*"
