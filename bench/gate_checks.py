"""One figure against one bound: kept, missed or undecided, and what would decide.

A bound is kept when the whole 95 % interval lies within it, missed when none of it does. Between
the two the photos, or the turns, cannot tell. An interval narrows with the square root of what it
rests on, so ``n * (reach / gap)**2`` are needed in all, ``reach`` from the figure to the
interval's end beyond the bound and ``gap`` from the figure to the bound, as long as the figure
stays what it is.
"""

import math
from dataclasses import dataclass
from typing import Literal

from bench.flips import FlipLedger, flip_ledger
from bench.gate_evidence import Evidence
from bench.record import AccuracyRecord, LatencyRecord
from bench.report_format import MINUS
from bench.scores import paired_difference
from bench.verdict import compare_speed

Outcome = Literal["pass", "fail", "undecided"]
Goal = Literal["f1", "latency"]
# Of fewer independent values no 95 % interval exists: the least and the greatest of five hold
# the median with a chance of 1 - 2 * 0.5**5 = 0.94.
FEWEST = 6


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure against one bound.

    Attributes:
        goal: which.
        outcome: whether it is kept.
        sentence: the figure, its interval, the bound, and what would decide.
        value: the drop or the ratio; ``None`` where it could not be measured.
        low: lower end of its 95 % interval.
        high: upper end of it.
        more: photos or turns that would decide, beside those there; ``None`` where it is
            decided, or where no number would.
        flips: what changed photo by photo, for the F1.
    """

    goal: Goal
    outcome: Outcome
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    more: int | None = None
    flips: FlipLedger | None = None


def decide(low: float, high: float, bound: float) -> Outcome:
    """Return whether a figure with the interval ``low`` to ``high`` is at most ``bound``."""
    if high <= bound:
        return "pass"
    return "fail" if low > bound else "undecided"


def more_needed(value: float, low: float, high: float, bound: float, *, samples: int) -> int | None:
    """Return how many samples beside the ``samples`` there would bring an undecided figure down.

    ``None`` where the figure lies on its bound: no number would.
    """
    gap = abs(value - bound)
    reach = high - value if value <= bound else value - low
    needed = samples * (reach / gap) ** 2 if gap > 0.0 and reach / gap < 1e6 else math.inf
    return None if math.isinf(needed) else max(1, math.ceil(needed - 1e-6) - samples)


def f1_check(record: AccuracyRecord, parent: AccuracyRecord, bound: float) -> Check:
    """Hold the weighted F1 that ``record`` loses against ``parent``, in [-1, 1], against ``bound``.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    change = paired_difference(record, parent=parent)
    value, low, high = (_no_minus(-one) for one in (change.value, change.high, change.low))
    photos, senders = len(record.photo_ids), len(set(record.senders))
    outcome = decide(low, high, bound)
    more = None
    if senders < FEWEST:
        outcome, ending = "undecided", f"photos of at least {FEWEST} senders would tell more"
    elif outcome == "undecided":
        more = more_needed(value, low, high, bound, samples=photos)
        ending = _what_decides(more, "photos, of other senders,", "drop")
    else:
        ending = ""
    return Check(
        goal="f1",
        outcome=outcome,
        sentence=f"weighted F1 changes by {_points(-value)} [{_points(-high)}, {_points(-low)}]"
        f" points on {record.runtime} ({photos:,} photos of {senders:,} senders); a drop"
        f" of {100 * bound:g} is allowed{_ended(ending)}",
        value=value,
        low=low,
        high=high,
        more=more,
        flips=flip_ledger(record, parent=parent),
    )


def latency_check(record: LatencyRecord, parent: LatencyRecord, bound: float) -> Check:
    """Hold the median time of ``record``, as a share of ``parent``'s, against ``bound``.

    The two must be comparable: see ``comparable_times``.
    """
    # Host and runtime were compared already: digests may differ in packages that do not matter.
    ratio = compare_speed(parent.model_copy(update={"environment": record.environment}), record)
    turns = min(len(record.turns), len(parent.turns))
    outcome = decide(ratio.low, ratio.high, bound)
    more = None
    if turns < FEWEST:
        outcome, ending = "undecided", f"at least {FEWEST} rounds of both would tell more"
    elif outcome == "undecided":
        more = more_needed(ratio.value, ratio.low, ratio.high, bound, samples=turns)
        ending = _what_decides(more, "rounds", "ratio")
    else:
        ending = ""
    return Check(
        goal="latency",
        outcome=outcome,
        sentence=f"on {record.runtime}, threads {record.threads}, it takes {ratio.value:.3f}"
        f" [{ratio.low:.3f}, {ratio.high:.3f}] times as long ({turns} turns); at most {bound:g}"
        f" allowed{_ended(ending)}",
        value=ratio.value,
        low=ratio.low,
        high=ratio.high,
        more=more,
    )


def failed_check(goal: Goal, mine: Evidence) -> Check:
    """Return what is said of a variant that could not be made or measured."""
    stage, reason = next(reversed(mine.failures.items()))
    return Check(
        goal=goal, outcome="fail", sentence=f"it was not measured: {stage} failed: {reason}"
    )


def _what_decides(more: int | None, what: str, figure: str) -> str:
    if more is None:
        return f"the {figure} lies on its bound: no number of {what} would decide"
    return f"about {more:,} more {what} would decide, if the {figure} stays what it is"


def _ended(ending: str) -> str:
    return f"; {ending}" if ending else ""


def _points(share: float) -> str:
    """Return a difference of F1 in points (hundredths), with its sign: ``+0.24``."""
    return f"{_no_minus(round(100 * share, 2)):+.2f}".replace("-", MINUS)


def _no_minus(value: float) -> float:
    """Return ``value`` with zero written without a sign."""
    return value or 0.0
