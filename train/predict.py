"""A Keras network's answers, a batch at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import tensorflow
from train.pixels import Pixels

Outputs = npt.NDArray[np.float32]
_BATCH = 64


class Predictor:
    """A network compiled once, to be asked often; it follows the network's weights.

    Args:
        model: a Keras network whose input is float32: pixels in [0, 255], or maps.
    """

    def __init__(self, model: Any) -> None:
        tf = tensorflow()
        self._run = tf.function(
            lambda batch: model(tf.cast(batch, tf.float32), training=False), reduce_retracing=True
        )

    def __call__(
        self, pixels: npt.NDArray[Any], *, advance: Callable[[int], None] | None = None
    ) -> Outputs:
        """Return the outputs, ``(photo, outputs)`` float32.

        Args:
            pixels: ``(photo, ...)``, any numbers that float32 holds.
            advance: called with the number of photos just answered.
        """
        tf = tensorflow()
        parts = []
        for start in range(0, len(pixels), _BATCH):
            batch = tf.constant(pixels[start : start + _BATCH])
            parts.append(np.asarray(self._run(batch), dtype=np.float32))
            if advance is not None:
                advance(len(batch))
        return np.concatenate(parts)


def predict(model: Any, pixels: Pixels, *, advance: Callable[[int], None] | None = None) -> Outputs:
    """Return the model's outputs for uint8 ``pixels``, once; see ``Predictor``."""
    return Predictor(model)(pixels, advance=advance)
