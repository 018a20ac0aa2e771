"""A Keras network through TensorFlow Lite's converter as it comes: what one has to beat.

Nothing is rewritten and nothing chosen: ``Optimize.DEFAULT``, with a representative dataset for
full integers. The operators for a batch of unknown size stay, as ``from_keras_model`` leaves them.
Source: https://ai.google.dev/edge/litert/models/post_training_quantization
"""

from typing import Any

import numpy as np

from optimize.convert import converted
from optimize.quantize_graph import with_camera_cast
from optimize.tflite_file import packed
from train.backend import tensorflow
from train.errors import ConfigError
from train.pixels import Pixels

DEFAULT_PRECISIONS = ("float", "int8-dynamic", "int8")


def default_tflite(model: Any, precision: str, calibration: Pixels) -> bytes:
    """Return ``model`` as the converter's defaults make it, taking uint8 camera pixels.

    The integer model takes them as they are; the others take float, and a cast is put before
    them, so that all are fed alike. The batch, which is unknown in the signature alone, is said to
    be the 1 that the tensors have: LiteRT profiles nothing else.

    Args:
        model: any Keras network on ``(batch, height, width, 3)`` in [0, 255].
        precision: one of ``DEFAULT_PRECISIONS``.
        calibration: ``(picture, height, width, 3)`` uint8; looked at for ``int8`` alone.

    Raises:
        ConfigError: there is no such default.
        ConversionError: the converter refuses the network.
    """
    if precision not in DEFAULT_PRECISIONS:
        raise ConfigError(f"precision {precision!r} is not one of {', '.join(DEFAULT_PRECISIONS)}")
    tf = tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "int8":
        converter.representative_dataset = lambda: (
            [picture[np.newaxis].astype(np.float32)] for picture in calibration
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    subject = f"{model.name} to {precision} .tflite by the converter's defaults"
    content = converted(lambda: bytes(converter.convert()), subject)
    content = _with_known_batch(content)
    return content if precision == "int8" else with_camera_cast(content)


def _with_known_batch(content: bytes) -> bytes:
    """Return a ``.tflite`` without its signature of shapes; no operator and no shape changes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.shapeSignature = None
    return packed(model, room_bytes=len(content) + 4096)
