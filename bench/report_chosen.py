"""One network an approach: of several trainings the one that the validation photos speak for.

A table of every network that was ever trained tells little at a glance. Taking the best test F1
of several would flatter, so the test photos have no say here.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from bench.report_approaches import SPLITS, ApproachRow, JudgedApproach


def chosen_rows(rows: Sequence[ApproachRow]) -> tuple[ApproachRow, ...]:
    """Return a row for each approach and task, in the order of ``rows``.

    Under each split it is judged by the network with the best weighted F1 on the validation
    photos, the first of equals; one that no validation photos judged stands only where it is
    alone. Folds stay, whichever network they stood beside.

    Args:
        rows: of ``bench.report_approaches.approach_rows``, networks judged by the same photos.
    """
    groups: dict[tuple[str, int, str], list[ApproachRow]] = {}
    for row in rows:
        groups.setdefault((row.approach, row.classes, row.dataset), []).append(row)
    return tuple(_chosen(group) for group in groups.values())


def _chosen(group: Sequence[ApproachRow]) -> ApproachRow:
    found = {method: _best(row.under(method) for row in group) for method in SPLITS}
    return dataclasses.replace(
        group[0],
        network="",
        again=False,
        refit=all(row.refit for row in group),
        stratified=found["stratified"],
        grouped=found["grouped"],
        original=next((row.original for row in group if row.original), None),
    )


def _best(networks: Iterable[JudgedApproach]) -> JudgedApproach | None:
    known = [one for one in networks if one.test or one.crossval]
    if not known:
        return None
    best = max(known, key=lambda one: one.validation.weighted_f1 if one.validation else -1.0)
    folds = next((one.crossval for one in known if one.crossval), None)
    return dataclasses.replace(best, crossval=folds)
