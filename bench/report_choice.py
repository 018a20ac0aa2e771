"""Which variant to ship: chosen on validation photos, reported on test photos.

A choice made on the test photos would flatter the variant chosen, so they only stand beside it.
A variant is *within* the margin when the whole 95 % interval of its paired difference to the
best lies within it, *outside* when none of it does; between the two, the photos cannot tell.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.report_format import MINUS, as_f1, as_factor, as_ms, as_points, as_row
from bench.report_scores import change_between
from bench.report_tables import Accuracies, Condition, VariantRow, by_condition
from bench.scores import Difference

MARGIN = 0.01  # one point of weighted F1
SHOWN_RIVALS = 3
GOAL = "the fastest variant within 1 point of the best weighted F1"
Outcome = Literal["chosen", "undecided", "none"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The answer for one split on one machine.

    Attributes:
        goal: what was asked for.
        outcome: ``chosen``; ``undecided``: a faster variant may be within the margin too, and the
            photos cannot tell; ``none``: nothing to choose from.
        row: the fastest variant that is surely within the margin.
        best: the variant of the best validation F1.
        change: validation F1 of ``row`` less that of ``best``.
        rivals: faster variants that may be within the margin, the fastest first.
        headline: the answer in one sentence.
        reasons: why, and what is given up, a sentence each.
    """

    split_method: str
    environment: str
    threads: int | None
    outcome: Outcome
    headline: str
    goal: str = GOAL
    row: VariantRow | None = None
    best: VariantRow | None = None
    change: Difference | None = None
    rivals: tuple[VariantRow, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    row: VariantRow
    change: Difference  # validation F1 less the best's


def choose(rows: Sequence[VariantRow], accuracies: Accuracies) -> tuple[Choice, ...]:
    """Return one choice for each split, machine and number of threads that was timed."""
    choices: list[Choice] = []
    for condition, members in by_condition(rows).items():
        timed = [row for row in members if row.median_ms is not None]
        if not timed:
            continue
        groups = _same_photos(timed, accuracies)
        choices += [_choose_among(group, accuracies) for group in groups]
        if not groups:
            choices.append(_no_choice(condition))
    return tuple(choices)


def _same_photos(rows: Sequence[VariantRow], accuracies: Accuracies) -> list[list[VariantRow]]:
    """Return the rows that were judged on the very same validation photos, together."""
    found: dict[tuple[object, ...], list[VariantRow]] = {}
    for row in rows:
        record = accuracies.of(row, "validation")
        if record and row.validation_f1:
            found.setdefault((record.labels, record.photo_ids, record.truths), []).append(row)
    return list(found.values())


def _no_choice(condition: Condition) -> Choice:
    split_method, environment, threads = condition
    return Choice(
        split_method=split_method,
        environment=environment,
        threads=threads,
        outcome="none",
        headline="No choice is made: no variant was both timed and judged on validation photos,"
        " and choosing on test photos would flatter the variant chosen.",
    )


def _choose_among(rows: Sequence[VariantRow], accuracies: Accuracies) -> Choice:
    best = max(rows, key=lambda row: (_validation(row), -(row.median_ms or 0.0)))
    candidates = _candidates(rows, best, accuracies)
    safe = min(
        (one for one in candidates if one.change.low >= -MARGIN), key=lambda one: _speed(one.row)
    )
    rivals = [
        one
        for one in candidates
        if _speed(one.row) < _speed(safe.row) and one.change.high >= -MARGIN
    ]
    rivals.sort(key=lambda one: _speed(one.row))
    choice = Choice(
        split_method=safe.row.split_method,
        environment=safe.row.environment,
        threads=safe.row.threads,
        outcome="undecided" if rivals else "chosen",
        headline=_headline(safe.row, rivals),
        row=safe.row,
        best=best,
        change=None if safe.row is best else safe.change,
        rivals=tuple(one.row for one in rivals),
    )
    return dataclasses.replace(choice, reasons=_reasons(safe, best, rivals))


def _candidates(
    rows: Sequence[VariantRow], best: VariantRow, accuracies: Accuracies
) -> list[_Candidate]:
    top = accuracies.of(best, "validation")
    found: list[_Candidate] = []
    for row in rows:
        record = accuracies.of(row, "validation")
        if row is best:
            found.append(_Candidate(row=row, change=Difference(value=0.0, low=0.0, high=0.0)))
        elif top and record and (change := change_between(top, record)):
            found.append(_Candidate(row=row, change=change))
    return found


def _validation(row: VariantRow) -> float:
    return row.validation_f1.weighted_f1 if row.validation_f1 else 0.0


def _speed(row: VariantRow) -> float:
    return row.median_ms if row.median_ms is not None else float("inf")


def _headline(safe: VariantRow, rivals: Sequence[_Candidate]) -> str:
    if not rivals:
        return f"Ship {as_row(safe)}."
    return (
        f"Undecided. Surely within 1 point: {as_row(safe)}. Faster, and perhaps within it:"
        f" {_listed([as_row(one.row) for one in rivals])}."
    )


def _reasons(safe: _Candidate, best: VariantRow, rivals: Sequence[_Candidate]) -> tuple[str, ...]:
    row = safe.row
    reasons: list[str] = []
    if row is best:
        reasons.append(
            f"It has the best validation F1, {as_f1(row.validation_f1)}, and no faster variant is"
            " surely within 1 point of it."
        )
    else:
        reasons.append(
            f"On the validation photos it differs from the best, {as_row(best)}"
            f" ({as_f1(best.validation_f1)}), by {as_points(safe.change)} points, and it is"
            f" {as_factor(_speed(best) / _speed(row))} as fast."
        )
    for one in rivals[:SHOWN_RIVALS]:
        reasons.append(
            f"{as_row(one.row)} takes {as_ms(one.row.median_ms)} ms instead of"
            f" {as_ms(row.median_ms)} ms and differs from the best by {as_points(one.change)}"
            f" points: the interval lies across the bound of {MINUS}1 point."
        )
    reasons.append(_test_sentence(row))
    return tuple(reasons)


def _test_sentence(row: VariantRow) -> str:
    if row.f1 is None:
        return "It was not judged on the test photos."
    return (
        f"On the {row.test_photos} test photos, which had no part in the choice: weighted F1"
        f" {as_f1(row.f1)}; median {as_ms(row.median_ms)} ms, p90 {as_ms(row.p90_ms)} ms."
    )


def _listed(names: Sequence[str]) -> str:
    """Return the first two names, and how many more there are."""
    more = len(names) - 2
    return " and ".join([*names[:2], *([f"{more} more"] if more > 0 else [])])
