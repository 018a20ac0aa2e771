"""Batches from made-up arrays whose values say which photo and which view they are."""

import math
import resource
import sys
from typing import Any

import numpy as np
import pytest

from train.approaches import Recipe
from train.augment import AugmentConfig
from train.errors import ConfigError
from train.feeds import MapsFeed, PhotoFeed, Rows, step_seed
from train.trunk import StoredMaps

AS_THEY_ARE = AugmentConfig(
    min_area=1.0, max_aspect=1.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0
)


def recipe(**changes: object) -> Recipe:
    settings = {"image_size": 32, "epochs": 1, "batch_size": 3, "augment": AS_THEY_ARE, **changes}
    return Recipe.model_validate(settings)


def rows_of(train: list[int], truths: list[int], *, validation: tuple[int, ...] = ()) -> Rows:
    return Rows(
        train=np.array(train, dtype=np.int64),
        validation=np.array(validation, dtype=np.int64),
        truths=np.array(truths, dtype=np.int32),
        classes=max(truths) + 1,
    )


def numbered_views(views: int, photos: int) -> list[StoredMaps]:
    """Maps ``(photo, 2, 2, 1)`` that hold 100 times the view plus the photo."""
    return [
        np.broadcast_to(
            (100.0 * view + np.arange(photos))[:, None, None, None], (photos, 2, 2, 1)
        ).astype(np.float16)
        for view in range(views)
    ]


def batches(feed: Any, epoch: int) -> list[tuple[Any, Any, Any]]:
    return [tuple(part.numpy() for part in batch) for batch in feed.batches(epoch)]


def values(feed: Any, epoch: int) -> list[int]:
    return [int(maps[0, 0, 0]) for inputs, _, _ in batches(feed, epoch) for maps in inputs]


def test_classes_of_the_sides() -> None:
    rows = rows_of([3, 0], [0, 1, 1, 2], validation=(2,))
    assert rows.of_train() == [2, 0]
    assert rows.of_validation() == [1]


def test_batch_that_no_side_fills_is_refused() -> None:
    rows = rows_of([0, 1], [0, 1])
    with pytest.raises(ConfigError, match="batch_size 3 is more than the 2 training photos"):
        MapsFeed(rows, views=numbered_views(1, 2), recipe=recipe(), seed=0)
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(ConfigError, match="set it to 2 or less"):
        PhotoFeed(rows, large=pixels, plain=pixels, recipe=recipe(), seed=0)


def test_maps_of_a_photo_come_by_another_view_every_epoch() -> None:
    rows = rows_of([1, 2, 3, 5, 6, 7], [0, 1, 2] * 3, validation=(0,))
    feed = MapsFeed(rows, views=numbered_views(3, 9), recipe=recipe(), seed=0)
    epochs = [values(feed, epoch) for epoch in range(3)]
    for found in epochs:
        assert sorted(value % 100 for value in found) == [1, 2, 3, 5, 6, 7]
    every = {value for found in epochs for value in found}
    assert every == {100 * view + photo for view in range(3) for photo in (1, 2, 3, 5, 6, 7)}


def test_targets_are_those_of_the_photos() -> None:
    truths = [0, 1, 2, 2, 1, 0]
    feed = MapsFeed(
        rows_of(list(range(6)), truths), views=numbered_views(2, 6), recipe=recipe(), seed=1
    )
    for inputs, targets, _ in batches(feed, 0):
        photos = inputs[:, 0, 0, 0].astype(int) % 100
        assert targets.tolist() == np.eye(3)[[truths[photo] for photo in photos]].tolist()


def test_an_epoch_repeats_and_the_next_one_does_not() -> None:
    def feed() -> MapsFeed:
        rows = rows_of(list(range(9)), [0, 1, 2] * 3)
        return MapsFeed(rows, views=numbered_views(2, 9), recipe=recipe(), seed=3)

    assert values(feed(), 4) == values(feed(), 4)
    assert values(feed(), 4) != values(feed(), 5)


def test_last_photos_that_fill_no_batch_wait_for_another_epoch() -> None:
    rows = rows_of(list(range(7)), [0, 1, 0, 1, 0, 1, 0])
    feed = MapsFeed(rows, views=numbered_views(1, 7), recipe=recipe(), seed=0)
    assert [len(inputs) for inputs, _, _ in batches(feed, 0)] == [3, 3]


def test_photos_themselves_are_the_first_view() -> None:
    rows = rows_of([0, 1, 2], [0, 1, 0, 1], validation=(3,))
    feed = MapsFeed(rows, views=numbered_views(3, 4), recipe=recipe(), seed=0)
    assert feed.inputs_of(np.array([3, 1]))[:, 0, 0, 0].tolist() == [3.0, 1.0]


