"""A small dataset of drawn shapes, and a recipe that trains on it in seconds."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from train.approaches import Approach, Recipe
from train.dataset import Dataset, Dirt, Photo
from train.splits import split_photos
from train.storage import digest_of, digest_of_file
from train.training import Training

SHAPES = ("disc", "frame", "stripe")


def draw_shape(label: str, generator: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (32, 32), tuple(generator.integers(150, 255, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    ink = tuple(generator.integers(0, 90, 3).tolist())
    left, top = generator.integers(2, 10, 2).tolist()
    box = (left, top, left + 18, top + 18)
    if label == "disc":
        pen.ellipse(box, fill=ink)
    elif label == "frame":
        pen.rectangle(box, outline=ink, width=3)
    else:
        pen.line((left, top, left + 18, top + 18), fill=ink, width=4)
    return picture


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """150 photos of three shapes from 15 senders."""
    folder = tmp_path_factory.mktemp("shapes")
    generator = np.random.default_rng(0)
    photos = []
    for number in range(150):
        label = SHAPES[number % 3]
        path = folder / f"{number:03d}.png"
        draw_shape(label, generator).save(path)
        photos.append(
            Photo(
                photo_id=path.stem,
                path=path,
                label=label,
                sender=f"sender-{number // 3 % 15:02d}",
                sha256=digest_of_file(path),
            )
        )
    return Dataset(
        name="shapes",
        photos=tuple(photos),
        labels=SHAPES,
        fingerprint=digest_of([photo.sha256 for photo in photos]),
        dirt=Dirt(),
    )


@pytest.fixture(scope="session")
def shapes_training(shapes: Dataset) -> Callable[..., Training]:
    """Return a training of custom-cnn on the shapes; keywords override the recipe."""

    def make(**changes: object) -> Training:
        settings = {
            "image_size": 32, "epochs": 3, "batch_size": 16, "learning_rate": 3e-3,
            "average_weights": 0.8, **changes,
        }  # fmt: skip
        return Training(
            name="custom-cnn",
            approach=Approach(
                network="custom-cnn", recipe=Recipe.model_validate(settings), about="small"
            ),
            dataset=shapes,
            split=split_photos(shapes.photos, method="grouped", seed=0),
        )

    return make
