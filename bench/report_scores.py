"""The scores of a report: each computed once, however many rows show it.

They are those of ``bench.scores``, but for rounding in the last bit: the same resamples of senders,
of which a report keeps the F1 of each, so that a difference of two records is a subtraction. It has
thousands of records to score, so the counts of all resamples are one matrix product, and intervals
are cut out without ``np.quantile``, which takes longer to be called than to compute.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.record import AccuracyRecord
from bench.scores import Difference, Predicted, Scores, senders_of
from train.metrics import (
    ClassScore,
    calibration_error,
    sender_draws,
    top_accuracy,
)

RESAMPLES = 2_000
SEED = 0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Resampled:
    """The weighted F1 of one record: of all its photos, and of each resample of its senders."""

    scores: Scores
    f1s: Floats


class _Once:
    """A record's predictions as a key: the same predictions give the same scores."""

    def __init__(self, record: Predicted) -> None:
        self.record = record
        self.key = (
            record.labels, senders_of(record), record.truths, record.predictions,
            record.top_classes, record.confidences,
        )  # fmt: skip
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and self.key == other.key


def score_of(record: Predicted) -> Scores:
    """Return every figure of ``record``, weighted F1 and accuracy with their 95 % intervals."""
    return _resampled(_Once(record)).scores


def change_between(base: AccuracyRecord, other: AccuracyRecord) -> Difference | None:
    """Return the weighted F1 of ``other`` less that of ``base``, paired photo by photo.

    Each resample draws whole senders once for both. ``None`` where the two were not judged on
    the same photos of the same senders with the same labels.
    """
    if not same_photos(base, other):
        return None
    before, after = _resampled(_Once(base)), _resampled(_Once(other))
    low, high = interval(after.f1s - before.f1s)
    value = after.scores.weighted_f1 - before.scores.weighted_f1
    return Difference(value=value, low=low, high=high)


def same_photos(one: AccuracyRecord, other: AccuracyRecord) -> bool:
    """Return whether both were judged on the same photos, senders, truths and labels."""
    if one.labels != other.labels:
        return False
    if (one.photo_ids, one.truths, one.senders) == (other.photo_ids, other.truths, other.senders):
        return True
    return _judged(one) == _judged(other)


def _judged(record: AccuracyRecord) -> dict[str, tuple[int, str]]:
    pairs = zip(record.truths, record.senders, strict=True)
    return dict(zip(record.photo_ids, pairs, strict=True))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of ``(latency, F1)`` that no other point beats or equals in both."""
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[index][1] > best:
            best = points[index][1]
            front.append(index)
    return front


def confusion_of(record: Predicted) -> tuple[tuple[int, ...], ...]:
    """Return how many photos of each label were taken for which: ``[truth][prediction]``."""
    truths, predictions = np.asarray(record.truths), np.asarray(record.predictions)
    counts = _tally(truths, predictions, len(record.labels), len(record.labels))
    return tuple(tuple(int(count) for count in row) for row in counts)


def classes_of(record: Predicted) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each of the record's labels, in their order."""
    hits, predicted = np.split(_counts(record).sum(axis=0), 2)
    photos = np.bincount(record.truths, minlength=len(record.labels)).astype(np.float64)
    precision, recall = (hits / np.maximum(whole, 1.0) for whole in (predicted, photos))
    f1s = _of_classes(hits, predicted, photos)
    return tuple(
        ClassScore(photos=int(count), precision=float(p), recall=float(r), f1=float(f1))
        for count, p, r, f1 in zip(photos, precision, recall, f1s, strict=True)
    )


