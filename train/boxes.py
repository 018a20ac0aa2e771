"""Boxes in a batch of pictures: one a picture, given by its rows and its columns.

A mask of shape ``(batch, rows, columns, 1)`` that is stretched over the channels costs four times
as much as one that is written out for columns and channels together, as here.
"""

from typing import Any

from train.backend import tensorflow


def span(first: Any, extent: Any, length: Any) -> Any:
    """Return ``(batch, length)`` bool, true from ``first`` on for ``extent`` places.

    Args:
        first: ``(batch,)`` int32; may be below 0.
        extent: ``(batch,)`` int32; may reach beyond ``length``.
        length: number of places.
    """
    places = tensorflow().range(length)[None, :]
    return (places >= first[:, None]) & (places < (first + extent)[:, None])


def put_into_boxes(pictures: Any, others: Any, *, down: Any, across: Any) -> Any:
    """Return ``pictures`` with the part of ``others`` that lies in each one's box.

    Args:
        pictures: ``(batch, rows, columns, channels)``.
        others: of the same shape, or with a single row that stands for all rows.
        down: ``(batch, rows)`` bool, true in the rows of the box.
        across: ``(batch, columns)`` bool, true in the columns of the box.
    """
    tf = tensorflow()
    shape = tf.shape(pictures)
    width = shape[2] * shape[3]
    flat = tf.reshape(pictures, (shape[0], shape[1], width))
    source = tf.reshape(others, (shape[0], -1, width))
    mask = down[:, :, None] & tf.repeat(across, shape[3], axis=1)[:, None, :]
    changed = tf.reshape(tf.where(mask, source, flat), shape)
    return tf.ensure_shape(changed, pictures.shape)
