"""Full-integer int8 quantization after training: weights and activations in 8 bits.

It makes the file about four times smaller, and faster wherever the processor multiplies 8-bit
integers quickly. It does not cut the number of multiplications, and it costs accuracy where one
tensor holds very large and very small values: the calibration photos decide the ranges.
Source: Jacob et al. 2018, arXiv:1712.05877; Nagel et al. 2021, arXiv:2106.08295.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import JsonValue

from optimize.convert import load_keras, to_onnx, to_tflite, write_onnx, write_tflite
from optimize.litert_quantizer import find_ranges, to_mixed_tflite
from optimize.quantize_litert import to_int8_tflite
from optimize.quantize_onnx import to_int8_onnx
from optimize.quantize_processor import products_overflow_here
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format, Variant

# What each backend can find the ranges of activations by, its default first.
CALIBRATIONS: dict[tuple[Format, str], tuple[str, ...]] = {
    ("tflite", "converter"): ("min-max",),
    ("tflite", "ai-edge-quantizer"): ("min-max", "average", "mse"),
    ("onnx", "converter"): ("percentile", "min-max", "entropy"),
}
BACKENDS = ("converter", "ai-edge-quantizer")


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """How to quantize.

    Weights are symmetric int8 with one scale a channel in both formats.

    Attributes:
        photos: calibration photos to take from the training side, at least 8; ranges settle
            after a hundred or so.
        seed: of the choice of photos.
        backend: ``converter`` (TensorFlow Lite's own, or ONNX Runtime's tool) or
            ``ai-edge-quantizer``, for ``.tflite`` alone.
        calibration: how ranges of activations are found. ``min-max``: the least and the greatest
            value met; ``percentile``: all but the outermost; ``entropy``: where cutting off
            loses the least information; ``average``: a moving average of each photo's least
            and greatest; ``mse``: ``min-max``, with *weights* scaled for the least squared error;
            ``auto``: the first that ``CALIBRATIONS`` has for the backend and the format.
        percentile: percent of the values that ``percentile`` keeps, in (50, 100].
        onnx_activations: type of activations in ``.onnx``. ``uint8`` maps to one instruction on
            x86 processors with VNNI and is the faster there; ``int8`` suits others.
        onnx_reduce_range: whether weights use 7 of their 8 bits, against overflow of ``uint8``
            activations on x86 processors without VNNI: ``yes``, ``no``, or ``auto`` for what
            the processor at hand needs.
    """

    photos: int = 200
    seed: int = 0
    backend: str = "converter"
    calibration: str = "auto"
    percentile: float = 99.999
    onnx_activations: Literal["uint8", "int8"] = "uint8"
    onnx_reduce_range: Literal["auto", "yes", "no"] = "auto"

    def __post_init__(self) -> None:
        if self.photos < 8:
            raise ConfigError(f"photos must be at least 8 for calibration, got {self.photos}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                listed = " or ".join((", ".join(allowed[:-1]), allowed[-1]))
                raise ConfigError(f"{name} must be {listed}, got {getattr(self, name)!r}")
        if not 50.0 < self.percentile <= 100.0:
            raise ConfigError(f"percentile must be in (50, 100], got {self.percentile}")

    def reduces_range(self) -> bool:
        """Return whether ``.onnx`` weights use 7 bits on the processor at hand."""
        if self.onnx_reduce_range == "auto":
            return self.onnx_activations == "uint8" and products_overflow_here()
        return self.onnx_reduce_range == "yes"

    def fitted(self, target: Format) -> Self:
        """Return these settings with the calibration that ``auto`` stands for in ``target``.

        Raises:
            ConfigError: the backend cannot write ``target``, or not find ranges as told.
        """
        methods = CALIBRATIONS.get((target, self.backend))
        if methods is None:
            raise ConfigError(f"backend {self.backend!r} writes no .{target}; use 'converter'")
        if self.calibration == "auto":
            return replace(self, calibration=methods[0])
        if self.calibration not in methods:
            raise ConfigError(
                f"calibration must be one of {', '.join(methods)} for .{target} by"
                f" {self.backend}, got {self.calibration!r}"
            )
        return self

    def words(self, target: Format) -> tuple[str, ...]:
        """Return what a variant's name says of settings that are not the defaults."""
        usual = ("auto", CALIBRATIONS[target, self.backend][0])
        said = {
            "ai-edge": self.backend == "ai-edge-quantizer",
            self.calibration: self.calibration not in usual,
            "s8s8": target == "onnx" and self.onnx_activations == "int8",
            "7-bit": target == "onnx" and self.onnx_reduce_range == "yes",
        }
        return tuple(word for word, holds in said.items() if holds)


