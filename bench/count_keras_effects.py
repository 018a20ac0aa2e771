"""What each kind of Keras layer makes of the receptive field.

Kinds that are not in ``EFFECTS`` work position by position.
"""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bench.keras_calls import Call
from bench.receptive import Window, same_padding
from bench.receptive_views import (
    Effect,
    blend,
    contract,
    everything,
    pool,
    reduce,
    regroup,
    reorder,
    resample,
    slide,
    spread,
)

_Windows = dict[int, Window]  # by dimension


def effect_of(kind: str, call: Call) -> Effect:
    """Return what a layer of ``kind``, called like that, makes of the views of its inputs."""
    make = EFFECTS.get(kind)
    return make(call) if make else blend


def _dims(call: Call) -> range:
    """Return the dimensions that are positions: neither batch nor channels."""
    rank = len(call.input_shapes[0])
    first = getattr(call.layer, "data_format", None) == "channels_first"
    return range(2, rank) if first else range(1, rank - 1)


def _windows(call: Call, sizes: Any, dilations: Any = 1) -> _Windows:
    """Return the windows along all positions; one figure may stand for each of them."""
    dims = _dims(call)
    figures = (_each(value, len(dims)) for value in (sizes, call.layer.strides, dilations))
    return {
        dim: Window(size=size, stride=stride, dilation=dilation)
        for dim, size, stride, dilation in zip(dims, *figures, strict=True)
    }


def _each(value: Any, count: int) -> tuple[int, ...]:
    several = value if isinstance(value, tuple | list) else (value,) * count
    return tuple(int(item) for item in several)


def _padded(call: Call, windows: _Windows) -> _Windows:
    shape = call.input_shapes[0]
    if call.layer.padding == "causal":
        return {
            dim: replace(window, before=(window.size - 1) * window.dilation)
            for dim, window in windows.items()
        }
    if call.layer.padding != "same":
        return windows
    return {dim: same_padding(shape[dim], window) for dim, window in windows.items()}


def _convolved(call: Call) -> Effect:
    return slide(_padded(call, _windows(call, call.layer.kernel_size, call.layer.dilation_rate)))


def _pooled(call: Call) -> Effect:
    return pool(_padded(call, _windows(call, call.layer.pool_size)))


def _transposed(call: Call) -> Effect:
    windows, shape = _windows(call, call.layer.kernel_size), call.output_shapes[0]
    if call.layer.padding == "same":  # cut off what the convolution the other way would pad
        windows = {dim: same_padding(shape[dim], window) for dim, window in windows.items()}
    return spread(windows)


def _bordered(call: Call, borders: Any, sign: int) -> Effect:
    """Put borders around the map (``sign`` 1) or cut them off it (-1)."""
    pairs = [borders] if isinstance(borders[0], int) else borders
    dims = _dims(call)
    return slide(
        {dim: Window(before=sign * int(pair[0])) for dim, pair in zip(dims, pairs, strict=True)}
    )


def _normalised(call: Call) -> Effect:
    """Statistics of the channels alone change no field; those of positions see them all."""
    axes = {axis % len(call.input_shapes[0]) for axis in _each(call.layer.axis, 1)}
    return everything if axes & set(_dims(call)) else blend


def _resized(call: Call) -> Effect:
    return resample(interpolates=call.layer.interpolation != "nearest")


EFFECTS: MappingProxyType[str, Callable[[Call], Effect]] = MappingProxyType(
    {
        **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D"), _convolved),
        **dict.fromkeys(("DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"), _convolved),
        **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
        **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pooled),
        "GlobalAveragePooling2D": lambda call: reduce(_dims(call)),
        "GlobalMaxPooling2D": lambda call: reduce(_dims(call)),
        "ZeroPadding1D": lambda call: _bordered(call, call.layer.padding, 1),
        "ZeroPadding2D": lambda call: _bordered(call, call.layer.padding, 1),
        "Cropping2D": lambda call: _bordered(call, call.layer.cropping, -1),
        **dict.fromkeys(("UpSampling2D", "Resizing"), _resized),
        **dict.fromkeys(("Reshape", "Flatten", "tf.reshape"), lambda call: regroup),
        "Permute": lambda call: reorder((0, *(int(dim) for dim in call.layer.dims))),
        "tf.transpose": lambda call: everything,  # the order is not kept with the layer
        "Dense": lambda call: contract,
        "LayerNormalization": _normalised,
    }
)
"""Kind to what makes its effect from a call."""
