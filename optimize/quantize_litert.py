"""Full-integer int8 ``.tflite`` by TensorFlow Lite's own converter.

The converter is chosen over ai-edge-quantizer because only it gives the input that a phone
wants, uint8 with scale 1 and zero point 0: the other keeps an int8 input whose scale is a
moving average over the calibration photos. What the two make runs equally fast (see
``docs/decisions/0003-int8-engines.md``).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from optimize.convert import converted, tflite_converter
from train.backend import tensorflow
from train.errors import ConversionError
from train.pixels import Pixels


def to_int8_tflite(model: Any, calibration: Pixels) -> bytes:
    """Return ``model`` in int8 with uint8 input and output.

    Args:
        model: a Keras network on float32 pixels in [0, 255].
        calibration: ``(photo, height, width, 3)`` uint8 that holds 0 and 255.

    Raises:
        ConversionError: an operator has no integer form, or the input's scale is not 1.
    """
    tf = tensorflow()
    converter = calibrated_converter(model, calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    content = converted(lambda: bytes(converter.convert()), f"{model.name} to int8 .tflite")
    _require_camera_input(content, model.name)
    return content


def calibrated_converter(model: Any, calibration: Pixels) -> Any:
    """Return a converter on float32 pixels that finds ranges on ``calibration``, uint8."""
    converter = tflite_converter(model, "float32")

    def photos() -> Iterator[list[Any]]:
        for photo in calibration:
            yield [photo[np.newaxis].astype(np.float32)]

    converter.optimizations = [tensorflow().lite.Optimize.DEFAULT]
    converter.representative_dataset = photos
    return converter


def input_quantization(content: bytes) -> tuple[float, int]:
    """Return scale and zero point of the first input of a ``.tflite``; (0, 0) if it has none."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    quantization = graph.Tensors(graph.Inputs(0)).Quantization()
    if quantization is None or quantization.ScaleLength() == 0:
        return 0.0, 0
    return float(quantization.Scale(0)), int(quantization.ZeroPoint(0))


def _require_camera_input(content: bytes, network: str) -> None:
    scale, zero_point = input_quantization(content)
    if (scale, zero_point) != (1.0, 0):
        raise ConversionError(
            f"{network} to int8 .tflite: the input got scale {scale} and zero point {zero_point},"
            " must be 1 and 0; calibrate on pictures that hold both 0 and 255"
        )
