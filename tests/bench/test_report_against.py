"""Two runs side by side: what moved, what is noise, and what cannot be compared."""

from typing import Any

import pytest

from bench.record import CostRecord, Record
from bench.report_against import compare_runs
from tests.bench.gate_records import FLOAT, INT8, failed, judged, machine, timed

TRUTHS = "abab" * 10


def wrong(count: int) -> str:
    """Return the truths with the first ``count`` of them turned round."""
    return "".join("ab"[letter == "a"] for letter in TRUTHS[:count]) + TRUTHS[count:]


def run(count: int, ms: float, **changes: Any) -> list[Record]:
    """Return one variant with ``count`` wrong of 40 and steady times about ``ms``."""
    times = [ms, ms * 1.01, ms * 0.99, ms * 1.02] * 5
    return [machine(), judged(TRUTHS, wrong(count), **changes), timed(times, **changes)]


def test_the_same_run_twice_is_noise_throughout() -> None:
    (one,) = compare_runs(run(4, 10.0), run(4, 10.0), "old").comparisons
    assert one.f1_change is not None
    assert (one.f1_change.value, one.f1_change.low, one.f1_change.high) == (0.0, 0.0, 0.0)
    assert (one.f1_says, one.time_says) == ("unchanged", "noise")
    assert one.ratio is not None and one.ratio.value == 1.0


def test_what_moved_is_named_with_its_interval() -> None:
    found = compare_runs(run(20, 30.0), run(0, 10.0), "old")
    (one,) = found.comparisons
    assert one.f1_change is not None
    # Half of each class is taken for the other: F1 falls from 1 to 0.5.
    assert one.f1_change.value == pytest.approx(-0.5)
    assert (one.f1_says, one.time_says) == ("moved", "slower")
    assert one.ratio is not None and one.ratio.value == pytest.approx(3.0)
    said = " ".join(found.sentences)
    assert f"F1 fell: {INT8} on litert 2.3.0 (grouped)." in said
    assert f"Slower: {INT8} on litert 2.3.0 (grouped)." in said
    assert "0 of 1 changes of F1 and 0 of 1 of time" in said
    assert "2.97" not in found.table.rows[0][10][:4]  # new / old is 3.00
    assert found.table.rows[0][10].startswith("3.00 [")


def test_one_photo_of_forty_is_noise() -> None:
    found = compare_runs(run(5, 10.0), run(4, 10.0), "old")
    assert found.comparisons[0].f1_says == "noise"
    assert "Noise: 1 of 1 changes of F1 and 1 of 1 of time" in " ".join(found.sentences)


def test_other_photos_are_told_by_their_intervals_alone() -> None:
    other = {"photo_ids": tuple(f"q{number}" for number in range(40))}
    old: list[Record] = [machine(), judged(TRUTHS, wrong(4), **other)]
    (near,) = compare_runs(run(5, 10.0), old, "old").comparisons
    assert near.f1_change is None and near.f1_says == "other photos; intervals overlap"
    (far,) = compare_runs(run(40, 10.0), old, "old").comparisons
    assert far.f1_says == "other photos; intervals apart"


def test_times_of_another_machine_are_not_compared() -> None:
    new = [machine("f" * 16, cpu="Another CPU"), *run(4, 30.0, environment="f" * 16)[1:]]
    found = compare_runs(new, run(4, 10.0), "old")
    (one,) = found.comparisons
    assert one.time_says == "another machine: not compared" and one.ratio is None
    assert (one.ms_before, one.ms_after) == pytest.approx((10.05, 30.15))
    assert "what differs may be the machine" in " ".join(found.sentences)


def test_newer_software_of_one_machine_is_compared_and_named() -> None:
    new = [
        machine("f" * 16, packages={"numpy": "3.0"}),
        *run(4, 30.0, environment="f" * 16, runtime="litert 2.4.0")[1:],
    ]
    (one,) = compare_runs(new, run(4, 10.0), "old").comparisons
    assert one.time_says == "slower" and one.runtime == "litert 2.3.0, now 2.4.0"


def test_a_machine_that_no_record_describes_is_not_compared() -> None:
    (one,) = compare_runs(run(4, 3.0, environment="f" * 16)[1:], run(4, 3.0), "old").comparisons
    assert one.ratio is None


def test_what_only_one_run_has_is_listed() -> None:
    new = [*run(4, 10.0), *run(4, 10.0, variant=FLOAT)[1:], failed("net.pruned.float.tflite")]
    said = compare_runs(new, run(4, 10.0), "old").sentences
    assert f"Only in the new run: {FLOAT} on litert (grouped)." in said
    assert "Failed in the new run alone: net.pruned.float.tflite (grouped)." in said
    said = compare_runs(run(4, 10.0), new, "old").sentences
    assert f"Only in the old run: {FLOAT} on litert (grouped)." in said


def test_nothing_in_common_is_said() -> None:
    found = compare_runs(run(4, 10.0, split_method="stratified"), run(4, 10.0), "old")
    assert found.comparisons == ()
    assert "nothing is compared" in found.sentences[0]


def test_bytes_and_missing_scores_stand_side_by_side() -> None:
    weighed = CostRecord(
        variant=INT8, split_method="grouped", environment="e" * 16, maccs=1, parameters=1,
        uncounted={}, file_bytes=2_500_000, gzip_bytes=1,
    )  # fmt: skip
    new: list[Record] = [machine(), timed([1.0, 1.0]), weighed]
    found = compare_runs(new, run(4, 10.0), "old")
    (row,) = found.table.rows
    cells = dict(zip(found.table.headers, row, strict=False))
    assert cells["F1"] == "n/a" and cells["F1, new"] == "n/a"
    assert row[-2:] == ("n/a", "2.50")
