"""LiteRT's events turned into times of operators, by hand; the real library in test_layer_times."""

from importlib.metadata import version
from pathlib import Path

import pytest

from bench import litert_capi
from bench.litert_capi import Event
from bench.litert_profiler import (
    FileOperator,
    LitertProfiler,
    profile_of,
    read_file_operators,
    split_calls,
)
from train.errors import RuntimeFailure

OPERATORS = (
    FileOperator(kind="CAST", output="Cast"),
    FileOperator(kind="ADD", output="net/relu/Relu;net/add/add"),
    FileOperator(kind="RESHAPE", output="net/flat/Reshape"),
    FileOperator(kind="SOFTMAX", output="StatefulPartitionedCall:0"),
)


def call(total: int, cast: int, add: int, clamp: int, softmax: int) -> list[Event]:
    return [
        Event(tag="LiteRT::Run[buffer registration]", event_type=1, elapsed_us=20, index=0),
        Event(tag="Invoke", event_type=1, elapsed_us=total, index=0),
        Event(tag="CAST", event_type=2, elapsed_us=cast, index=0),
        Event(tag="Add (ND)", event_type=8, elapsed_us=add, index=0),
        Event(tag="Clamp (NC)", event_type=8, elapsed_us=clamp, index=1),
        Event(tag="SOFTMAX", event_type=2, elapsed_us=softmax, index=3),
        Event(tag="Invoke", event_type=32, elapsed_us=2**32, index=2**64 - 1),
    ]


def test_events_become_times_of_operators() -> None:
    calls = split_calls([*call(30, 10, 12, 3, 1), *call(40, 11, 20, 4, 0)], "m")
    found = profile_of(OPERATORS, calls, "m")
    assert found.calls_us == (30.0, 40.0)
    assert [one.times_us for one in found.operators] == [
        (10.5, 11.5),  # the clock cuts off half a microsecond on average
        (16.0, 25.0),  # 12 + 3 and 20 + 4: the addition and its ReLU, cut off twice
        (),  # the reshape ran nowhere
        (1.5, 0.0),
    ]
    assert [one.engine for one in found.operators] == [
        *("interpreter", "xnnpack", "xnnpack", "interpreter")
    ]
    assert found.operators[1].sources == ("net/relu/Relu", "net/add/add")
    assert found.partitions == 1
    assert found.optimized == {"Add (ND)": 1, "CAST": 1, "Clamp (NC)": 1, "SOFTMAX": 1}
    assert found.fused == {"RESHAPE": 1}
    assert found.inserted == {}


def test_a_kernel_of_no_operator_is_kept_by_itself() -> None:
    events = call(30, 10, 12, 3, 1)
    events.insert(5, Event(tag="Spin (ND)", event_type=8, elapsed_us=7, index=2))
    found = profile_of(OPERATORS, split_calls(events, "m"), "m")
    (stray,) = [one for one in found.operators if one.inserted]
    assert (stray.name, stray.operator, stray.times_us) == ("Spin (ND)", "", (7.5,))


def test_partitions_are_the_ways_into_the_delegate() -> None:
    inside = [Event(tag="Add (ND)", event_type=8, elapsed_us=1, index=0)]
    own = [Event(tag="CAST", event_type=2, elapsed_us=1, index=1)]
    start = [Event(tag="Invoke", event_type=1, elapsed_us=9, index=0)]
    kinds = ("ADD", "CAST", "ADD")
    operators = [FileOperator(kind=kind, output=kind) for kind in kinds]
    found = profile_of(operators, split_calls([*start, *inside, *own, *inside], "m"), "m")
    assert found.partitions == 2
    assert [one.times_us for one in found.operators] == [(1.5,)] * 3


@pytest.mark.parametrize(
    "events", [[], call(30, 1, 1, 1, 1)[:2], [*call(30, 1, 1, 1, 1), *call(30, 1, 1, 1, 1)[:4]]]
)
def test_calls_that_are_not_alike_are_refused(events: list[Event]) -> None:
    with pytest.raises(RuntimeFailure, match=r"^m: LiteRT's profile of \d calls"):
        split_calls(events, "m")


def test_an_operator_that_is_not_the_files_is_refused() -> None:
    calls = split_calls(call(30, 1, 1, 1, 1), "m")
    with pytest.raises(RuntimeFailure, match="ran CAST as operator 0, where the file has ADD"):
        profile_of(OPERATORS[1:], calls, "m")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "m.tflite"
    for content in (b"", b"\x1c\0\0\0TFL3", b"\xff" * 64):
        broken.write_bytes(content)
        with pytest.raises(RuntimeFailure, match=r"not a readable \.tflite"):
            read_file_operators(broken)


def test_another_version_of_the_library_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(litert_capi, "version", lambda package: "2.9.1")
    monkeypatch.setattr("bench.litert_profiler.read_file_operators", lambda model: ())
    with pytest.raises(
        RuntimeFailure,
        match=r"^ai-edge-litert 2\.9\.1: its C library .* inside whole calls need version 2\.3$",
    ):
        LitertProfiler(tmp_path / "m.tflite", threads=1)


def test_the_installed_version_is_known() -> None:
    assert ".".join(version("ai-edge-litert").split(".")[:2]) in litert_capi.KNOWN_VERSIONS