@functools.lru_cache(maxsize=16_384)
def _resampled(once: _Once) -> _Resampled:
    record = once.record
    classes = len(record.labels)
    counts = _counts(record)
    photos, drawn_photos, drawn_total = _support(record.truths, senders_of(record), classes)
    drawn = sender_draws(len(counts), resamples=RESAMPLES, seed=SEED) @ counts
    drawn_hits, drawn_predicted = drawn[:, :classes], drawn[:, classes:]
    f1s = _weighted(drawn_hits, drawn_predicted, drawn_photos, drawn_total)
    low, high = interval(f1s)
    accuracy_low, accuracy_high = interval(np.einsum("rc->r", drawn_hits) / drawn_total)
    hits, predicted = np.split(counts.sum(axis=0), 2)
    tops, confidences = record.top_classes, record.confidences
    scores = Scores(
        weighted_f1=float(_weighted(hits, predicted, photos, photos.sum())),
        low=float(low),
        high=float(high),
        accuracy=float(hits.sum() / photos.sum()),
        accuracy_low=float(accuracy_low),
        accuracy_high=float(accuracy_high),
        macro_f1=float(_of_classes(hits, predicted, photos)[photos + predicted > 0].mean()),
        top3_accuracy=top_accuracy(record.truths, tops) if tops else None,
        calibration_error=(
            calibration_error(record.truths, record.predictions, confidences)
            if confidences
            else None
        ),
    )
    return _Resampled(scores=scores, f1s=f1s)


def interval(values: Floats) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of ``values``, interpolated as NumPy does."""
    last = len(values) - 1
    places = (0.025 * last, 0.975 * last)
    floors = [int(place) for place in places]
    ordered = np.partition(values, [*floors, *(min(floor + 1, last) for floor in floors)])
    low, high = (
        _between(float(ordered[floor]), float(ordered[min(floor + 1, last)]), place - floor)
        for place, floor in zip(places, floors, strict=True)
    )
    return low, high


def _between(start: float, end: float, share: float) -> float:
    """Return the point between two, counted from the nearer one, so that it rounds as NumPy's."""
    step = end - start
    return end - step * (1.0 - share) if share >= 0.5 else start + step * share


def _counts(record: Predicted) -> Floats:
    """Return right, then all predictions of each sender: ``(senders, 2 * classes)``."""
    rows, senders = _sender_rows(senders_of(record))
    classes = len(record.labels)
    truths, predictions = np.asarray(record.truths), np.asarray(record.predictions)
    right = truths == predictions
    hits = _tally(rows[right], truths[right], senders, classes)
    return np.concatenate((hits, _tally(rows, predictions, senders, classes)), axis=1)


@functools.lru_cache(maxsize=64)
def _support(
    truths: tuple[int, ...], senders: tuple[str, ...], classes: int
) -> tuple[Floats, Floats, Floats]:
    """Return the photos of each class, ``(classes,)``, those of each resample, and their sums."""
    rows, count = _sender_rows(senders)
    photos = _tally(rows, np.asarray(truths), count, classes)
    drawn = sender_draws(count, resamples=RESAMPLES, seed=SEED) @ photos
    return photos.sum(axis=0), drawn, np.maximum(drawn.sum(axis=-1), 1.0)


@functools.lru_cache(maxsize=64)
def _sender_rows(senders: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the number of each photo's sender, in the order of their names, and how many."""
    numbers = {sender: number for number, sender in enumerate(sorted(set(senders)))}
    return np.array([numbers[sender] for sender in senders]), len(numbers)


def _tally(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], height: int, width: int
) -> Floats:
    places = np.bincount(rows * width + columns, minlength=height * width)
    return places.reshape(height, width).astype(np.float64)


def _of_classes(hits: Floats, predicted: Floats, photos: Floats) -> Floats:
    """Return the F1 of each class; 0 where there is nothing to divide by."""
    return np.asarray(2 * hits / np.maximum(photos + predicted, 1.0))


def _weighted(hits: Floats, predicted: Floats, photos: Floats, total: Floats) -> Floats:
    """Return the F1 of the classes weighted by their photos, of each ``(..., classes)``."""
    f1s = _of_classes(hits, predicted, photos)
    return np.asarray(np.einsum("...c,...c->...", f1s, photos) / total)
