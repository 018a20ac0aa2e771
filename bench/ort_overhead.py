"""What ONNX Runtime's profiler adds to the time of a node.

It lists the shapes of a node's inputs and outputs between its two looks at the clock, which takes
longer than a small node itself, and the longer the more there are: a quantized convolution has
eight inputs. Here chains of nodes that do next to nothing are timed with profiling and without it:
the difference, shared out among their nodes, is that cost, and two chains of different width tell
what each tensor adds to it.
"""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.ort_session import open_session, split_calls

_NODES = 100
_CALLS, _WARMUP = 30, 10
_SHAPE = (1, 1, 4, 4)
_WIDTHS = (1, 9)  # inputs of a node of either chain


@dataclass(frozen=True, kw_only=True)
class ProfilingCost:
    """Microseconds that profiling adds to a node: a part of each node, and one of each tensor."""

    node_us: float = 0.0
    tensor_us: float = 0.0

    def of(self, tensors: int) -> float:
        """Return what it adds to a node of so many inputs and outputs; 0 at least."""
        return max(0.0, self.node_us + self.tensor_us * tensors)


def profiling_cost(*, threads: int) -> ProfilingCost:
    """Measure what profiling adds to the nodes of a model.

    Args:
        threads: as of the sessions that are profiled.

    Raises:
        RuntimeFailure: ONNX Runtime refuses a chain.
    """
    return line_through([(width + 1, _cost_of_chain(width, threads)) for width in _WIDTHS])


def line_through(measured: list[tuple[int, float]]) -> ProfilingCost:
    """Return the cost by the number of tensors, out of two measured costs of different numbers.

    Args:
        measured: inputs and outputs of a node, and the microseconds that profiling adds to it.
    """
    (few, low), (many, high) = measured
    tensor_us = max(0.0, (high - low) / (many - few))
    return ProfilingCost(node_us=low - tensor_us * few, tensor_us=tensor_us)


def _cost_of_chain(width: int, threads: int) -> float:
    """Return the microseconds that profiling adds to a node of ``width`` inputs; 0 at least."""
    feed = {"values": np.ones(_SHAPE, np.float32)}
    with tempfile.TemporaryDirectory(prefix="threadlite-profile-") as scratch:
        model = Path(scratch) / "chain.onnx"
        model.write_bytes(_chain(width))
        bare, calls_us = open_session(model, threads=threads), list[float]()
        profiled = open_session(model, threads=threads, profile=Path(scratch) / "profile")
        for _ in range(_WARMUP + _CALLS):
            start = time.perf_counter()
            bare.run(None, feed)
            calls_us.append((time.perf_counter() - start) * 1e6)
            profiled.run(None, feed)
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    timed = [number >= _WARMUP for number in range(_WARMUP + _CALLS)]
    calls = split_calls(events, timed, "the probe of the profiler")
    return cost_of([[one["dur"] for one in inside] for _, inside in calls], calls_us[_WARMUP:])


def cost_of(nodes_us: list[list[float]], calls_us: list[float]) -> float:
    """Return by how much a profiled node outlasts its share of a call without profiling.

    Args:
        nodes_us: for each profiled call, the time of each node.
        calls_us: calls without profiling.
    """
    profiled = statistics.median(sum(times) / len(times) for times in nodes_us)
    return max(0.0, profiled - statistics.median(calls_us) / len(nodes_us[0]))


def _chain(width: int) -> bytes:
    """Return an ``.onnx`` of ``_NODES`` nodes, each the maximum of copies of its input."""
    from onnx import TensorProto, helper

    names = ["values", *(f"step{number}" for number in range(_NODES))]
    graph = helper.make_graph(
        [helper.make_node("Max", [names[i]] * width, [names[i + 1]]) for i in range(_NODES)],
        "chain",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, _SHAPE)],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, _SHAPE)],
    )
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())
