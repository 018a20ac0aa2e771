"""Camera pixels taken as they are by an integer ONNX graph.

A network rescales its pixels first, to [-1, 1] for one. In float that is a cast, a product and a
sum over the whole picture; in a QDQ graph their result is an integer from 0 to 255 again, and with
a range that the calibration met from end to end it is the pixel itself. Then its scale and zero
point say all that the three did, and they go.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from optimize.onnx_view import OnnxView, set_nodes

_LEVELS = np.arange(256, dtype=np.float64)
_ROUNDING = 1e-3  # of a step: scales are float32


class _Rescaled(NamedTuple):
    """A tensor on the pixels' way, ``factor * pixel + offset``."""

    tensor: str
    factor: float
    offset: float

    def ends(self) -> tuple[float, float]:
        """Return what it is for the pixels 0 and 255."""
        return self.offset, 255.0 * self.factor + self.offset


def rescaled_ranges(proto: Any) -> dict[str, tuple[float, float]]:
    """Return the tensors of a float graph that are rescaled pixels, and their ranges.

    Args:
        proto: an ``onnx.ModelProto`` with the one input ``pixels``.

    Returns:
        What each is for the pixels 0 and 255, the lesser first; the pixels' own is left out. None
        where the input is not uint8.
    """
    return {
        at.tensor: (min(at.ends()), max(at.ends()))
        for at, _ in _way(OnnxView(proto), proto.graph)
        if at.tensor != proto.graph.input[0].name
    }


def take_pixels_as_they_are(proto: Any) -> None:
    """Let the first operators of a QDQ graph read the uint8 pixels in place of their rescaling.

    Only where an integer that stands for a rescaled pixel is that pixel, or would be but for the
    half step that rounding may take.

    Args:
        proto: an ``onnx.ModelProto`` with the one input ``pixels``, changed in place; it stays as
            it is where the input is not uint8.
    """
    graph, view, same = proto.graph, OnnxView(proto), ""
    for at, taker in _way(view, graph):
        if taker is not None and taker.op_type == "QuantizeLinear":
            same = taker.output[0] if _is_the_pixel(view, at, taker) else same
    if same:
        for node in graph.node:
            node.input[:] = [graph.input[0].name if name == same else name for name in node.input]
        set_nodes(graph, _read_nodes(graph))


def _way(view: OnnxView, graph: Any) -> Iterator[tuple[_Rescaled, Any]]:
    """Yield each tensor on the pixels' way with its only taker; ``None`` where others take it."""
    from onnx import TensorProto

    pixels = graph.input[0]
    if pixels.type.tensor_type.elem_type != TensorProto.UINT8:
        return
    at: _Rescaled | None = _Rescaled(pixels.name, 1.0, 0.0)
    while at is not None:
        taker = view.only_taker(at.tensor)
        yield at, taker
        at = None if taker is None else _followed(view, at, taker)


def _is_the_pixel(view: OnnxView, at: _Rescaled, node: Any) -> bool:
    scale, zero = (view.constants.get(name) for name in node.input[1:3])
    if scale is None or zero is None or scale.size != 1 or zero.dtype != np.uint8:
        return False
    step = float(scale.item())
    stands_for = step * (_LEVELS - float(zero.item()))
    error = np.abs(at.factor * _LEVELS + at.offset - stands_for).max()
    return bool(error <= step * (0.5 + _ROUNDING))


def _followed(view: OnnxView, at: _Rescaled, node: Any) -> _Rescaled | None:
    """Return what ``node`` makes of the pixels, or ``None`` where it is more than a rescaling."""
    tensor = node.output[0]
    if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
        return at._replace(tensor=tensor)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first, second = node.input
    if first != at.tensor and node.op_type in ("Add", "Mul"):
        first, second = second, first
    by = _number(view, second)
    if first != at.tensor or by is None:
        return None
    if node.op_type in ("Add", "Sub"):
        return _Rescaled(tensor, at.factor, at.offset + (by if node.op_type == "Add" else -by))
    by = by if node.op_type == "Mul" else 1.0 / by
    return _Rescaled(tensor, at.factor * by, at.offset * by)


def _number(view: OnnxView, name: str) -> float | None:
    """Return the one value of a constant, be it kept in an integer; ``None`` where it is none."""
    kept = view.maker(name, "DequantizeLinear")
    if kept is None:
        return _scalar(view, name)
    value, scale, *zero = (_scalar(view, part) for part in kept.input)
    shift = zero[0] if zero else 0.0
    if value is None or scale is None or shift is None:
        return None
    return (value - shift) * scale


def _scalar(view: OnnxView, name: str) -> float | None:
    value = view.constants.get(name)
    return float(value.item()) if value is not None and value.size == 1 else None


def _read_nodes(graph: Any) -> list[Any]:
    """Return the nodes, in their order, whose outputs somebody reads."""
    read, kept = {item.name for item in graph.output}, []
    for node in reversed(graph.node):
        if any(name in read for name in node.output):
            kept.append(node)
            read.update(node.input)
    return kept[::-1]
