"""Cross-validations and classes in a report: rows, tables and confusion charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.crossval import FoldScores, fold_scores
from bench.record import CrossvalRecord, Record, of_kind
from bench.report_format import as_count, as_f1, as_share, as_spread, as_whole
from bench.report_layout import Table
from bench.report_scores import classes_of, confusion_of, score_of
from bench.report_tables import Accuracies, VariantRow
from bench.scores import Predicted

CROSSVAL_HEADERS = (
    "approach", "split", "weights it began from", "photos", "folds", "views", "mean ± sd",
    "F1 of the folds", "out of fold: weighted F1 [95 %]", "accuracy", "macro F1", "top 3",
    "calibration error", "seconds",
)  # fmt: skip
MOST_WHOLE = 3  # approaches that a table of classes has room for with precision and recall
NO_DIGITS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class CrossvalRow:
    """One cross-validation.

    Attributes:
        environment: key of the machine that ran it.
        scores: of its folds, and of all out-of-fold predictions together.
        seconds: wall time of features and folds.
        confusion: photos of each label taken for which: ``[truth][prediction]``.
    """

    approach: str
    split_method: str
    environment: str
    dataset: str
    dataset_fingerprint: str
    weights_source: str
    weights_coverage: float
    photos: int
    senders: int
    folds: int
    seed: int
    views: int
    seconds: float
    scores: FoldScores
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """What a chart of it is called."""
        return f"{self.approach}, {self.folds} {self.split_method} folds"


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class as one approach recognised it.

    Attributes:
        judged_on: ``test`` or ``out of fold``.
        classes: how many the approach tells apart.
        dataset_fingerprint: of the photos; empty where no record tells it.
        photos: photos of the class among those judged.
    """

    judged_on: str
    split_method: str
    approach: str
    classes: int
    dataset_fingerprint: str
    label: str
    photos: int
    precision: float
    recall: float
    f1: float


def crossval_rows(records: Sequence[Record]) -> tuple[CrossvalRow, ...]:
    """Return one row for each cross-validation; of those made twice, the latest."""
    return tuple(
        CrossvalRow(
            approach=one.approach,
            split_method=one.split_method,
            environment=one.environment,
            dataset=one.dataset,
            dataset_fingerprint=one.dataset_fingerprint,
            weights_source=one.weights_source,
            weights_coverage=one.weights_coverage,
            photos=len(one.photo_ids),
            senders=len(one.sender_names),
            folds=one.folds,
            seed=one.seed,
            views=one.views,
            seconds=one.train_seconds,
            scores=fold_scores(one, pooled=score_of(one)),
            labels=one.labels,
            confusion=confusion_of(one),
        )
        for one in _latest(records)
    )


def crossval_table(rows: Sequence[CrossvalRow]) -> Table | None:
    """Return the cross-validations, a row each."""
    if not rows:
        return None
    return Table(
        caption="Cross-validations",
        headers=CROSSVAL_HEADERS,
        rows=tuple(_cells(row) for row in rows),
        words=3,
    )


def class_rows(
    rows: Sequence[VariantRow],
    accuracies: Accuracies,
    records: Sequence[Record],
    digits: Mapping[str, str] = NO_DIGITS,
) -> tuple[ClassRow, ...]:
    """Return every class as every approach recognised it, on test photos and out of fold.

    Args:
        rows: the variants whose test photos are to count, one a network, split and task.
        accuracies: their predictions.
        records: holds the cross-validations; of several of one approach the latest counts.
        digits: of the digest of each network whose approach was trained more than once: they
            follow the approach's name.
    """
    judged: dict[tuple[str, str, str, str, tuple[str, ...]], Predicted] = {}
    for row in rows:
        record = accuracies.of(row, "test")
        if record:
            _, fingerprint = accuracies.photos.task_of(row.photos)
            told = digits.get(row.network_sha256)
            name = f"{row.network} ({told})" if told else row.network
            judged["test", row.split_method, name, fingerprint, record.labels] = record
    for one in _latest(records):
        key = ("out of fold", one.split_method, one.approach, one.dataset_fingerprint, one.labels)
        judged[key] = one
    return tuple(
        ClassRow(
            judged_on=where,
            split_method=method,
            approach=approach,
            classes=len(labels),
            dataset_fingerprint=fingerprint,
            label=label,
            photos=score.photos,
            precision=score.precision,
            recall=score.recall,
            f1=score.f1,
        )
        for (where, method, approach, fingerprint, labels), record in judged.items()
        for label, score in zip(labels, classes_of(record), strict=True)
    )


