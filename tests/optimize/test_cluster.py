"""Weight sharing: centroids by hand, zeros that stay, and the artifact."""

from pathlib import Path

import numpy as np
import pytest

from optimize.cluster import (
    ClusterConfig,
    SharedWeights,
    cluster,
    find_centroids,
    most_distinct,
    share_weights,
)
from optimize.prune import PruneConfig, prunable_kernels, prune
from tests.optimize.colours import workshop, write_dataset, write_small
from train.backend import keras
from train.errors import ConfigError
from train.keras_file import load_keras


def test_centroids_are_means_of_what_is_nearest() -> None:
    values = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 30.0])
    # From 0, 15, 30: nearest are (0, 1, 2), (10, 11) and (30), and the means 1, 10.5, 30 keep them.
    assert find_centroids(values, 3).tolist() == [1.0, 10.5, 30.0]
    # From 0, 10, 20, 30: nobody is nearest to 20.
    assert find_centroids(values, 4).tolist() == [1.0, 10.5, 30.0]
    assert find_centroids(np.array([2.0, 2.0]), 4).tolist() == [2.0]


def test_zeros_of_a_pruned_kernel_are_a_number_of_their_own() -> None:
    kernel = np.array([[0.0, 0.1, 0.9], [0.0, 1.1, -1.0]])
    places, pruned = share_weights(kernel, 3)  # zero, and two numbers for the four others
    assert pruned
    # From -1.0 and 1.1: 0.1 is nearer to 1.1, then the means -1.0 and 0.7 part at -0.15.
    assert places.tolist() == [[0, 2, 2], [0, 2, 1]]
    places, pruned = share_weights(np.array([-1.0, -0.9, 0.9, 1.1]), 2)
    assert (places.tolist(), pruned) == ([0, 0, 1, 1], False)


def test_a_shared_number_moves_by_the_mean_of_its_weights() -> None:
    layers = keras().layers
    entry = layers.Input((4,))
    model = keras().Model(entry, layers.Dense(1, use_bias=False, name="logits")(entry))
    kernel = prunable_kernels(model)[0]
    kernel.assign(np.array([[0.0], [1.0], [1.5], [-1.0]]))
    shared = SharedWeights(ClusterConfig(centroids=3))
    shared.bind(model, model, steps_per_epoch=1)
    assert kernel.numpy().ravel().tolist() == [0.0, 1.25, 1.25, -1.0]
    kernel.assign(np.array([[0.5], [1.0], [2.0], [-3.0]]))
    shared.hold(0)
    assert kernel.numpy().ravel().tolist() == [0.0, 1.5, 1.5, -3.0]


def test_the_artifact_holds_few_numbers_and_the_zeros_of_its_parent(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "photos")
    parent = write_small(tmp_path / "parent", dataset)
    place = workshop(dataset, tmp_path / "ck")
    pruned = prune(parent, tmp_path / "pruned", PruneConfig(epochs=0), place)
    made = cluster(pruned, tmp_path / "made", ClusterConfig(epochs=0, centroids=16), place)
    assert made.manifest.variant == "small.pruned.clustered.float.keras"
    assert [step.technique for step in made.manifest.steps] == ["train", "prune", "cluster"]
    before, after = (load_keras(artifact.payload) for artifact in (pruned, made))
    assert 8 < most_distinct(after) <= 16
    assert not any("bn" in layer.name for layer in after.layers)  # folded
    for old, new in zip(prunable_kernels(before), prunable_kernels(after), strict=True):
        assert np.array_equal(old.numpy() == 0, new.numpy() == 0)


def test_settings_check_themselves() -> None:
    with pytest.raises(ConfigError, match=r"centroids must be in \[2, 256\], got 1"):
        ClusterConfig(centroids=1)
