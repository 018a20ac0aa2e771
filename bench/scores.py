"""Scores of recorded predictions, and how those of two variants differ.

A float and an int8 variant are judged on the same photos, so their difference is taken photo by
photo: its interval is far narrower than those of the two scores laid side by side.
"""

from dataclasses import dataclass

import numpy as np

from bench.record import AccuracyRecord, CrossvalRecord
from train.errors import DataError
from train.metrics import (
    ClassScore,
    accuracy,
    bootstrap_intervals,
    calibration_error,
    class_scores,
    confusion_matrix,
    interval_of,
    macro_f1,
    resampled_confusions,
    sender_confusions,
    top_accuracy,
    weighted_f1,
    weighted_f1_of,
)

Predicted = AccuracyRecord | CrossvalRecord


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the predictions of one record say, every figure in [0, 1].

    Attributes:
        weighted_f1: F1 of the classes, weighted by their photos.
        low: lower end of its 95 % interval, by the bootstrap over senders.
        high: upper end of it.
        accuracy: share of photos predicted right.
        accuracy_low: lower end of its 95 % interval, from the same resamples.
        accuracy_high: upper end of it.
        macro_f1: F1 of the classes, all with one weight.
        top3_accuracy: share of photos whose class is among the three most probable; ``None``
            where the record does not hold them.
        calibration_error: expected calibration error in 15 bins; ``None`` likewise.
    """

    weighted_f1: float
    low: float
    high: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    top3_accuracy: float | None
    calibration_error: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Weighted F1 of one record minus another's on the same photos, in [-1, 1].

    Attributes:
        value: the difference; negative where the first is worse.
        low: lower end of its 95 % interval, by the bootstrap over senders.
        high: upper end of it.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Photos that a variant predicts otherwise than its parent.

    Attributes:
        photos: photos compared.
        right_to_wrong: the parent was right, the variant is wrong.
        wrong_to_right: the parent was wrong, the variant is right.
        wrong_to_wrong: both are wrong, each in its own way.
    """

    photos: int
    right_to_wrong: int
    wrong_to_right: int
    wrong_to_wrong: int

    @property
    def changed(self) -> int:
        """All photos whose prediction changed."""
        return self.right_to_wrong + self.wrong_to_right + self.wrong_to_wrong


def score(record: Predicted, *, resamples: int = 2_000, seed: int = 0) -> Scores:
    """Return every figure of a record, weighted F1 and accuracy with their intervals.

    Those of out-of-fold predictions take the models of the folds as they are: how another
    training would have come out is not in the intervals.
    """
    classes = len(record.labels)
    truths, predictions = record.truths, record.predictions
    intervals = bootstrap_intervals(
        truths, predictions, senders_of(record), classes, resamples=resamples, seed=seed
    )
    (low, high), (accuracy_low, accuracy_high) = intervals.weighted_f1, intervals.accuracy
    tops, confidences = record.top_classes, record.confidences
    return Scores(
        weighted_f1=weighted_f1(truths, predictions, classes),
        low=low,
        high=high,
        accuracy=accuracy(truths, predictions),
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        macro_f1=macro_f1(truths, predictions, classes),
        top3_accuracy=top_accuracy(truths, tops) if tops else None,
        calibration_error=(
            calibration_error(truths, predictions, confidences) if confidences else None
        ),
    )


def senders_of(record: Predicted) -> tuple[str, ...]:
    """Return the sender of each photo of a record."""
    return record.photo_senders if isinstance(record, CrossvalRecord) else record.senders


def score_classes(record: Predicted) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each of the record's labels, in their order."""
    return class_scores(record.truths, record.predictions, len(record.labels))


def confusion_of(record: Predicted) -> tuple[tuple[int, ...], ...]:
    """Return how many photos of each label were taken for which: ``[truth][prediction]``."""
    return confusion_matrix(record.truths, record.predictions, len(record.labels))


def paired_difference(
    record: AccuracyRecord,
    *,
    parent: AccuracyRecord,
    resamples: int = 2_000,
    seed: int = 0,
) -> Difference:
    """Return the weighted F1 of ``record`` less that of ``parent``, with its 95 % interval.

    Each resample draws whole senders once and scores both records on them.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    theirs = _aligned_predictions(record, parent)
    classes = len(record.labels)
    pair = np.stack(
        [
            sender_confusions(record.truths, predictions, record.senders, classes)
            for predictions in (record.predictions, theirs)
        ]
    )
    mine, parents = weighted_f1_of(pair.sum(axis=1))
    resampled = weighted_f1_of(resampled_confusions(pair, resamples=resamples, seed=seed))
    low, high = interval_of(resampled[0] - resampled[1])
    return Difference(value=float(mine - parents), low=low, high=high)


def count_flips(record: AccuracyRecord, *, parent: AccuracyRecord) -> Flips:
    """Return how many predictions of ``record`` differ from ``parent``'s, and which way.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    theirs = _aligned_predictions(record, parent)
    changed = [
        (truth == old, truth == new)
        for truth, old, new in zip(record.truths, theirs, record.predictions, strict=True)
        if old != new
    ]
    return Flips(
        photos=len(record.truths),
        right_to_wrong=changed.count((True, False)),
        wrong_to_right=changed.count((False, True)),
        wrong_to_wrong=changed.count((False, False)),
    )


def _aligned_predictions(record: AccuracyRecord, parent: AccuracyRecord) -> tuple[int, ...]:
    """Return the parent's predictions in the order of the record's photos."""
    if record.labels != parent.labels:
        raise DataError(
            f"{record.variant} and {parent.variant} have other classes: nothing to compare"
        )
    mine = dict(zip(record.photo_ids, record.truths, strict=True))
    theirs = dict(zip(parent.photo_ids, parent.predictions, strict=True))
    if mine != dict(zip(parent.photo_ids, parent.truths, strict=True)):
        raise DataError(
            f"{record.variant} and {parent.variant} were not measured on the same photos"
            f" ({len(mine)} and {len(theirs)}); measure both on the same side of the same split"
        )
    return tuple(theirs[photo_id] for photo_id in record.photo_ids)
