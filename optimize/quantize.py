"""Full-integer int8 quantization after training: weights and activations in 8 bits.

It makes the file about four times smaller, and faster wherever the processor multiplies 8-bit
integers quickly. It does not cut the number of multiplications, and it costs accuracy where one
tensor holds very large and very small values: the calibration photos decide the ranges.
Source: Jacob et al. 2018, arXiv:1712.05877; Nagel et al. 2021, arXiv:2106.08295.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import JsonValue

from optimize.convert import load_keras, to_onnx, write_onnx, write_tflite
from optimize.quantize_litert import to_int8_tflite
from optimize.quantize_onnx import to_int8_onnx
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """How to quantize.

    Weights are symmetric int8 with one scale a channel in both formats; ranges of activations
    are the least and the greatest value met on the calibration photos.

    Attributes:
        photos: calibration photos to take from the training side, at least 8; ranges settle
            after a hundred or so.
        seed: of the choice of photos.
        onnx_activations: type of activations in ``.onnx``. ``uint8`` maps to one instruction on
            x86 processors with VNNI and is the faster there; ``int8`` suits others.
        onnx_reduce_range: use 7 of the 8 bits of the weights, against overflow of ``uint8``
            activations on x86 processors without VNNI.
    """

    photos: int = 200
    seed: int = 0
    onnx_activations: Literal["uint8", "int8"] = "uint8"
    onnx_reduce_range: bool = False

    def __post_init__(self) -> None:
        if self.photos < 8:
            raise ConfigError(f"photos must be at least 8 for calibration, got {self.photos}")
        if self.onnx_activations not in ("uint8", "int8"):
            raise ConfigError(
                f"onnx_activations must be uint8 or int8, got {self.onnx_activations!r}"
            )


def choose_calibration(
    train_ids: Sequence[str], config: QuantizeConfig | None = None
) -> tuple[str, ...]:
    """Return the ids to calibrate on, sorted: a seeded sample of the training side.

    Args:
        train_ids: photo ids of the training side, never of another.
        config: says how many and with which seed; all of them where there are fewer.
    """
    config = config or QuantizeConfig()
    ids = sorted(train_ids)
    chosen = random.Random(config.seed).sample(ids, min(config.photos, len(ids)))
    return tuple(sorted(chosen))


def quantize_int8(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: QuantizeConfig | None = None,
) -> Artifact:
    """Write ``parent`` as a full-integer int8 artifact.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        calibration: ``(photo, height, width, 3)`` uint8, real photos of the training side.
        calibration_ids: their ids, in the same order; the manifest records them.
        folder: where the new artifact goes; must not exist.
        config: how; the defaults if ``None``.

    Raises:
        ConversionError: the parent is no Keras artifact, the calibration photos do not fit it,
            or its graph cannot be expressed in integers.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config = config or QuantizeConfig()
    _require_fit(parent, calibration, calibration_ids)
    model = load_keras(parent)
    variant = parent.manifest.name.as_format(target, precision="int8")
    reaching, changed = with_both_extremes(calibration)

    def fill(path: Path) -> None:
        if target == "onnx":
            integer = to_int8_onnx(
                to_onnx(model),
                reaching,
                activations=config.onnx_activations,
                reduce_range=config.onnx_reduce_range,
            )
            write_onnx(integer, path, parent, variant)
        else:
            write_tflite(to_int8_tflite(model, reaching), path, parent, variant)

    step = Step(
        technique="int8",
        config={
            "format": target,
            "method": "min-max",
            **asdict(config),
            **_calibration_record(calibration_ids, changed),
        },
        parent_sha256=parent.manifest.payload_sha256,
    )
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def with_both_extremes(calibration: Pixels) -> tuple[Pixels, int]:
    """Return the photos with 0 and 255 among their values, and how many values were set.

    The input's scale is exactly 1 and its zero point 0 only if calibration meets both ends of
    [0, 255]. Where an end is missing, the first value (or the second) of the first photo is set
    to it: one channel of one corner pixel, which a camera could have delivered.
    """
    missing = [end for end in (0, 255) if not (calibration == end).any()]
    if not missing:
        return calibration, 0
    reaching = np.array(calibration)
    reaching.reshape(-1)[: len(missing)] = missing
    return reaching, len(missing)


def _calibration_record(ids: Sequence[str], changed: int) -> dict[str, JsonValue]:
    return {
        "calibration_ids": list(ids),
        "calibration_values_set": changed,
    }


def _require_fit(parent: Artifact, calibration: Pixels, ids: Sequence[str]) -> None:
    pixels = parent.manifest.pixels
    expected = (len(ids), pixels.height, pixels.width, 3)
    if not ids or calibration.shape != expected or calibration.dtype != np.uint8:
        raise ConversionError(
            f"{parent.manifest.variant}: calibration photos are {calibration.dtype}"
            f" {calibration.shape}, must be uint8 {expected} with at least one photo"
        )
    stray = sorted(set(ids) - set(parent.split().train))
    if stray:
        raise ConversionError(
            f"{parent.manifest.variant}: {len(stray)} calibration photos are not on the training"
            f" side (first: {stray[0]}); choose them with choose_calibration(split.train)"
        )
