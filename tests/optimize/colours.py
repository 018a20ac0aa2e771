"""Photos of three colours and a small network of them, for tests of what fine-tunes."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from optimize.finetune import Workshop
from tests.train.small_network import build_small
from train.approaches import Recipe
from train.artifact import (
    Artifact,
    DatasetReference,
    Step,
    WeightsOrigin,
    write_artifact,
)
from train.backend import make_repeatable
from train.dataset import Dataset, Dirt, Photo
from train.keras_file import save_keras
from train.pixels import PixelContract
from train.progress import Progress, Silent
from train.splits import split_photos
from train.storage import digest_of, digest_of_file
from train.variant import Variant

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}
BATCH = 8


def write_dataset(folder: Path, *, photos: int = 45) -> Dataset:
    """Write noisy photos, fifteen of each colour, from as many senders."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    found = []
    for number in range(photos):
        label = list(COLOURS)[number % 3]
        noise = generator.integers(-30, 31, (32, 32, 3))
        path = folder / f"{number:02d}.png"
        picture = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(path)
        found.append(
            Photo(
                photo_id=path.stem,
                path=path,
                label=label,
                sender=path.stem,
                sha256=digest_of_file(path),
            )
        )
    return Dataset(
        name="colours",
        photos=tuple(found),
        labels=tuple(COLOURS),
        fingerprint=digest_of([photo.sha256 for photo in found]),
        dirt=Dirt(),
    )


def write_small(folder: Path, dataset: Dataset, **learned: Any) -> Artifact:
    """Write an untrained small network as if it had been trained on the photos, by ``learned``."""
    make_repeatable(0)
    model = build_small(image_size=32, classes=3)
    recipe = Recipe(image_size=32, batch_size=BATCH, average_weights=0.5, **learned)
    return write_artifact(
        folder,
        fill=lambda path: save_keras(model, path),
        split=split_photos(dataset.photos, method="grouped", seed=0),
        variant=Variant(network="small"),
        details={
            "approach": "small",
            "steps": (Step(technique="train", config={"recipe": recipe.model_dump(mode="json")}),),
            "labels": dataset.labels,
            "pixels": PixelContract(height=32, width=32),
            "dataset": DatasetReference(
                name="colours", fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": 0,
            "weights": WeightsOrigin(
                source="random", loaded_parameters=0, total_parameters=model.count_params()
            ),
        },
    )


def write_frozen(folder: Path, dataset: Dataset) -> Artifact:
    """Write it as if its first layers had been frozen in the training."""
    learned = {"frozen": ("stem", "block1"), "cached_views": 2, "freeze_batch_norm": True}
    return write_small(folder, dataset, **learned)


def workshop(dataset: Dataset, folder: Path, progress: Progress | None = None) -> Workshop:
    """Return what a fine-tuning needs."""
    return Workshop(dataset=dataset, checkpoints=folder, progress=progress or Silent())
