"""Training an approach: photos and a recipe in, an artifact out."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from train.artifact import (
    HISTORY_NAME,
    Artifact,
    DatasetReference,
    Step,
    write_artifact,
)
from train.errors import ArtifactError, DataError
from train.fitting import Begin, Fitted, begin_by_labels, fit_network
from train.keras_file import save_keras
from train.progress import Progress, Silent
from train.refit import with_validation_trained
from train.storage import require_writable
from train.training import Training
from train.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a network learns from.

    Attributes:
        technique: what the manifest calls it.
        config: what the manifest says beside the weights and the recipe.
        begin: makes the trainer.
    """

    technique: str = "train"
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    begin: Begin = begin_by_labels


BY_LABELS = Lesson()


def train_approach(
    training: Training,
    folder: Path,
    *,
    checkpoints: Path,
    progress: Progress | None = None,
    refit: bool = False,
    lesson: Lesson = BY_LABELS,
) -> Artifact:
    """Train, validating after every epoch, and write the best network as an artifact.

    Args:
        training: what to train on what.
        folder: of the new artifact; must not exist.
        checkpoints: folder for what a killed training goes on from; removed once the artifact
            stands, and kept by whatever ends the training before.
        progress: told of every step.
        refit: train on the validation photos too, and keep the last epoch: for a recipe that
            has been chosen. The artifact then has no validation side.
        lesson: what is learned from: the labels alone, unless given.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written, or the checkpoints are damaged.
        ConfigError: the recipe does not fit the photos, or the loss is no longer a number.
        DataError: a side of the split is empty, or a photo cannot be decoded.
        WeightsError: the weights cannot be read or do not match.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists already; choose another --out or remove it first")
    require_writable(folder)
    if not training.split.validation:
        raise DataError(
            f"{training.dataset.name}: {len(training.dataset.photos)} photos leave the validation"
            " side of the split empty; bring more photos"
        )
    if refit:
        training = replace(training, split=with_validation_trained(training.split))
    fitted = fit_network(
        training,
        checkpoints=checkpoints,
        progress=progress or Silent(),
        begin=lesson.begin,
        leave_weights=True,
    )
    artifact = _write(training, fitted, folder, lesson)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return artifact


def _history(training: Training, fitted: Fitted) -> dict[str, JsonValue]:
    batch, head = fitted.recipe.batch_size, fitted.head
    return {
        "head": str(head) if head else None,
        "head_validation_f1": fitted.head_validation_f1,
        "images_per_epoch": len(training.split.train) // batch * batch,
        "feature_runtime": fitted.runtime,
        "feature_seconds": fitted.frozen_seconds,
        "trainable_parameters": fitted.trainable_parameters,
        "epochs": [entry.model_dump(mode="json") for entry in fitted.log],
    }


def _write(training: Training, fitted: Fitted, folder: Path, lesson: Lesson) -> Artifact:
    def fill(payload: Path) -> None:
        save_keras(fitted.model, payload)
        text = json.dumps(_history(training, fitted), indent=1) + "\n"
        (payload.parent / HISTORY_NAME).write_text(text, encoding="utf-8")

    config: dict[str, JsonValue] = {
        "weights": fitted.origin.source,
        "recipe": fitted.recipe.model_dump(mode="json"),
        **lesson.config,
    }
    dataset = training.dataset
    return write_artifact(
        folder,
        fill=fill,
        split=training.split,
        variant=Variant(network=training.name),
        details={
            "approach": training.name,
            "steps": (Step(technique=lesson.technique, config=config),),
            "labels": dataset.labels,
            "pixels": training.contract,
            "dataset": DatasetReference(
                name=dataset.name, fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": training.seed,
            "weights": fitted.origin,
        },
    )
