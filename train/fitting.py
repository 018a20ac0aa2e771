"""From photos and a recipe to a trained network: weights, head first, then epochs.

A network is trained from one side of a split, and validated on another where there is one. The
frozen part of it is run once, see ``train.trunk``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from train.approaches import Recipe
from train.artifact import WeightsOrigin
from train.backend import keras, make_repeatable
from train.checkpoint import EpochLog
from train.errors import ConfigError, WeightsError
from train.feeds import Feed, Indices, MapsFeed, PhotoFeed, Rows
from train.head_first import HeadFirst, fit_head_first
from train.heads import Head
from train.hub_network import HUB_LAYER
from train.loop import Trainer, train_epochs
from train.networks.blocks import HEAD_LAYER
from train.pixels import load_pixels
from train.predict import Outputs
from train.progress import Progress
from train.training import CROP_MARGIN, Training
from train.trunk import cut, end_of_frozen, frozen_maps, larger
from train.weights import (
    describe_origin,
    has_published_weights,
    network_with_weights,
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained network and how it came about.

    Attributes:
        model: the whole network, from pixels to probabilities.
        recipe: by which it was trained: from scratch where the weights could not be had.
        origin: what its weights began from.
        head: fitted to frozen features; ``None`` where none was.
        head_validation_f1: of that head on the validation photos; ``None`` without.
        log: one entry an epoch.
        runtime: what ran the frozen layers; empty where nothing was computed once.
        frozen_seconds: what computing their maps took, when they were computed.
        head_seconds: what choosing and fitting the head took.
        trainable_parameters: of the epochs, or of the head where there were none.
        predict: from indices of the dataset's photos to probabilities, by frozen maps.
    """

    model: Any
    recipe: Recipe
    origin: WeightsOrigin
    head: Head | None
    head_validation_f1: float | None
    log: tuple[EpochLog, ...]
    runtime: str
    frozen_seconds: float
    head_seconds: float
    trainable_parameters: int
    predict: Callable[[Indices], Outputs]


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A network that is about to be trained.

    Attributes:
        trainer: what trains it.
        runtime: what ran its frozen layers; empty where nothing was computed once.
        seconds: what computing their maps took, when they were computed.
    """

    trainer: Trainer
    runtime: str
    seconds: float


Begin: TypeAlias = Callable[[Training, Any, Rows, Progress], Begun]


def begin_by_labels(training: Training, model: Any, rows: Rows, progress: Progress) -> Begun:
    """Return the trainer of ``model`` on the labels of its photos.

    Args:
        training: what to train on what.
        model: with its frozen layers frozen.
        rows: which photos train and validate.
        progress: told of what is computed once.
    """
    feed, learning, runtime, seconds = feed_of(training, model, rows, progress)
    trainer = Trainer(learning, feed, training.recipe, seed=training.seed)
    return Begun(trainer=trainer, runtime=runtime, seconds=seconds)


def fit_network(
    training: Training,
    *,
    checkpoints: Path,
    progress: Progress,
    begin: Begin = begin_by_labels,
    leave_weights: bool = False,
) -> Fitted:
    """Train a network, going on from ``checkpoints`` where a training was cut off.

    Args:
        training: what to train on what.
        checkpoints: folder for what a killed training goes on from.
        progress: told of every step.
        begin: makes the trainer of the epochs, with the feed that it learns from.
        leave_weights: whether a training whose loss is no longer a number leaves the weights of
            its best epoch for ``--weights``; not for folds: each is judged on what others learn.

    Raises:
        ArtifactError: the checkpoints are damaged, or cannot be written.
        ConfigError: the recipe does not fit the photos, or the loss is no longer a number.
        DataError: a side of the split is empty, or a photo cannot be decoded.
        WeightsError: the weights cannot be read or do not match.
    """
    make_repeatable(training.seed)
    rows = training.rows()
    model, origin = network_with_weights(
        training.approach.network,
        image_size=training.recipe.image_size,
        classes=rows.classes,
        source=training.weights,
        pictures=training.first_pictures,
    )
    for line in describe_origin(origin):
        progress.say(f"{training.name}: {line}")
    asked, training = training, _with_what_there_is(training, origin, progress)
    recipe = training.recipe
    first = fit_head_first(training, model, rows, progress) if recipe.head_first else None
    if not recipe.epochs:
        assert first is not None  # the recipe says so
        return _head_alone(first, origin, recipe)
    freeze(model, recipe)
    begun = begin(training, model, rows, progress)
    trainer = begun.trainer
    # Weights that were trained from scratch would be frozen by the recipe that was asked for.
    reusable = leave_weights and training is asked and not _is_closed(model)
    log = train_epochs(
        trainer,
        checkpoints,
        key=training.key,
        progress=progress,
        whole=model if reusable else None,
    )
    return Fitted(
        model=model,
        recipe=recipe,
        origin=origin,
        head=first.head if first else None,
        head_validation_f1=first.validation_f1 if first else None,
        log=log,
        runtime=begun.runtime or (first.runtime if first else ""),
        frozen_seconds=begun.seconds + (first.seconds if first else 0.0),
        head_seconds=first.head_seconds if first else 0.0,
        trainable_parameters=_count(trainer.averaged.trainable_weights),
        predict=trainer.predict,
    )


def freeze(model: Any, recipe: Recipe) -> None:
    """Freeze the layers whose names begin with ``recipe.frozen``, and BatchNorm if asked.

    Raises:
        ConfigError: a prefix names no layer.
    """
    names = [layer.name for layer in model.layers]
    prefixes = (HUB_LAYER,) if _is_closed(model) else recipe.frozen
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            known = ", ".join(dict.fromkeys(name.partition("_")[0] for name in names))
            raise ConfigError(
                f"frozen prefix {prefix!r} names no layer of {model.name}; its layers begin with"
                f" {known}"
            )
    for layer in model.layers:
        norm = isinstance(layer, keras().layers.BatchNormalization)
        layer.trainable = not (
            layer.name.startswith(prefixes) or (norm and recipe.freeze_batch_norm)
        )


def _is_closed(model: Any) -> bool:
    """Return whether a hub's model is in ``model`` as one layer, a closed box."""
    return any(layer.name == HUB_LAYER for layer in model.layers)


