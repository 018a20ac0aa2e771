"""Scores of a classifier, with intervals that respect who sent the photos.

Photos of one sender resemble one another, so the bootstrap draws whole senders, not photos:
drawing photos would give intervals that are too narrow.
Source: Cameron, Gelbach & Miller 2008, "Bootstrap-based improvements for inference with
clustered errors" (the pairs cluster bootstrap).
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]


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


@functools.lru_cache(maxsize=8)
def sender_draws(senders: int, *, resamples: int, seed: int) -> Counts:
    """Return how often each sender is drawn in each resample: ``(resamples, senders)``."""
    generator = np.random.default_rng(seed)
    shares = np.full(senders, 1.0 / senders)
    draws = generator.multinomial(senders, shares, size=resamples).astype(np.float64)
    draws.setflags(write=False)
    return draws


def resampled_f1(confusions: Counts, *, resamples: int, seed: int) -> Counts:
    """Return the weighted F1 of every bootstrap resample of whole senders."""
    senders, classes, _ = confusions.shape
    draws = sender_draws(senders, resamples=resamples, seed=seed)
    flat = draws @ confusions.reshape(senders, classes * classes)
    return weighted_f1_of(flat.reshape(resamples, classes, classes))


def interval_of(values: Counts) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def bootstrap_interval(
    truths: Sequence[int],
    predictions: Sequence[int],
    senders: Sequence[str],
    classes: int,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of the weighted F1, by the bootstrap over senders.

    Args:
        truths: class index of each photo.
        predictions: predicted class index of each photo.
        senders: sender of each photo.
        classes: number of classes.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    confusions = sender_confusions(truths, predictions, senders, classes)
    return interval_of(resampled_f1(confusions, resamples=resamples, seed=seed))
