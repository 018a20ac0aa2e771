"""Accuracy of a variant under its own runtime, and how it differs from another's.

A float and an int8 variant are judged on the same photos, so their difference is taken photo by
photo: its interval is far narrower than those of the two scores laid side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.record import AccuracyRecord
from bench.subject import subject_of
from deploy.runtime import open_runtime
from train.artifact import Artifact
from train.dataset import Photo
from train.errors import DataError, RuntimeFailure
from train.metrics import (
    accuracy,
    bootstrap_interval,
    interval_of,
    sender_confusions,
    sender_draws,
    weighted_f1,
    weighted_f1_of,
)
from train.pixels import Pixels

_BATCH = 32  # pictures handed over at once: what is read from the pixel cache stays small


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one accuracy record says.

    Attributes:
        weighted_f1: in [0, 1].
        low: lower end of its 95 % interval, by the bootstrap over senders.
        high: upper end of it.
        accuracy: share of photos predicted right, in [0, 1].
    """

    weighted_f1: float
    low: float
    high: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Weighted F1 of one record minus another's on the same photos, in [-1, 1].

    Attributes:
        value: the difference; negative where the first is worse.
        low: lower end of its 95 % interval, by the bootstrap over senders.
        high: upper end of it.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Photos that a variant predicts otherwise than its parent.

    Attributes:
        photos: photos compared.
        right_to_wrong: the parent was right, the variant is wrong.
        wrong_to_right: the parent was wrong, the variant is right.
        wrong_to_wrong: both are wrong, each in its own way.
    """

    photos: int
    right_to_wrong: int
    wrong_to_right: int
    wrong_to_wrong: int

    @property
    def changed(self) -> int:
        """All photos whose prediction changed."""
        return self.right_to_wrong + self.wrong_to_right + self.wrong_to_wrong


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
    predictions = _checked_predictions(np.concatenate(parts), artifact)
    return AccuracyRecord(
        **subject_of(manifest, environment),
        runtime=name,
        side=side,
        labels=manifest.labels,
        photo_ids=tuple(photo.photo_id for photo in photos),
        senders=tuple(photo.sender for photo in photos),
        truths=truths,
        predictions=predictions,
    )


def score(record: AccuracyRecord, *, resamples: int = 2_000, seed: int = 0) -> Scores:
    """Return weighted F1 with its interval, and accuracy, of a record."""
    classes = len(record.labels)
    low, high = bootstrap_interval(
        record.truths,
        record.predictions,
        record.senders,
        classes,
        resamples=resamples,
        seed=seed,
    )
    return Scores(
        weighted_f1=weighted_f1(record.truths, record.predictions, classes),
        low=low,
        high=high,
        accuracy=accuracy(record.truths, record.predictions),
    )


def paired_difference(
    record: AccuracyRecord,
    *,
    parent: AccuracyRecord,
    resamples: int = 2_000,
    seed: int = 0,
) -> Difference:
    """Return the weighted F1 of ``record`` less that of ``parent``, with its 95 % interval.

    Each resample draws whole senders once and scores both records on them.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    theirs = _aligned_predictions(record, parent)
    classes = len(record.labels)
    pair = np.stack(
        [
            sender_confusions(record.truths, predictions, record.senders, classes)
            for predictions in (record.predictions, theirs)
        ]
    )
    mine, parents = weighted_f1_of(pair.sum(axis=1))
    draws = sender_draws(pair.shape[1], resamples=resamples, seed=seed)
    flat = draws @ pair.reshape(2, pair.shape[1], classes * classes)
    resampled = weighted_f1_of(flat.reshape(2, resamples, classes, classes))
    low, high = interval_of(resampled[0] - resampled[1])
    return Difference(value=float(mine - parents), low=low, high=high)


def count_flips(record: AccuracyRecord, *, parent: AccuracyRecord) -> Flips:
    """Return how many predictions of ``record`` differ from ``parent``'s, and which way.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    theirs = _aligned_predictions(record, parent)
    changed = [
        (truth == old, truth == new)
        for truth, old, new in zip(record.truths, theirs, record.predictions, strict=True)
        if old != new
    ]
    return Flips(
        photos=len(record.truths),
        right_to_wrong=changed.count((True, False)),
        wrong_to_right=changed.count((False, True)),
        wrong_to_wrong=changed.count((False, False)),
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


def _checked_predictions(
    probabilities: npt.NDArray[np.float32], artifact: Artifact
) -> tuple[int, ...]:
    """Return the most probable class of each row of ``(photo, class)``."""
    manifest = artifact.manifest
    if probabilities.shape[1] != len(manifest.labels):
        raise RuntimeFailure(
            f"{manifest.variant}: gives {probabilities.shape[1]} classes, its manifest names"
            f" {len(manifest.labels)}; make the artifact again"
        )
    broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if broken:
        raise RuntimeFailure(
            f"{manifest.variant}: probabilities of {broken} of {len(probabilities)} photos are"
            " not finite numbers; the conversion or the training went wrong"
        )
    return tuple(int(index) for index in probabilities.argmax(axis=1))


def _aligned_predictions(record: AccuracyRecord, parent: AccuracyRecord) -> tuple[int, ...]:
    """Return the parent's predictions in the order of the record's photos."""
    if record.labels != parent.labels:
        raise DataError(
            f"{record.variant} and {parent.variant} have other classes: nothing to compare"
        )
    mine = dict(zip(record.photo_ids, record.truths, strict=True))
    theirs = dict(zip(parent.photo_ids, parent.predictions, strict=True))
    if mine != dict(zip(parent.photo_ids, parent.truths, strict=True)):
        raise DataError(
            f"{record.variant} and {parent.variant} were not measured on the same photos"
            f" ({len(mine)} and {len(theirs)}); measure both on the same side of the same split"
        )
    return tuple(theirs[photo_id] for photo_id in record.photo_ids)
