"""A Keras network's answers, a batch at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import tensorflow
from train.pixels import Pixels

_BATCH = 64


def predict(
    model: Any, pixels: Pixels, *, advance: Callable[[int], None] | None = None
) -> npt.NDArray[np.float32]:
    """Return the model's outputs, ``(photo, outputs)`` float32, for uint8 ``pixels``.

    Args:
        model: a Keras network whose input is float32 in [0, 255].
        pixels: ``(photo, rows, columns, 3)``.
        advance: called with the number of photos just answered.
    """
    tf = tensorflow()
    run = tf.function(lambda batch: model(tf.cast(batch, tf.float32), training=False))
    parts = []
    for start in range(0, len(pixels), _BATCH):
        batch = tf.constant(pixels[start : start + _BATCH])
        parts.append(np.asarray(run(batch), dtype=np.float32))
        if advance is not None:
            advance(len(batch))
    return np.concatenate(parts)