def _with_what_there_is(training: Training, origin: WeightsOrigin, progress: Progress) -> Training:
    """Return the training, from scratch where there is nothing to freeze or to fit a head to."""
    recipe = training.recipe
    begins_from_weights = bool(recipe.frozen) or recipe.head_first
    network = training.approach.network
    if not begins_from_weights or not has_published_weights(network):
        return training
    if origin.loaded_parameters:
        _require_frozen_loaded(training, origin)
        return training
    progress.say(
        f"{training.name}: no weights to begin from ({origin.source}): every layer is trained"
        f" from scratch, {recipe.scratch_epochs} epochs"
    )
    return replace(training, approach=replace(training.approach, recipe=recipe.from_scratch()))


def _require_frozen_loaded(training: Training, origin: WeightsOrigin) -> None:
    """Refuse to freeze layers that the weights did not cover.

    Raises:
        WeightsError: there are some.
    """
    recipe = training.recipe
    random = [name for name in origin.random_variables if not name.startswith(HEAD_LAYER)]
    if not recipe.head_first:  # features of the whole network are used as they were loaded
        random = [name for name in random if name.startswith(recipe.frozen)]
    if random:
        raise WeightsError(
            f"{training.name}: {len(random)} variables that are used as loaded would stay random"
            f" (first: {random[0]}), for {origin.source} does not cover them; give --weights FILE"
            " that does, or change frozen and head_first"
        )


def feed_of(
    training: Training, model: Any, rows: Rows, progress: Progress
) -> tuple[Feed, Any, str, float]:
    """Return what feeds the loop, the part of ``model`` that learns, and how it was frozen.

    Raises:
        ConfigError: the recipe does not fit the photos.
        DataError: a photo cannot be decoded.
    """
    recipe = training.recipe
    if recipe.cached_views:
        trunk, learning = cut(model, end_of_frozen(model))
        maps = frozen_maps(trunk, training.views, views=recipe.cached_views, progress=progress)
        feed = MapsFeed(rows, views=maps.views, recipe=recipe, seed=training.seed)
        return feed, learning, maps.runtime, maps.seconds
    photos = training.dataset.photos
    progress.begin("decoding photos", 2 * len(photos))
    contracts = (larger(training.contract, CROP_MARGIN), training.contract)
    large, plain = (
        load_pixels(photos, each, advance=progress.advance, say=progress.say) for each in contracts
    )
    fresh = PhotoFeed(rows, large=large, plain=plain, recipe=recipe, seed=training.seed)
    return fresh, model, "", 0.0


def _head_alone(first: HeadFirst, origin: WeightsOrigin, recipe: Recipe) -> Fitted:
    layers = [layer for layer in first.model.layers if layer.name in ("hidden", "logits")]
    return Fitted(
        model=first.model,
        recipe=recipe,
        origin=origin,
        head=first.head,
        head_validation_f1=first.validation_f1,
        log=(),
        runtime=first.runtime,
        frozen_seconds=first.seconds,
        head_seconds=first.head_seconds,
        trainable_parameters=sum(_count(layer.weights) for layer in layers),
        predict=first.predict,
    )


def _count(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
