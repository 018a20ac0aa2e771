"""Heads fitted to frozen features: which kind, how strongly held back, and how sure.

Kind and settings are chosen by the weighted F1 of photos that the head was not fitted to, on
inner folds that separate neither the views of a photo nor the members of a group. The chosen
head is fitted once more to everything; its scores are scaled to fit the same out-of-fold photos,
which changes no class. A head that is told to be right on its own training photos would come out
far too sure of itself, and fine-tuning would begin by tearing it down.
Source of the scaling: Guo et al. 2017, arXiv:1706.04599 (temperature scaling).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from train.approaches import HeadKind
from train.errors import ConfigError, DataError
from train.head_folds import inner_fold_of
from train.head_layers import Features, Layers, Scores
from train.head_solvers import LDA_SHRINKAGES, SOLVERS, Fit, Samples, Settings, grid_of, on_one_core
from train.metrics import weighted_f1

LOG_SCALES = (-8.0, 3.0)  # within which the scale of the scores is sought
NOT_SURE = -40.0  # and from which it is sought where all scores are right, however large they are


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting of one kind of head, and how it did on the inner folds.

    Attributes:
        kind: ``lda``, ``logistic`` or ``mlp``.
        settings: its hyper-parameters by name.
        inner_f1: weighted F1 over the out-of-fold photos.
    """

    kind: HeadKind
    settings: Settings
    inner_f1: float


@dataclass(frozen=True, kw_only=True)
class Head(Layers):
    """A fitted head: its layers, and how they were chosen.

    Attributes:
        kind: ``lda``, ``logistic`` or ``mlp``.
        settings: its hyper-parameters by name.
        inner_f1: weighted F1 over the out-of-fold photos of the inner folds.
        scale: what the scores were multiplied by to fit those photos; already applied.
        trials: everything that was tried, in order.
    """

    kind: HeadKind
    settings: Settings
    inner_f1: float
    scale: float
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {value:g}" for name, value in self.settings.items())
        return f"{self.kind} ({settings}), F1 {self.inner_f1:.3f} on inner folds"


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """A trial with what is needed to settle on it."""

    trial: Trial
    fit: Fit
    scores: Scores


def fit_head(
    features: Features,
    truths: Sequence[int],
    groups: Sequence[str],
    *,
    classes: int,
    candidates: Sequence[HeadKind],
    seed: int,
    inner_folds: int = 3,
    photo: Sequence[int] | npt.NDArray[np.int64] | None = None,
    shrinkages: Sequence[float] = LDA_SHRINKAGES,
) -> Head:
    """Choose a head on inner folds, fit it to every sample and scale its scores.

    Args:
        features: ``(samples, features)``.
        truths: class of each photo.
        groups: group of each photo; members of one are never separated.
        classes: number of outputs; a class without photos gets a score that never wins.
        candidates: kinds tried in order; of equals the first is kept.
        seed: of the folds and of the solvers that begin at random.
        inner_folds: folds, fewer where the largest class or the groups are too few for them.
        photo: the photo, as an index into ``truths``, of each sample; none where every photo is
            one sample. A photo's first sample, its plain view, is the one that is scored.
        shrinkages: tried for ``lda``.

    Raises:
        ConfigError: no candidate, an unknown one, or fewer than two folds.
        DataError: the lengths disagree, a feature is not finite, or there are too few photos.
    """
    owners = np.arange(len(truths)) if photo is None else np.asarray(photo, dtype=np.int64)
    if not candidates or set(candidates) - set(SOLVERS) or inner_folds < 2:
        raise ConfigError(
            f"a head is chosen from {', '.join(SOLVERS)} on 2 inner folds or more, got candidates"
            f" {', '.join(candidates) or 'none'} and {inner_folds} folds"
        )
    _require(features, truths, groups, owners, classes)
    photo_folds = inner_fold_of(truths, groups, folds=inner_folds, seed=seed)
    samples = Samples(
        features=features,
        truths=np.asarray(truths)[owners],
        folds=photo_folds[owners],
        first=np.unique(owners, return_index=True)[1],
        classes=classes,
        seed=seed,
    )
    tried: list[_Tried] = []
    with on_one_core():
        for kind in dict.fromkeys(candidates):
            tried += _try_out(samples, SOLVERS[kind](samples), kind, grid_of(kind, shrinkages))
        return _settled(samples, tried)


