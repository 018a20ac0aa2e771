from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from train.approaches import HeadKind
from train.errors import ConfigError, DataError
from train.head_layers import Features
from train.heads import Head, fit_head
from train.metrics import weighted_f1

CLASSES = 3


def clouds(count: int, *, features: int = 40, seed: int = 0) -> tuple[Features, list[int]]:
    """Three clouds in a space with nearly as many dimensions as photos."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0.0, 0.45, (CLASSES, features))
    truths = generator.integers(0, CLASSES, count)
    points = centres[truths] + generator.normal(0.0, 1.0, (count, features))
    return points.astype(np.float32), truths.tolist()


def fitted(
    points: Features,
    truths: Sequence[int],
    *,
    candidates: Sequence[HeadKind] = ("lda",),
    **options: Any,
) -> Head:
    """Return a head; every photo is a group of its own unless ``groups`` says otherwise."""
    groups = options.pop("groups", [str(number) for number in range(len(truths))])
    settings = {"classes": CLASSES, "seed": 0, **options}
    return fit_head(points, truths, groups, candidates=candidates, **settings)


def surprise(scores: Any, truths: Sequence[int]) -> float:
    """Mean negative log probability of the right class."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(truths)), truths].mean())


@pytest.mark.parametrize("kind", ["lda", "logistic", "mlp"])
def test_head_tells_new_clouds_apart_and_knows_how_well(kind: HeadKind) -> None:
    head = fitted(*clouds(150), candidates=(kind,), shrinkages=(0.1, 0.5))
    new = clouds(1_000, seed=2)
    scores = head.scores(new[0])
    hits = (scores.argmax(axis=1) == new[1]).mean()
    assert hits > 0.8
    assert head.kind == kind
    assert head.scores(new[0]).shape == (1_000, CLASSES)
    assert head.kernel.dtype == np.float32
    # The share of 150 out-of-fold photos has a deviation of at most sqrt(0.16 / 150) = 0.033, and
    # two thirds of the photos make a head a little worse: four deviations are let pass.
    assert abs(head.inner_f1 - hits) < 0.13


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
def test_scores_that_are_all_right_are_as_sure_as_their_number_allows(size: float) -> None:
    generator = np.random.default_rng(0)
    truths = [number % CLASSES for number in range(60)]
    noise = generator.normal(0.0, 0.05, (60, 8))
    points = (size * (np.eye(CLASSES, 8)[truths] + noise)).astype(np.float32)
    head = fitted(points, truths, shrinkages=(0.5,))
    assert head.inner_f1 == 1.0
    scores = head.scores(points)
    # 60 of 60 right: 61/62 = 0.984; these photos are the head's own, so it is a little surer.
    sure = np.exp(-np.array([surprise(scores[[row]], [truths[row]]) for row in range(60)]))
    assert 0.97 < sure.mean() < 0.995
    assert np.abs(scores).max() < 100.0


def test_scale_fits_photos_that_the_head_has_not_seen() -> None:
    head = fitted(*clouds(60), shrinkages=(0.001,))  # hardly held back: scores far too large
    assert head.scale < 0.5
    new = clouds(2_000, seed=1)
    scores = head.scores(new[0])
    assert surprise(scores, new[1]) < surprise(scores / head.scale, new[1])
    assert surprise(scores, new[1]) < np.log(CLASSES)  # better than knowing nothing


def test_best_of_all_settings_is_kept_and_all_are_told() -> None:
    head = fitted(*clouds(60), candidates=("lda", "logistic", "lda"), shrinkages=(1e-4, 0.5))
    assert [trial.kind for trial in head.trials] == ["lda"] * 2 + ["logistic"] * 4
    scores = [trial.inner_f1 for trial in head.trials]
    assert scores[0] < scores[1]  # hardly any shrinkage overfits 40 photos in 40 dimensions
    best = head.trials[scores.index(max(scores))]  # the first of equals
    assert (head.kind, head.settings, head.inner_f1) == (best.kind, best.settings, max(scores))
    assert str(head).endswith(f"F1 {max(scores):.3f} on inner folds")


