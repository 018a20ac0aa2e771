"""Frozen features, computed once, and the linear head that is fitted to them.

The head is linear discriminant analysis with a shrunk covariance: its posterior is a softmax over
linear scores, so it drops into the network's own ``logits`` layer. It is fitted in closed form.
Its scores are then scaled to fit the validation photos, which changes no class.
Sources: Friedman 1989, "Regularized discriminant analysis"; solved by scikit-learn. Guo et al.
2017, arXiv:1706.04599 (temperature scaling).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import keras
from train.errors import DataError
from train.metrics import weighted_f1
from train.pixels import Pixels
from train.predict import predict
from train.progress import Progress
from train.storage import cache_folder, digest_of, whole_file

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A fitted linear head.

    Attributes:
        kernel: ``(features, classes)``.
        bias: ``(classes,)``.
        shrinkage: the one that was chosen.
        validation_f1: weighted F1 on the validation photos.
    """

    kernel: Features
    bias: Features
    shrinkage: float
    validation_f1: float


def frozen_features(
    model: Any, pixels: Pixels, *, key: Sequence[str], progress: Progress
) -> Features:
    """Return the network's features of every photo, from the user's cache where they are there.

    Args:
        model: a network with a layer ``features``.
        pixels: ``(photo, rows, columns, 3)`` uint8.
        key: what the features depend on: network, digest of its weights, photos and contract.
        progress: told of every batch.

    Returns:
        ``(photo, features)`` float32.
    """
    path = cache_folder() / "features" / f"{digest_of(list(key))}.npy"
    if path.exists():
        cached: Features = np.load(path)
        return cached
    backbone = keras().Model(model.input, model.get_layer("features").output)
    progress.begin("frozen features", len(pixels))
    features: Features = predict(backbone, pixels, advance=progress.advance)
    with whole_file(path) as draft, draft.open("wb") as stream:
        np.save(stream, features)
    return features


def fit_head(
    train: tuple[Features, Sequence[int]],
    validation: tuple[Features, Sequence[int]],
    *,
    classes: int,
    shrinkages: Sequence[float],
) -> Head:
    """Fit a head for each shrinkage and keep the one that is best on the validation photos.

    Args:
        train: features and class indices of the training photos.
        validation: the same of the validation photos.
        classes: number of outputs; a class without training photos gets a score of its own that
            never wins.
        shrinkages: tried in order; the first of equals is kept.

    Raises:
        DataError: there are no more photos than classes.
    """
    if len(train[0]) <= len(set(train[1])):
        raise DataError(
            f"{len(train[0])} training photos of {len(set(train[1]))} classes are too few to fit a"
            " head; bring more photos"
        )
    heads = [_fit_one(train, validation, classes, shrinkage) for shrinkage in shrinkages]
    return _calibrated(max(heads, key=lambda head: head.validation_f1), validation)


def _calibrated(head: Head, validation: tuple[Features, Sequence[int]]) -> Head:
    """Return ``head`` with its scores scaled so that its probabilities are no bolder than right.

    With more features than photos the scores come out many times too large: the classes stay, but
    the probabilities are all near 0 or 1, and fine-tuning would begin by tearing the head down.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    scores = (validation[0] @ head.kernel + head.bias).astype(np.float64)
    right = scores[np.arange(len(scores)), np.asarray(validation[1])]

    def mean_surprise(log_scale: float) -> float:
        scale = np.exp(log_scale)
        return float(np.mean(logsumexp(scale * scores, axis=1) - scale * right))

    scale = float(np.exp(minimize_scalar(mean_surprise, bounds=(-8.0, 3.0), method="bounded").x))
    return replace(
        head,
        kernel=(scale * head.kernel).astype(np.float32),
        bias=(scale * head.bias).astype(np.float32),
    )


def _fit_one(
    train: tuple[Features, Sequence[int]],
    validation: tuple[Features, Sequence[int]],
    classes: int,
    shrinkage: float,
) -> Head:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    solver = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    solver.fit(train[0].astype(np.float64), np.asarray(train[1]))
    kernel = np.zeros((train[0].shape[1], classes))
    lowest = float(solver.intercept_.min()) - 10.0  # never wins, yet leaves int8 its range
    bias = np.full(classes, lowest)
    if len(solver.classes_) == 2:  # scikit-learn keeps one score for two classes
        kernel[:, solver.classes_[1]] = solver.coef_[0]
        bias[list(solver.classes_)] = (0.0, solver.intercept_[0])
    else:
        kernel[:, solver.classes_] = solver.coef_.T
        bias[solver.classes_] = solver.intercept_
    predictions = (validation[0] @ kernel + bias).argmax(axis=1)
    return Head(
        kernel=kernel.astype(np.float32),
        bias=bias.astype(np.float32),
        shrinkage=shrinkage,
        validation_f1=weighted_f1(list(validation[1]), predictions.tolist(), classes),
    )
