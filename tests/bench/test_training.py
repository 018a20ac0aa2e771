import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.training import training_record
from train.artifact import HISTORY_NAME, Artifact
from train.dataset import Dataset, Dirt
from train.errors import ArtifactError

HISTORY = {
    "head_validation_f1": 0.5,
    "images_per_epoch": 64,
    "epochs": [
        {"loss": 1.5, "validation_f1": 0.6, "seconds": 2.0, "checkpoint": "a", "best": True},
        {"loss": 1.0, "validation_f1": 0.55, "seconds": 3.0, "checkpoint": "b", "best": False},
    ],
}
DATASET = Dataset(name="mine", photos=(), labels=("a", "b"), fingerprint="0" * 64, dirt=Dirt())


@pytest.fixture
def trained(fake_artifact: Callable[..., Artifact], tmp_path: Path) -> Artifact:
    artifact = fake_artifact(tmp_path / "net", "custom-cnn.float.keras")
    (artifact.folder / HISTORY_NAME).write_text(json.dumps(HISTORY))
    return artifact


def test_curve_and_times_are_taken_over(trained: Artifact) -> None:
    record = training_record(trained, environment="e")
    assert record.train_losses == (1.5, 1.0)
    assert record.validation_f1s == (0.6, 0.55)
    assert record.best_validation_f1 == 0.6
    assert record.train_seconds == 5.0
    assert record.head_validation_f1 == 0.5
    assert record.images_per_epoch == 64
    assert record.images_per_second == pytest.approx(2 * 64 / 5.0)
    assert (record.feature_runtime, record.trainable_parameters) == ("", 0)  # an older history


def test_effort_is_taken_over(trained: Artifact) -> None:
    effort = {"feature_runtime": "litert 2.3.0", "feature_seconds": 7.5, "trainable_parameters": 9}
    (trained.folder / HISTORY_NAME).write_text(json.dumps({**HISTORY, **effort}))
    record = training_record(trained, environment="e")
    assert {name: getattr(record, name) for name in effort} == effort


def test_head_alone_is_judged_by_the_head(trained: Artifact) -> None:
    (trained.folder / HISTORY_NAME).write_text(json.dumps({**HISTORY, "epochs": []}))
    record = training_record(trained, environment="e")
    assert record.best_validation_f1 == 0.5
    assert record.train_seconds == 0.0
    assert record.images_per_second is None


@pytest.mark.parametrize("content", ["", "[]", '{"epochs": [{}]}'])
def test_broken_history_is_an_error(trained: Artifact, content: str) -> None:
    (trained.folder / HISTORY_NAME).write_text(content)
    with pytest.raises(ArtifactError, match="not a readable history"):
        training_record(trained, environment="e")


def test_missing_history_is_an_error(trained: Artifact) -> None:
    (trained.folder / HISTORY_NAME).unlink()
    with pytest.raises(ArtifactError, match="train again"):
        training_record(trained, environment="e")
