"""Random views of training photos, made a batch at a time inside ``tf.data``.

Every random number comes from (seed, epoch, batch), so a training that was killed sees the same
views when it goes on. Crops follow Inception's random resized crop; a mirrored view is a crop box
with its left and right edges exchanged, which costs nothing.
Source: Szegedy et al. 2015, arXiv:1409.4842, section 6 (area and aspect ratio of the crop).
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from train.backend import tensorflow


class AugmentConfig(BaseModel):
    """How far a view may stray from its photo.

    Attributes:
        min_area: smallest share of the photo that a crop keeps, in (0, 1]; 1 crops nothing.
        max_aspect: largest stretch of the crop's sides, at least 1.
        flip: whether half of the views are mirrored left to right.
        brightness: largest change of brightness, as a share of full scale, in [0, 1).
        contrast: largest relative change of contrast, in [0, 1).
        saturation: largest relative change of saturation, in [0, 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_area: float = Field(default=0.5, gt=0, le=1)
    max_aspect: float = Field(default=4 / 3, ge=1)
    flip: bool = True
    brightness: float = Field(default=0.12, ge=0, lt=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    saturation: float = Field(default=0.25, ge=0, lt=1)


def augment(pixels: Any, *, size: int, seed: Any, config: AugmentConfig) -> Any:
    """Return one random view of each photo.

    Args:
        pixels: ``(batch, rows, columns, 3)`` uint8, larger than or equal to ``size``.
        size: rows and columns of the views.
        seed: int32 tensor of shape ``(2,)``; equal seeds give equal views.
        config: how far the views stray.

    Returns:
        ``(batch, size, size, 3)`` float32 in [0, 255].
    """
    tf = tensorflow()
    seeds = tf.random.split(seed, 5)
    boxes = crop_boxes(tf.shape(pixels)[0], seeds, config)
    batch = tf.shape(pixels)[0]
    views = tf.image.crop_and_resize(
        tf.cast(pixels, tf.float32), boxes, tf.range(batch), (size, size), method="bilinear"
    )
    return colour(views, seeds[4], config)


def crop_boxes(batch: Any, seeds: Any, config: AugmentConfig) -> Any:
    """Return ``(batch, 4)`` boxes (top, left, bottom, right) in [0, 1]; mirrored: left > right."""
    tf = tensorflow()
    area = tf.random.stateless_uniform((batch,), seeds[0], config.min_area, 1.0)
    stretch = tf.math.log(config.max_aspect)
    aspect = tf.exp(tf.random.stateless_uniform((batch,), seeds[1], -stretch, stretch))
    height = tf.minimum(tf.sqrt(area / aspect), 1.0)
    width = tf.minimum(tf.sqrt(area * aspect), 1.0)
    corner = tf.random.stateless_uniform((batch, 2), seeds[2])
    top = corner[:, 0] * (1.0 - height)
    left = corner[:, 1] * (1.0 - width)
    right = left + width
    chance = 0.5 if config.flip else 0.0
    mirrored = tf.random.stateless_uniform((batch,), seeds[3]) < chance
    return tf.stack(
        (top, tf.where(mirrored, right, left), top + height, tf.where(mirrored, left, right)),
        axis=1,
    )


def colour(views: Any, seed: Any, config: AugmentConfig) -> Any:
    """Return the views with brightness, contrast and saturation changed, each photo its own way.

    Args:
        views: ``(batch, rows, columns, 3)`` float32 in [0, 255].
        seed: int32 tensor of shape ``(2,)``.
        config: largest changes.
    """
    tf = tensorflow()
    seeds = tf.random.split(seed, 3)

    def factors(index: int, spread: float) -> Any:
        shape = (tf.shape(views)[0], 1, 1, 1)
        return tf.random.stateless_uniform(shape, seeds[index], -spread, spread)

    grey = tf.reduce_mean(views, axis=-1, keepdims=True)
    views = grey + (views - grey) * (1.0 + factors(0, config.saturation))
    centre = tf.reduce_mean(views, axis=(1, 2, 3), keepdims=True)
    views = centre + (views - centre) * (1.0 + factors(1, config.contrast))
    return tf.clip_by_value(views + 255.0 * factors(2, config.brightness), 0.0, 255.0)
