"""Latency of several variants, timed so that they can be compared.

Every variant lives in a child process of its own. Each is called until its times are steady;
then all are timed in rounds: in each round every variant has one turn, in an order drawn anew
from a seed, so that what slows the machine for a while slows all of them alike. Where its memory
lies is decided once in a process' life, and moves its median by a per cent or two: after a third of
the rounds every process gives way to a new one. A turn is an
untimed lead-in (``bench.worker.LEAD_SECONDS``, one call at least) and then ``TURN_CALLS`` timed
calls: the lead-in brings the model's weights back into the caches and its threads onto their cores
after the others' turns, as in an app that classifies one picture after another. The cores are kept
awake where the system lets a program ask for it.
"""

import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.awake import cores_awake
from bench.caches import copy_speed
from bench.child import Caller, Child
from bench.environment import usable_cores
from bench.record import FailureRecord, LatencyRecord
from bench.steadiness import (
    Conditions,
    WarmupRule,
    condition_warnings,
    is_steady,
    read_conditions,
    sample_warnings,
    worse_of,
)
from bench.subject import subject_of, without_paths
from train.artifact import Artifact
from train.errors import ConfigError, RuntimeFailure
from train.pixels import Pixels, decode

TURN_CALLS = 5
PROCESSES, LEAST_TURNS = 3, 5  # that a variant's turns are divided among, and turns in each
Launch = Callable[[Artifact, str, int, Pixels], Caller]


@dataclass(kw_only=True)
class _Lane:
    """One variant on one runtime, and what has been measured of it so far."""

    artifact: Artifact
    runtime: str
    picture: Pixels
    callers: list[Caller] = field(default_factory=list)
    failure: str = ""
    warmups: list[list[float]] = field(default_factory=list)
    turns: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Met:
    """What all variants of a measurement met alike."""

    environment: str
    threads: int
    rule: WarmupRule
    copy_gbs: float
    warnings: Sequence[str]


def launch_child(artifact: Artifact, runtime: str, threads: int, picture: Pixels) -> Caller:
    """Start the child process of one variant."""
    return Child(artifact.payload, runtime, threads=threads, picture=picture)


@cores_awake()
def measure_latencies(
    variants: Sequence[tuple[Artifact, str]],
    *,
    threads: int,
    rounds: int,
    environment: str,
    picture: Path,
    rule: WarmupRule | None = None,
    seed: int = 0,
    launch: Launch = launch_child,
    watch: Callable[[], Conditions] = read_conditions,
    probe: Callable[[], float] = copy_speed,
    advance: Callable[[int], None] | None = None,
) -> list[LatencyRecord | FailureRecord]:
    """Return ``rounds * TURN_CALLS`` timed calls of each variant, interleaved.

    A variant that cannot be loaded, fails or dies gives a failure; the others go on.

    Args:
        variants: artifacts, each with the runtime to time it on (``litert``, ``onnxruntime``).
        threads: threads each runtime is given.
        rounds: turns of each variant.
        environment: name of the environment record.
        picture: the photo that every call computes on, decoded under each variant's contract.
        rule: when a variant is warm.
        seed: of the order of the turns.
        launch: starts what calls a model.
        watch: says what the machine does while no model runs.
        probe: called after each round; says how fast the caches are, see ``bench.caches``.
        advance: called with 1 after each turn, ``rounds * len(variants)`` times in all.

    Returns:
        One record a variant, in the order given.

    Raises:
        ConfigError: ``threads`` or ``rounds`` is less than one.
        DataError: the picture cannot be decoded.
    """
    if threads < 1 or rounds < 1:
        raise ConfigError(f"threads and rounds must be at least 1, got {threads} and {rounds}")
    rule = rule or WarmupRule()
    lanes = [
        _Lane(artifact=one, runtime=runtime, picture=decode(picture, one.manifest.pixels))
        for one, runtime in variants
    ]
    order, conditions, speeds = random.Random(seed), Conditions(), list[float]()
    for turns in shares_of(rounds):
        with ExitStack() as stack:
            for lane in lanes:
                _load(lane, threads, launch, stack)
            conditions = worse_of(conditions, watch())
            for lane in lanes:
                _attempt(lane, partial(_warm, rule=rule))
            for _ in range(turns):
                _time_round(order.sample(lanes, len(lanes)), advance)
                speeds.append(probe())
            conditions = worse_of(conditions, watch())
    met = _Met(
        environment=environment,
        threads=threads,
        rule=rule,
        copy_gbs=statistics.median(speeds),
        warnings=condition_warnings(conditions, threads=threads, cores=usable_cores()),
    )
    return [_record(lane, met) for lane in lanes]


