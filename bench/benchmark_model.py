"""The words that LiteRT's ``benchmark_model`` is given, and what its output says.

It prints statistics, not calls: of two timed calls, though, ``first`` and ``curr`` are the two, and
a mean over one profiled call is that call. So each start of it makes two, or one, and the raw
samples are known. Pure text: nothing runs here.
Source: ``tflite/tools/benchmark/README.md`` of LiteRT (the flags, the tables of operators).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train.errors import RuntimeFailure

TIMED_CALLS = 2
WARMUP_CALLS = 10
WARMUP_SECONDS = 0.5
PROFILED_CALLS = 1
_COUNTS = re.compile(r"^(?:INFO: )?count=(\d+)(?: first=(\d+))? curr=(\d+)", re.MULTILINE)
_LOADED = re.compile(r"Initialized session in ([\d.e+]+)\s*ms")
_PROFILE = "Operator-wise Profiling Info for Regular Benchmark Runs"
_BODIES = "Subgraph (index:"  # bodies of control flow: their operator holds their time already
_INSIDE = "Delegate internal:"
_RUN_ORDER = "= Run Order ="
_XNNPACK = "TfLiteXNNPackDelegate"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one start of the tool measured.

    Attributes:
        load_ms: from the file to a model that can be called.
        warmup_runs: calls before the timed ones.
        latencies_ms: the timed calls, in the order made.
    """

    load_ms: float
    warmup_runs: int
    latencies_ms: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """One operator of the running model.

    Attributes:
        name: the tensors that it makes, as the tool names them.
        kind: such as ``CONV_2D``, or XNNPACK's own: ``Convolution (NHWC, F32) IGEMM``.
        total_ms: its mean time in one call of the model.
        in_xnnpack: XNNPACK ran it.
    """

    name: str
    kind: str
    total_ms: float
    in_xnnpack: bool


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Every operator of the running model.

    Attributes:
        operators: in the order run; XNNPACK's own stand where it was first called.
        partitions: times that one call handed over to XNNPACK.
    """

    operators: tuple[OperatorTime, ...]
    partitions: int


def turn_words(tool: str, model: str, *, threads: int) -> list[str]:
    """Return the command of one turn: warm-up, then ``TIMED_CALLS`` timed calls.

    Args:
        tool: path of the tool on the device.
        model: path of the ``.tflite`` file there.
        threads: threads the runtime is given.
    """
    return [
        *_shared_words(tool, model, threads),
        f"--num_runs={TIMED_CALLS}",
        "--min_secs=0",
    ]


def profile_words(tool: str, model: str, *, threads: int) -> list[str]:
    """Return the command that profiles every operator; profiling slows the calls down."""
    return [
        *_shared_words(tool, model, threads),
        f"--num_runs={PROFILED_CALLS}",
        "--min_secs=0",
        "--enable_op_profiling=true",
    ]


def _shared_words(tool: str, model: str, threads: int) -> list[str]:
    return [
        tool,
        f"--graph={model}",
        f"--num_threads={threads}",
        "--use_xnnpack=true",
        f"--warmup_runs={WARMUP_CALLS}",
        f"--warmup_min_secs={WARMUP_SECONDS:g}",
    ]


def parse_turn(output: str, *, calls: int = TIMED_CALLS) -> Turn:
    """Return the times of a turn of ``calls`` timed calls, one or two.

    Raises:
        RuntimeFailure: the output is not that of the tool, or of another number of calls.
    """
    loaded = _LOADED.search(output)
    counts = _COUNTS.findall(output)
    if loaded is None or len(counts) < 2:
        raise RuntimeFailure(
            f"benchmark_model printed no times, its last words: {last_words(output)!r}; use the"
            " tool of LiteRT built for the phone's processor"
        )
    (warmed, *_), (made, first, current) = counts[:2]
    if int(made) != calls:
        raise RuntimeFailure(
            f"benchmark_model timed {made} calls where {calls} were asked for; use a build"
            " that knows --num_runs and --min_secs"
        )
    calls_us = (int(first or current), int(current))  # equal times are printed once
    return Turn(
        load_ms=float(loaded[1]),
        warmup_runs=int(warmed),
        latencies_ms=tuple(call / 1e3 for call in calls_us[-calls:]),
    )


def parse_profile(output: str) -> Profile:
    """Return the operators in the order run, XNNPACK's own in place of the delegate.

    Raises:
        RuntimeFailure: the output holds no table of operators.
    """
    profile = output.partition(_PROFILE)[2] or output
    own, _, inside = profile.partition(_INSIDE)
    outer = _run_order(own.partition(_BODIES)[0], in_xnnpack=False)
    inner = _run_order(inside, in_xnnpack=True)
    if not outer:
        raise RuntimeFailure(
            f"benchmark_model printed no table of operators, its last words:"
            f" {last_words(output)!r}; use a build that knows --enable_op_profiling"
        )
    places = [place for place, one in enumerate(outer) if one.kind == _XNNPACK]
    if inner and places:
        kept = [one for one in outer if one.kind != _XNNPACK]
        outer = [*kept[: places[0]], *inner, *kept[places[0] :]]
    return Profile(operators=tuple(outer), partitions=len(places))


def last_words(output: str) -> str:
    """Return the last line that complains, else the last line of all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [line for line in lines if re.search(r"error|fail|abort", line, re.IGNORECASE)]
    return (complaints or lines or ["nothing"])[-1]


def _run_order(text: str, *, in_xnnpack: bool) -> list[OperatorTime]:
    """Return the rows of the first table in the order of the run.

    Its columns are found by their names: builds differ in whether they print ``[start]``.
    """
    lines = text.partition(_RUN_ORDER)[2].splitlines()[1:]
    if not lines:
        return []
    headers = [cell.strip().lower() for cell in lines[0].split("\t")]
    columns = [_column(headers, name) for name in ("[node type]", "[avg ms]", "[times called]")]
    rows: list[OperatorTime] = []
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) < len(headers):  # the table ends in an empty line
            break
        kind, average, calls = (cells[column].strip() for column in columns)
        rows.append(
            OperatorTime(
                name="\t".join(cells[len(headers) - 1 :]).strip(),
                kind=kind,
                total_ms=_number(average) * max(1.0, _number(calls)),
                in_xnnpack=in_xnnpack or kind == _XNNPACK,
            )
        )
    return rows


def _column(headers: Sequence[str], name: str) -> int:
    if name not in headers:
        raise RuntimeFailure(
            f"benchmark_model's table of operators has no column {name}, it has"
            f" {', '.join(filter(None, headers))}; use a build of LiteRT that prints it"
        )
    return headers.index(name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RuntimeFailure(
            f"benchmark_model's table of operators has {text!r} where a number belongs"
        ) from error
