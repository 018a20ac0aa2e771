"""A Keras artifact rewritten: written only once it is seen to give its parent's answers."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from optimize.convert import load_keras
from optimize.finetune import Workshop
from optimize.rewrite import EXACT, REWRITES, require_rewrites, rewrite_model
from train.artifact import Artifact, Step, derive_artifact
from train.dataset import Dataset
from train.errors import ConfigError, ConversionError, DataError
from train.keras_file import save_keras
from train.pixels import Pixels, load_pixels
from train.refit import unseen_or_train

TECHNIQUE_WORD = "rewritten"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class RewriteConfig:
    """Which rewrites, and how closely the result must agree with its parent.

    Attributes:
        rewrites: ``all`` for every exact one that undoes no other, or names from
            ``optimize.rewrite.REWRITES`` joined by ``+``; those that match nothing do nothing.
        tolerance: greatest difference of a probability on the pictures, in (0, 1).
        photos: how many photos the answers are compared on, at least 1: of the validation side,
            or of the training side where a refit left none.
    """

    rewrites: str = ALL
    tolerance: float = 1e-4
    photos: int = 32

    def __post_init__(self) -> None:
        inexact = sorted(name for name in self.names if not REWRITES[name].exact)
        if inexact:
            raise ConfigError(
                f"rewrites holds {', '.join(inexact)}, which a Keras artifact cannot keep; give"
                " it to the step that makes the .tflite"
            )
        if not 0.0 < self.tolerance < 1.0:
            raise ConfigError(f"tolerance must be in (0, 1), got {self.tolerance}")
        if self.photos < 1:
            raise ConfigError(f"photos must be at least 1, got {self.photos}")

    @property
    def names(self) -> tuple[str, ...]:
        """The rewrites, one by one."""
        if self.rewrites == ALL:
            return EXACT
        names = tuple(self.rewrites.split("+"))
        require_rewrites(names)
        return names


def rewrite(parent: Artifact, folder: Path, config: RewriteConfig, workshop: Workshop) -> Artifact:
    """Write ``parent`` rewritten, compared on photos of its validation side.

    A refitted network has none, and is compared on those that it trained on: nothing is chosen by
    them.

    Args:
        parent: a Keras artifact.
        folder: where the new artifact goes; must not exist.
        config: which rewrites.
        workshop: the photos; nothing is trained.

    Raises:
        ConversionError: as ``rewrite_artifact`` does.
        DataError: the dataset holds none of those photos.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    pictures = compared_pictures(parent, workshop.dataset, config.photos)
    return rewrite_artifact(parent, pictures, folder, config)


def compared_pictures(parent: Artifact, dataset: Dataset, count: int) -> Pixels:
    """Return up to ``count`` pictures, ``(picture, height, width, 3)`` uint8, to compare on.

    Raises:
        DataError: the dataset holds none of the photos that will do.
    """
    wanted = set(unseen_or_train(parent.split()))
    photos = [photo for photo in dataset.photos if photo.photo_id in wanted]
    if not photos:
        raise DataError(
            f"{parent.manifest.variant}: the dataset holds no photo of its validation side, on"
            " which rewrites are compared; name the dataset that it was trained on"
        )
    chosen = photos[:: max(1, len(photos) // count)][:count]
    return load_pixels(chosen, parent.manifest.pixels)


def rewrite_artifact(
    parent: Artifact, pictures: Pixels, folder: Path, config: RewriteConfig | None = None
) -> Artifact:
    """Write ``parent`` rewritten, once it is seen to give the same answers.

    Args:
        parent: a Keras artifact.
        pictures: ``(picture, height, width, 3)`` uint8, at least one, to compare the answers on;
            real photos say most.
        folder: where the new artifact goes; must not exist.
        config: which rewrites; all exact ones if ``None``.

    Raises:
        ConversionError: the parent is no Keras artifact, the pictures do not fit it, nothing in it
            matches, or an answer moved further than ``tolerance`` or changed its class.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config = config or RewriteConfig()
    manifest = parent.manifest
    model = load_keras(parent)
    require_pictures(parent, pictures)
    rewritten, applied = rewrite_model(model, config.names)
    matched: dict[str, JsonValue] = {
        item.rewrite: list(item.layers) for item in applied if item.layers
    }
    if not matched:
        raise ConversionError(
            f"{manifest.variant}: none of {', '.join(config.names)} matches anything in it; it"
            " needs no rewriting"
        )
    difference = require_same_answers(
        model, rewritten, pictures, tolerance=config.tolerance, subject=manifest.variant
    )
    step = Step(
        technique="rewrite",
        config={
            **asdict(config),
            "rewrites": list(config.names),
            "applied": matched,
            "photos": len(pictures),
            "largest_difference": difference,
        },
        parent_sha256=manifest.payload_sha256,
    )
    name = manifest.name
    return derive_artifact(
        folder,
        parent,
        fill=lambda path: save_keras(rewritten, path),
        variant=replace(name, techniques=(*name.techniques, TECHNIQUE_WORD)),
        step=step,
    )


def require_pictures(parent: Artifact, pictures: Pixels) -> None:
    """Check that pictures are what the network of ``parent`` takes.

    Raises:
        ConversionError: no picture, another size or another type.
    """
    pixels = parent.manifest.pixels
    expected = (len(pictures), pixels.height, pixels.width, 3)
    if not len(pictures) or pictures.shape != expected or pictures.dtype != np.uint8:
        raise ConversionError(
            f"{parent.manifest.variant}: the pictures are {pictures.dtype} {pictures.shape}, must"
            f" be uint8 {expected} with at least one"
        )


def require_same_answers(
    model: Any, rewritten: Any, pictures: Pixels, *, tolerance: float, subject: str
) -> float:
    """Return the greatest difference of a probability between two networks on ``pictures``.

    Raises:
        ConversionError: it is greater than ``tolerance``, or the best class of a picture changed.
    """
    largest = 0.0
    for number, picture in enumerate(pictures):
        fed = picture[np.newaxis].astype(np.float32)
        was, now = (np.asarray(net(fed, training=False)) for net in (model, rewritten))
        difference = float(np.abs(was - now).max())
        if not difference <= tolerance:  # NaN fails too
            raise ConversionError(
                f"{subject}: rewritten, a probability of picture {number} differs by"
                f" {difference:.2g}, must be at most {tolerance:g}; leave out rewrites one by one"
            )
        if was.argmax() != now.argmax():
            raise ConversionError(
                f"{subject}: rewritten, picture {number} changes its class from {was.argmax()} to"
                f" {now.argmax()}; leave out rewrites one by one"
            )
        largest = max(largest, difference)
    return largest
