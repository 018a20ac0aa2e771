"""Which variant to ship: chosen on validation photos, reported on test photos.

A choice made on the test photos would flatter the variant chosen, so they only stand beside it.
A variant is *within* the margin when the whole 95 % interval of its paired difference to the
best lies within it, *outside* when none of it does; between the two, the photos cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.report_format import MINUS, as_f1, as_ms, as_points, as_row, listed
from bench.report_goals import FASTEST, GOALS, Goal, most_accurate_under, size, speed
from bench.report_scores import change_between
from bench.report_tables import Accuracies, Condition, VariantRow, by_condition
from bench.scores import Difference

MARGIN = 0.01  # one point of weighted F1
SHOWN_RIVALS = 3
ALONE = "Nothing else was timed and judged on these validation photos: there was nothing to choose."
Outcome = Literal["chosen", "undecided", "none"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The answer to one goal for one split and set of photos on one machine.

    Attributes:
        photos: key of the ``Photos`` that judge its variants; empty where no record tells them.
        goal: what was asked for.
        outcome: ``chosen``; ``undecided``: another variant may serve the goal better, and the
            photos cannot tell; ``none``: nothing to choose from.
        row: the variant that surely serves the goal best.
        best: the variant of the best validation F1.
        change: validation F1 of ``row`` less that of ``best``.
        rivals: variants that may serve it better, the best first.
        headline: the answer in one sentence.
        reasons: why, what is given up and what could not be chosen, a sentence each.
    """

    split_method: str
    environment: str
    threads: int | None
    outcome: Outcome
    headline: str
    goal: str = FASTEST.words
    row: VariantRow | None = None
    best: VariantRow | None = None
    change: Difference | None = None
    rivals: tuple[VariantRow, ...] = ()
    reasons: tuple[str, ...] = ()
    photos: str = ""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    row: VariantRow
    change: Difference  # validation F1 less the best's


def choose(
    rows: Sequence[VariantRow], accuracies: Accuracies, *, under_ms: float | None = None
) -> tuple[Choice, ...]:
    """Return one choice a goal for each split, set of photos, machine and number of threads.

    Args:
        rows: what was measured.
        accuracies: their predictions.
        under_ms: asks for the most accurate variant of a median under so many ms too.
    """
    choices: list[Choice] = []
    timed = [row for row in rows if row.median_ms is not None]
    for condition, members in by_condition(timed).items():
        here = [row for row in timed if row.setting == members[0].setting]
        strangers = [row for row in here if not row.photos and members[0].photos]
        if not members[0].photos and any(row.photos for row in here):
            continue  # they stand as strangers beside the choices of the others
        groups = _same_photos(members, accuracies)
        judged = {id(row) for group in groups for row in group}
        out = [row for row in (*members, *strangers) if id(row) not in judged]
        for group in groups:
            choices += _choices(group, accuracies, under_ms, _left_out(out, accuracies))
        if not groups:
            choices.append(_no_choice(condition, _left_out(out, accuracies)))
    return tuple(choices)


def _same_photos(rows: Sequence[VariantRow], accuracies: Accuracies) -> list[list[VariantRow]]:
    """Return the rows that were judged on the very same validation photos, together."""
    found: dict[tuple[object, ...], list[VariantRow]] = {}
    for row in rows:
        record = accuracies.of(row, "validation")
        if record and row.validation_f1:
            found.setdefault((record.labels, record.photo_ids, record.truths), []).append(row)
    return list(found.values())


def _left_out(rows: Sequence[VariantRow], accuracies: Accuracies) -> tuple[str, ...]:
    """Return which rows could not be chosen because no validation photos judged them, and why."""
    refitted = [as_row(row) for row in rows if accuracies.refitted(row)]
    others = [as_row(row) for row in rows if not accuracies.refitted(row)]
    sentences = []
    if refitted:
        sentences.append(
            f"Not chosen: {listed(refitted, SHOWN_RIVALS)}, because no photos were left to choose"
            " on: training and validation photos together trained it, and test photos choose"
            " nothing."
        )
    if others:
        sentences.append(
            f"Not chosen: {listed(others, SHOWN_RIVALS)}, because no record judges it on"
            " validation photos."
        )
    return tuple(sentences)


def _no_choice(condition: Condition, reasons: tuple[str, ...]) -> Choice:
    split_method, photos, environment, threads = condition
    return Choice(
        split_method=split_method,
        photos=photos,
        environment=environment,
        threads=threads,
        outcome="none",
        headline="No choice is made: no variant was both timed and judged on validation photos,"
        " and choosing on test photos would flatter the variant chosen.",
        reasons=reasons,
    )


def _choices(
    rows: Sequence[VariantRow],
    accuracies: Accuracies,
    under_ms: float | None,
    left_out: tuple[str, ...],
) -> list[Choice]:
    best = _best(rows)
    candidates = _candidates(rows, best, accuracies)
    weighed = [goal for goal in GOALS if goal is FASTEST or any(size(row) < 1e99 for row in rows)]
    choices = [_least(goal, best, candidates, left_out) for goal in weighed]
    if under_ms is not None:
        choices.append(_under(under_ms, rows, accuracies, left_out))
    return choices