_CHOICES: dict[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "calibration": ("auto", *sorted({name for names in CALIBRATIONS.values() for name in names})),
    "onnx_activations": ("uint8", "int8"),
    "onnx_reduce_range": ("auto", "yes", "no"),
}


def choose_calibration(train_ids: Sequence[str], config: Any = None) -> tuple[str, ...]:
    """Return the ids to calibrate on, sorted: a seeded sample of the training side.

    Args:
        train_ids: photo ids of the training side, never of another.
        config: says how many and with which seed; all of them where there are fewer. One id
            where it has no ``photos``, as that of a technique that calibrates on nothing.
    """
    config = config or QuantizeConfig()
    ids = sorted(train_ids)
    wanted, seed = getattr(config, "photos", 1), getattr(config, "seed", 0)
    return tuple(sorted(random.Random(seed).sample(ids, min(wanted, len(ids)))))


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
        ConfigError: the backend cannot write ``target``, or not find ranges as told.
        ConversionError: the parent is no Keras artifact, the calibration photos do not fit it,
            or its graph cannot be expressed in integers.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config = (config or QuantizeConfig()).fitted(target)
    require_calibration(parent, calibration, calibration_ids)
    model = load_keras(parent)
    variant = named(parent, config, target)
    reaching, changed = reaching_both_ends(calibration, target, config.backend)

    def fill(path: Path) -> None:
        if target == "onnx":
            write_onnx(integer_onnx(model, reaching, config), path, parent, variant)
        else:
            write_tflite(integer_tflite(model, reaching, config), path, parent, variant)

    step = Step(
        technique="int8",
        config={
            "format": target,
            "method": config.calibration,
            **asdict(config),
            "onnx_weight_bits": 7 if target == "onnx" and config.reduces_range() else 8,
            **calibration_record(calibration_ids, changed),
        },
        parent_sha256=parent.manifest.payload_sha256,
    )
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def integer_onnx(model: Any, calibration: Pixels, config: QuantizeConfig) -> Any:
    """Return ``model`` as an ``onnx.ModelProto`` in int8, calibrated as ``config`` says."""
    return to_int8_onnx(
        to_onnx(model),
        calibration,
        activations=config.onnx_activations,
        reduce_range=config.reduces_range(),
        method=config.calibration,
        percentile=config.percentile,
    )


def integer_tflite(model: Any, calibration: Pixels, config: QuantizeConfig) -> bytes:
    """Return ``model`` as a ``.tflite`` in int8, calibrated as ``config`` says."""
    if config.backend == "converter":
        return to_int8_tflite(model, calibration)
    content = to_tflite(model)
    ranges = find_ranges(content, calibration, average=config.calibration == "average")
    return to_mixed_tflite(content, ranges, least_squares=config.calibration == "mse")


def named(parent: Artifact, config: QuantizeConfig, target: Format, *more: str) -> Variant:
    """Return the name of ``parent`` in int8, with ``more`` and unusual settings as techniques."""
    name = parent.manifest.name.as_format(target, precision="int8")
    return replace(name, techniques=(*name.techniques, *more, *config.words(target)))


def reaching_both_ends(calibration: Pixels, target: Format, backend: str) -> tuple[Pixels, int]:
    """Return ``with_both_extremes`` where a backend has the input's range from the photos alone."""
    if (target, backend) == ("tflite", "converter"):
        return with_both_extremes(calibration)
    return calibration, 0


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


def calibration_record(ids: Sequence[str], changed: int) -> dict[str, JsonValue]:
    """Return what a manifest says of calibration: which photos, how many values were set."""
    return {
        "calibration_ids": list(ids),
        "calibration_values_set": changed,
    }


def require_calibration(parent: Artifact, calibration: Pixels, ids: Sequence[str]) -> None:
    """Check that calibration photos fit the parent and come from its training side.

    Raises:
        ConversionError: they do not.
    """
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
