"""One solver a kind of head: features and classes in, layers out.

A solver is made once for all samples and then asked for heads that leave a fold out, several
settings at a time, so that it may share work between them.

The iterative solvers see features less their means and over one deviation that all share, which
is folded into the layers afterwards. One for each feature would make the faint features as loud
as the strong ones, and scored one to two points of F1 less on photos of clothes.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.approaches import HeadKind
from train.discriminant import discriminants, moments_of
from train.head_layers import Features, Layers, Scores, spread

Settings = dict[str, float]
Fit = Callable[[int | None, Sequence[Settings]], list[Layers]]
LDA_SHRINKAGES = (0.1, 0.3, 0.5, 0.7, 0.9)
_LOGISTIC_CS = (0.1, 0.03, 0.01, 0.003)
_LOGISTIC_STEPS = 150
_MLP_UNITS = (256,)
_MLP_DECAYS = (0.3, 3.0)
_MLP_STEPS = 500
_MLP_BATCH = 128
_MOST_ROWS = 8_000  # samples that the iterative solvers are given


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What heads are fitted to and judged on.

    Attributes:
        features: ``(samples, features)``.
        truths: class of each sample.
        folds: fold of each sample, from 0.
        first: index of the first sample of each photo: its plain view.
        classes: number of classes.
        seed: of solvers that begin at random.
    """

    features: Features
    truths: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    classes: int
    seed: int


def lda(samples: Samples) -> Fit:
    """Return a solver of ``{"shrinkage": ...}``; see ``train.discriminant``."""
    centre = samples.features.mean(axis=0, dtype=np.float64)
    parts = [
        moments_of(
            samples.features[samples.folds == fold],
            samples.truths[samples.folds == fold],
            classes=samples.classes,
            centre=centre,
        )
        for fold in range(int(samples.folds.max()) + 1)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part

    def fit(without: int | None, grid: Sequence[Settings]) -> list[Layers]:
        moments = total if without is None else total - parts[without]
        return discriminants(moments, [one["shrinkage"] for one in grid], centre=centre)

    return fit


def logistic(samples: Samples) -> Fit:
    """Return a solver of ``{"c": ...}``: multinomial logistic regression by scikit-learn.

    ``c`` is the weight of the samples against an L2 penalty on the kernel, for features of unit
    variance on average.
    """
    from sklearn.linear_model import LogisticRegression

    def fit(without: int | None, grid: Sequence[Settings]) -> list[Layers]:
        part = _part(samples, without)
        found: list[Layers] = []
        for settings in grid:
            if len(part.known) < 2:
                found.append(part.undecided(samples.classes))
                continue
            model = LogisticRegression(C=settings["c"], max_iter=_LOGISTIC_STEPS, tol=1e-3)
            with _stopped_early_on_purpose():
                model.fit(part.features, part.truths)
            kernel, bias = _both_scores(model.coef_.T, model.intercept_)
            kernel, bias = part.unstandardised(kernel, bias)
            found.append(spread(kernel, bias, known=part.known, classes=samples.classes))
        return found

    return fit


def mlp(samples: Samples) -> Fit:
    """Return a solver of ``{"units": ..., "decay": ...}``: one hidden ReLU layer, by scikit-learn.

    ``decay`` is the L2 penalty on both kernels, over twice the samples of a batch, for
    features of unit variance on average.
    """
    from sklearn.neural_network import MLPClassifier

    def fit(without: int | None, grid: Sequence[Settings]) -> list[Layers]:
        part = _part(samples, without)
        found: list[Layers] = []
        for settings in grid:
            if len(part.known) < 2:
                found.append(part.undecided(samples.classes))
                continue
            batch = min(_MLP_BATCH, len(part.features))
            model = MLPClassifier(
                (int(settings["units"]),),
                alpha=settings["decay"],
                max_iter=math.ceil(_MLP_STEPS * batch / len(part.features)),
                batch_size=batch,
                random_state=samples.seed,
            )
            with _stopped_early_on_purpose():
                model.fit(part.features, part.truths)
            found.append(_layers_of_mlp(model, part, samples.classes))
        return found

    return fit


def _layers_of_mlp(model: Any, part: "_Part", classes: int) -> Layers:
    hidden = part.unstandardised(model.coefs_[0], model.intercepts_[0])
    kernel, bias = _both_scores(model.coefs_[1], model.intercepts_[1])
    return spread(
        kernel,
        bias,
        known=part.known,
        classes=classes,
        hidden=(hidden[0].astype(np.float32), hidden[1].astype(np.float32)),
    )


def _both_scores(kernel: Scores, bias: Scores) -> tuple[Scores, Scores]:
    """Return a score a class; scikit-learn keeps one for two classes: that of the second."""
    if len(bias) > 1:
        return kernel, bias
    return np.hstack([-kernel / 2, kernel / 2]), np.hstack([-bias / 2, bias / 2])


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Samples to fit to, each feature less its mean and over the deviation of all."""

    features: Features
    truths: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    mean: Scores
    deviation: float

    def unstandardised(self, kernel: Scores, bias: Scores) -> tuple[Scores, Scores]:
        """Return the layer that takes features as they come."""
        plain = np.asarray(kernel, dtype=np.float64) / self.deviation
        return plain, bias - self.mean @ plain

    def undecided(self, classes: int) -> Layers:
        """Return a head that knows but one class."""
        kernel = np.zeros((len(self.mean), 1))
        return spread(kernel, np.zeros(1), known=self.known, classes=classes)


def _part(samples: Samples, without: int | None) -> _Part:
    """Return the samples outside a fold, standardised: every plain view and, with room, others."""
    rows = np.flatnonzero(samples.folds != (-1 if without is None else without))
    plain = np.isin(rows, samples.first)
    room = max(0, _MOST_ROWS - int(plain.sum()))
    others = np.random.default_rng(samples.seed).permutation(rows[~plain])[:room]
    rows = np.sort(np.concatenate([rows[plain], others]))
    features, truths = samples.features[rows], samples.truths[rows]
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = float(np.sqrt(features.var(axis=0, dtype=np.float64).mean())) or 1.0
    return _Part(
        features=((features - mean) / deviation).astype(np.float32),
        truths=truths,
        known=np.unique(truths),
        mean=mean,
        deviation=deviation,
    )


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep BLAS and OpenMP to one core.

    The matrices are so thin that a second core mostly waits for the first: with a training beside
    it on the machine, a fit on two cores took five to ten times as long as on one.
    """
    import scipy.linalg  # noqa: F401  (a library that loads later would not be held)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield


@contextmanager
def _stopped_early_on_purpose() -> Iterator[None]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


SOLVERS: dict[HeadKind, Callable[[Samples], Fit]] = {
    "lda": lda,
    "logistic": logistic,
    "mlp": mlp,
}


def grid_of(kind: HeadKind, shrinkages: Sequence[float]) -> list[Settings]:
    """Return the settings that are tried for a kind, in order: the most held back last."""
    if kind == "lda":
        return [{"shrinkage": shrinkage} for shrinkage in shrinkages]
    if kind == "logistic":
        return [{"c": c} for c in _LOGISTIC_CS]
    return [{"units": units, "decay": decay} for units in _MLP_UNITS for decay in _MLP_DECAYS]
