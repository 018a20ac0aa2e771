"""Multiplications of a network, counted from its layers' own shapes."""

from typing import Any

import numpy as np


def maccs_of(model: Any) -> int:
    """Return the multiplications of convolutions and dense layers for one picture."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            rows, columns, entering, leaving = layer.kernel.shape
            total += rows * columns * entering * leaving * int(np.prod(layer.output_shape[1:3]))
        elif kind == "DepthwiseConv2D":
            rows, columns, channels, _ = layer.depthwise_kernel.shape
            total += rows * columns * channels * int(np.prod(layer.output_shape[1:3]))
        elif kind == "Dense":
            total += int(np.prod(layer.kernel.shape))
    return total
