"""The approaches side by side, a row each: on test photos, over folds, as the original reported.

What an approach was trained on under each split and what its folds say come from records of their
own; a row brings them together where classes and photos are the same.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from bench.crossval import FoldScores
from bench.originals import Original, original_of
from bench.report_crossval import CrossvalRow
from bench.report_format import ABSENT, as_f1, as_share, as_spread
from bench.report_layout import Table
from bench.report_sentences import APPROACHES, NETWORKS, ORIGINAL
from bench.report_tables import Accuracies, VariantRow
from bench.scores import Scores

SPLITS = ("stratified", "grouped")
TRAINED, REFIT = "training", "training, validation"  # photos
_PREFERRED = "litert"
_Task = tuple[tuple[str, ...], str]  # classes, fingerprint of the photos
_Judged = tuple[str, str, _Task, str]  # approach, split, task, digest of the network
_DIGITS = 8  # of a network's digest, where one approach was trained more than once
_Cells = tuple[tuple[str, ...], list[tuple[str, ...]]]  # headers, and a row each, empty for none


@dataclass(frozen=True, kw_only=True)
class JudgedApproach:
    """One approach under one split; ``None``: not measured.

    Attributes:
        variant: the float variant that was judged on the test photos; empty where none was.
        runtime: what it ran under.
        test_photos: how many there were.
        test: its scores on them.
        validation: its scores on the validation photos, which a choice among networks is made on.
        crossval: what its latest cross-validation says.
    """

    variant: str = ""
    runtime: str = ""
    test_photos: int = 0
    test: Scores | None = None
    validation: Scores | None = None
    crossval: FoldScores | None = None


@dataclass(frozen=True, kw_only=True)
class ApproachRow:
    """One approach on one set of classes and photos.

    Attributes:
        approach: its name.
        network: first digits of the digest of the network that was judged, or of both; empty
            where none was.
        again: whether the approach was trained more than once under one split.
        classes: how many it tells apart.
        dataset: name of the photos; empty where no record tells it.
        refit: whether it was trained on the validation photos too.
        stratified: where photos of one sender fall on both sides; ``None`` where it was not run.
        grouped: where each sender keeps to one side; likewise.
        original: what was reported for it elsewhere, of a split that ignores senders.
    """

    approach: str
    network: str
    again: bool
    classes: int
    dataset: str
    refit: bool
    stratified: JudgedApproach | None = None
    grouped: JudgedApproach | None = None
    original: Original | None = None

    def under(self, split_method: str) -> JudgedApproach:
        """Return what was measured under a split, empty where nothing was."""
        found = self.stratified if split_method == "stratified" else self.grouped
        return found or JudgedApproach()


def plain_floats(rows: Sequence[VariantRow]) -> list[VariantRow]:
    """Return the float variants of networks as trained, LiteRT's before any other's."""
    plain = (row for row in rows if row.precision == "float" and not row.techniques)
    return sorted(plain, key=lambda row: not row.runtime.startswith(_PREFERRED))


def judged_variants(
    rows: Sequence[VariantRow], accuracies: Accuracies
) -> dict[_Judged, VariantRow]:
    """Return the plain float variant that judges each network, by approach, split and task."""
    found: dict[_Judged, VariantRow] = {}
    for row in plain_floats(rows):
        if row.f1 is not None:
            task = accuracies.photos.task_of(row.photos)
            found.setdefault((row.network, row.split_method, task, row.network_sha256), row)
    return found


def repeated(judged: dict[_Judged, VariantRow]) -> dict[str, str]:
    """Return how to tell apart networks of one approach, split and task: digits by digest."""
    times = Counter(key[:3] for key in judged)
    again = {key[0] for key, count in times.items() if count > 1}
    return {sha256: sha256[:_DIGITS] for approach, *_, sha256 in judged if approach in again}


def approach_rows(
    rows: Sequence[VariantRow], crossvals: Sequence[CrossvalRow], accuracies: Accuracies
) -> tuple[ApproachRow, ...]:
    """Return a row for each approach and task that was judged on test photos or over folds.

    Where an approach was trained more than once there is a row a network; its folds stand beside
    one that was judged on the machine that ran them, else beside the first.
    """
    judged = judged_variants(rows, accuracies)
    folded = {(one.approach, one.split_method, _task(one, judged)): one for one in crossvals}
    found = []
    tested = {(approach, task) for approach, _, task, _ in judged}
    for approach, task in sorted(tested | {(approach, task) for approach, _, task in folded}):
        folds = [folded.get((approach, method, task)) for method in SPLITS]
        pairs = _pairs([_tests(judged, approach, method, task) for method in SPLITS])
        beside = _beside(folds, pairs)
        for number, tests in enumerate(pairs):
            here = folds if number == beside else [None, None]
            known = [accuracies.photos.named(row.photos) for row in tests if row]
            names = [*(one.dataset for one in folds if one), *(one.dataset for one in known if one)]
            dataset = next(filter(None, names), "")
            stratified, grouped = map(_judged, tests, here)
            told = [row.network_sha256[:_DIGITS] for row in tests if row]
            found.append(
                ApproachRow(
                    approach=approach,
                    network=", ".join(told),
                    again=len(pairs) > 1,
                    classes=len(task[0]),
                    dataset=dataset,
                    refit=any(accuracies.refitted(row) for row in tests if row),
                    stratified=stratified,
                    grouped=grouped,
                    original=original_of(approach, dataset),
                )
            )
    return tuple(found)


def _tests(
    judged: dict[_Judged, VariantRow], approach: str, method: str, task: _Task
) -> list[VariantRow]:
    return [row for key, row in judged.items() if key[:3] == (approach, method, task)]


def _pairs(tests: Sequence[Sequence[VariantRow]]) -> list[list[VariantRow | None]]:
    """Return one network of each split at a time; of several, those of one machine together."""
    if all(len(rows) < 2 for rows in tests):
        return [[next(iter(rows), None) for rows in tests]]
    machines = dict.fromkeys(row.environment for rows in tests for row in rows)
    found: list[list[VariantRow | None]] = []
    for machine in machines:
        here = ([row for row in rows if row.environment == machine] for rows in tests)
        found += map(list, zip_longest(*here))
    return found


def _beside(
    folds: Sequence[CrossvalRow | None], pairs: Sequence[Sequence[VariantRow | None]]
) -> int:
    """Return which pair the folds belong to."""
    machines = {one.environment for one in folds if one}
    ours = (any(row and row.environment in machines for row in pair) for pair in pairs)
    return next((number for number, found in enumerate(ours) if found), 0)


def _task(one: CrossvalRow, judged: dict[_Judged, VariantRow]) -> _Task:
    """Return the task of a cross-validation, that of test photos of an untold dataset too."""
    task = (one.labels, one.dataset_fingerprint)
    tested = {key[2] for key in judged if key[0] == one.approach}
    untold = (one.labels, "")
    return untold if task not in tested and untold in tested else task


def _judged(row: VariantRow | None, folds: CrossvalRow | None) -> JudgedApproach | None:
    if row is None and folds is None:
        return None
    return JudgedApproach(
        variant=row.variant if row else "",
        runtime=row.runtime if row else "",
        test_photos=row.test_photos if row else 0,
        test=row.f1 if row else None,
        validation=row.validation_f1 if row else None,
        crossval=folds.scores if folds else None,
    )


def approach_table(rows: Sequence[ApproachRow]) -> Table | None:
    """Return the approaches; columns that would be empty throughout are left out."""
    if not rows:
        return None
    headers: list[str] = ["approach", "classes"]
    cells = [[row.approach, str(row.classes) if row.classes else ABSENT] for row in rows]
    words = 2
    if any(row.again for row in rows):
        headers.insert(1, "network")
        words += 1
        for line, row in zip(cells, rows, strict=True):
            line.insert(1, row.network or ABSENT)
    if any(row.refit for row in rows):
        headers.append("trained on")
        words += 1
        for line, row in zip(cells, rows, strict=True):
            line.append(REFIT if row.refit else TRAINED)
    for names, columns in _columns(rows):
        if any(columns):
            headers += names
            for line, texts in zip(cells, columns, strict=True):
                line += texts or (ABSENT,) * len(names)
    return Table(
        caption="Approaches",
        headers=tuple(headers),
        rows=tuple(tuple(line) for line in cells),
        words=words,
        note=APPROACHES
        + (NETWORKS if any(row.again for row in rows) else "")
        + (ORIGINAL if any("original" in name for name in headers) else ""),
    )


def _columns(rows: Sequence[ApproachRow]) -> list[_Cells]:
    """Return groups of columns: what is compared with the original stands beside it."""
    found: list[_Cells] = []
    for method in SPLITS:
        ours = [row.under(method) for row in rows]
        theirs = [
            row.original if method == "stratified" and row.stratified else None for row in rows
        ]
        found += [
            (
                (f"{method} test: weighted F1 [95 %]", "accuracy", "macro F1"),
                [_test_cells(one.test) for one in ours],
            ),
            (("the original: F1",), [_reported(one.f1 if one else None) for one in theirs]),
            (
                (f"{method} folds: weighted F1", "out of fold [95 %]"),
                [_fold_cells(one.crossval) for one in ours],
            ),
            (
                ("the original: 5 folds",),
                [_reported(one.five_fold_f1 if one else None) for one in theirs],
            ),
        ]
    for method in SPLITS:
        names = (f"{method} test: top 3", "calibration error")
        found.append((names, [_sure_cells(row.under(method).test) for row in rows]))
    return found


def _test_cells(score: Scores | None) -> tuple[str, ...]:
    return (as_f1(score), as_share(score.accuracy), as_share(score.macro_f1)) if score else ()


def _sure_cells(score: Scores | None) -> tuple[str, ...]:
    if score is None or score.top3_accuracy is None:
        return ()
    return as_share(score.top3_accuracy), as_share(score.calibration_error)


def _fold_cells(folds: FoldScores | None) -> tuple[str, ...]:
    return (as_spread(folds.mean, folds.deviation), as_f1(folds.pooled)) if folds else ()


def _reported(value: float | None) -> tuple[str, ...]:
    """Return a figure of the original with the two digits that it gave."""
    return () if value is None else (f"{value:.2f}",)