def class_tables(rows: Sequence[ClassRow]) -> tuple[Table, ...]:
    """Return the scores of each class, approaches side by side where they know the same classes.

    Precision and recall stand beside F1 as far as a table has room for them.
    """
    approaches: dict[tuple[str, str, str, int, str], list[ClassRow]] = {}
    for row in rows:
        key = (
            row.judged_on, row.split_method, row.approach, row.classes, row.dataset_fingerprint,
        )  # fmt: skip
        approaches.setdefault(key, []).append(row)
    groups: dict[tuple[object, ...], list[list[ClassRow]]] = {}
    for (where, method, *_), classes in sorted(approaches.items(), key=_class_order):
        photos = tuple((row.label, row.photos) for row in classes)
        groups.setdefault((where, method, photos), []).append(classes)
    return tuple(_class_table(columns) for columns in groups.values())


def _class_order(
    found: tuple[tuple[str, str, str, int, str], list[ClassRow]],
) -> tuple[object, ...]:
    where, method, approach, classes, fingerprint = found[0]
    return where != "test", method != "stratified", approach, classes, fingerprint


def _class_table(columns: Sequence[Sequence[ClassRow]]) -> Table:
    first = columns[0]
    order = sorted(range(len(first)), key=lambda number: (-first[number].photos, number))
    where = "on the test photos" if first[0].judged_on == "test" else "out of fold"
    whole = len(columns) <= MOST_WHOLE
    cell = _whole_class if whole else _class_f1
    return Table(
        caption=(
            f"F1{' (precision, recall)' if whole else ''} of each of {len(first)} classes {where},"
            f" {first[0].split_method} split"
        ),
        headers=("class", "photos", *(classes[0].approach for classes in columns)),
        rows=tuple(
            (
                first[number].label,
                as_count(first[number].photos),
                *(cell(classes[number]) for classes in columns),
            )
            for number in order
        ),
        note="" if whole else "Precision and recall of each are in classes.csv.",
    )


def _whole_class(row: ClassRow) -> str:
    return f"{as_share(row.f1)} ({as_share(row.precision)}, {as_share(row.recall)})"


def _class_f1(row: ClassRow) -> str:
    return as_share(row.f1)


def _latest(records: Sequence[Record]) -> list[CrossvalRecord]:
    """Return the last cross-validation of each kind, stratified before grouped."""
    found: dict[tuple[object, ...], CrossvalRecord] = {}
    for one in of_kind(records, CrossvalRecord):
        key = (
            one.approach, one.split_method, one.folds, one.seed, one.dataset_fingerprint,
            one.labels,
        )  # fmt: skip
        found.pop(key, None)  # so that the latest also comes last
        found[key] = one
    return sorted(found.values(), key=lambda one: (one.approach, one.split_method != "stratified"))


def _cells(row: CrossvalRow) -> tuple[str, ...]:
    scores, pooled = row.scores, row.scores.pooled
    return (
        row.approach,
        row.split_method,
        row.weights_source,
        as_count(row.photos),
        as_count(row.folds),
        as_count(row.views),
        as_spread(scores.mean, scores.deviation),
        " ".join(as_share(f1) for f1 in scores.f1s),
        as_f1(pooled),
        as_share(pooled.accuracy),
        as_share(pooled.macro_f1),
        as_share(pooled.top3_accuracy),
        as_share(pooled.calibration_error),
        as_whole(row.seconds),
    )
