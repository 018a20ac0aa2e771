"""ONNX Runtime's profile turned into times of nodes, and fusions found again, by hand."""

from typing import Any

import pytest

from bench.ort_fusion import Node, find_sources
from bench.ort_overhead import ProfilingCost, cost_of, line_through
from bench.ort_profiler import profile_of
from bench.ort_session import split_calls
from train.errors import RuntimeFailure


def node(kind: str, name: str, *inputs: str, out: str = "") -> Node:
    return Node(name=name, kind=kind, inputs=inputs, outputs=(out or f"{name}/output0",))


# The file: convolution, ReLU, convolution, an addition to the first, ReLU; then a transpose.
FILE = (
    node("Conv", "n/c1", "x"),
    node("Relu", "n/r1", "n/c1/output0"),
    node("Conv", "n/c2", "n/r1/output0"),
    node("Add", "n/add", "n/c2/output0", "n/r1/output0"),
    node("Relu", "n/r2", "n/add/output0"),
    node("Transpose", "n/t", "n/r2/output0"),
    node("ReduceMean", "n/m", "n/t/output0"),
)
BLOCKED = (
    node("Conv", "n/r1/output0_nchwc", "x", out="token1"),
    node("Conv", "n/c2/output0_nchwc", "token1", out="token2"),
    node("ReorderOutput", "ReorderOutput", "token2", out="n/r2/output0"),
    node("ReduceMean", "n/m", "n/r2/output0"),
)


def test_what_vanished_runs_in_its_neighbour() -> None:
    assert find_sources(FILE, BLOCKED) == {
        "n/r1/output0_nchwc": ("n/c1", "n/r1"),  # named after its ReLU
        "n/c2/output0_nchwc": ("n/c2", "n/add", "n/r2", "n/t"),
        "ReorderOutput": (),
        "n/m": ("n/m",),
    }


def test_quantized_nodes_take_in_their_conversions() -> None:
    file_nodes = (
        node("QuantizeLinear", "x_Q", "x"),
        node("DequantizeLinear", "x_DQ", "x_Q/output0"),
        node("DequantizeLinear", "w_DQ"),
        node("Conv", "n/c", "x_DQ/output0", "w_DQ/output0"),
        node("QuantizeLinear", "c_Q", "n/c/output0"),
        node("DequantizeLinear", "c_DQ", "c_Q/output0"),
    )
    optimized = (
        node("QuantizeLinear", "x_Q", "x"),
        node("QLinearConv", "n/c_token_3", "x_Q/output0", out="n/c"),
        node("DequantizeLinear", "c_DQ", "n/c"),
    )
    assert find_sources(file_nodes, optimized) == {
        "x_Q": ("x_Q", "x_DQ"),
        "n/c_token_3": ("w_DQ", "n/c", "c_Q"),
        "c_DQ": ("c_DQ",),
    }


def event(cat: str, name: str, start: int, duration: int, **arguments: str) -> dict[str, Any]:
    return {"cat": cat, "name": name, "ts": start, "dur": duration, "args": arguments}


def run(start: int, total: int, durations: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    events = [event("Session", "model_run", start, total)]
    for number, (one, duration) in enumerate(zip(BLOCKED, durations, strict=True)):
        name, begin = f"{one.name}_kernel_time", start + 1 + sum(durations[:number])
        extra: dict[str, Any] = {"op_name": one.kind, "node_index": str(number), "provider": "CPU"}
        extra["input_type_shape"] = [{"float": [1, 16]}]
        extra["output_type_shape"] = [{"float": [1, 16]}]
        events.append(event("Node", name, begin, duration, **extra))
    return events


def test_nodes_of_timed_calls_alone_count() -> None:
    events = [
        event("Session", "session_initialization", 0, 50),
        *run(100, 99, (1, 2, 3, 4)),
        *run(200, 40, (10, 20, 5, 2)),
        *run(300, 50, (11, 22, 6, 3)),
    ]
    calls = split_calls(events, [False, True, True], "m")
    found = profile_of(calls, FILE, BLOCKED, profiling=ProfilingCost(node_us=1.0, tensor_us=0.5))
    assert found.calls_us == (40.0, 50.0)
    assert [one.times_us for one in found.operators] == [
        *((10.0, 11.0), (20.0, 22.0), (5.0, 6.0), (2.0, 3.0))
    ]
    assert [one.median_us for one in found.operators] == [8.5, 19.0, 3.5, 0.5]
    assert found.operators[1].sources == ("n/c2", "n/add", "n/r2")  # what only moves left out
    assert [one.inserted for one in found.operators] == [False, False, True, False]
    assert found.optimized == {"Conv": 2, "ReduceMean": 1, "ReorderOutput": 1}
    assert found.inserted == {"ReorderOutput": 1}
    assert found.fused == {"Add": 1, "Relu": 2, "Transpose": 1}


@pytest.mark.parametrize(
    ("events", "timed"),
    [
        (run(100, 40, (1, 2, 3, 4)), [True, True]),  # a call is missing
        (run(100, 40, (1, 2, 3, 4)), [False]),  # none is timed
        (run(100, 40, (1, 2, 3, 4))[:1], [True]),  # it ran nothing
        ([*run(100, 40, (1, 2, 3, 4)), *run(200, 40, (1, 2, 3, 4))[:3]], [True, True]),
    ],
)
def test_a_profile_that_lacks_calls_or_nodes_is_refused(
    events: list[dict[str, Any]], timed: list[bool]
) -> None:
    with pytest.raises(RuntimeFailure, match=r"^m: "):
        split_calls(events, timed, "m")


def test_what_profiling_adds_to_a_node() -> None:
    # Nodes take 3 us on average with it (the median call), 2 us / 4 nodes = 0.5 us without.
    profiled = [[3.0, 3.0, 2.0, 4.0], [9.0, 9.0, 9.0, 9.0], [2.0, 2.0, 2.0, 2.0]]
    assert cost_of(profiled, [2.0, 2.0, 90.0]) == pytest.approx(3.0 - 2.0 / 4)
    assert cost_of([[1.0, 1.0]], [4.0]) == 0.0


def test_what_profiling_adds_grows_with_the_tensors_that_it_lists() -> None:
    cost = line_through([(2, 3.0), (10, 7.0)])
    assert (cost.node_us, cost.tensor_us) == (2.0, 0.5)
    assert [cost.of(tensors) for tensors in (2, 9, 10)] == [3.0, 6.5, 7.0]
    assert line_through([(2, 3.0), (10, 1.0)]).tensor_us == 0.0  # chance alone
    assert ProfilingCost(node_us=-1.0, tensor_us=0.1).of(2) == 0.0
