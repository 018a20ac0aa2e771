"""Float16: weights stored in 16 bits, arithmetic in 32 as before.

The file halves and answers hardly change. Nothing is multiplied in 16 bits: on a processor the
runtimes turn the weights back into float32 when they load the model, so that it runs neither
faster nor in less memory (GPUs of phones do take advantage). LiteRT does that by its own
``DEQUANTIZE``; in ``.onnx`` a ``Cast`` follows each constant, which ONNX Runtime folds away.
Source: https://ai.google.dev/edge/litert/models/post_training_float16_quant
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optimize.convert import (
    converted,
    load_keras,
    tflite_converter,
    to_onnx,
    write_onnx,
    write_tflite,
)
from train.artifact import Artifact, Step, derive_artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format

LARGEST = 65_504.0  # the greatest number that float16 holds


@dataclass(frozen=True, kw_only=True)
class Float16Config:
    """How to store weights in float16.

    Attributes:
        smallest_tensor: ``.onnx`` constants with fewer values stay in float32; LiteRT's
            converter chooses by itself.
    """

    smallest_tensor: int = 16

    def __post_init__(self) -> None:
        if self.smallest_tensor < 1:
            raise ConfigError(f"smallest_tensor must be at least 1, got {self.smallest_tensor}")


def quantize_float16(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: Float16Config | None = None,
) -> Artifact:
    """Write ``parent`` with its weights in float16.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        calibration: not looked at: nothing is calibrated.
        calibration_ids: not looked at.
        folder: where the new artifact goes; must not exist.
        config: how; the defaults if ``None``.

    Raises:
        ConversionError: the parent is no Keras artifact, a weight is too great for float16, or
            its graph cannot be expressed.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    del calibration, calibration_ids
    config = config or Float16Config()
    model = load_keras(parent)
    require_small_weights(model)
    variant = parent.manifest.name.as_format(target, precision="float16")

    def fill(path: Path) -> None:
        if target == "onnx":
            proto = with_float16_weights(to_onnx(model), config.smallest_tensor)
            write_onnx(proto, path, parent, variant)
        else:
            write_tflite(to_float16_tflite(model), path, parent, variant)

    step = Step(
        technique="float16",
        config={"format": target, **asdict(config)},
        parent_sha256=parent.manifest.payload_sha256,
    )
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def to_float16_tflite(model: Any) -> bytes:
    """Return ``model`` as a ``.tflite`` that takes uint8 and stores its weights in float16.

    Raises:
        ConversionError: an operator has no counterpart in TensorFlow Lite.
    """
    tf = tensorflow()
    converter = tflite_converter(model, "uint8")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converted(lambda: bytes(converter.convert()), f"{model.name} to float16 .tflite")


def with_float16_weights(proto: Any, smallest_tensor: int) -> Any:
    """Return a float ``onnx.ModelProto`` with its constants in float16, each cast back.

    Constants beyond float16's range, and those of fewer than ``smallest_tensor`` values, stay.
    """
    import onnx
    from onnx import helper, numpy_helper

    found = onnx.ModelProto()
    found.CopyFrom(proto)
    casts = []
    for tensor in found.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < smallest_tensor or np.abs(values).max() > LARGEST:
            continue
        name, stored = tensor.name, f"{tensor.name}/float16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(
            helper.make_node("Cast", [stored], [name], f"{name}/cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = list(found.graph.node)
    del found.graph.node[:]
    found.graph.node.extend([*casts, *nodes])
    return found


def require_small_weights(model: Any) -> None:
    """Check that float16 holds every weight of a Keras network.

    Raises:
        ConversionError: one is greater than 65504, or no number.
    """
    for weight in model.weights:
        values = weight.numpy()
        greatest = float(np.abs(values).max(initial=0.0))
        if not greatest <= LARGEST:
            raise ConversionError(
                f"{model.name} to float16: a weight of {weight.name} is {greatest:g}, must be at"
                f" most {LARGEST:g}; use int8"
            )
