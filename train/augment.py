"""Random views of training photos, made a batch at a time inside ``tf.data``.

Every random number comes from (seed, epoch, batch), so a training that was killed sees the same
views when it goes on. Crops follow Inception's random resized crop; a mirrored view is a crop box
with its left and right edges exchanged, which costs nothing. Brightness, contrast and saturation
are one affine map of each photo's colours.
Sources: Szegedy et al. 2015, arXiv:1409.4842, section 6 (area and aspect ratio of the crop); Zhong
et al. 2017, arXiv:1708.04896 (random erasing; the areas and aspect ratios are theirs).
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from train.backend import tensorflow
from train.boxes import put_into_boxes, span

ERASED_AREA = (0.02, 0.4)
ERASED_MAX_ASPECT = 1 / 0.3
SEED_OF_ERASING = 1  # keeps these draws apart from those of crops, colours and mixing


class AugmentConfig(BaseModel):
    """How far a view may stray from its photo.

    Attributes:
        min_area: smallest share of the photo that a crop keeps, in (0, 1]; 1 crops nothing.
        max_aspect: largest stretch of the crop's sides, at least 1.
        flip: whether half of the views are mirrored left to right.
        brightness: largest change of brightness, as a share of full scale, in [0, 1).
        contrast: largest relative change of contrast, in [0, 1).
        saturation: largest relative change of saturation, in [0, 1).
        erasing: probability that a box of the view is painted over, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_area: float = Field(default=0.5, gt=0, le=1)
    max_aspect: float = Field(default=4 / 3, ge=1)
    flip: bool = True
    brightness: float = Field(default=0.12, ge=0, lt=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    saturation: float = Field(default=0.25, ge=0, lt=1)
    erasing: float = Field(default=0.0, ge=0, le=1)


def augment(pixels: Any, *, size: Any, seed: Any, config: AugmentConfig) -> Any:
    """Return one random view of each photo.

    Args:
        pixels: ``(batch, rows, columns, 3)`` uint8, larger than or equal to ``size``.
        size: rows and columns of the views: a number or an int32 scalar tensor.
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
    views = colour(views, seeds[4], config)
    return erase(views, tf.random.fold_in(seed, SEED_OF_ERASING), config)


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

    Saturation by ``s`` keeps ``s`` of each channel and adds ``1 - s`` of their mean; contrast by
    ``c`` keeps ``c`` and adds ``1 - c`` of the photo's mean, which saturation leaves as it is. Both
    and the brightness together are one product with a ``(3, 3)`` matrix and one sum.

    Args:
        views: ``(batch, rows, columns, 3)`` float32 in [0, 255].
        seed: int32 tensor of shape ``(2,)``.
        config: largest changes.
    """
    if config.saturation == 0 and config.contrast == 0 and config.brightness == 0:
        return views
    tf = tensorflow()
    seeds = tf.random.split(seed, 3)
    shape = tf.shape(views)

    def factors(index: int, spread: float) -> Any:
        return tf.random.stateless_uniform((shape[0], 1, 1), seeds[index], -spread, spread)

    saturation = 1.0 + factors(0, config.saturation)
    contrast = 1.0 + factors(1, config.contrast)
    matrix = contrast * (saturation * tf.eye(3) + (1.0 - saturation) / 3.0)
    flat = tf.reshape(views, (shape[0], -1, 3))
    centre = tf.reduce_mean(flat, axis=(1, 2), keepdims=True)
    offset = (1.0 - contrast) * centre + 255.0 * factors(2, config.brightness)
    changed = tf.clip_by_value(tf.linalg.matmul(flat, matrix) + offset, 0.0, 255.0)
    return tf.ensure_shape(tf.reshape(changed, shape), views.shape)


def erase(views: Any, seed: Any, config: AugmentConfig) -> Any:
    """Return the views, some of them with a box painted over in the view's mean colour.

    Args:
        views: ``(batch, rows, columns, 3)`` float32 in [0, 255].
        seed: int32 tensor of shape ``(2,)``.
        config: says how many of them.
    """
    if config.erasing == 0:
        return views
    tf = tensorflow()
    batch, rows, columns = tf.unstack(tf.shape(views)[:3])
    down, across = erased_boxes(batch, rows, columns, seed, config)
    mean = tf.reduce_mean(tf.reduce_mean(views, axis=1), axis=1)[:, None, None, :]
    return put_into_boxes(views, tf.tile(mean, (1, 1, columns, 1)), down=down, across=across)


def erased_boxes(
    batch: Any, rows: Any, columns: Any, seed: Any, config: AugmentConfig
) -> tuple[Any, Any]:
    """Return the rows and the columns that are painted over: ``(batch, rows or columns)`` bool.

    The box has 2 to 40 % of the view's area and an aspect ratio of 0.3 to 1 / 0.3, drawn evenly on
    a logarithmic scale; a side longer than the view ends at its edges. It lies inside the view. A
    view that is spared has no rows.
    """
    tf = tensorflow()
    seeds = tf.random.split(seed, 4)
    area = tf.random.stateless_uniform((batch,), seeds[0], *ERASED_AREA)
    stretch = tf.math.log(ERASED_MAX_ASPECT)
    aspect = tf.exp(tf.random.stateless_uniform((batch,), seeds[1], -stretch, stretch))
    corner = tf.random.stateless_uniform((2, batch), seeds[2])
    chosen = tf.random.stateless_uniform((batch,), seeds[3]) < config.erasing

    def inside(side: Any, corner: Any, length: Any) -> Any:
        whole = tf.cast(length, tf.float32)
        extent = tf.cast(tf.round(whole * tf.minimum(side, 1.0)), tf.int32)
        room = tf.cast(length - extent + 1, tf.float32)
        return span(tf.cast(corner * room, tf.int32), extent, length)

    down = inside(tf.sqrt(area * aspect), corner[0], rows) & chosen[:, None]
    return down, inside(tf.sqrt(area / aspect), corner[1], columns)
