import numpy as np
import pytest
from pydantic import ValidationError

from train.augment import AugmentConfig, augment, colour, crop_boxes, erase, erased_boxes
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


@pytest.mark.parametrize(
    "wrong", [{"min_area": 0.0}, {"max_aspect": 0.5}, {"contrast": 1.0}, {"erasing": 1.5}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(**wrong)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        AugmentConfig.model_validate({"blur": 1.0})


def as_it_was_written_out(views: np.ndarray, seed: object, config: AugmentConfig) -> np.ndarray:
    """Saturation, contrast and brightness one after the other, from the same draws."""
    tf = tensorflow()
    seeds = tf.random.split(seed, 3)
    spreads = (config.saturation, config.contrast, config.brightness)
    saturation, contrast, brightness = (
        np.asarray(tf.random.stateless_uniform((len(views), 1, 1, 1), each, -spread, spread))
        for each, spread in zip(seeds, spreads, strict=True)
    )
    views = views.astype(np.float64)
    grey = views.mean(axis=-1, keepdims=True)
    views = grey + (views - grey) * (1.0 + saturation)
    centre = views.mean(axis=(1, 2, 3), keepdims=True)
    views = centre + (views - centre) * (1.0 + contrast)
    return np.clip(views + 255.0 * brightness, 0.0, 255.0)


def test_one_map_of_colours_does_what_the_three_steps_do() -> None:
    tf = tensorflow()
    config = AugmentConfig(saturation=0.5, contrast=0.4, brightness=0.3)
    pictures = np.random.default_rng(0).uniform(0, 255, (40, 9, 7, 3)).astype(np.float32)
    seed = tf.constant((4, 5))
    found = np.asarray(colour(tf.constant(pictures), seed, config))
    wanted = as_it_was_written_out(pictures, seed, config)
    assert (wanted == 0).any()  # both ends are cut off somewhere
    assert (wanted == 255).any()
    # A few roundings of sums up to 1,000: each at most 2**-24 of 1,000, or 6e-5.
    assert np.abs(found - wanted).max() < 1e-3


def test_view_sizes_may_be_decided_in_the_graph() -> None:
    tf = tensorflow()
    config = AugmentConfig(erasing=0.5)
    seed = tf.constant((1, 2))

    @tf.function
    def sized(size: object) -> object:
        return augment(tf.constant(ramp()), size=size, seed=seed, config=config)

    for size in (8, 13):
        fixed = augment(tf.constant(ramp()), size=size, seed=seed, config=config)
        # The same formulas, fused or not: roundings of values up to 255.
        assert np.abs(np.asarray(sized(tf.constant(size))) - np.asarray(fixed)).max() < 1e-3


def test_erasing_paints_a_box_in_the_mean_colour() -> None:
    tf = tensorflow()
    config = STILL.model_copy(update={"erasing": 1.0})
    pictures = ramp(8).astype(np.float32)
    found = np.asarray(erase(tf.constant(pictures), tf.constant((1, 2)), config))
    painted = (found != pictures).any(axis=-1)
    assert painted.any(axis=(1, 2)).all()
    assert np.abs(found[painted] - pictures[0].mean(axis=(0, 1))).max() < 1e-3


def test_erasing_spares_as_many_as_asked_and_leaves_other_draws_alone() -> None:
    heights, _, _ = box_sides(STILL.model_copy(update={"erasing": 0.5}), batch=2_000)
    # 4.5 standard deviations of a fair coin thrown 2,000 times
    assert abs((heights > 0).mean() - 0.5) < 0.05
    plain, erased = views(AugmentConfig(), 5), views(AugmentConfig(erasing=0.5), 5)
    untouched = np.isclose(plain, erased).all(axis=(1, 2, 3))
    assert untouched.any()  # the same crop and colours, for those that were spared
    assert not untouched.all()


def box_sides(config: AugmentConfig, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the heights, widths and topmost rows of the boxes in views of 100 x 50."""
    tf = tensorflow()
    down, across = erased_boxes(batch, 100, 50, tf.constant((3, 4)), config)
    rows, columns = np.asarray(down), np.asarray(across)
    return rows.sum(axis=1), columns.sum(axis=1), rows.argmax(axis=1)


def test_erased_boxes_have_the_areas_and_aspects_of_the_paper() -> None:
    heights, widths, tops = box_sides(STILL.model_copy(update={"erasing": 1.0}), batch=500)
    areas = heights * widths / 5_000
    # Each side is rounded by half a pixel. An uncut box of area a has sides of at most 100 and 50
    # pixels, so its area is off by at most 0.5 * (100 + 50) / 5,000 = 0.015 and a little.
    assert areas.max() <= 0.4 + 0.016
    assert 0.15 < areas.mean() < 0.23  # (0.02 + 0.4) / 2 = 0.21, less what was cut off
    aspects = (heights / 100) / (widths / 50)
    # The smallest box is 50 * sqrt(0.02 * 0.3) = 3.87 pixels wide, or 7.7 high, each rounded by
    # half a pixel: aspects are off by a factor of at most 1.13 * 1.07.
    assert aspects.min() >= 0.3 / 1.25
    assert aspects.max() <= 1.25 / 0.3
    assert (aspects > 1).mean() == pytest.approx(0.5, abs=0.1)  # 4.5 standard deviations
    assert tops.min() == 0
    assert tops.max() > 50  # anywhere
    assert (tops + heights).max() == 100  # to the last row, and whole
