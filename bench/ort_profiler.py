"""Times of single nodes on ONNX Runtime: its own profile, of the graph as it optimized it.

The runtime fuses nodes and inserts others (reorders into its blocked layout, conversions); both
are counted, and ``bench.ort_fusion`` says what was made from what. Times come in whole
microseconds and hold what profiling itself costs, which ``bench.ort_overhead`` measures.
Source: https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html
"""

import json
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.ort_fusion import INSERTED, Node, find_sources
from bench.ort_overhead import ProfilingCost, profiling_cost, tensors_of
from bench.ort_session import KERNEL, open_session, split_calls
from bench.profile import Profile, counted
from bench.record_layers import OperatorTimes
from train.errors import RuntimeFailure


class OnnxProfiler:
    """An ``.onnx`` on ONNX Runtime, timed a node at a time."""

    def __init__(self, model: Path, *, threads: int) -> None:
        """Load ``model``.

        Raises:
            RuntimeFailure: ONNX Runtime refuses it.
        """
        self.name = f"onnxruntime {version('onnxruntime')}"
        self._path, self._threads, self._timed = model, threads, list[bool]()
        self._scratch = tempfile.TemporaryDirectory(prefix="threadlite-profile-")
        folder = Path(self._scratch.name)
        self._optimized = folder / "optimized.onnx"
        self._session: Any = open_session(
            model, threads=threads, profile=folder / "profile", optimized=self._optimized
        )
        self._feed: dict[str, npt.NDArray[np.generic]] = {}

    def feed(self, tensor: npt.NDArray[np.generic]) -> None:
        """Hand over the one input."""
        self._feed = {self._session.get_inputs()[0].name: tensor}

    def run(self, calls: int, *, timed: bool) -> None:
        """Run the model ``calls`` times; only timed calls count.

        Raises:
            RuntimeFailure: ONNX Runtime fails.
        """
        for _ in range(calls):
            try:
                self._session.run(None, self._feed)
            except Exception as error:  # its exceptions share no base but Exception
                raise RuntimeFailure(f"{self._path}: {self.name} fails: {error}") from error
            self._timed.append(timed)

    def finish(self) -> Profile:
        """Return everything timed; the session ends.

        Raises:
            RuntimeFailure: the profile is not one of whole, equal calls.
        """
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        calls = split_calls(events, self._timed, str(self._path))
        file_nodes, optimized = read_nodes(self._path), read_nodes(self._optimized)
        self._scratch.cleanup()
        cost = profiling_cost(threads=self._threads)
        return profile_of(calls, file_nodes, optimized, profiling=cost)


def read_nodes(model: Path) -> tuple[Node, ...]:
    """Return the nodes of an ``.onnx``, constants left out of their inputs."""
    import onnx

    graph = onnx.load(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    return tuple(
        Node(
            name=node.name,
            kind=node.op_type,
            inputs=tuple(name for name in node.input if name and name not in constants),
            outputs=tuple(name for name in node.output if name),
        )
        for node in graph.node
    )


def profile_of(
    calls: Sequence[tuple[float, Sequence[dict[str, Any]]]],
    file_nodes: Sequence[Node],
    optimized: Sequence[Node],
    *,
    profiling: ProfilingCost | None = None,
) -> Profile:
    """Return the times of each node, with what it was made from.

    Args:
        calls: equal calls, from ``split_calls``.
        file_nodes: of the file, in topological order.
        optimized: of the optimized graph, in topological order.
        profiling: what profiling adds to the time of a node; nothing if ``None``.
    """
    profiling = profiling or ProfilingCost()
    events = calls[0][1]
    names = [event["name"].removesuffix(KERNEL) for event in events]
    place = {name: position for position, name in enumerate(names)}
    ran = sorted(
        (node for node in optimized if node.name in place), key=lambda node: place[node.name]
    )
    sources = find_sources(file_nodes, ran)
    kinds = {node.name: node.kind for node in file_nodes}
    rows = []
    for position, event in enumerate(events):
        name, kind = names[position], event["args"]["op_name"]
        rows.append(
            OperatorTimes(
                name=name,
                operator=kind,
                engine=event["args"]["provider"],
                kernels=(kind,),
                sources=_leading(sources.get(name, ()), kinds),
                inserted=kind in INSERTED and name not in kinds,
                profiling_us=profiling.of(tensors_of(event)),
                times_us=tuple(float(inside[position]["dur"]) for _, inside in calls),
            )
        )
    return Profile(
        calls_us=tuple(duration for duration, _ in calls),
        operators=tuple(rows),
        optimized=counted([row.operator for row in rows]),
        inserted=counted([row.operator for row in rows if row.operator in INSERTED]),
        fused=counted(_fused(kinds, rows, sources)),
    )


def _leading(names: Sequence[str], kinds: dict[str, str]) -> tuple[str, ...]:
    """Return the nodes that compute; those that only convert where there are no others.

    A Transpose moved to elsewhere, or a QuantizeLinear taken in, says nothing of what a node does.
    """
    computing = tuple(name for name in names if kinds[name] not in INSERTED)
    return computing or tuple(names)


def _fused(
    kinds: dict[str, str],
    rows: Sequence[OperatorTimes],
    sources: dict[str, tuple[str, ...]],
) -> list[str]:
    """Return the kinds of file nodes that share an optimized node with the one that leads it."""
    found: list[str] = []
    for row in rows:
        names = sources.get(row.name, ())
        leads = [name for name in names if kinds[name] in row.operator] or list(names)
        found += [kinds[name] for name in names if name != leads[0]]
    return found