def shares_of(rounds: int) -> list[int]:
    """Return how many rounds each process lives for: as alike as they can be, none too few."""
    processes = max(1, min(PROCESSES, rounds // LEAST_TURNS))
    return [
        rounds * (number + 1) // processes - rounds * number // processes
        for number in range(processes)
    ]


def _load(lane: _Lane, threads: int, launch: Launch, stack: ExitStack) -> None:
    """Start a process for a variant that has not failed."""
    if lane.failure:
        return
    try:
        caller = launch(lane.artifact, lane.runtime, threads, lane.picture)
    except RuntimeFailure as error:
        lane.failure = str(error)
    else:
        stack.callback(caller.close)
        lane.callers.append(caller)
        lane.warmups.append([])


def _warm(lane: _Lane, *, rule: WarmupRule) -> None:
    """Call until steady, a window at a time; the first call of all pays for lazy set-up."""
    warmup_ms = lane.warmups[-1]
    while not is_steady(warmup_ms, rule) and not rule.exhausted(warmup_ms):
        warmup_ms += lane.callers[-1].call(untimed=0, timed=rule.window)


def _take_turn(lane: _Lane) -> None:
    lane.turns.append(lane.callers[-1].call(untimed=1, timed=TURN_CALLS))


def _attempt(lane: _Lane, action: Callable[[_Lane], None]) -> None:
    """Do one thing with a variant that still lives; what goes wrong is its failure alone."""
    if lane.failure:
        return
    try:
        action(lane)
    except RuntimeFailure as error:
        lane.failure = str(error)


def _time_round(lanes: Sequence[_Lane], advance: Callable[[int], None] | None) -> None:
    """Give every variant one turn."""
    for lane in lanes:
        _attempt(lane, _take_turn)
        if advance is not None:
            advance(1)


def _record(lane: _Lane, met: _Met) -> LatencyRecord | FailureRecord:
    subject = subject_of(lane.artifact.manifest, met.environment)
    if lane.failure:
        return FailureRecord(
            **subject,
            stage="latency",
            runtime=lane.callers[0].runtime if lane.callers else lane.runtime,
            reason=without_paths(lane.failure),
        )
    first, warmup_ms = lane.callers[0], _least_steady(lane.warmups, met.rule)
    peaks = [one.peak_rss_bytes for one in lane.callers if one.peak_rss_bytes is not None]
    return LatencyRecord(
        **subject,
        runtime=first.runtime,
        threads=met.threads,
        warmup_runs=len(lane.warmups[0]),
        calls_per_turn=TURN_CALLS,
        processes=len(lane.callers),
        batch=first.batch,
        copy_gbs=met.copy_gbs,
        load_ms=first.load_ms,
        cold_start_ms=first.cold_start_ms,
        base_rss_bytes=first.base_rss_bytes,
        peak_rss_bytes=max(peaks, default=None),
        latencies_ms=tuple(latency for turn in lane.turns for latency in turn),
        warnings=(*met.warnings, *sample_warnings(warmup_ms, lane.turns, met.rule)),
    )


def _least_steady(warmups: Sequence[list[float]], rule: WarmupRule) -> list[float]:
    """Return the first warm-up that never was steady, or the first of all."""
    return next((one for one in warmups if not is_steady(one, rule)), warmups[0])
