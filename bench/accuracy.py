"""Every prediction of a variant under its own runtime; ``scores.py`` makes figures of them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench.predictions import predictions_of
from bench.record import AccuracyRecord
from bench.subject import subject_of
from deploy.runtime import open_runtime
from train.artifact import Artifact
from train.dataset import Photo
from train.errors import DataError, RuntimeFailure
from train.pixels import Pixels

_BATCH = 32  # pictures handed over at once: what is read from the pixel cache stays small


def measure_accuracy(
    artifact: Artifact,
    runtime: str,
    photos: Sequence[Photo],
    pixels: Pixels,
    *,
    side: Literal["validation", "test"],
    environment: str,
    threads: int,
) -> AccuracyRecord:
    """Return every prediction of a variant under ``runtime`` on one side of its split.

    Args:
        artifact: a ``.tflite`` or ``.onnx`` variant.
        runtime: ``litert`` or ``onnxruntime``.
        photos: the photos, all of that side of the artifact's own split.
        pixels: ``(photo, height, width, 3)`` uint8, one for each of ``photos``.
        side: which side they are.
        environment: name of the environment record.
        threads: threads the runtime is given.

    Raises:
        DataError: photos and pixels do not match, a photo is not of that side (the model may
            have been trained on it), or its label is none of the model's.
        RuntimeFailure: the runtime refuses the model, the model has another input or number of
            classes than its manifest says, or it gives values that are not numbers.
    """
    manifest = artifact.manifest
    truths = _checked_truths(artifact, photos, pixels, side)
    with open_runtime(artifact.payload, runtime, threads=threads) as opened:
        if opened.input_shape[1:] != pixels.shape[1:]:
            raise RuntimeFailure(
                f"{manifest.variant}: takes {opened.input_shape[1:]}, the pixels are"
                f" {pixels.shape[1:]}; decode them under the manifest's pixel contract"
            )
        name = opened.name
        batches = range(0, len(pixels), _BATCH)
        parts = [opened.predict(pixels[start : start + _BATCH]) for start in batches]
    predicted = predictions_of(
        np.concatenate(parts), subject=manifest.variant, classes=len(manifest.labels)
    )
    return AccuracyRecord(
        **subject_of(manifest, environment),
        runtime=name,
        side=side,
        labels=manifest.labels,
        photo_ids=tuple(photo.photo_id for photo in photos),
        senders=tuple(photo.sender for photo in photos),
        truths=truths,
        **predicted,
    )


def _checked_truths(
    artifact: Artifact, photos: Sequence[Photo], pixels: Pixels, side: str
) -> tuple[int, ...]:
    """Return the class index of each photo, once photos, pixels and split agree."""
    if not photos or len(photos) != len(pixels):
        raise DataError(
            f"accuracy needs one picture a photo and at least one, got {len(photos)} photos"
            f" and {len(pixels)} pictures"
        )
    allowed = set(getattr(artifact.split(), side))
    strangers = [photo.photo_id for photo in photos if photo.photo_id not in allowed]
    if strangers:
        raise DataError(
            f"{artifact.manifest.variant}: {len(strangers)} of {len(photos)} photos are not on the"
            f" {side} side of its split (first: {strangers[0]}); judge a model on photos that it"
            " was not trained on"
        )
    labels = {label: index for index, label in enumerate(artifact.manifest.labels)}
    unknown = sorted({photo.label for photo in photos} - set(labels))
    if unknown:
        raise DataError(
            f"{artifact.manifest.variant}: label {unknown[0]!r} is none of the model's"
            f" {len(labels)} classes; use the data that it was trained on"
        )
    return tuple(labels[photo.label] for photo in photos)
