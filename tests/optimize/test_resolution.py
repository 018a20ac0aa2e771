"""Smaller inputs: the same weights on another size, on both runtimes, and fine-tuned."""

from pathlib import Path

import numpy as np
import pytest

from bench.count_keras import count_layers
from bench.layer_cost import total_maccs
from deploy.runtime import open_runtime, runtime_for
from optimize.convert import export_float
from optimize.finetune import TuningConfig, tuned_recipe
from optimize.quantize import quantize_int8
from optimize.resolution import ResolutionConfig, change_resolution, resized
from tests.optimize.colours import workshop, write_dataset, write_small
from tests.tiny_models import FORMATS
from tests.train.small_network import Cut, CutAfter
from train.artifact import Artifact
from train.backend import keras
from train.dataset import Dataset
from train.errors import ArtifactError, ConfigError, ConversionError
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.splits import select


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture(scope="module")
def small(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_small(tmp_path_factory.mktemp("small") / "net", dataset)


@pytest.fixture(scope="module")
def larger(small: Artifact, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("larger")
    config = ResolutionConfig(size=64, epochs=0)
    return change_resolution(small, folder / "made", config, workshop(dataset, folder / "ck"))


def test_weights_stay_and_work_goes_with_the_pixels(small: Artifact, larger: Artifact) -> None:
    before, after = load_keras(small.payload), load_keras(larger.payload)
    for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    head = 16 * 3
    # Twice the rows and columns are four times the places of every map; the head has none.
    convolutions = total_maccs(count_layers(before)) - head
    assert total_maccs(count_layers(after)) == 4 * convolutions + head


def test_the_contract_and_the_name_are_new_and_the_rest_is_kept(
    small: Artifact, larger: Artifact
) -> None:
    manifest = larger.manifest
    assert manifest.variant == "small.at64.float.keras"
    assert (manifest.pixels.height, manifest.pixels.width) == (64, 64)
    assert manifest.steps[-1].config["pixels_before"] == [32, 32]
    assert (manifest.labels, manifest.split) == (small.manifest.labels, small.manifest.split)
    recipe = tuned_recipe(larger, TuningConfig(epochs=1))
    assert (recipe.image_size, recipe.train_sizes) == (64, ())


def test_files_of_the_new_size_answer_as_the_network(
    larger: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    ids = larger.split().train
    pixels = load_pixels(select(dataset.photos, ids), larger.manifest.pixels)
    exact = predict(load_keras(larger.payload), pixels[:4])
    for target in FORMATS:
        plain = export_float(larger, target, tmp_path / f"float-{target}")
        whole = quantize_int8(larger, target, pixels, ids, tmp_path / f"int8-{target}")
        assert whole.manifest.variant == f"small.at64.int8.{target}"
        for made, tolerance in ((plain, 1e-4), (whole, 4 / 256)):  # four steps of the output
            with open_runtime(made.payload, runtime_for(target), threads=1) as opened:
                assert opened.input_shape == (1, 64, 64, 3)
                np.testing.assert_allclose(opened.predict(pixels[:4]), exact, atol=tolerance)


def test_a_cut_off_fine_tuning_at_another_size_ends_with_the_same_bytes(
    larger: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    config = ResolutionConfig(size=48, epochs=2, learning_rate=0.01)
    whole = change_resolution(larger, tmp_path / "whole", config, workshop(dataset, tmp_path / "a"))
    assert whole.manifest.variant == "small.at64.at48.float.keras"
    with pytest.raises(Cut):
        shop = workshop(dataset, tmp_path / "b", CutAfter(1))
        change_resolution(larger, tmp_path / "cut", config, shop)
    cut = change_resolution(larger, tmp_path / "cut", config, workshop(dataset, tmp_path / "b"))
    assert cut.manifest == whole.manifest
    assert cut.manifest.payload_sha256 != larger.manifest.payload_sha256


def test_what_cannot_be_is_said(small: Artifact, dataset: Dataset, tmp_path: Path) -> None:
    shop = workshop(dataset, tmp_path / "ck")
    with pytest.raises(ConfigError, match="size 32 is what it takes already; name another"):
        change_resolution(small, tmp_path / "made", ResolutionConfig(size=32), shop)
    with pytest.raises(ArtifactError, match="exists already"):
        change_resolution(small, tmp_path, ResolutionConfig(size=64), shop)
    k = keras()
    pixels = k.Input((32, 32, 3), name="pixels")
    maps = k.layers.Conv2D(3, 24, name="conv")(pixels)
    fixed = k.Model(pixels, k.layers.GlobalAveragePooling2D()(maps), name="fixed")
    with pytest.raises(ConversionError, match=r"fixed: it cannot take pictures of 16 x 16 pixels"):
        resized(fixed, 16)