def _settled(samples: Samples, tried: Sequence[_Tried]) -> Head:
    """Return the best of what was tried, fitted to every sample."""
    best = max(tried, key=lambda one: one.trial.inner_f1)
    (layers,) = best.fit(None, [best.trial.settings])
    scale = _fitting_scale(samples, best.scores)
    scaled = layers.scaled(scale, known=np.unique(samples.truths))
    return Head(
        **{field.name: getattr(scaled, field.name) for field in fields(scaled)},
        kind=best.trial.kind,
        settings=best.trial.settings,
        inner_f1=best.trial.inner_f1,
        scale=scale,
        trials=tuple(one.trial for one in tried),
    )


def _require(
    features: Features,
    truths: Sequence[int],
    groups: Sequence[str],
    owners: npt.NDArray[np.int64],
    classes: int,
) -> None:
    photos = len(truths)
    if features.ndim != 2 or len(owners) != len(features) or len(groups) != photos:
        raise DataError(
            "a head needs the photo of each row of features and the group of each photo, got"
            f" features of shape {features.shape}, photos of {len(owners)} rows, {photos} classes"
            f" and {len(groups)} groups"
        )
    present = set(truths)
    if photos <= len(present):
        raise DataError(
            f"{photos} training photos of {len(present)} classes are too few to fit a head;"
            " bring more photos"
        )
    if not present <= set(range(classes)):
        raise DataError(f"classes must be in [0, {classes}), got {min(present)} to {max(present)}")
    if set(owners.tolist()) != set(range(photos)):
        raise DataError(f"every one of {photos} photos needs a row of features, and no other has")
    broken = int((~np.isfinite(features).all(axis=1)).sum())
    if broken:
        raise DataError(
            f"{broken} of {len(features)} rows of features hold a number that is not finite;"
            " the network's weights are broken: load others with --weights"
        )


def _try_out(samples: Samples, fit: Fit, kind: HeadKind, grid: Sequence[Settings]) -> list[_Tried]:
    """Return each setting with the scores of photos that its head was not fitted to."""
    scores = np.zeros((len(grid), len(samples.first), samples.classes))
    folds = samples.folds[samples.first]
    for fold in range(int(folds.max()) + 1):
        held_out = np.flatnonzero(folds == fold)
        features = samples.features[samples.first[held_out]]
        for number, layers in enumerate(fit(fold, grid)):
            scores[number, held_out] = layers.scores(features)
    truths = samples.truths[samples.first].tolist()
    return [
        _Tried(
            trial=Trial(
                kind=kind,
                settings=settings,
                inner_f1=weighted_f1(truths, found.argmax(axis=1).tolist(), samples.classes),
            ),
            fit=fit,
            scores=found,
        )
        for settings, found in zip(grid, scores, strict=True)
    ]


def _fitting_scale(samples: Samples, scores: Scores) -> float:
    """Return the factor on out-of-fold scores that makes the true classes the least surprising.

    Photos of a class that their fold's head had never seen say nothing about the factor. Where all
    ``n`` others are told apart, surprise falls with every larger factor; the mean probability of
    the true class is then what Laplace's rule of succession grants ``n`` of ``n``.
    """
    from scipy.optimize import brentq, minimize_scalar
    from scipy.special import logsumexp

    truths, folds = samples.truths[samples.first], samples.folds[samples.first]
    dealt = np.zeros((int(folds.max()) + 1, samples.classes))
    np.add.at(dealt, (folds, truths), 1.0)
    seen = (dealt.sum(axis=0) - dealt)[folds, truths] > 0
    if not seen.any():
        return 1.0
    scores, right = scores[seen], scores[seen, truths[seen]]

    def surprises(log_scale: float) -> npt.NDArray[np.float64]:
        scale = np.exp(log_scale)
        found: npt.NDArray[np.float64] = logsumexp(scale * scores, axis=1) - scale * right
        return found

    def lacking(log_scale: float) -> float:
        return float(granted - np.mean(np.exp(-surprises(log_scale))))

    granted = (len(right) + 1) / (len(right) + 2)
    told_apart = np.count_nonzero(scores >= right[:, None]) == len(right)
    if told_apart and lacking(LOG_SCALES[1]) < 0.0:
        return float(np.exp(brentq(lacking, NOT_SURE, LOG_SCALES[1])))
    found = minimize_scalar(
        lambda log_scale: float(np.mean(surprises(log_scale))), bounds=LOG_SCALES, method="bounded"
    )
    return float(np.exp(found.x))
