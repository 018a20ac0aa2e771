"""Parity of a variant with its Keras parent, as a record."""

from typing import Literal

import numpy as np

from bench.record import ParityRecord
from bench.subject import subject_of
from deploy.loaded import Probabilities
from deploy.parity import FLOAT_BOUNDS, Parity, check_parity
from train.artifact import Artifact
from train.keras_file import load_keras
from train.pixels import Pixels
from train.predict import predict


def parity_record(
    variant: Artifact,
    parent: Artifact,
    pixels: Pixels,
    *,
    environment: str,
    threads: int,
    expected: Probabilities | None = None,
) -> ParityRecord:
    """Compare ``variant`` with ``parent`` on real photos.

    Args:
        variant: a ``.tflite`` or ``.onnx`` artifact.
        parent: the Keras network that it was made from.
        pixels: ``(photo, rows, columns, 3)`` uint8.
        environment: digest of the machine.
        threads: of the variant's runtime.
        expected: ``(photo, classes)``, the parent's answers where they are known; it is run if
            ``None``.

    Raises:
        ArtifactError: the parent cannot be opened.
        RuntimeFailure: the variant cannot be run.
    """
    if expected is None:
        expected = predict(load_keras(parent.payload), pixels)
    found = check_parity(variant, expected, pixels, threads=threads)
    return _record(variant, environment, found, "probabilities")


def features_record(
    variant: Artifact,
    runtime: str,
    expected: Probabilities,
    found: Probabilities,
    *,
    environment: str,
) -> ParityRecord:
    """Compare what the head is fed in ``variant``, in float, with its Keras parent's.

    Args:
        variant: a ``.tflite`` or ``.onnx`` artifact.
        runtime: name and version of what gave the features of the variant.
        expected: ``(photo, features)`` of the parent.
        found: ``(photo, features)`` of the variant without its head.
        environment: digest of the machine.
    """
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    agreement = float((found.argmax(1) == expected.argmax(1)).mean())
    measured = Parity(
        variant=variant.manifest.variant,
        runtime=runtime,
        images=len(expected),
        max_difference=difference,
        argmax_agreement=agreement,
        tolerance=FLOAT_BOUNDS.max_difference,
        min_agreement=FLOAT_BOUNDS.min_agreement,
    )
    return _record(variant, environment, measured, "features")


def _record(
    variant: Artifact,
    environment: str,
    found: Parity,
    compared: Literal["probabilities", "features"],
) -> ParityRecord:
    return ParityRecord(
        **subject_of(variant.manifest, environment),
        compared=compared,
        runtime=found.runtime,
        images=found.images,
        max_difference=found.max_difference,
        argmax_agreement=found.argmax_agreement,
        tolerance=found.tolerance,
        min_agreement=found.min_agreement,
        passed=found.passed,
    )
