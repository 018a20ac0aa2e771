"""int16x8: activations in 16 bits, weights in 8.

As exact as float for networks that 8-bit activations ruin, in a file four times smaller. It is
not fast: LiteRT runs it on plain kernels, slower than float on most processors. ONNX Runtime has
no kernels for it at all.
Source: https://ai.google.dev/edge/litert/models/post_training_integer_quant_16x8
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optimize.convert import converted, load_keras, to_tflite, write_tflite
from optimize.quantize import calibration_record, require_calibration
from optimize.quantize_graph import operators_of, with_camera_cast
from optimize.quantize_litert import calibrated_converter
from train.artifact import Artifact, Step, derive_artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format

# Each was converted and run. Others are refused by the converter after its work, or, as LayerNorm's
# SQUARED_DIFFERENCE, end the process that loads them.
TAKEN = frozenset(
    {
        "ADD", "AVERAGE_POOL_2D", "CAST", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED", "GELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "SOFTMAX",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Int16Config:
    """How to quantize activations to 16 bits.

    Attributes:
        photos: calibration photos to take from the training side, at least 8.
        seed: of the choice of photos.
    """

    photos: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.photos < 8:
            raise ConfigError(f"photos must be at least 8 for calibration, got {self.photos}")


def quantize_int16x8(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: Int16Config | None = None,
) -> Artifact:
    """Write ``parent`` with int16 activations and int8 weights; uint8 in, float out.

    Args:
        parent: a Keras artifact.
        target: ``tflite``; ``onnx`` is refused.
        calibration: ``(photo, height, width, 3)`` uint8, real photos of the training side.
        calibration_ids: their ids, in the same order; the manifest records them.
        folder: where the new artifact goes; must not exist.
        config: how; the defaults if ``None``.

    Raises:
        ConversionError: ``target`` is ``onnx``, the parent is no Keras artifact, the calibration
            photos do not fit it, or a layer of it has no kernel for 16 bits.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config = config or Int16Config()
    if target != "tflite":
        raise ConversionError(
            f"{parent.manifest.variant}: int16x8 cannot be written as .{target}: ONNX Runtime has"
            " no kernels for 16-bit activations with 8-bit weights; use tflite, or int8 for .onnx"
        )
    require_calibration(parent, calibration, calibration_ids)
    model = load_keras(parent)
    require_taken(to_tflite(model), model.name)
    variant = parent.manifest.name.as_format(target, precision="int16x8")
    step = Step(
        technique="int16x8",
        config={"format": target, **asdict(config), **calibration_record(calibration_ids, 0)},
        parent_sha256=parent.manifest.payload_sha256,
    )

    def fill(path: Path) -> None:
        write_tflite(to_int16x8_tflite(model, calibration), path, parent, variant)

    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def to_int16x8_tflite(model: Any, calibration: Pixels) -> bytes:
    """Return ``model`` with int16 activations and int8 weights; uint8 in, float out.

    Args:
        model: a Keras network on float32 pixels in [0, 255].
        calibration: ``(photo, height, width, 3)`` uint8.

    Raises:
        ConversionError: an operator has no 16-bit form.
    """
    tf = tensorflow()
    # The converter takes no cast in 16 bits: it gets float pixels, the cast is put before them.
    converter = calibrated_converter(model, calibration)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    subject = f"{model.name} to int16x8 .tflite"
    return with_camera_cast(converted(lambda: bytes(converter.convert()), subject))


def require_taken(content: bytes, network: str) -> None:
    """Check that every operator of a float ``.tflite`` has a kernel for 16-bit activations.

    Raises:
        ConversionError: it names those that have none.
    """
    strange = sorted(set(operators_of(content)) - TAKEN)
    if strange:
        raise ConversionError(
            f"{network} to int16x8 .tflite: LiteRT has no sound 16-bit kernel for"
            f" {', '.join(strange)} (LayerNorm holds SQUARED_DIFFERENCE and RSQRT); use int8, with"
            " its worst layers in float where it costs too much"
        )
