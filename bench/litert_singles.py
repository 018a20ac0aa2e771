"""Times of a ``.tflite``'s operators, each run alone as a model of its own.

The stand-in where LiteRT's own profiler cannot be used (``bench.litert_capi``). Every operator is
cut out with its constants and given the values that reach it in a whole call; XNNPACK takes it
where it can. What a whole call does otherwise is not in these times: operators fused with one
another, layouts kept from one to the next, caches that the others have filled. Python's way into
the runtime is, some microseconds a call. The records say so.
"""

import copy
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.litert_capi import OtherInterface
from bench.litert_profiler import FileOperator, LitertProfiler, moving_of, read_file_operators
from bench.profile import Profile, Profiler, counted
from bench.record_layers import OperatorTimes
from optimize.tflite_file import packed, unpacked
from train.errors import RuntimeFailure

ENGINE = "single-operator model"
_ABSENT = -1  # an optional input that is not there
_ROOM_BYTES = 4096  # of a model of one operator, its constants apart


def open_litert_profiler(model: Path, *, threads: int) -> Profiler:
    """Return LiteRT's own profiler of ``model``, or what times its operators alone.

    Raises:
        RuntimeFailure: LiteRT refuses the model.
    """
    try:
        return LitertProfiler(model, threads=threads)
    except OtherInterface as reason:
        return SingleOperators(model, threads=threads, reason=str(reason))


class SingleOperators:
    """A ``.tflite`` cut into models of one operator each."""

    def __init__(
        self,
        model: Path,
        *,
        threads: int,
        reason: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Load ``model``.

        Args:
            model: the file, with static shapes and one input.
            threads: threads each operator is given.
            reason: why the runtime's own profiler is not used.
            clock: seconds that only go forward.

        Raises:
            RuntimeFailure: LiteRT refuses it.
        """
        self.name = f"litert {version('ai-edge-litert')}"
        self._subject, self._threads, self._reason = str(model), threads, reason
        self._clock = clock
        self._operators = read_file_operators(model)
        content = model.read_bytes()
        self._whole = _open(content, self._subject, threads, in_view=True)
        self._model = unpacked(content)
        self._cut: list[Any] = []  # an interpreter for each operator; None for constants
        self._times_us: list[list[float]] = [[] for _ in self._operators]

    def feed(self, tensor: npt.NDArray[np.generic]) -> None:
        """Run the whole model on ``tensor``, and cut every operator out with what it was given.

        Raises:
            RuntimeFailure: the tensor does not fit, or LiteRT refuses an operator alone.
        """
        try:
            self._whole.set_tensor(self._whole.get_input_details()[0]["index"], tensor)
            self._whole.invoke()
        except (RuntimeError, ValueError) as error:
            raise RuntimeFailure(f"{self._subject}: {self.name} fails: {error}") from error
        graph = self._model.subgraphs[0]
        known = {index for index, one in enumerate(graph.tensors) if _has_data(self._model, one)}
        self._cut = []
        for operator, described in zip(graph.operators, self._operators, strict=True):
            given = {int(index) for index in operator.inputs} - {_ABSENT}
            if given <= known:  # computed once when the file is loaded, such as float16 weights
                known |= {int(index) for index in operator.outputs}
                self._cut.append(None)
                continue
            fed = sorted(given - known)
            self._cut.append(self._opened(operator, described, fed))

    def run(self, calls: int, *, timed: bool) -> None:
        """Run all operators in order, ``calls`` times; only timed calls count."""
        for _ in range(calls):
            for cut, times_us in zip(self._cut, self._times_us, strict=True):
                if cut is None:
                    continue
                start = self._clock()
                cut.invoke()
                if timed:
                    times_us.append((self._clock() - start) * 1e6)

    def finish(self) -> Profile:
        """Return everything timed; a call is the sum of its operators."""
        rows = [
            OperatorTimes(
                name=one.output,
                operator=one.kind,
                engine=ENGINE,
                kernels=(one.kind,) if times_us else (),
                sources=tuple(part for part in one.output.split(";") if part),
                times_us=tuple(times_us),
            )
            for one, times_us in zip(self._operators, self._times_us, strict=True)
        ]
        ran = [row for row in rows if row.times_us]
        kinds = [row.operator for row in ran]
        return Profile(
            calls_us=tuple(map(sum, zip(*(row.times_us for row in ran), strict=True))),
            operators=tuple(rows),
            optimized=counted(kinds),
            inserted=counted(moving_of(kinds)),
            fused=counted([row.operator for row in rows if not row.times_us]),
            no_profiler=self._reason,
        )

    def _opened(self, operator: Any, described: FileOperator, fed: Sequence[int]) -> Any:
        """Return one operator, loaded, with the values that reach it in a whole call."""
        content = self._single(operator, fed)
        subject = f"{self._subject}: {described.kind} {described.output} alone"
        found = _open(content, subject, self._threads, in_view=False)
        for entry, index in zip(found.get_input_details(), fed, strict=True):
            found.set_tensor(entry["index"], self._whole.get_tensor(index))
        return found

    def _single(self, operator: Any, fed: Sequence[int]) -> bytes:
        """Return a ``.tflite`` of one operator, whose inputs are ``fed``."""
        from ai_edge_litert import schema_py_generated as schema

        old, graph, model = self._model.subgraphs[0], schema.SubGraphT(), schema.ModelT()
        indices = [int(one) for one in (*operator.inputs, *operator.outputs) if one != _ABSENT]
        places = {index: place for place, index in enumerate(dict.fromkeys(indices))}
        outputs = {int(index) for index in operator.outputs}
        model.buffers, graph.tensors = [schema.BufferT()], []
        for index in places:
            tensor = copy.copy(old.tensors[index])
            tensor.buffer = 0
            if index not in outputs and index not in fed:
                tensor.buffer = len(model.buffers)
                model.buffers.append(self._constant(index))
            graph.tensors.append(tensor)
        alone = copy.copy(operator)
        alone.opcodeIndex = 0
        alone.inputs = [places.get(int(index), _ABSENT) for index in operator.inputs]
        alone.outputs = [places[int(index)] for index in operator.outputs]
        graph.inputs, graph.outputs = [places[index] for index in fed], alone.outputs
        graph.operators, model.version = [alone], self._model.version
        model.operatorCodes = [self._model.operatorCodes[operator.opcodeIndex]]
        model.subgraphs = [graph]
        room = sum(0 if one.data is None else len(one.data) for one in model.buffers)
        return packed(model, room_bytes=room + _ROOM_BYTES)

    def _constant(self, index: int) -> Any:
        """Return a buffer with a constant: as the file has it, else as the whole model made it."""
        from ai_edge_litert import schema_py_generated as schema

        tensor, buffer = self._model.subgraphs[0].tensors[index], schema.BufferT()
        if _has_data(self._model, tensor):
            buffer.data = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8)
        else:
            buffer.data = np.frombuffer(self._whole.get_tensor(index).tobytes(), np.uint8)
        return buffer


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _open(content: bytes, subject: str, threads: int, *, in_view: bool) -> Any:
    """Return an interpreter; with ``in_view`` every tensor can be read after a call.

    Raises:
        RuntimeFailure: LiteRT refuses the content.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # XNNPACK would leave no values between the operators that it takes.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        found = Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_preserve_all_tensors=in_view,
            experimental_op_resolver_type=plain if in_view else OpResolverType.AUTO,
        )
        found.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(f"{subject}: LiteRT cannot load it ({first})") from error
    return found
