"""Full-integer int8 ``.onnx``: QuantizeLinear and DequantizeLinear around each operator (QDQ).

ONNX Runtime fuses each such group into one integer kernel. Weights get one scale a channel.
Its dynamic quantization is not offered: it turns convolutions into ``ConvInteger``, for which
there is no fast kernel.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optimize.convert import converted
from train.pixels import Pixels


def to_int8_onnx(
    proto: Any,
    calibration: Pixels,
    *,
    activations: Literal["uint8", "int8"],
    reduce_range: bool,
) -> Any:
    """Return a float ONNX graph as a QDQ graph; its input stays uint8.

    Args:
        proto: a float ``onnx.ModelProto`` with the one input ``pixels``.
        calibration: ``(photo, height, width, 3)`` uint8; one photo at a time is run, and only
            the ranges met are kept, so that memory does not grow with their number.
        activations: type of the activations.
        reduce_range: use 7 bits of the weights.

    Raises:
        ConversionError: ONNX Runtime refuses the graph.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    kinds = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}

    def quantize() -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            names = ("float.onnx", "prepared.onnx", "int8.onnx")
            plain, prepared, integer = (Path(scratch) / name for name in names)
            onnx.save(proto, plain)
            # Shapes are static: ONNX's own inference finds them all without the symbolic one.
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                integer,
                _reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=reduce_range,
                activation_type=kinds[activations],
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_softmax_nodes(onnx.load(prepared)),
            )
            return onnx.load(integer)

    return converted(quantize, "float .onnx to int8 .onnx")


def _softmax_nodes(proto: Any) -> list[str]:
    """Return the nodes that stay in float: in 8 bits near probabilities become equal ones."""
    return [node.name for node in proto.graph.node if node.op_type == "Softmax"]


def _reader(calibration: Pixels) -> Any:
    """Return ONNX Runtime's view of the photos, one feed at a time."""
    from onnxruntime.quantization import CalibrationDataReader

    feeds: Iterator[dict[str, Any]] = ({"pixels": photo[np.newaxis]} for photo in calibration)

    class PhotoReader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            return next(feeds, None)

    return PhotoReader()
