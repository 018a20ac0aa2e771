import numpy as np
import pytest
from pydantic import ValidationError

from train.augment import AugmentConfig, augment, colour, crop_boxes
from train.backend import tensorflow

STILL = AugmentConfig(
    min_area=1.0, max_aspect=1.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0
)


def ramp(count: int = 4, size: int = 20) -> np.ndarray:
    """Pictures whose red rises left to right and green top to bottom."""
    columns, rows = np.meshgrid(np.linspace(0, 255, size), np.linspace(0, 255, size))
    picture = np.stack((columns, rows, np.full_like(rows, 128)), axis=-1).astype(np.uint8)
    return np.repeat(picture[None], count, axis=0)


def views(config: AugmentConfig, seed: int = 0, size: int = 20) -> np.ndarray:
    tf = tensorflow()
    found = augment(tf.constant(ramp()), size=size, seed=tf.constant((seed, 1)), config=config)
    return np.asarray(found)


def test_nothing_asked_changes_nothing() -> None:
    # crop_and_resize samples at the corners, so the same size gives the same pixels
    assert np.abs(views(STILL) - ramp()).max() < 1e-3


def test_equal_seeds_give_equal_views() -> None:
    assert np.array_equal(views(AugmentConfig(), 5), views(AugmentConfig(), 5))
    assert not np.array_equal(views(AugmentConfig(), 5), views(AugmentConfig(), 6))


def test_views_have_the_size_asked_and_stay_in_range() -> None:
    found = views(AugmentConfig(brightness=0.9), size=12)
    assert found.shape == (4, 12, 12, 3)
    assert found.min() >= 0.0
    assert found.max() <= 255.0


def test_half_of_the_views_are_mirrored() -> None:
    tf = tensorflow()
    seeds = tf.random.split(tf.constant((3, 4)), 5)
    boxes = np.asarray(
        crop_boxes(tf.constant(2_000), seeds, STILL.model_copy(update={"flip": True}))
    )
    share = (boxes[:, 1] > boxes[:, 3]).mean()
    assert abs(share - 0.5) < 0.05  # 4.5 standard deviations of a fair coin thrown 2,000 times


def test_mirrored_view_is_the_mirror_image() -> None:
    config = STILL.model_copy(update={"flip": True})
    found = [views(config, seed) for seed in range(8)]
    mirrored = [v[i] for v in found for i in range(4) if v[i, 0, 0, 0] > v[i, 0, -1, 0]]
    assert mirrored
    assert all(np.abs(view - ramp()[0, :, ::-1]).max() < 1e-3 for view in mirrored)


def test_crops_keep_the_area_asked_and_stay_inside() -> None:
    tf = tensorflow()
    seeds = tf.random.split(tf.constant((1, 2)), 5)
    config = STILL.model_copy(update={"min_area": 0.3, "max_aspect": 1.5})
    top, left, bottom, right = np.asarray(crop_boxes(tf.constant(500), seeds, config)).T
    assert min(top.min(), left.min()) >= 0.0
    assert max(bottom.max(), right.max()) <= 1.0 + 1e-6
    area = (bottom - top) * (right - left)
    assert area.min() > 0.24  # a side cut off at the picture's edge loses some of the 0.3
    assert area.max() <= 1.0 + 1e-6
    assert area.std() > 0.1


def test_grey_pictures_know_no_saturation() -> None:
    tf = tensorflow()
    grey = tf.fill((2, 4, 4, 3), 77.0)
    config = STILL.model_copy(update={"saturation": 0.5})
    found = np.asarray(colour(grey, tf.constant((1, 2)), config))
    assert np.abs(found - 77.0).max() < 1e-4


def test_brightness_adds_the_same_everywhere() -> None:
    tf = tensorflow()
    picture = tf.constant(np.linspace(100, 150, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3), tf.float32)
    config = STILL.model_copy(update={"brightness": 0.1})
    added = np.asarray(colour(picture, tf.constant((1, 2)), config) - picture)
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-3
    assert 0 < np.abs(added).max() <= 25.5 + 1e-3
    assert abs(added[0, 0, 0, 0] - added[1, 0, 0, 0]) > 1e-3  # each photo its own way


@pytest.mark.parametrize("wrong", [{"min_area": 0.0}, {"max_aspect": 0.5}, {"contrast": 1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(**wrong)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        AugmentConfig.model_validate({"blur": 1.0})
