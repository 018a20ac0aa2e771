"""Latency and operators' times on an attached phone, by LiteRT's ``benchmark_model``.

As on the host, variants take turns in an order drawn anew each round, so that a phone that grows
warm slows all of them alike; a turn is one start of the tool. The records name the phone as their
machine, so that its times are never compared with a host's nor called by its name.
"""

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.adb import Adb, describe_phone
from bench.benchmark_model import (
    PROFILED_CALLS,
    TIMED_CALLS,
    Turn,
    parse_profile,
    parse_turn,
    profile_words,
    turn_words,
)
from bench.device_layers import layer_times
from bench.record import EnvironmentRecord, FailureRecord, LatencyRecord
from bench.record_layers import LayerTimesRecord
from bench.steadiness import MAX_DRIFT, MAX_HALF_WIDTH, drift, half_width
from bench.subject import subject_of, without_paths
from train.artifact import Artifact
from train.errors import ConfigError, RuntimeFailure
from train.storage import digest_of_file

FOLDER = "/data/local/tmp/threadlite"  # where Android lets a shell run what was pushed
PROFILE_STARTS = 5
DeviceRecord = EnvironmentRecord | LatencyRecord | LayerTimesRecord | FailureRecord


@dataclass(kw_only=True)
class _Lane:
    """One variant on the phone, and what has been measured of it so far."""

    artifact: Artifact
    model: str
    failure: str = ""
    turns: list[Turn] = field(default_factory=list)


