import numpy as np
import pytest

from train.errors import DataError
from train.features import Features, fit_head

CLASSES = 3


def clouds(count: int, *, features: int = 40, seed: int = 0) -> tuple[Features, list[int]]:
    """Three clouds in a space with nearly as many dimensions as photos."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0.0, 0.45, (CLASSES, features))
    truths = generator.integers(0, CLASSES, count)
    points = centres[truths] + generator.normal(0.0, 1.0, (count, features))
    return points.astype(np.float32), truths.tolist()


def surprise(scores: Features, truths: list[int]) -> float:
    """Mean negative log probability of the right class."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(truths)), truths].mean())


def test_head_tells_the_clouds_apart() -> None:
    train, validation, new = clouds(60), clouds(200, seed=1), clouds(400, seed=2)
    head = fit_head(train, validation, classes=CLASSES, shrinkages=(0.1, 0.5))
    predictions = (new[0] @ head.kernel + head.bias).argmax(axis=1)
    assert (predictions == np.array(new[1])).mean() > 0.8
    assert head.kernel.shape == (40, CLASSES)
    assert head.kernel.dtype == np.float32


def test_probabilities_fit_the_validation_photos() -> None:
    validation = clouds(300, seed=1)
    head = fit_head(clouds(60), validation, classes=CLASSES, shrinkages=(0.01,))
    scores = validation[0] @ head.kernel + head.bias
    fitted = surprise(scores, validation[1])
    for other in (0.5, 0.8, 1.25, 2.0):  # the best scale is 1: it has been applied
        assert surprise(other * scores, validation[1]) > fitted


def test_best_shrinkage_by_validation_is_kept() -> None:
    train, validation = clouds(60), clouds(300, seed=1)
    both = fit_head(train, validation, classes=CLASSES, shrinkages=(1e-4, 0.5))
    single = [
        fit_head(train, validation, classes=CLASSES, shrinkages=(s,)).validation_f1
        for s in (1e-4, 0.5)
    ]
    assert single[0] < single[1]  # hardly any shrinkage overfits 60 photos in 40 dimensions
    assert both.shrinkage == 0.5
    assert both.validation_f1 == max(single)


@pytest.mark.parametrize("missing", [0, 2])
def test_class_without_training_photos_never_wins(missing: int) -> None:
    points, truths = clouds(90)
    kept = [index for index, truth in enumerate(truths) if truth != missing]
    train = (points[kept], [truths[index] for index in kept])
    validation = clouds(100, seed=1)
    head = fit_head(train, validation, classes=CLASSES, shrinkages=(0.5,))
    scores = validation[0] @ head.kernel + head.bias
    assert missing not in scores.argmax(axis=1)
    assert np.isfinite(scores).all()


def test_fewer_photos_than_a_head_needs_are_said() -> None:
    points, _ = clouds(3)
    with pytest.raises(DataError, match="3 training photos of 3 classes are too few"):
        fit_head((points, [0, 1, 2]), clouds(10), classes=CLASSES, shrinkages=(0.5,))
