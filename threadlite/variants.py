"""Variants of a trained network: what names one, how it is made, and what it is compared on."""

import random
from pathlib import Path
from typing import Any

from optimize.quantize import choose_calibration
from optimize.techniques import TECHNIQUES
from train.artifact import Artifact
from train.dataset import Dataset
from train.pixels import load_pixels
from train.refit import unseen_or_train
from train.splits import Split, select
from train.storage import digest_of
from train.variant import Format


def identity_of(artifact: Artifact) -> str:
    """Return a digest of all that an artifact is: payload, labels, photos, split and steps."""
    return digest_of(artifact.manifest.model_dump(mode="json"))


def parity_ids(split: Split, count: int) -> list[str]:
    """Return photos to compare variants on, of ``unseen_or_train``, the same every time.

    Ids often begin with the class, so the first ones would be of a few classes alone.
    """
    ids = sorted(unseen_or_train(split))
    return sorted(random.Random(0).sample(ids, min(count, len(ids))))


def optimize_artifact(
    parent: Artifact, technique: str, target: Format, dataset: Dataset, folder: Path, config: Any
) -> Artifact:
    """Apply ``technique``, calibrating on training photos drawn as ``config`` says."""
    ids = choose_calibration(parent.split().train, config)
    pixels = load_pixels(select(dataset.photos, ids), parent.manifest.pixels)
    made: Artifact = TECHNIQUES[technique].apply(parent, target, pixels, ids, folder, config)
    return made
