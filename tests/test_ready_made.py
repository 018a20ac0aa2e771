"""The model that comes with a clone: whole, small, and as good as it says."""

import os
from pathlib import Path

import numpy as np
import pytest

from deploy.runtime import open_runtime
from threadlite.cli import main
from threadlite.model_files import READY_MADE
from train.artifact import open_artifact
from train.metrics import weighted_f1
from train.pixels import load_pixels
from train.sources import open_dataset
from train.splits import select

REPOSITORY = Path(__file__).resolve().parents[1]
PHOTOS = Path(os.environ.get("THREADLITE_CLOTHING", REPOSITORY.parent / "shared/clothing-dataset"))
LARGEST_BYTES = 6 * 2**20
LEAST_F1 = 0.88


def test_it_is_whole_and_small() -> None:
    artifact = open_artifact(READY_MADE)
    assert artifact.payload.suffix == ".tflite"
    assert artifact.payload.stat().st_size <= LARGEST_BYTES
    assert [step.technique for step in artifact.manifest.steps] == ["train", "shrink", "int8"]
    lines = (READY_MADE / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(lines) == artifact.manifest.labels
    assert len(lines) == 17


def test_it_classifies_a_rendered_garment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = open_dataset("garments").photos[0].path
    assert main(["classify", str(picture)]) == 0
    line = capsys.readouterr().out
    assert line.startswith(str(picture))
    assert line.count("%") == 3


@pytest.mark.skipif(not (PHOTOS / "images.csv").exists(), reason="the clothing photos are not here")
def test_it_is_as_good_as_promised_on_its_own_test_photos() -> None:
    artifact = open_artifact(READY_MADE)
    split, manifest = artifact.split(), artifact.manifest
    assert not set(split.test) & {*split.train, *split.validation}
    whole = open_dataset(str(PHOTOS))
    photos = select(whole.photos, split.test)
    pixels = load_pixels(photos, manifest.pixels)
    with open_runtime(artifact.payload, "litert", threads=2) as opened:
        probabilities = np.concatenate(
            [opened.predict(pixels[start : start + 32]) for start in range(0, len(pixels), 32)]
        )
    truths = [manifest.labels.index(photo.label) for photo in photos]
    found = weighted_f1(truths, probabilities.argmax(axis=1).tolist(), len(manifest.labels))
    assert found >= LEAST_F1
