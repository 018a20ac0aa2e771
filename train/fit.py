"""Training an approach: photos and a recipe in, an artifact out."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from train.approaches import Approach, Recipe
from train.artifact import (
    HISTORY_NAME,
    Artifact,
    DatasetReference,
    Step,
    WeightsOrigin,
    library_versions,
    write_artifact,
)
from train.backend import keras, make_repeatable
from train.checkpoint import EpochLog
from train.dataset import Dataset, Photo
from train.errors import ArtifactError, ConfigError, DataError
from train.features import Head, fit_head, frozen_features
from train.keras_file import save_keras
from train.loop import Sides, Trainer, train_epochs
from train.networks import NETWORKS
from train.pixels import PixelContract, load_pixels
from train.progress import Progress, Silent
from train.seeds import SEED_LIMIT
from train.splits import Split, select
from train.storage import digest_of, require_writable
from train.variant import Variant
from train.weights import load_weights, weights_identity

_CROP_MARGIN = 5 / 4  # training photos are kept larger than the input, so that crops stay sharp


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that decides a training.

    Attributes:
        name: of the approach.
        approach: its row of the table, with the recipe that is to run.
        dataset: the photos.
        split: which of them train and validate; the test side is not looked at.
        seed: of order, views, dropout and random weights.
        weights: ``auto``, ``none`` or a file.
    """

    name: str
    approach: Approach
    dataset: Dataset
    split: Split
    seed: int = 0
    weights: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEED_LIMIT:
            raise ConfigError(f"seed must be in [0, {SEED_LIMIT}), got {self.seed}")

    @property
    def key(self) -> str:
        """Digest of everything that the outcome depends on, the code apart."""
        return digest_of(
            {
                "approach": self.name,
                "recipe": self.approach.recipe.model_dump(mode="json"),
                "dataset": self.dataset.fingerprint,
                "labels": self.dataset.labels,
                "split": self.split.model_dump(mode="json"),
                "seed": self.seed,
                "weights": weights_identity(self.approach.network, self.weights),
            }
        )

    @property
    def contract(self) -> PixelContract:
        """What the network will be fed."""
        size = self.approach.recipe.image_size
        return PixelContract(height=size, width=size)


def train_approach(
    training: Training, folder: Path, *, checkpoints: Path, progress: Progress | None = None
) -> Artifact:
    """Train, validating after every epoch, and write the best network as an artifact.

    Args:
        training: what to train on what.
        folder: of the new artifact; must not exist.
        checkpoints: folder for what a killed training goes on from; removed at the end.
        progress: told of every step.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the recipe does not fit the photos, or the loss is no longer a number.
        WeightsError: the weights cannot be read or do not match.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists already; choose another --out or remove it first")
    require_writable(folder)
    progress = progress or Silent()
    make_repeatable(training.seed)
    recipe = training.approach.recipe
    model = NETWORKS[training.approach.network](
        image_size=recipe.image_size, classes=len(training.dataset.labels)
    )
    origin = load_weights(model, network=training.approach.network, source=training.weights)
    progress.say(f"{training.name}: weights from {origin.source}")
    head = _fit_head_first(training, model, origin, progress) if recipe.head_first else None
    log: tuple[EpochLog, ...] = ()
    if recipe.epochs:
        freeze(model, recipe)
        trainer = Trainer(model, load_sides(training, progress), recipe, seed=training.seed)
        log = train_epochs(trainer, checkpoints, key=training.key, progress=progress)
        model = trainer.averaged
    artifact = _write(training, model, origin, _history(training, head, log), folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return artifact


def freeze(model: Any, recipe: Recipe) -> None:
    """Freeze the layers whose names begin with ``recipe.frozen``, and BatchNorm if asked.

    Raises:
        ConfigError: a prefix names no layer.
    """
    names = [layer.name for layer in model.layers]
    for prefix in recipe.frozen:
        if not any(name.startswith(prefix) for name in names):
            raise ConfigError(f"frozen prefix {prefix!r} names no layer of {model.name}")
    for layer in model.layers:
        norm = isinstance(layer, keras().layers.BatchNormalization)
        layer.trainable = not (
            layer.name.startswith(recipe.frozen) or (norm and recipe.freeze_batch_norm)
        )


def truths_of(photos: Sequence[Photo], labels: Sequence[str]) -> list[int]:
    """Return each photo's class as an index into ``labels``."""
    numbers = {label: number for number, label in enumerate(labels)}
    return [numbers[photo.label] for photo in photos]


