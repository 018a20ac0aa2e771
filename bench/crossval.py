"""A cross-validation as a record, and what its out-of-fold predictions say.

Every photo is predicted once, by the model of the fold that held it out, so all photos judge and
none flatters. The spread over folds is of models trained on mostly the same photos: it shows how
much the figure hangs on the fold, and is no interval; the interval resamples senders.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from bench.predictions import predictions_of
from bench.record import CrossvalRecord
from bench.scores import Scores, score
from train.artifact import WeightsOrigin
from train.dataset import Photo
from train.errors import DataError
from train.metrics import weighted_f1


@dataclass(frozen=True, kw_only=True)
class FoldScores:
    """What a cross-validation says, every figure in [0, 1].

    Attributes:
        f1s: weighted F1 of each fold, in order.
        mean: of ``f1s``.
        deviation: standard deviation of ``f1s`` (of a sample: divided by one less than the folds).
        pooled: scores of all out-of-fold predictions together, with their intervals.
    """

    f1s: tuple[float, ...]
    mean: float
    deviation: float
    pooled: Scores


def crossval_record(
    *,
    approach: str,
    network: str,
    recipe: dict[str, JsonValue],
    dataset: str,
    dataset_fingerprint: str,
    labels: tuple[str, ...],
    split_method: str,
    seed: int,
    weights: WeightsOrigin,
    photos: Sequence[Photo],
    photo_folds: Sequence[int],
    probabilities: npt.NDArray[np.float32],
    fold_seconds: Sequence[float],
    environment: str,
    feature_seconds: float = 0.0,
    views: int = 0,
) -> CrossvalRecord:
    """Return the record of a cross-validation.

    Args:
        approach: its name.
        network: key of ``train.networks.NETWORKS``.
        recipe: every setting.
        dataset: its name.
        dataset_fingerprint: its fingerprint.
        labels: the classes, in the order of the columns of ``probabilities``.
        split_method: how the folds were made, ``grouped`` or ``stratified``.
        seed: of the folds and the trainings.
        weights: what every fold's network began from.
        photos: all photos, each predicted out of fold.
        photo_folds: the fold that each was held out in, from 0.
        probabilities: ``(photo, class)``, in [0, 1].
        fold_seconds: wall time of each fold's training, frozen features apart.
        environment: name of the environment record.
        feature_seconds: wall time of the frozen features that the folds share.
        views: views of each training photo whose features were computed.

    Raises:
        DataError: the lists do not match, a fold holds no photo, or a label is unknown.
        RuntimeFailure: the probabilities are none.
    """
    _require_match(photos, photo_folds, probabilities, fold_seconds)
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = sorted({photo.label for photo in photos} - set(numbers))
    if unknown:
        raise DataError(
            f"{approach}: label {unknown[0]!r} is none of its {len(labels)} classes;"
            " cross-validate on the photos that the classes were taken from"
        )
    sender_names = tuple(sorted({photo.sender for photo in photos}))
    places = {sender: place for place, sender in enumerate(sender_names)}
    return CrossvalRecord(
        variant=approach,
        approach=approach,
        network=network,
        recipe=recipe,
        dataset=dataset,
        dataset_fingerprint=dataset_fingerprint,
        labels=labels,
        split_method=split_method,
        folds=len(fold_seconds),
        seed=seed,
        weights_source=weights.source,
        weights_coverage=weights.loaded_parameters / weights.total_parameters,
        sender_names=sender_names,
        senders=tuple(places[photo.sender] for photo in photos),
        photo_ids=tuple(photo.photo_id for photo in photos),
        photo_folds=tuple(int(fold) for fold in photo_folds),
        truths=tuple(numbers[photo.label] for photo in photos),
        fold_seconds=tuple(float(seconds) for seconds in fold_seconds),
        feature_seconds=feature_seconds,
        views=views,
        environment=environment,
        **predictions_of(probabilities, subject=approach, classes=len(labels)),
    )


def fold_f1s(record: CrossvalRecord) -> tuple[float, ...]:
    """Return the weighted F1 of each fold."""
    rows: list[list[int]] = [[] for _ in range(record.folds)]
    for row, fold in enumerate(record.photo_folds):
        rows[fold].append(row)
    return tuple(
        weighted_f1(
            [record.truths[row] for row in fold],
            [record.predictions[row] for row in fold],
            len(record.labels),
        )
        for fold in rows
    )


def fold_scores(record: CrossvalRecord, *, pooled: Scores | None = None) -> FoldScores:
    """Return mean and spread over the folds, and the scores of all predictions together.

    Args:
        record: the cross-validation.
        pooled: what ``score`` said of it, where that is known already.
    """
    f1s = fold_f1s(record)
    return FoldScores(
        f1s=f1s,
        mean=statistics.fmean(f1s),
        deviation=statistics.stdev(f1s),
        pooled=pooled or score(record),
    )


def _require_match(
    photos: Sequence[Photo],
    photo_folds: Sequence[int],
    probabilities: npt.NDArray[np.float32],
    fold_seconds: Sequence[float],
) -> None:
    counts = (len(photos), len(photo_folds), len(probabilities))
    if not photos or len(set(counts)) != 1:
        raise DataError(
            "a cross-validation needs one fold and one row of probabilities a photo and at least"
            f" one photo, got {counts[0]} photos, {counts[1]} folds and {counts[2]} rows"
        )
    folds = len(fold_seconds)
    found = {int(fold) for fold in photo_folds}
    if folds < 2 or found != set(range(folds)):
        raise DataError(
            f"a cross-validation needs at least 2 folds with photos in each, got {len(found)} of"
            f" {folds}; lower --folds or bring more photos"
        )
