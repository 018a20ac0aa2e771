"""Times of single operators on LiteRT, those inside XNNPACK included.

The times are LiteRT's own, taken inside whole calls of the unchanged model: caches, fusions and
threads are those of a real call. They come in whole microseconds, rounded down: what was cut off is
half a microsecond on average, and is added to every time above 0. ``finish`` says which operator of
the file each kernel served (``bench.litert_kernels``).

Where the C library is of another version this refuses, and ``bench.litert_singles`` stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.litert_capi import (
    DEFAULT_EVENT,
    DELEGATE_EVENT,
    OPERATOR_EVENT,
    Event,
    ProfiledModel,
)
from bench.litert_kernels import assign_kernels
from bench.profile import Profile, counted
from bench.record_layers import OperatorTimes
from train.errors import RuntimeFailure

_CALL = "Invoke"
_CUT_OFF_US = 0.5  # what rounding down takes on average
_CONVERTS = ("convert", "transpose", "quantize")  # words of what only changes a form


@dataclass(frozen=True, kw_only=True)
class FileOperator:
    """An operator as the file has it: its kind and the name of its first output."""

    kind: str
    output: str


@dataclass(kw_only=True)
class Call:
    """The events of one call: its own duration and, in order, what ran in it."""

    elapsed_us: int
    events: list[Event]


class LitertProfiler:
    """A ``.tflite`` on LiteRT, timed an operator at a time."""

    def __init__(self, model: Path, *, threads: int) -> None:
        """Load ``model``.

        Raises:
            OtherInterface: the C library is not one that is known here.
            RuntimeFailure: it refuses the model.
        """
        self.name = f"litert {version('ai-edge-litert')}"
        self._subject = str(model)
        self._operators = read_file_operators(model)
        self._model = ProfiledModel(model, threads=threads)
        self._events: list[Event] = []

    def feed(self, tensor: npt.NDArray[np.generic]) -> None:
        """Hand over the one input.

        Raises:
            RuntimeFailure: it is longer than the model's input.
        """
        self._model.feed(np.ascontiguousarray(tensor).tobytes())

    def run(self, calls: int, *, timed: bool) -> None:
        """Run the model ``calls`` times; only timed calls count."""
        if timed:
            self._events += self._model.profile(calls)
            return
        for _ in range(calls):
            self._model.run()

    def finish(self) -> Profile:
        """Return everything timed.

        Raises:
            RuntimeFailure: the events are not those of whole, equal calls of this file.
        """
        return profile_of(self._operators, split_calls(self._events, self._subject), self._subject)


def read_file_operators(model: Path) -> tuple[FileOperator, ...]:
    """Return the operators of a ``.tflite``'s main graph, in order.

    Raises:
        RuntimeFailure: it cannot be read as a ``.tflite``.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    try:
        root = schema.Model.GetRootAs(model.read_bytes())
        graph = root.Subgraphs(0)
        found = []
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = root.OperatorCodes(operator.OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            output = graph.Tensors(operator.Outputs(0)).Name().decode()
            found.append(FileOperator(kind=names.get(number, f"OPERATOR_{number}"), output=output))
    except Exception as error:  # flatbuffers raises many kinds on broken files
        raise RuntimeFailure(
            f"{model}: not a readable .tflite ({type(error).__name__}); make it again"
        ) from error
    return tuple(found)


def split_calls(events: Sequence[Event], subject: str) -> list[Call]:
    """Return the events of each call, in order.

    Raises:
        RuntimeFailure: there is no call, or two calls ran other things than one another.
    """
    calls: list[Call] = []
    for event in events:
        if event.event_type == DEFAULT_EVENT and event.tag == _CALL:
            calls.append(Call(elapsed_us=event.elapsed_us, events=[]))
        elif calls and event.event_type in (OPERATOR_EVENT, DELEGATE_EVENT):
            calls[-1].events.append(event)
    ran = {tuple((e.event_type, e.tag, e.index) for e in call.events) for call in calls}
    if len(ran) != 1 or not calls[0].events:
        raise RuntimeFailure(
            f"{subject}: LiteRT's profile of {len(calls)} calls holds {len(ran)} different lists"
            " of operators, must be one that is not empty; profile it again"
        )
    return calls


def profile_of(operators: Sequence[FileOperator], calls: Sequence[Call], subject: str) -> Profile:
    """Return the times of each operator, out of the events of equal calls.

    Raises:
        RuntimeFailure: LiteRT ran an operator that does not stand there in the file.
    """
    events = calls[0].events
    times = [[_microseconds(call.events[i]) for call in calls] for i in range(len(events))]
    owners = _owners(operators, events, subject)
    rows = [
        _row(operator, [i for i, owner in enumerate(owners) if owner == index], events, times)
        for index, operator in enumerate(operators)
    ]
    strays = [
        OperatorTimes(
            name=event.tag,
            operator="",
            engine="xnnpack",
            kernels=(event.tag,),
            sources=(),
            inserted=True,
            times_us=tuple(times[i]),
        )
        for i, event in enumerate(events)
        if owners[i] is None
    ]
    delegated = [event.event_type == DELEGATE_EVENT for event in events]
    entries = [now and not before for before, now in pairwise([False, *delegated])]
    kernels = [event.tag for event in events]
    return Profile(
        calls_us=tuple(float(call.elapsed_us) for call in calls),
        operators=(*rows, *strays),
        partitions=sum(entries),
        optimized=counted(kernels),
        inserted=counted(moving_of(kernels)),
        fused=counted([row.operator for row in rows if not row.times_us]),
    )


def _microseconds(event: Event) -> float:
    return event.elapsed_us + _CUT_OFF_US if event.elapsed_us else 0.0


def moving_of(kernels: Sequence[str]) -> list[str]:
    """Return the kernels or operators that only change a form."""
    return [name for name in kernels if any(word in name.lower() for word in _CONVERTS)]


def _owners(
    operators: Sequence[FileOperator], events: Sequence[Event], subject: str
) -> list[int | None]:
    """Return the operator of each event: told by the interpreter, inferred inside XNNPACK."""
    own = {i: event.index for i, event in enumerate(events) if event.event_type == OPERATOR_EVENT}
    for i, index in own.items():
        if index >= len(operators) or operators[index].kind != events[i].tag:
            raise RuntimeFailure(
                f"{subject}: LiteRT ran {events[i].tag} as operator {index}, where the file has"
                f" {operators[index].kind if index < len(operators) else 'none'}; profile"
                " a file that is not being rewritten"
            )
    delegated = [index for index in range(len(operators)) if index not in own.values()]
    inside = [i for i in range(len(events)) if i not in own]
    assigned = assign_kernels(
        [operators[index].kind for index in delegated], [events[i].tag for i in inside]
    )
    owners: list[int | None] = [own.get(i) for i in range(len(events))]
    for i, position in zip(inside, assigned, strict=True):
        owners[i] = None if position is None else delegated[position]
    return owners


def _row(
    operator: FileOperator,
    ran: Sequence[int],
    events: Sequence[Event],
    times: Sequence[Sequence[float]],
) -> OperatorTimes:
    """Return one operator with all its kernels' times added up, call by call."""
    by_itself = bool(ran) and events[ran[0]].event_type == OPERATOR_EVENT
    return OperatorTimes(
        name=operator.output,
        operator=operator.kind,
        engine="interpreter" if by_itself else "xnnpack",
        kernels=tuple(events[i].tag for i in ran),
        sources=tuple(part for part in operator.output.split(";") if part),
        times_us=tuple(sum(one) for one in zip(*(times[i] for i in ran), strict=True)),
    )
