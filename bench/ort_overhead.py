"""What ONNX Runtime's profiler adds to the time of a node.

It lists the shapes of a node's inputs and outputs between its two looks at the clock, which takes
longer than a small node itself, and the longer the more there are: a quantized convolution has
eight inputs. Here two chains of quick nodes, in float and quantized, are timed with profiling and
without it: the difference, shared out among their nodes, is that cost, and the two numbers of
tensors tell what each adds to it. Their maps and weights fill the near caches, as those of a
network do: where all lies at hand, profiling costs less.
"""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.ort_session import open_session, split_calls

_CALLS, _WARMUP = 30, 10


class _Chain(NamedTuple):
    """An ``.onnx`` with the input ``map0``, and what it is fed."""

    model: bytes
    values: npt.NDArray[np.generic]


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
    return line_through([_cost_of_chain(chain, threads) for chain in (_float(), _quantized())])


def line_through(measured: list[tuple[float, float]]) -> ProfilingCost:
    """Return the cost by the number of tensors, out of two measured costs of different numbers.

    Args:
        measured: inputs and outputs of a node, and the microseconds that profiling adds to it.
    """
    (few, low), (many, high) = measured
    tensor_us = max(0.0, (high - low) / (many - few))
    return ProfilingCost(node_us=low - tensor_us * few, tensor_us=tensor_us)


def _cost_of_chain(chain: _Chain, threads: int) -> tuple[float, float]:
    """Return the tensors of a node, and the microseconds that profiling adds to it; 0 at least."""
    feed = {"map0": chain.values}
    with tempfile.TemporaryDirectory(prefix="threadlite-profile-") as scratch:
        model = Path(scratch) / "chain.onnx"
        model.write_bytes(chain.model)
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
    nodes = calls[0][1]
    cost = cost_of([[one["dur"] for one in inside] for _, inside in calls], calls_us[_WARMUP:])
    return sum(map(tensors_of, nodes)) / len(nodes), cost


def tensors_of(event: dict[str, Any]) -> int:
    """Return how many inputs and outputs of a node the profile lists."""
    args = event["args"]
    return len(args.get("input_type_shape", ())) + len(args.get("output_type_shape", ()))


def cost_of(nodes_us: list[list[float]], calls_us: list[float]) -> float:
    """Return by how much a profiled node outlasts its share of a call without profiling.

    Args:
        nodes_us: for each profiled call, the time of each node.
        calls_us: calls without profiling.
    """
    profiled = statistics.median(sum(times) / len(times) for times in nodes_us)
    return max(0.0, profiled - statistics.median(calls_us) / len(nodes_us[0]))


def _float() -> _Chain:
    """Return a chain of nodes of one input, on maps of a megabyte."""
    from onnx import helper

    nodes = [
        helper.make_node("Neg" if number % 2 else "Abs", [f"map{number}"], [f"map{number + 1}"])
        for number in range(100)
    ]
    return _chained(nodes, np.ones((1, 64, 64, 64), np.float32), {})


def _quantized() -> _Chain:
    """Return a chain of quantized convolutions of one pixel, with four megabytes of weights."""
    from onnx import helper

    channels, generator = 256, np.random.default_rng(0)
    constants: dict[str, npt.NDArray[np.generic]] = {
        "scale": np.asarray(0.05, np.float32),
        "zero": np.asarray(128, np.uint8),
        "scales": np.full(channels, 0.01, np.float32),
        "zeros": np.zeros(channels, np.int8),
        "bias": np.zeros(channels, np.int32),
    }
    nodes = []
    for number in range(60):
        kernel = generator.integers(-127, 128, (channels, channels, 1, 1)).astype(np.int8)
        constants[f"kernel{number}"] = kernel
        taken = [f"map{number}", "scale", "zero", f"kernel{number}", "scales", "zeros"]
        nodes.append(
            helper.make_node("QLinearConv", [*taken, "scale", "zero", "bias"], [f"map{number + 1}"])
        )
    return _chained(nodes, np.full((1, channels, 8, 8), 128, np.uint8), constants)


def _chained(
    nodes: list[Any],
    values: npt.NDArray[np.generic],
    constants: dict[str, npt.NDArray[np.generic]],
) -> _Chain:
    """Return a chain of nodes, each of which takes the ``map`` that the one before it made."""
    from onnx import helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("map0", kind, values.shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind, values.shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    return _Chain(model.SerializeToString(), values)
