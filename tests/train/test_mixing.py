from typing import Any

import numpy as np
import pytest

from train.backend import tensorflow
from train.mixing import boxes_to_paste, mix, share_of

BATCH = 8


def batch(rows: int = 6, columns: int = 10, channels: int = 3) -> tuple[Any, Any]:
    """View i holds the number i everywhere and is of class i, so that a view names its parts."""
    tf = tensorflow()
    numbers = tf.range(BATCH, dtype=tf.float32)[:, None, None, None]
    views = numbers * tf.ones((1, rows, columns, channels))
    return views, tf.eye(BATCH)


def mixed(seed: int = 0, **alphas: float) -> tuple[np.ndarray, np.ndarray]:
    tf = tensorflow()
    views, targets = mix(*batch(), tf.constant((seed, 7)), **alphas)
    return np.asarray(views), np.asarray(targets)


def shares(alpha: float, count: int = 4_000) -> np.ndarray:
    return np.asarray(share_of(count, tensorflow().constant((1, 2)), alpha))


def test_nothing_asked_gives_the_same_tensors() -> None:
    views, targets = batch()
    found = mix(views, targets, tensorflow().constant((0, 1)), mixup=0.0, cutmix=0.0)
    assert found[0] is views
    assert found[1] is targets


@pytest.mark.parametrize("alphas", [(1.0, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_targets_say_what_the_views_are_made_of(alphas: tuple[float, float]) -> None:
    for seed in range(6):
        views, targets = mixed(seed, mixup=alphas[0], cutmix=alphas[1])
        assert views.shape == (BATCH, 6, 10, 3)
        assert targets.sum(axis=1) == pytest.approx(np.ones(BATCH), abs=1e-6)
        assert ((targets > 0).sum(axis=1) <= 2).all()
        # The mean of view i's numbers is the sum over classes of target times number: sums of
        # values up to 7, each step rounded by at most 2**-24 of it.
        assert views.mean(axis=(1, 2, 3)) == pytest.approx(targets @ np.arange(BATCH), abs=1e-4)


def test_a_blend_is_even_and_a_paste_has_edges() -> None:
    blended, _ = mixed(mixup=1.0, cutmix=0.0)
    assert np.ptp(blended, axis=(1, 2, 3)).max() == 0
    pasted, targets = mixed(mixup=0.0, cutmix=1.0)
    for view, target in zip(pasted, targets, strict=True):
        assert set(np.unique(view)) == set(np.flatnonzero(target).astype(float))


def test_every_view_is_a_partner_once() -> None:
    _, targets = mixed(mixup=1.0, cutmix=0.0)
    # A column holds a view's own share and what its partner took: all shares come to 1 a view.
    own = targets.diagonal()
    taken = (targets - np.diag(own)) > 0
    assert (taken.sum(axis=0) <= 1).all()


def test_equal_seeds_mix_equally() -> None:
    first, second, other = (mixed(seed, mixup=0.3, cutmix=0.8)[1] for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_either_is_drawn_for_half_of_the_steps() -> None:
    tf = tensorflow()

    @tf.function
    def is_blend(seed: Any) -> Any:
        views, _ = mix(*batch(), seed, mixup=1.0, cutmix=1.0)
        fraction = tf.abs(views - tf.round(views))
        return tf.reduce_any(fraction > 0)  # a paste holds whole numbers alone

    found = [bool(is_blend(tf.constant((number, 0)))) for number in range(200)]
    assert abs(np.mean(found) - 0.5) < 0.16  # 4.5 standard deviations of 200 fair throws


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_a_beta_distribution(alpha: float) -> None:
    found = shares(alpha)
    variance = 1.0 / (4.0 * (2.0 * alpha + 1.0))
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    # 4.5 standard deviations of a mean of 4,000; a variance of values in [0, 1] varies less still
    assert found.mean() == pytest.approx(0.5, abs=4.5 * np.sqrt(variance / 4_000))
    assert found.var() == pytest.approx(variance, abs=4.5 * 0.25 / np.sqrt(4_000))


def test_tiny_alphas_keep_one_of_the_two() -> None:
    found = shares(0.01)
    assert np.isfinite(found).all()
    assert abs((found > 0.5).mean() - 0.5) < 0.04  # 4.5 standard deviations of 4,000 throws
    assert ((found < 0.01) | (found > 0.99)).mean() > 0.8


def box_sides(share: float, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the heights and widths of 200 boxes."""
    tf = tensorflow()
    shares = tf.fill((200,), share)
    down, across = boxes_to_paste(shares, tf.constant((1, 2)), rows, columns)
    return np.asarray(down).sum(axis=1), np.asarray(across).sum(axis=1)


def test_boxes_have_the_area_that_the_share_leaves() -> None:
    # Share 0.75 leaves a quarter: a box of half the rows and half the columns, 10 x 20 of 20 x 40.
    heights, widths = box_sides(0.75, 20, 40)
    assert heights.max() == 10
    assert widths.max() == 20
    assert heights.min() >= 5  # the centre is inside the view, so half a box always shows
    # Whole for centres in rows 5 to 15, 11 of 20; 4.5 standard deviations of 200 throws are 0.16.
    assert (heights == 10).mean() == pytest.approx(0.55, abs=0.16)


@pytest.mark.parametrize(("share", "smallest", "largest"), [(0.0, 4, 8), (1.0, 0, 0)])
def test_whole_and_empty_boxes(share: float, smallest: int, largest: int) -> None:
    heights, widths = box_sides(share, 8, 8)
    assert (heights.min(), heights.max()) == (smallest, largest)
    assert (widths.min(), widths.max()) == (smallest, largest)


def test_maps_of_one_pixel_and_unknown_shapes_are_mixed_too() -> None:
    tf = tensorflow()
    open_shape = tf.TensorSpec((None, None, None, 5), tf.float32)

    @tf.function(input_signature=(open_shape, tf.TensorSpec((None, 8), tf.float32)))
    def step(views: Any, targets: Any) -> Any:
        return mix(views, targets, tf.constant((1, 2)), mixup=0.2, cutmix=1.0)

    for rows in (1, 4):
        views, targets = step(*batch(rows, rows, 5))
        means = np.asarray(views).mean(axis=(1, 2, 3))
        assert means == pytest.approx(np.asarray(targets) @ np.arange(BATCH), abs=1e-4)


def test_half_precision_stays_half_precision() -> None:
    tf = tensorflow()
    views, targets = batch()
    found = mix(tf.cast(views, tf.float16), targets, tf.constant((0, 1)), mixup=0.2, cutmix=1.0)
    assert found[0].dtype == tf.float16
    assert found[1].dtype == tf.float32
