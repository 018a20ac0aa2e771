"""Do two whole runs agree?  How far the ratios of median times moved from one run to the other.

A machine is faster one day than the next; what a choice rests on is the ratio of two variants'
times. With ``f`` a variant's median in the second run over that in the first, the ratio of two
variants moved by ``f / f' - 1``: the pair that moved most is the one of the greatest and the least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import LatencyRecord, Record, of_kind
from train.errors import DataError

MAX_CHANGE = 0.05  # of the ratio of two medians, from one run to the next
Condition = tuple[str, str, int, int]  # environment, runtime, threads, batch: whose times compare


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What became of the ratios of all pairs of variants under one condition.

    Attributes:
        runtime: name and version.
        threads: threads it was given.
        variants: timed in both runs.
        pairs: of them.
        within: pairs whose ratio moved by at most ``MAX_CHANGE``.
        change: by what share the ratio of the pair that moved most did.
        slower: the variant of that pair that became slower against the other one.
        faster: the other one.
    """

    runtime: str
    threads: int
    variants: int
    pairs: int
    within: int
    change: float
    slower: str
    faster: str

    @property
    def holds(self) -> bool:
        """No ratio moved by more than ``MAX_CHANGE``."""
        return self.change <= MAX_CHANGE


def agreements(first: Sequence[Record], second: Sequence[Record]) -> tuple[Agreement, ...]:
    """Return the agreement of two runs for each runtime and number of threads.

    Raises:
        DataError: no two variants were timed in both runs under one condition.
    """
    before, after = _medians(first), _medians(second)
    found = [
        _agreement(condition, _factors(before[condition], after[condition]))
        for condition in before
        if condition in after and len(before[condition].keys() & after[condition].keys()) > 1
    ]
    if not found:
        raise DataError(
            "no two variants were timed in both runs on one machine, with one runtime version, as"
            " many threads and one batch; measure both runs alike"
        )
    return tuple(found)


def _medians(records: Sequence[Record]) -> dict[Condition, dict[tuple[str, str], float]]:
    """Return the medians by condition, then by name and payload."""
    found: dict[Condition, dict[tuple[str, str], float]] = {}
    for one in of_kind(records, LatencyRecord):
        condition = (one.environment, one.runtime, one.threads, one.batch)
        found.setdefault(condition, {})[one.variant, one.variant_sha256] = one.median_ms
    return found


def _factors(
    before: dict[tuple[str, str], float], after: dict[tuple[str, str], float]
) -> dict[str, float]:
    return {key[0]: after[key] / before[key] for key in before if key in after}


def _agreement(condition: Condition, factors: dict[str, float]) -> Agreement:
    _, runtime, threads, _ = condition
    ordered = sorted(factors.items(), key=lambda item: item[1])
    values = [factor for _, factor in ordered]
    changes = [late / early - 1.0 for i, early in enumerate(values) for late in values[i + 1 :]]
    return Agreement(
        runtime=runtime,
        threads=threads,
        variants=len(factors),
        pairs=len(changes),
        within=sum(change <= MAX_CHANGE for change in changes),
        change=max(changes),
        slower=ordered[-1][0],
        faster=ordered[0][0],
    )
