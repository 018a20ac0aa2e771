"""What each TFLite operator makes of the receptive field; maps are ``(batch, rows, columns, n)``.

Operators that are not in ``EFFECTS`` work position by position.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

from bench.receptive import Shape, Window, same_padding
from bench.receptive_views import (
    Effect,
    View,
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
from bench.tflite_graph import Graph, Operator

_SAME = 0  # schema.Padding.SAME
_ROWS, _COLUMNS = 1, 2
_Shapes = list[Shape]
_Figures = list[tuple[int, ...] | None]  # of small integer constants among the inputs
_Make = Callable[[Any, _Shapes, _Figures, Shape], Effect]


def effect_of(operator: Operator, graph: Graph) -> Effect:
    """Return what ``operator`` makes of the views of its inputs."""
    make = EFFECTS.get(operator.kind)
    if make is None:
        return blend
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    output = graph.tensors[operator.outputs[0]]
    return make(
        operator.options,
        [tensor.shape for tensor in inputs],
        [tensor.figures for tensor in inputs],
        output.shape,
    )


def _windows(options: Any, rows: int, columns: int, *, dilated: bool) -> dict[int, Window]:
    return {
        _ROWS: Window(
            size=rows,
            stride=options.StrideH(),
            dilation=options.DilationHFactor() if dilated else 1,
        ),
        _COLUMNS: Window(
            size=columns,
            stride=options.StrideW(),
            dilation=options.DilationWFactor() if dilated else 1,
        ),
    }


def _padded(options: Any, windows: dict[int, Window], shape: Shape) -> dict[int, Window]:
    if options.Padding() != _SAME:
        return windows
    return {dim: same_padding(shape[dim], window) for dim, window in windows.items()}


def _convolution(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del figures, shape
    windows = _windows(options, *shapes[1][1:3], dilated=True)
    return slide(_padded(options, windows, shapes[0]))


def _transposed(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del figures  # cut off what the convolution the other way would pad
    windows = _windows(options, *shapes[1][1:3], dilated=False)
    return spread(_padded(options, windows, shape))


def _volume(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del figures, shape
    strides = (options.StrideD(), options.StrideH(), options.StrideW())
    dilations = (
        options.DilationDFactor(),
        options.DilationHFactor(),
        options.DilationWFactor(),
    )
    windows = {
        dim: Window(size=size, stride=stride, dilation=dilation)
        for dim, size, stride, dilation in zip(
            (1, 2, 3), shapes[1][:3], strides, dilations, strict=True
        )
    }
    return slide(_padded(options, windows, shapes[0]))


def _pooling(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del figures, shape
    sizes = options.FilterHeight(), options.FilterWidth()
    return pool(_padded(options, _windows(options, *sizes, dilated=False), shapes[0]))


def _padding(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del options, shapes, shape
    pairs = figures[1]
    if pairs is None:
        return everything
    return slide({dim: Window(before=before) for dim, before in enumerate(pairs[::2])})


def _reduction(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del options, shapes, shape
    return everything if figures[1] is None else reduce(figures[1])


def _transposition(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del options, shapes, shape
    return everything if figures[1] is None else reorder(figures[1])


def _slice(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del options, shapes, shape
    begins = figures[1]
    if begins is None:
        return everything
    return slide({dim: Window(before=-begin) for dim, begin in enumerate(begins)})


def _strided_slice(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    begins, strides = figures[1], figures[3]
    if begins is None or strides is None or len(shape) != len(shapes[0]):
        return everything
    if min(strides) < 1 or options.EllipsisMask():
        return everything
    windows = {}
    for dim, (begin, stride) in enumerate(zip(begins, strides, strict=True)):
        first = 0 if options.BeginMask() >> dim & 1 else begin % shapes[0][dim]
        windows[dim] = Window(before=-first, stride=stride)
    return slide(windows)


def _dense(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    """Rows of ``in`` values, whatever dimensions they were in, become rows of ``out`` values."""
    del options, figures, shape
    features = shapes[1][-1]

    def effect(views: Sequence[View], own: Sequence[Shape], shape: Shape) -> View:
        flat = (*shape[:-1], features)
        return contract([regroup(views[:1], own[:1], flat), *views[1:]], [flat, *own[1:]], shape)

    return effect


def _product(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> Effect:
    del shapes, figures, shape
    return everything if options.AdjX() else contract


def _blocks(options: Any, shapes: _Shapes, figures: _Figures, shape: Shape) -> dict[int, Window]:
    del shapes, figures, shape
    size = options.BlockSize()
    return {dim: Window(size=size, stride=size) for dim in (_ROWS, _COLUMNS)}


EFFECTS: MappingProxyType[str, _Make] = MappingProxyType(
    {
        **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _convolution),
        "TRANSPOSE_CONV": _transposed,
        "CONV_3D": _volume,
        "CONV_3D_TRANSPOSE": lambda *_: everything,
        **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pooling),
        **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _padding),
        **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), _reduction),
        **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), lambda *_: regroup),
        "TRANSPOSE": _transposition,
        "FULLY_CONNECTED": _dense,
        "BATCH_MATMUL": _product,
        "RESIZE_BILINEAR": lambda *_: resample(interpolates=True),
        "RESIZE_NEAREST_NEIGHBOR": lambda *_: resample(interpolates=False),
        "SPACE_TO_DEPTH": lambda *facts: slide(_blocks(*facts)),
        "DEPTH_TO_SPACE": lambda *facts: spread(_blocks(*facts)),
        "SLICE": _slice,
        "STRIDED_SLICE": _strided_slice,
        **dict.fromkeys(
            ("PACK", "UNPACK", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), lambda *_: everything
        ),
    }
)
"""Operator to what makes its effect from options, input shapes, figures and output shape."""
