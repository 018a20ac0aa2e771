"""Camera pixels taken as they are by an integer ONNX graph.

A network rescales its pixels first, to [-1, 1] for one. In float that is a cast, a product and a
sum over the whole picture; in a QDQ graph their result is an integer from 0 to 255 again, and with
a range that the calibration met from end to end it is the pixel itself. Then its scale and zero
point say all that the three did, and they go.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_LEVELS = np.arange(256, dtype=np.float64)
_ROUNDING = 1e-3  # of a step: scales are float32


class _Rescaled(NamedTuple):
    """A tensor on the pixels' way, ``factor * pixel + offset``."""

    tensor: str
    factor: float
    offset: float


def take_pixels_as_they_are(proto: Any) -> None:
    """Let the first operators of a QDQ graph read the uint8 pixels in place of their rescaling.

    Only where an integer that stands for a rescaled pixel is that pixel, or would be but for the
    half step that rounding may take.

    Args:
        proto: an ``onnx.ModelProto`` with the one input ``pixels``, uint8, changed in place.
    """
    from onnx import TensorProto, numpy_helper

    graph = proto.graph
    pixels = graph.input[0]
    if pixels.type.tensor_type.elem_type != TensorProto.UINT8:
        return
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    values = {**constants, **_dequantized(graph.node, constants)}
    takers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            takers[name].append(node)
    at: _Rescaled | None = _Rescaled(pixels.name, 1.0, 0.0)
    same = ""
    while at is not None and len(takers[at.tensor]) == 1:
        (taker,) = takers[at.tensor]
        if taker.op_type == "QuantizeLinear" and _is_the_pixel(at, taker, constants):
            same = taker.output[0]
        at = _followed(at, taker, values)
    if not same:
        return
    for node in takers[same]:
        node.input[:] = [pixels.name if name == same else name for name in node.input]
    _drop_unread(graph)


def _dequantized(
    nodes: Any, constants: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the values of constants that are kept in integers, where one scale is for all."""
    found = {}
    for node in nodes:
        if node.op_type != "DequantizeLinear" or any(name not in constants for name in node.input):
            continue
        integers, scale, *zero = (constants[name] for name in node.input)
        if scale.size == 1:
            shift = zero[0].astype(np.float64) if zero else 0.0
            found[node.output[0]] = (integers.astype(np.float64) - shift) * float(scale.item())
    return found


def _is_the_pixel(at: _Rescaled, node: Any, constants: dict[str, npt.NDArray[Any]]) -> bool:
    scale, zero = (constants.get(name) for name in node.input[1:3])
    if scale is None or zero is None or scale.size != 1 or zero.dtype != np.uint8:
        return False
    step = float(scale.item())
    stands_for = step * (_LEVELS - float(zero.item()))
    error = np.abs(at.factor * _LEVELS + at.offset - stands_for).max()
    return bool(error <= step * (0.5 + _ROUNDING))


def _followed(at: _Rescaled, node: Any, values: dict[str, Any]) -> _Rescaled | None:
    """Return what ``node`` makes of the pixels, or ``None`` where it is more than a rescaling."""
    tensor = node.output[0]
    if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
        return at._replace(tensor=tensor)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first, second = node.input
    if first != at.tensor and node.op_type in ("Add", "Mul"):
        first, second = second, first
    value = values.get(second)
    if first != at.tensor or value is None or value.size != 1:
        return None
    by = float(value.item())
    if node.op_type in ("Add", "Sub"):
        return _Rescaled(tensor, at.factor, at.offset + (by if node.op_type == "Add" else -by))
    by = by if node.op_type == "Mul" else 1.0 / by
    return _Rescaled(tensor, at.factor * by, at.offset * by)


def _drop_unread(graph: Any) -> None:
    """Take out nodes, and constants, whose outputs nobody reads any more."""
    outputs = {item.name for item in graph.output}
    while True:
        read = outputs | {name for node in graph.node for name in node.input}
        kept = [node for node in graph.node if any(name in read for name in node.output)]
        if len(kept) == len(graph.node):
            break
        del graph.node[:]
        graph.node.extend(kept)
    constants = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)
