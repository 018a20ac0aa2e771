"""The head before the epochs: fitted to the features of a network that is frozen whole."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.feeds import Indices, Rows
from train.heads import Head, fit_head
from train.metrics import weighted_f1
from train.predict import Outputs
from train.progress import Progress
from train.splits import groups_of
from train.training import Training
from train.trunk import cut, frozen_maps


@dataclass(frozen=True, kw_only=True)
class HeadFirst:
    """A head fitted to a frozen network's features.

    Attributes:
        head: that was chosen.
        validation_f1: on the validation photos; ``None`` without.
        model: the network with the head in it.
        runtime: what ran the frozen network.
        seconds: what computing its features took, when they were computed.
        head_seconds: what choosing and fitting the head took.
        predict: from indices of the dataset's photos to probabilities.
    """

    head: Head
    validation_f1: float | None
    model: Any
    runtime: str
    seconds: float
    head_seconds: float
    predict: Callable[[Indices], Outputs]


def fit_head_first(training: Training, model: Any, rows: Rows, progress: Progress) -> HeadFirst:
    """Fit the head to the frozen network's features and put it into ``model``.

    Args:
        training: what to train on what.
        model: the network, with its weights.
        rows: which photos train and validate.
        progress: told of the features and of the head.

    Raises:
        ConfigError: a feature is beyond float16.
        DataError: a photo cannot be decoded, or features are no numbers.
    """
    recipe, dataset = training.recipe, training.dataset
    backbone, _ = cut(model, "features")
    maps = frozen_maps(backbone, training.views, views=recipe.head_views, progress=progress)
    photos = [dataset.photos[row] for row in rows.train]
    begin = time.perf_counter()
    head = fit_head(
        np.concatenate([view[rows.train] for view in maps.views]).astype(np.float32),
        rows.of_train(),
        groups_of(photos, training.split.method),
        classes=rows.classes,
        candidates=recipe.heads,
        seed=training.seed,
        photo=np.tile(np.arange(len(rows.train)), len(maps.views)),
    )

    head_seconds = time.perf_counter() - begin

    def predict(chosen: Indices) -> Outputs:
        return head.predict_proba(maps.views[0][chosen].astype(np.float32)).astype(np.float32)

    score = None
    if len(rows.validation):
        predictions = predict(rows.validation).argmax(axis=1).tolist()
        score = weighted_f1(rows.of_validation(), predictions, rows.classes)
    progress.say(
        f"head on frozen features: {head}" + (f", validation {score:.3f}" if score else "")
    )
    return HeadFirst(
        head=head,
        validation_f1=score,
        model=head.put_into(model),
        runtime=maps.runtime,
        seconds=maps.seconds,
        head_seconds=head_seconds,
        predict=predict,
    )