def test_steps_have_seeds_of_their_own() -> None:
    assert step_seed(2, 5, 7).tolist() == [200_011, 7]
    rows = rows_of(list(range(6)), [0, 1] * 3)
    feed = MapsFeed(rows, views=numbered_views(1, 6), recipe=recipe(), seed=2)
    seeds = [seed.tolist() for _, _, seed in batches(feed, 5)]
    assert seeds == [[200_011, 1 << 20], [200_011, (1 << 20) + 1]]  # apart from those of views


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_reaches_maps_and_targets(kind: str) -> None:
    rows = rows_of(list(range(16)), [0, 1] * 8)
    plain, mixed = (
        MapsFeed(rows, views=numbered_views(1, 16), recipe=recipe(batch_size=16, **changes), seed=0)
        for changes in ({}, {kind: 1.0})
    )
    (whole, one_hot, _), (shared, targets, _) = batches(plain, 0)[0], batches(mixed, 0)[0]
    assert set(one_hot.ravel().tolist()) == {0.0, 1.0}
    assert not np.array_equal(whole, shared)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    assert ((targets > 0.01) & (targets < 0.99)).any()


def test_rare_classes_are_drawn_more_often_where_asked() -> None:
    truths = [0] * 18 + [1] * 2
    feed = MapsFeed(
        rows_of(list(range(20)), truths),
        views=numbered_views(1, 20),
        recipe=recipe(batch_size=20, class_sampling=1.0),
        seed=0,
    )
    rare = sum(value >= 18 for epoch in range(5) for value in values(feed, epoch))
    # 100 draws, each rare with 1/2: 50, within three standard deviations of 5. As they come: 10.
    assert 35 <= rare <= 65


def test_views_of_photos_that_nothing_changes_are_the_photos() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    feed = PhotoFeed(
        rows_of(list(range(6)), [0, 1] * 3), large=pixels, plain=pixels, recipe=recipe(), seed=0
    )
    met = []
    for inputs, _, _ in batches(feed, 0):
        for view in inputs:
            # The crop's corners are products in float32: 32 x 6e-8 of a pixel off, times 255.
            distances = [np.abs(view - photo).max() for photo in pixels.astype(np.float32)]
            assert min(distances) < 0.01
            met.append(int(np.argmin(distances)))
    assert sorted(met) == list(range(6))
    np.testing.assert_array_equal(feed.inputs_of(np.array([4, 2])), pixels[[4, 2]])


def test_each_step_has_one_of_the_sizes() -> None:
    pixels = np.zeros((24, 40, 40, 3), np.uint8)
    feed = PhotoFeed(
        rows_of(list(range(24)), [0, 1] * 12),
        large=pixels,
        plain=pixels[:, :32, :32],
        recipe=recipe(train_sizes=(32, 40, 48)),
        seed=0,
    )
    shapes = [inputs.shape for epoch in range(3) for inputs, _, _ in batches(feed, epoch)]
    assert len(shapes) == 24
    # 24 draws of three sizes: that one is never drawn has a chance of 3 x (2/3)^24 = 2e-4.
    assert {shape[1] for shape in shapes} == {32, 40, 48}
    assert all(shape == (3, shape[1], shape[1], 3) for shape in shapes)
    again = [inputs.shape for epoch in range(3) for inputs, _, _ in batches(feed, epoch)]
    assert again == shapes


def test_mixing_reaches_photos_too() -> None:
    pixels = np.zeros((6, 32, 32, 3), np.uint8)
    feed = PhotoFeed(
        rows_of(list(range(6)), [0, 1] * 3),
        large=pixels,
        plain=pixels,
        recipe=recipe(batch_size=6, mixup=1.0),
        seed=0,
    )
    ((_, targets, _),) = batches(feed, 0)
    assert math.isclose(targets.sum(), 6.0, abs_tol=1e-5)
    assert ((targets > 0.01) & (targets < 0.99)).any()


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults of the GNU C library")
def test_memory_that_is_let_go_stays_with_the_process() -> None:
    """A feed must not tell the C library to give every array's pages back to the system at once.

    An array of 1 MiB has 256 pages of 4 KiB. Where they go back, each new array faults on all.
    """

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            np.ones(1 << 20, dtype=np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()  # the library learns from the first ones how much to keep
    rows = rows_of([0, 1, 2], [0, 1, 1])
    feed = MapsFeed(rows, views=numbered_views(1, 3), recipe=recipe(), seed=0)
    assert len(batches(feed, 0)) == 1
    assert faults() < 50 * 256 / 4
