"""What a fine-tuning begins and ends with: photos to score channels on, and its artifact."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from optimize.finetune import Workshop, training_of
from train.approaches import Recipe
from train.artifact import HISTORY_NAME, Artifact, Step, derive_artifact
from train.backend import tensorflow
from train.checkpoint import EpochLog
from train.errors import ArtifactError
from train.keras_file import save_keras
from train.pixels import load_pixels


def write_tuned(
    parent: Artifact,
    folder: Path,
    model: Any,
    *,
    technique: str,
    word: str,
    config: dict[str, JsonValue],
    log: Sequence[EpochLog],
    checkpoints: Path,
) -> Artifact:
    """Write a changed network as an artifact, and remove its checkpoints.

    Args:
        parent: what it was made from.
        folder: of the new artifact; must not exist.
        model: the network.
        technique: its name in the table.
        word: what it adds to the variant's name.
        config: every setting it ran with, and what came of it.
        log: of the fine-tuning.
        checkpoints: what is no longer needed.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
    """

    def fill(payload: Path) -> None:
        save_keras(model, payload)
        history = {"epochs": [entry.model_dump(mode="json") for entry in log]}
        text = json.dumps(history, indent=1) + "\n"
        (payload.parent / HISTORY_NAME).write_text(text, encoding="utf-8")

    name = parent.manifest.name
    step = Step(technique=technique, config=config, parent_sha256=parent.manifest.payload_sha256)
    made = derive_artifact(
        folder,
        parent,
        fill=fill,
        variant=replace(name, techniques=(*name.techniques, word)),
        step=step,
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    return made


def require_new(folder: Path) -> None:
    """Refuse a folder that is there, before hours of work and not after.

    Raises:
        ArtifactError: it exists.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists already; choose another --out or remove it first")


def training_batches(
    parent: Artifact, workshop: Workshop, recipe: Recipe, *, photos: int
) -> list[tuple[Any, Any]]:
    """Return batches of training photos, ``(batch, rows, columns, 3)`` float32, and their classes.

    Args:
        parent: names the split.
        workshop: the photos.
        recipe: of the parent, for the size.
        photos: how many, spread evenly over the training side.
    """
    tf = tensorflow()
    training = training_of(parent, recipe, workshop.dataset)
    rows = training.rows()
    chosen = rows.train[:: max(1, len(rows.train) // photos)][:photos]
    shown = [training.dataset.photos[row] for row in chosen]
    pixels = load_pixels(shown, parent.manifest.pixels, say=workshop.progress.say)
    size = 16
    return [
        (
            tf.constant(pixels[start : start + size], tf.float32),
            tf.constant(rows.truths[chosen[start : start + size]], tf.int32),
        )
        for start in range(0, len(chosen), size)
    ]
