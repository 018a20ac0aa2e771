import numpy as np
import numpy.typing as npt
import pytest

from train.discriminant import discriminants, moments_of
from train.head_layers import Features


def clouds(count: int, classes: int, features: int) -> tuple[Features, npt.NDArray[np.int64]]:
    """Overlapping clouds, off the origin as pooled features are."""
    generator = np.random.default_rng(3)
    centres = generator.normal(2.0, 0.4, (classes, features))
    truths = np.arange(count) % classes
    truths[: count // 4] = 0  # class 0 is the most frequent
    points = centres[truths] + generator.normal(0.0, 1.0, (count, features))
    return points.astype(np.float32), truths


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("features", [10, 80])  # fewer than the 60 samples, and more
def test_scores_equal_those_of_scikit_learn(classes: int, features: int) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    points, truths = clouds(60, classes, features)
    centre = points.mean(axis=0, dtype=np.float64)
    shrinkages = (0.1, 0.7)
    moments = moments_of(points, truths, classes=classes, centre=centre)
    for shrinkage, ours in zip(
        shrinkages, discriminants(moments, shrinkages, centre=centre), strict=True
    ):
        theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        theirs.fit(points.astype(np.float64), truths)
        expected = theirs.decision_function(points.astype(np.float64))
        if classes == 2:  # theirs is one score then: that of class 1 less that of class 0
            expected = np.stack([np.zeros_like(expected), expected], axis=1)
        expected -= expected.mean(axis=1, keepdims=True)  # ours sum to zero
        # Ours are rounded to float32: kernel, bias and products each by half of 1.2e-7, summed.
        size = np.abs(points) @ np.abs(ours.kernel) + np.abs(ours.bias)
        assert (np.abs(ours.scores(points) - expected) <= 1.2e-7 * 4 * size + 1e-9).all()


def test_moments_without_a_fold_are_those_of_the_others() -> None:
    points, truths = clouds(30, 3, 4)
    centre = np.full(4, 2.0)
    whole, fold, rest = (
        moments_of(points[rows], truths[rows], classes=3, centre=centre)
        for rows in (slice(None), slice(0, 12), slice(12, None))
    )
    left = whole - fold
    np.testing.assert_array_equal(left.counts, rest.counts)
    np.testing.assert_allclose(left.sums, rest.sums, atol=1e-13)
    np.testing.assert_allclose(left.products, rest.products, atol=1e-12)
    np.testing.assert_allclose((rest + fold).products, whole.products, atol=1e-12)


def test_two_points_on_a_line_worked_by_hand() -> None:
    points = np.array([[0.0], [2.0], [4.0], [6.0]], dtype=np.float32)
    truths = np.array([0, 0, 1, 1])
    centre = np.zeros(1)
    moments = moments_of(points, truths, classes=2, centre=centre)
    (layers,) = discriminants(moments, [0.5], centre=centre)
    # Means 1 and 5, variance 1 around each; with one feature shrinking changes nothing.
    # Scores m x - m^2 / 2 + log(1/2): x - 1/2 and 5 x - 25/2; their mean is 3 x - 13/2.
    np.testing.assert_allclose(layers.kernel, [[-2.0, 2.0]], rtol=1e-6)
    np.testing.assert_allclose(layers.bias, [6.0, -6.0], rtol=1e-6)


def test_features_that_tell_nothing_leave_the_shares() -> None:
    points = np.full((4, 3), 7.3, dtype=np.float32)
    centre = points.mean(axis=0, dtype=np.float64)
    moments = moments_of(points, np.array([0, 0, 0, 1]), classes=2, centre=centre)
    (layers,) = discriminants(moments, [0.1], centre=centre)
    np.testing.assert_allclose(layers.predict_proba(points)[0], [0.75, 0.25], rtol=1e-6)
