"""Scales and zero points of an ONNX graph, written no more often than they must be.

In int8 every kernel and every bias brings a zero point for each channel, all of them zero: with
equal scales a thirtieth of EfficientNet-Lite0's file. What is computed stays as it is.
"""

from typing import Any


def share_scales(proto: Any) -> None:
    """Let nodes read one of all equal scales and zero points, and constants no zero point of zeros.

    ``DequantizeLinear`` takes zero where it is given none; for what is not constant ONNX Runtime
    wants it all the same, to find the pair. Of equal constants the first keeps its name.

    Args:
        proto: an ``onnx.ModelProto``, changed in place.
    """
    from onnx import numpy_helper

    nodes, constants = proto.graph.node, proto.graph.initializer
    values = {item.name: numpy_helper.to_array(item) for item in constants}
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def shared(name: str) -> str:
        value = values.get(name)
        if value is None:
            return name
        return first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)

    before = {name for node in nodes for name in node.input}
    for node in nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.input[1:] = [shared(name) for name in node.input[1:]]
        is_constant = node.op_type == "DequantizeLinear" and node.input[0] in values
        if is_constant and not any(values[name].any() for name in node.input[2:]):
            del node.input[2:]
    unread = before - {name for node in nodes for name in node.input}
    kept = [item for item in constants if item.name not in unread]
    del constants[:]
    constants.extend(kept)
