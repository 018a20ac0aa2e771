"""Linear discriminant analysis with a shrunk covariance, for many folds and shrinkages at once.

Its posterior is a softmax over linear scores, so it drops into a network's own ``logits`` layer.
All it needs of the samples is their moments, and moments of disjoint folds add up: one pass over
the samples serves every fold and every shrinkage, which then cost one Cholesky factorization
each. The scores equal those of scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr")``,
which goes through the samples anew for each.
Source: Friedman 1989, "Regularized discriminant analysis".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from train.head_layers import Features, Layers, Scores, spread

_ROWS = 4096  # samples turned to float64 at a time
_ROUNDING = 1e-12  # of variances in float64, relative to the features' squares
_LEAST_SHRINKAGE = 1e-6  # keeps the covariance of fewer samples than features invertible


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over samples, from which means and covariances follow.

    Attributes:
        counts: samples of each class, ``(classes,)``.
        sums: features summed over the samples of each class, ``(classes, features)``.
        products: products of features summed over all samples, ``(features, features)``.
    """

    counts: Scores
    sums: Scores
    products: Scores

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of samples together."""
        return Moments(
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            products=self.products + other.products,
        )

    def __sub__(self, other: "Moments") -> "Moments":
        """Return the moments of the samples that are not among ``other``'s."""
        return Moments(
            counts=self.counts - other.counts,
            sums=self.sums - other.sums,
            products=self.products - other.products,
        )


def moments_of(
    features: Features, truths: npt.NDArray[np.int64], *, classes: int, centre: Scores
) -> Moments:
    """Return the moments of ``features - centre``.

    Args:
        features: ``(samples, features)``.
        truths: class of each sample.
        classes: number of classes.
        centre: ``(features,)``; near the mean, so that differences of moments stay exact.
    """
    width = features.shape[1]
    sums, products = np.zeros((classes, width)), np.zeros((width, width))
    for start in range(0, len(features), _ROWS):
        rows = features[start : start + _ROWS] - centre
        here = truths[start : start + _ROWS]
        sums += (np.arange(classes)[:, None] == here).astype(np.float64) @ rows
        products += rows.T @ rows
    counts = np.bincount(truths, minlength=classes).astype(np.float64)
    return Moments(counts=counts, sums=sums, products=products)


def discriminants(moments: Moments, shrinkages: Sequence[float], *, centre: Scores) -> list[Layers]:
    """Return the head of each shrinkage.

    Args:
        moments: of the samples; a class without samples gets a score that never wins.
        shrinkages: share of the covariance that is replaced by its mean variance, in [0, 1].
        centre: what was taken from the features for the moments.
    """
    from scipy.linalg import cho_factor, cho_solve

    known = np.flatnonzero(moments.counts)
    counts, samples = moments.counts[known], moments.counts.sum()
    means = moments.sums[known] / counts[:, None]
    within = (moments.products - (means.T * counts) @ means) / samples
    width = len(within)
    variance = float(np.trace(within)) / width
    if variance <= _ROUNDING * float(
        np.mean(centre**2)
    ):  # every class is one point: any covariance tells them apart
        within, variance = np.eye(width), 1.0
    found = []
    for shrinkage in shrinkages:
        share = max(shrinkage, _LEAST_SHRINKAGE)
        shrunk = (1.0 - share) * within
        shrunk[np.diag_indices(width)] += share * variance
        kernel = cho_solve(cho_factor(shrunk, overwrite_a=True), means.T)
        bias = np.log(counts / samples) - 0.5 * np.einsum("kf,fk->k", means, kernel)
        bias -= centre @ kernel
        found.append(spread(kernel, bias, known=known, classes=len(moments.counts)))
    return found