def load_sides(training: Training, progress: Progress) -> Sides:
    """Return the pixels and classes of the training and validation photos.

    Raises:
        DataError: a side is empty, or a photo cannot be decoded.
    """
    dataset, split, contract = training.dataset, training.split, training.contract
    chosen = [select(dataset.photos, ids) for ids in (split.train, split.validation)]
    if not all(chosen):
        raise DataError(
            f"{dataset.name}: {len(dataset.photos)} photos leave a side of the split empty;"
            " bring more photos"
        )
    larger = contract.model_copy(
        update={side: round(getattr(contract, side) * _CROP_MARGIN) for side in ("height", "width")}
    )
    progress.begin("decoding photos", len(chosen[0]) + len(chosen[1]))
    train_pixels = load_pixels(chosen[0], larger, advance=progress.advance)
    validation_pixels = load_pixels(chosen[1], contract, advance=progress.advance)
    return Sides(
        train_pixels=train_pixels,
        train_truths=truths_of(chosen[0], dataset.labels),
        validation_pixels=validation_pixels,
        validation_truths=truths_of(chosen[1], dataset.labels),
    )


def _fit_head_first(
    training: Training, model: Any, origin: WeightsOrigin, progress: Progress
) -> Head:
    """Fit the head to the frozen network's features and put it into ``model``."""
    dataset, split = training.dataset, training.split
    sides = []
    for ids in (split.train, split.validation):
        photos = select(dataset.photos, ids)
        pixels = load_pixels(photos, training.contract)
        key = (
            model.to_json(),
            library_versions()["tensorflow"],
            origin.sha256 or f"random seed {training.seed}",
            training.contract.model_dump_json(),
            *(photo.sha256 for photo in photos),
        )
        features = frozen_features(model, pixels, key=key, progress=progress)
        sides.append((features, truths_of(photos, dataset.labels)))
    head = fit_head(
        sides[0],
        sides[1],
        classes=len(dataset.labels),
        shrinkages=training.approach.recipe.shrinkages,
    )
    model.get_layer("logits").set_weights([head.kernel, head.bias])
    progress.say(
        f"head on frozen features: validation F1 {head.validation_f1:.3f}"
        f" (shrinkage {head.shrinkage:g})"
    )
    return head


def _history(
    training: Training, head: Head | None, log: Sequence[EpochLog]
) -> dict[str, JsonValue]:
    batch = training.approach.recipe.batch_size
    return {
        "head_validation_f1": head.validation_f1 if head else None,
        "images_per_epoch": len(training.split.train) // batch * batch,
        "epochs": [entry.model_dump(mode="json") for entry in log],
    }


def _write(
    training: Training,
    model: Any,
    origin: WeightsOrigin,
    history: dict[str, JsonValue],
    folder: Path,
) -> Artifact:
    def fill(payload: Path) -> None:
        save_keras(model, payload)
        text = json.dumps(history, indent=1) + "\n"
        (payload.parent / HISTORY_NAME).write_text(text, encoding="utf-8")

    config: dict[str, JsonValue] = {
        "weights": origin.source,
        "recipe": training.approach.recipe.model_dump(mode="json"),
    }
    dataset = training.dataset
    return write_artifact(
        folder,
        fill=fill,
        split=training.split,
        variant=Variant(network=training.name),
        details={
            "approach": training.name,
            "steps": (Step(technique="train", config=config),),
            "labels": dataset.labels,
            "pixels": training.contract,
            "dataset": DatasetReference(
                name=dataset.name, fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": training.seed,
            "weights": origin,
        },
    )
