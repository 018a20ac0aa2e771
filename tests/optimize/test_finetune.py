"""Fine-tuning: it learns, goes on where it was cut off, and holds what was done before."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optimize.cluster import ClusterConfig, cluster, most_distinct
from optimize.finetune import TuningConfig, training_of, tuned_recipe
from optimize.finetune_trainer import ParentFeed, TuningTrainer
from optimize.prune import PruneConfig, count_zeros, prunable_kernels, prune
from optimize.shrink import ShrinkConfig, shrink
from tests.optimize.colours import BATCH, workshop, write_dataset, write_frozen, write_small
from tests.tiny_models import write_parent
from tests.train.small_network import Cut, CutAfter
from train.artifact import HISTORY_NAME, Artifact
from train.backend import tensorflow
from train.dataset import Dataset
from train.errors import ArtifactError, ConfigError
from train.feeds import PhotoFeed
from train.fitting import feed_of, freeze
from train.keras_file import load_keras
from train.metrics import weighted_f1
from train.pixels import PixelContract, load_pixels
from train.predict import predict
from train.progress import Silent
from train.splits import select


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture(scope="module")
def small(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_small(tmp_path_factory.mktemp("small") / "net", dataset)


@pytest.fixture(scope="module")
def frozen(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_frozen(tmp_path_factory.mktemp("frozen") / "net", dataset)


def losses_of(artifact: Artifact) -> list[float]:
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    return [epoch["loss"] for epoch in history["epochs"]]


def require_best_epoch(artifact: Artifact, dataset: Dataset) -> None:
    """Its answers on the validation photos have the best F1 of all epochs."""
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    photos = select(dataset.photos, artifact.split().validation)
    pixels = load_pixels(photos, artifact.manifest.pixels)
    answers = predict(load_keras(artifact.payload), pixels).argmax(axis=1).tolist()
    truths = [dataset.labels.index(photo.label) for photo in photos]
    best = max(epoch["validation_f1"] or 0.0 for epoch in history["epochs"])
    assert weighted_f1(truths, answers, 3) == pytest.approx(best)


SHRINK = ShrinkConfig(epochs=3, learning_rate=0.01, maccs=0.6, multiple=2, parent_share=0.2)


def test_a_cut_off_fine_tuning_ends_with_the_same_bytes(
    dataset: Dataset, small: Artifact, tmp_path: Path
) -> None:
    whole = shrink(small, tmp_path / "whole", SHRINK, workshop(dataset, tmp_path / "ck1"))
    losses = losses_of(whole)
    assert len(losses) == 3
    assert losses[2] < losses[0]
    assert not (tmp_path / "ck1").exists()
    require_best_epoch(whole, dataset)
    with pytest.raises(Cut):
        shrink(small, tmp_path / "cut", SHRINK, workshop(dataset, tmp_path / "ck2", CutAfter(1)))
    assert not (tmp_path / "cut").exists()
    with pytest.raises(ArtifactError, match="holds a training with other settings"):
        other = ShrinkConfig(epochs=3, learning_rate=0.02, maccs=0.6, multiple=2)
        shrink(small, tmp_path / "cut", other, workshop(dataset, tmp_path / "ck2"))
    cut = shrink(small, tmp_path / "cut", SHRINK, workshop(dataset, tmp_path / "ck2"))
    assert cut.manifest == whole.manifest


PRUNE = PruneConfig(epochs=3, learning_rate=0.01, ramp_epochs=2, every=2)


def test_pruning_ramps_up_and_keeps_an_epoch_after_the_ramp(
    dataset: Dataset, small: Artifact, tmp_path: Path
) -> None:
    made = prune(small, tmp_path / "made", PRUNE, workshop(dataset, tmp_path / "ck"))
    history = json.loads((made.folder / HISTORY_NAME).read_text())["epochs"]
    scores = [epoch["validation_f1"] for epoch in history]
    assert scores[0] is None  # the zeros are not all there yet
    assert None not in scores[1:]
    assert count_zeros(load_keras(made.payload)) == (346 + 691 + 29, 1776)  # 60 % of each kernel


def test_what_the_training_froze_is_neither_pruned_nor_taught(
    dataset: Dataset, frozen: Artifact, tmp_path: Path
) -> None:
    config = replace(PRUNE, only_trained=True, parent_share=0.5)
    made = prune(frozen, tmp_path / "made", config, workshop(dataset, tmp_path / "ck"))
    before, after = (load_keras(artifact.payload) for artifact in (frozen, made))
    for layer in before.layers:
        pairs = list(
            zip(layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True)
        )
        if layer.name.startswith(("stem", "block1")):
            assert all(np.array_equal(old, new) for old, new in pairs), layer.name
        elif layer.name.startswith(("block2", "logits")) and pairs:
            assert not all(np.array_equal(old, new) for old, new in pairs), layer.name
    # 60 % of 576 + 1,152 + 48 weights are 1,065.6, which block2 and the head share by their sizes.
    assert [int((kernel.numpy() == 0).sum()) for kernel in prunable_kernels(after)] == [
        0,
        round(1152 * 1065.6 / 1200),
        round(48 * 1065.6 / 1200),
    ]
    require_best_epoch(made, dataset)


@pytest.mark.slow
def test_masks_are_kept_with_the_weights_of_a_cut_off_pruning(
    dataset: Dataset, small: Artifact, tmp_path: Path
) -> None:
    whole = prune(small, tmp_path / "whole", PRUNE, workshop(dataset, tmp_path / "ck"))
    with pytest.raises(Cut):
        prune(small, tmp_path / "cut", PRUNE, workshop(dataset, tmp_path / "c", CutAfter(1)))
    cut = prune(small, tmp_path / "cut", PRUNE, workshop(dataset, tmp_path / "c"))
    assert cut.manifest == whole.manifest


def test_shared_weights_stay_shared_while_they_learn(
    dataset: Dataset, small: Artifact, tmp_path: Path
) -> None:
    config = ClusterConfig(epochs=2, learning_rate=0.01, centroids=8)
    made = cluster(small, tmp_path / "made", config, workshop(dataset, tmp_path / "ck"))
    untrained = cluster(
        small,
        tmp_path / "untrained",
        ClusterConfig(epochs=0, centroids=8),
        workshop(dataset, tmp_path / "ck"),
    )
    after, before = (load_keras(artifact.payload) for artifact in (made, untrained))
    assert most_distinct(after) <= 8
    assert not np.allclose(after.get_layer("logits").kernel, before.get_layer("logits").kernel)


def test_the_recipe_is_the_parents_with_nothing_frozen_unless_it_is_kept(
    frozen: Artifact, tmp_path: Path
) -> None:
    recipe = tuned_recipe(frozen, TuningConfig(epochs=2, learning_rate=0.01))
    assert (recipe.batch_size, recipe.epochs, recipe.learning_rate) == (BATCH, 2, 0.01)
    assert (recipe.frozen, recipe.cached_views, recipe.freeze_batch_norm) == ((), 0, False)
    kept = tuned_recipe(frozen, TuningConfig(epochs=2), keep_frozen=True)
    assert (kept.frozen, kept.cached_views) == (("stem", "block1"), 2)
    assert not kept.freeze_batch_norm  # what the others normalize has changed
    bare = write_parent(tmp_path / "bare")
    with pytest.raises(ConfigError, match=r"the recipe in its manifest cannot be used \(it names"):
        tuned_recipe(bare, TuningConfig())


def test_the_parent_answers_to_the_very_views_that_its_child_is_shown(
    dataset: Dataset, small: Artifact
) -> None:
    recipe = tuned_recipe(small, TuningConfig(epochs=1))
    side = recipe.image_size // 2  # a child that takes smaller pictures than its parent
    rows = training_of(small, recipe, dataset).rows()
    contract = PixelContract(height=side, width=side)
    pixels, parent = load_pixels(dataset.photos, contract), load_keras(small.payload)
    smaller = recipe.model_copy(update={"image_size": side, "mixup": 0.2})
    photos = PhotoFeed(rows, large=pixels, plain=pixels, recipe=smaller, seed=0)
    feed = ParentFeed(photos, parent)
    views, targets, _ = next(iter(feed.batches(0)))
    assert views.shape == (BATCH, side, side, 3)
    np.testing.assert_allclose(targets[:, :3].numpy().sum(axis=1), 1.0, atol=1e-6)
    enlarged = tensorflow().image.resize(views, (recipe.image_size, recipe.image_size))
    np.testing.assert_allclose(targets[:, 3:], parent(enlarged, training=False), atol=1e-5)


def test_the_parent_goes_on_from_the_maps_that_its_child_is_fed(
    dataset: Dataset, frozen: Artifact
) -> None:
    recipe = tuned_recipe(frozen, TuningConfig(epochs=1), keep_frozen=True)
    training = training_of(frozen, recipe, dataset)
    parent = load_keras(frozen.payload)
    freeze(parent, recipe)
    feed, rest, _, _ = feed_of(training, parent, training.rows(), Silent())
    maps, targets, _ = next(iter(ParentFeed(feed, rest).batches(0)))
    assert maps.shape == (BATCH, 16, 16, 8)  # of the stem and block1, at half the size
    np.testing.assert_allclose(targets[:, 3:], rest(maps, training=False), atol=1e-5)
    pixels = load_pixels(select(dataset.photos, frozen.split().train), frozen.manifest.pixels)
    whole = parent(pixels.astype(np.float32), training=False)
    by_maps = rest(feed.inputs_of(training.rows().train).astype(np.float32), training=False)
    np.testing.assert_allclose(by_maps, whole, atol=2e-3)  # maps are kept as float16


def test_the_loss_is_the_parents_as_far_as_it_is_asked(dataset: Dataset, small: Artifact) -> None:
    recipe = tuned_recipe(small, TuningConfig(epochs=1))
    pixels, parent = load_pixels(dataset.photos, small.manifest.pixels), load_keras(small.payload)
    rows = training_of(small, recipe, dataset).rows()
    photos = PhotoFeed(rows, large=pixels, plain=pixels, recipe=recipe, seed=0)
    feed = ParentFeed(photos, parent)
    label, told = np.float32([[0, 1, 0]]), np.float32([[0.7, 0.1, 0.2]])
    logits = np.log(np.float32([[0.5, 0.25, 0.25]]))

    def loss(share: float) -> float:
        trainer = TuningTrainer(parent, feed, recipe, seed=0, parent_share=share, temperature=1.0)
        return float(trainer.loss(np.concatenate([label, told], axis=1), logits, None))

    # Labels are smoothed by 0.1: 0.9333 of the second class, 0.0333 of the others.
    by_labels = -(0.0333333 * np.log(0.5) + 0.9666667 * np.log(0.25))
    by_parent = -(0.7 * np.log(0.5) + 0.3 * np.log(0.25))
    assert loss(0.0) == pytest.approx(by_labels, rel=1e-5)
    assert loss(1.0) == pytest.approx(by_parent, rel=1e-5)
    assert loss(0.7) == pytest.approx(0.3 * by_labels + 0.7 * by_parent, rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"parent_share": 1.5}, r"parent_share must be in \[0, 1\], got 1.5"),
        ({"temperature": 0.5}, "temperature must be 1 or more, got 0.5"),
    ],
)
def test_a_share_or_a_temperature_that_is_none_is_refused(
    wrong: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ShrinkConfig(**wrong)  # type: ignore[arg-type]  # the words of a command line
