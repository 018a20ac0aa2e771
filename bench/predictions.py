"""What a record keeps of a classifier's probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.record_predictions import TOP
from train.errors import RuntimeFailure

_SLACK = 0.01  # int8 probabilities may pass 1 by a step of theirs, which is 1/256


def predictions_of(
    probabilities: npt.NDArray[np.float32], *, subject: str, classes: int
) -> dict[str, Any]:
    """Return the fields of a record that say what was predicted.

    Args:
        probabilities: ``(photo, class)``, in [0, 1].
        subject: what made them, for errors.
        classes: how many it should know.

    Returns:
        ``predictions``, ``top_classes`` and ``confidences``; of equal probabilities the class
        that comes first is the better one.

    Raises:
        RuntimeFailure: there are other classes, or values that are no probabilities.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != classes:
        raise RuntimeFailure(
            f"{subject}: gives {probabilities.shape[-1]} classes, its manifest names {classes};"
            " make the artifact again"
        )
    broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if broken:
        raise RuntimeFailure(
            f"{subject}: probabilities of {broken} of {len(probabilities)} photos are"
            " not finite numbers; the conversion or the training went wrong"
        )
    low, high = float(probabilities.min()), float(probabilities.max())
    if low < -_SLACK or high > 1.0 + _SLACK:
        raise RuntimeFailure(
            f"{subject}: probabilities must be in [0, 1], got {low:.3g} to {high:.3g}; end the"
            " network with a softmax"
        )
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    best = np.clip(np.take_along_axis(probabilities, order[:, :1], axis=1)[:, 0], 0.0, 1.0)
    return {
        "predictions": tuple(int(row[0]) for row in order),
        "top_classes": tuple(tuple(int(number) for number in row) for row in order),
        "confidences": tuple(round(float(value), 4) for value in best),
    }
