"""Scores of a classifier, with intervals that respect who sent the photos.

scikit-learn computes the scores of one set of predictions; what it does not have, the bootstrap
over senders and the calibration error, is here. Photos of one sender resemble one another, so
the bootstrap draws whole senders, not photos: drawing photos would give intervals that are too
narrow.
Source: Cameron, Gelbach & Miller 2008, "Bootstrap-based improvements for inference with
clustered errors" (the pairs cluster bootstrap).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
CALIBRATION_BINS = 15


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How one class was recognised.

    Attributes:
        photos: photos that are of the class; its weight in the weighted F1.
        precision: share of the predictions of this class that are right, in [0, 1]; 0 where it
            was never predicted.
        recall: share of its photos that were found, in [0, 1]; 0 where it has none.
        f1: harmonic mean of the two, in [0, 1].
    """

    photos: int
    precision: float
    recall: float
    f1: float


def weighted_f1(truths: Sequence[int], predictions: Sequence[int], classes: int) -> float:
    """Return the F1 of each class averaged by its number of true photos, in [0, 1]."""
    from sklearn.metrics import f1_score

    return float(
        f1_score(truths, predictions, labels=range(classes), average="weighted", zero_division=0.0)
    )


def accuracy(truths: Sequence[int], predictions: Sequence[int]) -> float:
    """Return the share of photos whose prediction is right, in [0, 1]."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truths, predictions))


def macro_f1(truths: Sequence[int], predictions: Sequence[int], classes: int) -> float:
    """Return the F1 of each class, averaged with equal weights, in [0, 1].

    A class that has neither photos nor predictions has no F1 and is left out.
    """
    from sklearn.metrics import f1_score

    return float(
        f1_score(truths, predictions, labels=range(classes), average="macro", zero_division=np.nan)
    )


def class_scores(
    truths: Sequence[int], predictions: Sequence[int], classes: int
) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of every class, in the order of the classes."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        truths, predictions, labels=range(classes), zero_division=0.0
    )
    return tuple(
        ClassScore(photos=int(photos), precision=float(p), recall=float(r), f1=float(f1))
        for p, r, f1, photos in zip(*columns, strict=True)
    )


def confusion_matrix(
    truths: Sequence[int], predictions: Sequence[int], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Return how many photos of each class were taken for which: ``[truth][prediction]``."""
    from sklearn import metrics

    counts = metrics.confusion_matrix(truths, predictions, labels=range(classes))
    return tuple(tuple(int(count) for count in row) for row in counts)


def top_accuracy(truths: Sequence[int], top_classes: Sequence[Sequence[int]]) -> float:
    """Return the share of photos whose class is among their most probable ones, in [0, 1].

    Args:
        truths: class index of each photo.
        top_classes: the most probable classes of each photo; ``top_k_accuracy_score`` of
            scikit-learn would need the probabilities of all, which records do not keep.
    """
    hits = [truth in best for truth, best in zip(truths, top_classes, strict=True)]
    return float(np.mean(hits))


def calibration_error(
    truths: Sequence[int],
    predictions: Sequence[int],
    confidences: Sequence[float],
    *,
    bins: int = CALIBRATION_BINS,
) -> float:
    """Return the expected calibration error, in [0, 1]: 0 where confidence is a true probability.

    The photos are put into bins of equal width by confidence, bin ``k`` of ``n`` holding those
    in ``(k / n, (k + 1) / n]``; the distances between mean confidence and accuracy of the bins
    are averaged by their numbers of photos.
    Source: Guo et al. 2017, "On calibration of modern neural networks", equation 3.

    Args:
        truths: class index of each photo.
        predictions: predicted class index of each photo.
        confidences: probability given to each prediction, in [0, 1].
        bins: how many.
    """
    hits = np.equal(truths, predictions).astype(np.float64)
    edges = np.arange(1, bins) / bins
    places = np.digitize(np.asarray(confidences, np.float64), edges, right=True)
    gaps = np.bincount(places, weights=hits - np.asarray(confidences, np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))  # a bin's share times its gap is its sum over n


def sender_confusions(
    truths: Sequence[int], predictions: Sequence[int], senders: Sequence[str], classes: int
) -> Counts:
    """Return one confusion matrix a sender: ``(senders, truth, prediction)``."""
    numbers = {sender: number for number, sender in enumerate(sorted(set(senders)))}
    counts = np.zeros((len(numbers), classes, classes))
    rows = [numbers[sender] for sender in senders]
    np.add.at(counts, (rows, list(truths), list(predictions)), 1.0)
    return counts


def weighted_f1_of(confusions: Counts) -> Counts:
    """Return the weighted F1 of each matrix in ``(..., truth, prediction)``."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    support = confusions.sum(axis=-1)
    predicted = confusions.sum(axis=-2)
    scores = np.divide(2 * hits, support + predicted, out=np.zeros_like(hits), where=hits > 0)
    total = support.sum(axis=-1)
    return np.asarray((scores * support).sum(axis=-1) / np.maximum(total, 1.0))


def accuracy_of(confusions: Counts) -> Counts:
    """Return the accuracy of each matrix in ``(..., truth, prediction)``."""
    hits = np.trace(confusions, axis1=-2, axis2=-1)
    return np.asarray(hits / np.maximum(confusions.sum(axis=(-2, -1)), 1.0))


@functools.lru_cache(maxsize=8)
def sender_draws(senders: int, *, resamples: int, seed: int) -> Counts:
    """Return how often each sender is drawn in each resample: ``(resamples, senders)``."""
    generator = np.random.default_rng(seed)
    shares = np.full(senders, 1.0 / senders)
    draws = generator.multinomial(senders, shares, size=resamples).astype(np.float64)
    draws.setflags(write=False)
    return draws


def resampled_confusions(confusions: Counts, *, resamples: int, seed: int) -> Counts:
    """Return the matrix of every bootstrap resample of whole senders.

    Args:
        confusions: ``(..., senders, truth, prediction)``; all are drawn alike.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        ``(..., resamples, truth, prediction)``
    """
    *leading, senders, classes, _ = confusions.shape
    draws = sender_draws(senders, resamples=resamples, seed=seed)
    flat = draws @ confusions.reshape(*leading, senders, classes * classes)
    return flat.reshape(*leading, resamples, classes, classes)


def interval_of(values: Counts) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """95 % intervals ``(low, high)`` of the scores, from the same resamples of senders."""

    weighted_f1: tuple[float, float]
    accuracy: tuple[float, float]


def bootstrap_intervals(
    truths: Sequence[int],
    predictions: Sequence[int],
    senders: Sequence[str],
    classes: int,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> Intervals:
    """Return the 95 % intervals of weighted F1 and accuracy, by the bootstrap over senders.

    Args:
        truths: class index of each photo.
        predictions: predicted class index of each photo.
        senders: sender of each photo.
        classes: number of classes.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    confusions = sender_confusions(truths, predictions, senders, classes)
    drawn = resampled_confusions(confusions, resamples=resamples, seed=seed)
    return Intervals(
        weighted_f1=interval_of(weighted_f1_of(drawn)), accuracy=interval_of(accuracy_of(drawn))
    )
