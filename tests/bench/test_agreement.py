"""Two runs held against one another, by hand."""

from typing import Any

import pytest

from bench.agreement import agreements
from bench.record import LatencyRecord, Record
from tests.bench.gate_records import timed
from train.errors import DataError


def run(times: dict[str, float], **changes: Any) -> list[Record]:
    found: list[Record] = [
        timed([ms] * 10, f"{name}.float.tflite", **changes) for name, ms in times.items()
    ]
    return found


def test_a_machine_that_is_slower_as_a_whole_agrees() -> None:
    first, second = run({"a": 10.0, "b": 20.0, "c": 5.0}), run({"a": 20.0, "b": 40.0, "c": 10.0})
    (found,) = agreements(first, second)
    assert found.holds
    assert (found.variants, found.pairs, found.within, found.change) == (3, 3, 3, 0.0)


def test_the_pair_that_moved_most_is_named() -> None:
    # Factors 1, 1.04 and 1.1: b against a moves by 4 %, c against a by 10 %, against b by 5.8 %.
    first, second = run({"a": 10.0, "b": 10.0, "c": 10.0}), run({"a": 10.0, "b": 10.4, "c": 11.0})
    (found,) = agreements(first, second)
    assert not found.holds
    assert (found.pairs, found.within) == (3, 1)
    assert found.change == pytest.approx(0.1)
    assert (found.slower, found.faster) == ("c.float.tflite", "a.float.tflite")


def test_each_runtime_and_number_of_threads_is_held_by_itself() -> None:
    ort = {"runtime": "onnxruntime 1.32.0"}
    first = [*run({"a": 10.0, "b": 10.0}), *run({"a": 10.0, "b": 10.0}, **ort, threads=1)]
    second = [*run({"a": 10.0, "b": 10.0}), *run({"a": 30.0, "b": 30.0}, **ort, threads=1)]
    assert [(one.runtime, one.threads, one.holds) for one in agreements(first, second)] == [
        ("litert 2.3.0", 2, True),
        ("onnxruntime 1.32.0", 1, True),
    ]


@pytest.mark.parametrize(
    "change", [{"environment": "f" * 16}, {"runtime": "litert 2.4.0"}, {"threads": 1}, {"batch": 2}]
)
def test_runs_under_other_conditions_are_refused(change: dict[str, Any]) -> None:
    times = {"a": 10.0, "b": 20.0}
    with pytest.raises(DataError, match="measure both runs alike"):
        agreements(run(times), run(times, **change))


def test_a_file_that_was_made_anew_is_another() -> None:
    first = run({"a": 10.0, "b": 20.0})
    other = [
        one.model_copy(update={"variant_sha256": "0" * 64})
        for one in first
        if isinstance(one, LatencyRecord)
    ]
    with pytest.raises(DataError):
        agreements(first, other)
