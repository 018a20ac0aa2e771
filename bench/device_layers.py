"""A phone's profiled calls as the record that a host's operators have too."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.benchmark_model import OperatorTime, Profile
from bench.record_layers import LayerTimesRecord, OperatorTimes
from train.errors import RuntimeFailure

_TENSORS = re.compile(r"\[(.*)\](?::\d+)?")


def layer_times(
    profiles: Sequence[Profile],
    *,
    calls_ms: Sequence[float],
    latencies_ms: Sequence[float],
    subject: dict[str, Any],
    runtime: str,
    threads: int,
) -> LayerTimesRecord:
    """Return the record of several profiled calls, one a profile.

    XNNPACK's kernels belong to no one operator of the file: the tool does not tell which they are
    made from.

    Args:
        profiles: one a start of the tool.
        calls_ms: the profiled call of each.
        latencies_ms: calls without profiling.
        subject: what ``subject_of`` gives.
        runtime: name and version.
        threads: threads the runtime was given.

    Raises:
        RuntimeFailure: the starts did not run the same operators.
    """
    first = profiles[0]
    names = [(one.name, one.kind) for one in first.operators]
    for other in profiles[1:]:
        if [(one.name, one.kind) for one in other.operators] != names:
            raise RuntimeFailure(
                "the starts of benchmark_model ran different operators; measure again"
            )
    columns = zip(*(profile.operators for profile in profiles), strict=True)
    return LayerTimesRecord(
        **subject,
        runtime=runtime,
        threads=threads,
        calls_us=tuple(1e3 * call for call in calls_ms),
        latencies_us=tuple(1e3 * call for call in latencies_ms),
        partitions=first.partitions,
        optimized=dict(Counter(one.kind for one in first.operators)),
        inserted={},
        fused={},
        operators=tuple(_operator(calls) for calls in columns),
    )


def _operator(calls: Sequence[OperatorTime]) -> OperatorTimes:
    one = calls[0]
    tensors = _TENSORS.fullmatch(one.name)
    sources = tuple(tensors[1].split(", ")) if tensors and not one.in_xnnpack else ()
    return OperatorTimes(
        name=sources[0] if sources else one.name,
        operator="" if one.in_xnnpack else one.kind,
        engine="xnnpack" if one.in_xnnpack else "interpreter",
        kernels=(one.kind,),
        sources=sources,
        times_us=tuple(round(1e3 * call.total_ms, 3) for call in calls),
    )