def test_same_seed_same_head() -> None:
    one, other = (fitted(*clouds(60), candidates=("mlp",), seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.kernel, other.kernel)


def test_views_of_a_photo_are_never_on_both_sides() -> None:
    generator = np.random.default_rng(0)
    truths = generator.integers(0, CLASSES, 90).tolist()
    own = generator.normal(0.0, 1.0, (90, 60))  # nothing but the photo itself is to be seen
    jitter = generator.normal(0.0, 0.01, (360, 60))
    views: Features = (np.repeat(own, 4, axis=0) + jitter).astype(np.float32)
    owners = np.repeat(np.arange(90), 4)
    told = fitted(views, truths, photo=owners, shrinkages=(0.01,))
    # Guessing among three classes: 1/3, deviation sqrt(2/9 / 90) = 0.05, four of them.
    assert told.inner_f1 < 1 / 3 + 0.2
    untold = fitted(views, np.repeat(truths, 4).tolist(), shrinkages=(0.01,))
    assert untold.inner_f1 > 0.8  # the check would see a leak


def test_members_of_a_group_are_never_on_both_sides() -> None:
    generator = np.random.default_rng(0)
    truths = np.repeat(generator.integers(0, CLASSES, 30), 4).tolist()
    senders = np.repeat(generator.normal(0.0, 1.0, (30, 40)), 4, axis=0)
    points = (senders + generator.normal(0.0, 0.05, (120, 40))).astype(np.float32)
    groups = [f"sender-{number // 4}" for number in range(120)]
    kept = fitted(points, truths, groups=groups, shrinkages=(0.01,)).inner_f1
    torn = fitted(points, truths, shrinkages=(0.01,)).inner_f1
    assert torn > 0.9
    assert kept < 1 / 3 + 4 * np.sqrt(2 / 9 / 30)  # 30 senders, each guessed as one


def test_only_the_plain_view_is_judged() -> None:
    points, truths = clouds(90)
    noise = np.random.default_rng(5).normal(0.0, 1.0, points.shape).astype(np.float32)
    both = np.concatenate([points, noise])  # second views that show nothing
    owners = np.concatenate([np.arange(90)] * 2)
    head = fitted(both, truths, photo=owners, shrinkages=(0.5,))
    assert head.inner_f1 > 0.6  # of both views it would be about (0.8 + 0.33) / 2


@pytest.mark.parametrize("kind", ["lda", "logistic", "mlp"])
@pytest.mark.parametrize("missing", [0, 2])
def test_class_without_photos_never_wins(kind: HeadKind, missing: int) -> None:
    points, truths = clouds(90)
    kept = [index for index, truth in enumerate(truths) if truth != missing]
    head = fitted(
        points[kept], [truths[index] for index in kept], candidates=(kind,), shrinkages=(0.5,)
    )
    scores = head.scores(clouds(300, seed=1)[0])
    assert missing not in scores.argmax(axis=1)
    assert head.bias[missing] == -10.0
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", ["lda", "logistic", "mlp"])
def test_class_of_a_single_photo_is_no_obstacle(kind: HeadKind) -> None:
    points, truths = clouds(40)
    rare = [0 if truth == 2 else truth for truth in truths]
    rare[7] = 2
    head = fitted(points, rare, candidates=(kind,), shrinkages=(0.5,))
    assert np.isfinite(head.scores(points)).all()
    assert weighted_f1(rare, head.scores(points).argmax(axis=1).tolist(), CLASSES) > 0.8


@pytest.mark.parametrize(
    ("points", "truths", "options", "message"),
    [
        (np.ones((3, 2)), [0, 1, 2], {}, "3 training photos of 3 classes are too few"),
        (np.ones((4, 2)), [0, 0, 1], {}, r"shape \(4, 2\), photos of 3 rows"),
        (np.ones((3, 2)), [0, 0, 5], {}, r"classes must be in \[0, 3\), got 0 to 5"),
        (np.ones((3, 2)), [0, 0, 1], {"photo": [0, 1, 1]}, "every one of 3 photos needs a row"),
        (np.array([[1.0], [np.nan], [np.inf]]), [0, 0, 1], {}, "2 of 3 rows of features hold"),
        (np.zeros((0, 2)), [], {}, "0 training photos of 0 classes are too few"),
    ],
)
def test_bad_samples_are_said(
    points: Features, truths: list[int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fitted(points.astype(np.float32), truths, **options)


@pytest.mark.parametrize(
    ("candidates", "folds"), [((), 3), (("tree",), 3), (("lda", "logistic"), 1)]
)
def test_bad_choices_are_said(candidates: Any, folds: int) -> None:
    with pytest.raises(ConfigError, match="chosen from lda, logistic, mlp on 2 inner folds"):
        fitted(*clouds(10), candidates=candidates, inner_folds=folds)
