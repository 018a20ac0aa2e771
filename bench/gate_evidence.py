"""What the records hold on one variant, and what of two variants may be compared.

Times are compared on one host alone, under one version of one runtime, with one number of
threads and of pictures in a call. Predictions are compared under one runtime, whatever its
version: they are the same photos, and a new version's loss is what a gate should see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import (
    AccuracyRecord,
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    Record,
    of_kind,
)
from train.errors import DataError

Subject = tuple[str, str]  # split method, variant name


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was recorded of one variant under one split; of repeated records the latest.

    Attributes:
        name: the variant's.
        network_sha256: the trained network that it was made from.
        judged: test predictions by the runtime's name.
        timed: latencies, one for each host, runtime, number of threads and batch.
        failures: why it could not be measured or made, by stage.
        hosts: ``host_of`` each latency, parallel to ``timed``.
    """

    name: str
    network_sha256: str
    judged: dict[str, AccuracyRecord]
    timed: tuple[LatencyRecord, ...]
    failures: dict[str, str]
    hosts: tuple[object, ...]


def subjects_of(records: Sequence[Record]) -> list[Subject]:
    """Return the variants that were judged or timed, or failed, in the order of the records."""
    kinds = (AccuracyRecord, LatencyRecord, FailureRecord)
    found = [one for one in records if isinstance(one, kinds)]
    return list(dict.fromkeys((one.split_method, one.variant) for one in found))


def evidence_on(
    records: Sequence[Record], subject: Subject, *, network: str | None = None
) -> Evidence | None:
    """Return what the records hold on ``subject``, or ``None`` where that is nothing.

    Args:
        records: of one or of several runs.
        subject: which variant under which split.
        network: digest of the trained network; ``None``: the one that was recorded last.
    """
    mine = _measured(records, subject)
    failures = {
        one.stage: one.reason
        for one in of_kind(records, FailureRecord)
        if (one.split_method, one.variant) == subject
    }
    if not mine and not failures:
        return None
    chosen = network or (mine[-1].network_sha256 if mine else "")
    mine = [one for one in mine if one.network_sha256 == chosen]
    if network and not mine:
        return None
    timed = of_kind(mine, LatencyRecord)
    latest = tuple({_condition_of(one): one for one in timed}.values())
    tests = [one for one in of_kind(mine, AccuracyRecord) if one.side == "test"]
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    return Evidence(
        name=subject[1],
        network_sha256=chosen,
        judged={one.runtime.split(" ")[0]: one for one in tests},
        timed=latest,
        failures=failures,
        hosts=tuple(host_of(one.environment, known) for one in latest),
    )


def _condition_of(record: LatencyRecord) -> tuple[object, ...]:
    return record.environment, record.runtime, record.threads, record.batch


def _measured(records: Sequence[Record], subject: Subject) -> list[AccuracyRecord | LatencyRecord]:
    return [
        one
        for one in records
        if isinstance(one, AccuracyRecord | LatencyRecord)
        and (one.split_method, one.variant) == subject
    ]


def host_of(environment: str, known: dict[str, EnvironmentRecord]) -> object:
    """Return what must be equal for two records to be of one host.

    Packages beside the runtime may differ; without its record, the digest is all there is.
    """
    found = known.get(environment)
    if found is None:
        return environment
    machine = found.cpu, found.cores, found.memory_bytes, found.cpu_features
    return *machine, found.system, found.kept_awake


def comparable_times(mine: Evidence, theirs: Evidence) -> list[tuple[LatencyRecord, LatencyRecord]]:
    """Return the pairs of latencies, ``mine`` first, that were taken under one condition.

    Raises:
        DataError: there is none; what differs in the nearest pair is named.
    """
    pairs: list[tuple[LatencyRecord, LatencyRecord]] = []
    nearest: list[str] = []
    for here, host in zip(mine.timed, mine.hosts, strict=True):
        for there, other in zip(theirs.timed, theirs.hosts, strict=True):
            apart = _apart(here, host, there, other)
            if not apart:
                pairs.append((here, there))
            elif not nearest or len(apart) < len(nearest):
                nearest = apart
    if not pairs:
        raise DataError(
            f"times of {mine.name} and {theirs.name} cannot be compared: {'; '.join(nearest)};"
            " time both on one host, with one runtime version, as many threads and one batch"
        )
    return pairs


def _apart(here: LatencyRecord, host: object, there: LatencyRecord, other: object) -> list[str]:
    """Return what two latencies differ in, in words."""
    apart = ["host is not the same"] if host != other else []
    for name in ("runtime", "threads", "batch"):
        one, two = getattr(here, name), getattr(there, name)
        if one != two:
            apart.append(f"{name} is {one} and {two}")
    return apart
