"""Fine-tuning alone: every layer learns, the network teaches itself, and nothing else changes."""

from pathlib import Path

import numpy as np
import pytest

from optimize.tune import TuneConfig, tune
from tests.optimize.colours import workshop, write_dataset, write_frozen
from tests.train.small_network import Cut, CutAfter
from train.artifact import Artifact
from train.dataset import Dataset
from train.errors import ArtifactError, ConfigError
from train.keras_file import load_keras


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture(scope="module")
def frozen(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_frozen(tmp_path_factory.mktemp("frozen") / "net", dataset)


CONFIG = TuneConfig(epochs=2, learning_rate=0.01)


def test_every_layer_learns_and_the_network_keeps_its_shape(
    dataset: Dataset, frozen: Artifact, tmp_path: Path
) -> None:
    made = tune(frozen, tmp_path / "made", CONFIG, workshop(dataset, tmp_path / "ck"))
    assert made.manifest.variant == "small.tuned.float.keras"
    assert made.manifest.steps[-1].config["parent_share"] == 0.8
    before, after = (load_keras(one.payload) for one in (frozen, made))
    for old, new in zip(before.trainable_weights, after.trainable_weights, strict=True):
        assert old.shape == new.shape
        assert not np.array_equal(old, new), old.name


def test_it_goes_on_where_it_was_cut_off(
    dataset: Dataset, frozen: Artifact, tmp_path: Path
) -> None:
    whole = tune(frozen, tmp_path / "whole", CONFIG, workshop(dataset, tmp_path / "a"))
    with pytest.raises(Cut):
        tune(frozen, tmp_path / "cut", CONFIG, workshop(dataset, tmp_path / "b", CutAfter(1)))
    cut = tune(frozen, tmp_path / "cut", CONFIG, workshop(dataset, tmp_path / "b"))
    assert cut.manifest == whole.manifest


def test_what_cannot_be_is_said(dataset: Dataset, frozen: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epochs must be 1 or more, got 0: fine-tuning is all"):
        TuneConfig(epochs=0)
    with pytest.raises(ArtifactError, match="exists already"):
        tune(frozen, tmp_path, CONFIG, workshop(dataset, tmp_path / "ck"))