def _least(
    goal: Goal, best: VariantRow, candidates: Sequence[_Candidate], left_out: tuple[str, ...]
) -> Choice:
    """Return the choice of the least weight within the margin."""

    def weight(one: _Candidate) -> float:
        return goal.weight(one.row)

    surely = [one for one in candidates if one.change.low >= -MARGIN]
    safe = min(surely, key=lambda one: (weight(one), speed(one.row)))
    rivals = [one for one in candidates if weight(one) < weight(safe)]
    rivals = sorted((one for one in rivals if one.change.high >= -MARGIN), key=weight)
    headline = f"Ship {as_row(safe.row)}."
    if rivals:
        names = listed([as_row(one.row) for one in rivals], 2)
        headline = (
            f"Undecided. Surely within 1 point: {as_row(safe.row)}. {goal.better.capitalize()},"
            f" and perhaps within it: {names}."
        )
    reasons = (*_reasons(goal, safe, best, rivals), *left_out)
    if len(candidates) == 1:
        reasons = (ALONE, _test_sentence(best), *left_out)
    return _choice(goal.words, safe, best, rivals, headline, reasons)


def _under(
    limit_ms: float,
    rows: Sequence[VariantRow],
    accuracies: Accuracies,
    left_out: tuple[str, ...],
) -> Choice:
    """Return the choice of the most accurate variant under a time."""
    words, quick = most_accurate_under(limit_ms), [row for row in rows if speed(row) < limit_ms]
    if not quick:
        fastest = min(rows, key=speed)
        return Choice(
            split_method=fastest.split_method,
            photos=fastest.photos,
            environment=fastest.environment,
            threads=fastest.threads,
            outcome="none",
            goal=words,
            headline=f"No variant stays under {limit_ms:g} ms: the fastest, {as_row(fastest)},"
            f" takes {as_ms(fastest.median_ms)} ms.",
            reasons=left_out,
        )
    best = _best(quick)
    candidates = _candidates(quick, best, accuracies)
    itself = next(one for one in candidates if one.row is best)
    rivals = [one for one in candidates if one is not itself and one.change.high > 0.0]
    rivals.sort(key=lambda one: -one.change.value)
    headline = f"Ship {as_row(best)}."
    if rivals:
        names = listed([as_row(one.row) for one in rivals], 2)
        headline = f"Undecided. Best by its figure: {as_row(best)}. Perhaps better: {names}."
    reasons = [f"Its validation F1 is {as_f1(best.validation_f1)}, the best under {limit_ms:g} ms."]
    reasons += [
        f"{as_row(one.row)} differs from it by {as_points(one.change)} points: the interval"
        " reaches above 0."
        for one in rivals[:SHOWN_RIVALS]
    ]
    reasons += [*_given_up(best, _best(rows), accuracies), _test_sentence(best)]
    return _choice(words, itself, best, rivals, headline, (*reasons, *left_out))


def _given_up(row: VariantRow, best: VariantRow, accuracies: Accuracies) -> list[str]:
    """Return what a limit of time costs against the best of all; nothing where that keeps it."""
    return [
        f"Given up for the time: {as_points(one.change)} points against the best of all,"
        f" {as_row(best)} ({as_f1(best.validation_f1)}), which takes {as_ms(best.median_ms)} ms."
        for one in _candidates([row], best, accuracies)
        if row is not best
    ]


def _choice(
    goal: str,
    safe: _Candidate,
    best: VariantRow,
    rivals: Sequence[_Candidate],
    headline: str,
    reasons: tuple[str, ...],
) -> Choice:
    return Choice(
        split_method=safe.row.split_method,
        photos=safe.row.photos,
        environment=safe.row.environment,
        threads=safe.row.threads,
        outcome="undecided" if rivals else "chosen",
        goal=goal,
        headline=headline,
        row=safe.row,
        best=best,
        change=None if safe.row is best else safe.change,
        rivals=tuple(one.row for one in rivals),
        reasons=reasons,
    )


def _best(rows: Sequence[VariantRow]) -> VariantRow:
    return max(
        rows,
        key=lambda row: (row.validation_f1.weighted_f1 if row.validation_f1 else 0.0, -speed(row)),
    )


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


def _reasons(
    goal: Goal, safe: _Candidate, best: VariantRow, rivals: Sequence[_Candidate]
) -> tuple[str, ...]:
    row = safe.row
    reasons: list[str] = []
    if row is best:
        reasons.append(
            f"It has the best validation F1, {as_f1(row.validation_f1)}, and no {goal.better}"
            " variant is surely within 1 point of it."
        )
    else:
        reasons.append(
            f"On the validation photos it differs from the best, {as_row(best)}"
            f" ({as_f1(best.validation_f1)}), by {as_points(safe.change)} points, and"
            f" {goal.gain(row, best)}."
        )
    for one in rivals[:SHOWN_RIVALS]:
        reasons.append(
            f"{as_row(one.row)} {goal.instead(one.row, row)} and differs from the best by"
            f" {as_points(one.change)} points: the interval lies across the bound of"
            f" {MINUS}1 point."
        )
    return (*reasons, _test_sentence(row))


def _test_sentence(row: VariantRow) -> str:
    if row.f1 is None:
        return "It was not judged on the test photos."
    return (
        f"On the {row.test_photos} test photos, which had no part in the choice: weighted F1"
        f" {as_f1(row.f1)}; median {as_ms(row.median_ms)} ms, p90 {as_ms(row.p90_ms)} ms."
    )
