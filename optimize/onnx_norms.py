"""Batch normalizations that no convolution takes in, written as convolutions of one pixel.

ONNX Runtime has no integer kernel for them: in a QDQ graph each runs in float, between conversions
and transposes of its whole maps. A convolution with one kernel of one pixel a channel is the same
product and sum; it has an integer kernel, which takes in the activation behind it.
"""

from typing import Any

import numpy as np

from optimize.onnx_view import OnnxView, Pattern, replace_patterns, settings_of

_EPSILON = 1e-5  # where a node has none of its own
_INPUTS = 5  # maps, scale, bias, mean, variance


def norms_as_convolutions(proto: Any) -> tuple[str, ...]:
    """Write each batch normalization of maps as a convolution, in place.

    Exact but for rounding. The convolution keeps the normalization's name, and so does what it
    gives.

    Args:
        proto: an ``onnx.ModelProto`` of static shapes.

    Returns:
        Name of the output of each.
    """
    return replace_patterns(proto, "BatchNormalization", _convolution)


def _convolution(view: OnnxView, norm: Any) -> Pattern | None:
    from onnx import helper

    maps, *names = norm.input
    found = [view.constants[name] for name in names if name in view.constants]
    if len(found) != _INPUTS - 1 or len(norm.output) > 1 or len(view.shape(maps)) != 4:
        return None
    scale, bias, mean, variance = (value.astype(np.float64) for value in found)
    factor = scale / np.sqrt(variance + settings_of(norm).get("epsilon", _EPSILON))
    taken = [
        maps,
        view.constant(f"{norm.output[0]}/factor", factor.reshape(-1, 1, 1, 1)),
        view.constant(f"{norm.output[0]}/offset", bias - mean * factor),
    ]
    written = helper.make_node(
        "Conv", taken, [norm.output[0]], name=norm.name, group=len(factor), kernel_shape=[1, 1]
    )
    return Pattern((norm,), (written,))