def measure_on_device(
    variants: Sequence[Artifact],
    adb: Adb,
    tool: Path,
    *,
    threads: int,
    rounds: int,
    layers: bool = False,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> list[DeviceRecord]:
    """Return the phone's record, then times of each variant, batch 1, interleaved.

    A variant that the tool refuses gives a failure; the others go on. What was pushed is removed.

    Args:
        variants: ``.tflite`` artifacts.
        adb: the phone.
        tool: ``benchmark_model`` built for the phone's processor.
        threads: threads the runtime is given.
        rounds: turns of each variant, of ``TIMED_CALLS`` timed calls each.
        layers: also profile every operator.
        seed: of the order of the turns.
        advance: called with 1 after each turn.

    Raises:
        ConfigError: ``threads`` or ``rounds`` is below one, or a variant is no ``.tflite``.
        RuntimeFailure: the phone cannot be reached or refuses the files.
    """
    _check(variants, threads, rounds)
    digest = digest_of_file(tool)
    phone = describe_phone(adb, digest)
    name = f"litert benchmark_model {digest[:12]} on {phone.cpu}"
    order = random.Random(seed)
    with _pushed(adb, tool, variants) as (remote, lanes):
        doubts = _conditions(adb)
        for _ in range(rounds):
            for lane in order.sample(lanes, len(lanes)):
                _take_turn(adb, remote, lane, threads)
                if advance is not None:
                    advance(1)
        doubts = tuple(dict.fromkeys((*doubts, *_conditions(adb))))
        records = [_record(lane, phone, name, threads, doubts) for lane in lanes]
        profiles = [
            _profile(adb, remote, lane, phone, name, threads)
            for lane in lanes
            if layers and not lane.failure
        ]
    return [phone, *records, *profiles]


def _check(variants: Sequence[Artifact], threads: int, rounds: int) -> None:
    if threads < 1 or rounds < 1:
        raise ConfigError(f"threads and rounds must be at least 1, got {threads} and {rounds}")
    for one in variants:
        if one.manifest.name.format != "tflite":
            raise ConfigError(
                f"{one.manifest.variant}: benchmark_model runs .tflite files alone; convert it with"
                " threadlite optimize --format tflite"
            )


@contextmanager
def _pushed(
    adb: Adb, tool: Path, variants: Sequence[Artifact]
) -> Iterator[tuple[str, list[_Lane]]]:
    """Put tool and models on the phone for as long as the block lasts."""
    remote = f"{FOLDER}/benchmark_model"
    adb.shell("mkdir", "-p", FOLDER)
    try:
        adb.push(tool, remote)
        adb.shell("chmod", "755", remote)
        lanes = []
        for number, one in enumerate(variants):
            model = f"{FOLDER}/{number}.tflite"
            adb.push(one.payload, model)
            lanes.append(_Lane(artifact=one, model=model))
        yield remote, lanes
    finally:
        adb.attempt("rm", "-rf", FOLDER)


def _take_turn(adb: Adb, tool: str, lane: _Lane, threads: int) -> None:
    """Time one variant once; what goes wrong is its failure alone."""
    if lane.failure:
        return
    try:
        output = adb.shell(*turn_words(tool, lane.model, threads=threads))
        lane.turns.append(parse_turn(output))
    except RuntimeFailure as error:
        lane.failure = str(error)


def _record(
    lane: _Lane, phone: EnvironmentRecord, runtime: str, threads: int, doubts: Sequence[str]
) -> LatencyRecord | FailureRecord:
    if lane.failure:
        return _failure(lane, phone, runtime, "latency", lane.failure)
    return LatencyRecord(
        **subject_of(lane.artifact.manifest, phone.environment),
        runtime=runtime,
        threads=threads,
        warmup_runs=min(turn.warmup_runs for turn in lane.turns),
        calls_per_turn=TIMED_CALLS,
        load_ms=statistics.median(turn.load_ms for turn in lane.turns),
        latencies_ms=tuple(call for turn in lane.turns for call in turn.latencies_ms),
        warnings=(*doubts, *_warnings(lane.turns)),
    )


def _profile(
    adb: Adb, tool: str, lane: _Lane, phone: EnvironmentRecord, runtime: str, threads: int
) -> LayerTimesRecord | FailureRecord:
    """Profile one call a start, ``PROFILE_STARTS`` times."""
    try:
        outputs = [
            adb.shell(*profile_words(tool, lane.model, threads=threads))
            for _ in range(PROFILE_STARTS)
        ]
        calls = [parse_turn(output, calls=PROFILED_CALLS) for output in outputs]
        return layer_times(
            [parse_profile(output) for output in outputs],
            calls_ms=[call for turn in calls for call in turn.latencies_ms],
            latencies_ms=[call for turn in lane.turns for call in turn.latencies_ms],
            subject=subject_of(lane.artifact.manifest, phone.environment),
            runtime=runtime,
            threads=threads,
        )
    except RuntimeFailure as error:
        return _failure(lane, phone, runtime, "layers", str(error))


def _failure(
    lane: _Lane, phone: EnvironmentRecord, runtime: str, stage: str, reason: str
) -> FailureRecord:
    subject = subject_of(lane.artifact.manifest, phone.environment)
    return FailureRecord(**subject, stage=stage, runtime=runtime, reason=without_paths(reason))


def _warnings(turns: Sequence[Turn]) -> list[str]:
    """Return what makes one variant's times doubtful, each with what to do."""
    samples = [turn.latencies_ms for turn in turns]
    width, change = half_width(samples), drift(samples)
    warnings: list[str] = []
    if width > MAX_HALF_WIDTH:
        warnings.append(
            f"the median is only known to within {width:.1%} (95 %, {len(turns)} rounds); close"
            " the phone's other apps or raise the rounds"
        )
    if abs(change) > MAX_DRIFT:
        warnings.append(
            f"calls became {abs(change):.0%} {'slower' if change > 0 else 'faster'} from the first"
            " half of the rounds to the second; let the phone cool down and measure again"
        )
    return warnings


def _conditions(adb: Adb) -> tuple[str, ...]:
    """Return what the phone itself says against its times; phones that do not tell give nothing."""
    warnings = []
    status, thermal = adb.attempt("dumpsys", "thermalservice")
    hot = [line for line in thermal.splitlines() if line.strip().startswith("Thermal Status:")]
    if status == 0 and hot and hot[0].rpartition(":")[2].strip() not in ("", "0"):
        warnings.append(
            f"the phone throttles (thermal status {hot[0].rpartition(':')[2].strip()}); let it cool"
            " down and measure again"
        )
    status, saving = adb.attempt("settings", "get", "global", "low_power")
    if status == 0 and saving.strip() == "1":
        warnings.append("the phone saves its battery, which slows it down; charge it")
    return tuple(warnings)
