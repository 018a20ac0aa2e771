"""All that decides one training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.approaches import Approach, Recipe
from train.dataset import Dataset, Photo
from train.errors import ConfigError, DataError
from train.feeds import UNLABELLED, Rows
from train.pixels import PixelContract, Pixels, decode
from train.seeds import SEED_LIMIT
from train.splits import Split
from train.storage import digest_of
from train.trunk import PhotoViews
from train.weights import weights_identity

CROP_MARGIN = 5 / 4  # training photos are kept larger than the input, so that crops stay sharp
SHOWN_PHOTOS = 8


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that decides a training.

    Attributes:
        name: of the approach.
        approach: its row of the table, with the recipe that is to run.
        dataset: the photos.
        split: which of them train and validate; the test side is not looked at. Without
            validation photos the last epoch is kept, not the best.
        seed: of order, views, dropout and random weights.
        weights: ``auto``, ``none`` or a file.
        unlabelled: further photos, which a teacher's student learns from: the rows behind those of
            the dataset, with ``UNLABELLED`` for a class.
    """

    name: str
    approach: Approach
    dataset: Dataset
    split: Split
    seed: int = 0
    weights: str = "auto"
    unlabelled: tuple[Photo, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEED_LIMIT:
            raise ConfigError(f"seed must be in [0, {SEED_LIMIT}), got {self.seed}")

    @property
    def key(self) -> str:
        """Digest of everything that the outcome depends on, the code apart."""
        more = {"unlabelled": [photo.sha256 for photo in self.unlabelled]}
        return digest_of(
            {
                "approach": self.name,
                "network": self.approach.network,
                "recipe": self.approach.recipe.model_dump(mode="json"),
                "dataset": self.dataset.fingerprint,
                "labels": self.dataset.labels,
                "split": self.split.model_dump(mode="json"),
                "seed": self.seed,
                "weights": weights_identity(self.approach.network, self.weights),
                **(more if self.unlabelled else {}),
            }
        )

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return self.approach.recipe

    @property
    def contract(self) -> PixelContract:
        """What the network will be fed."""
        return PixelContract(height=self.recipe.image_size, width=self.recipe.image_size)

    @property
    def views(self) -> PhotoViews:
        """How photos are viewed."""
        return PhotoViews(
            photos=(*self.dataset.photos, *self.unlabelled),
            contract=self.contract,
            margin=CROP_MARGIN,
            augment=self.recipe.augment,
            seed=self.seed,
        )

    def first_pictures(self) -> Pixels:
        """Return the first photos that train, ``(photo, height, width, 3)`` uint8, at most eight.

        Raises:
            DataError: as ``rows``, or a photo cannot be decoded.
        """
        first = self.rows().train[:SHOWN_PHOTOS]
        return np.stack([decode(self.dataset.photos[row].path, self.contract) for row in first])

    def rows(self) -> Rows:
        """Return which photos train and validate.

        Raises:
            DataError: nothing would train, or the split names a photo that is not there.
        """
        places = {photo.photo_id: number for number, photo in enumerate(self.dataset.photos)}
        named = (*self.split.train, *self.split.validation)
        strangers = [name for name in named if name not in places]
        if strangers or not self.split.train:
            raise DataError(
                f"{self.dataset.name}: the split trains on {len(self.split.train)} photos, and"
                f" {len(strangers)} that it names are not in the dataset; bring more photos, or"
                " those that were split"
            )
        train, validation = (
            np.array([places[name] for name in ids], dtype=np.int64)
            for ids in (self.split.train, self.split.validation)
        )
        known = truths_of(self.dataset.photos, self.dataset.labels)
        truths = np.array([*known, *[UNLABELLED] * len(self.unlabelled)], dtype=np.int32)
        return Rows(
            train=train, validation=validation, truths=truths, classes=len(self.dataset.labels)
        )


def truths_of(photos: Sequence[Photo], labels: Sequence[str]) -> list[int]:
    """Return each photo's class as an index into ``labels``."""
    numbers = {label: number for number, label in enumerate(labels)}
    return [numbers[photo.label] for photo in photos]
