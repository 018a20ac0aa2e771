"""Pruning: the ramp, the masks and the artifact, worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.prune import (
    PruneConfig,
    count_zeros,
    layer_sparsities,
    magnitude_mask,
    prunable_kernels,
    prune,
    sparsity_at,
    two_of_four_mask,
)
from tests.optimize.colours import workshop, write_dataset, write_small
from train.backend import keras, tensorflow
from train.errors import ConfigError
from train.keras_file import load_keras


def test_the_ramp_is_cubic_and_then_flat() -> None:
    found = [sparsity_at(float(s), ramp_steps=4, final_sparsity=0.64) for s in range(6)]
    # 0.64 x (1 - (1 - s/4)^3): cubes of 1, 3/4, 1/2, 1/4, 0.
    assert found == pytest.approx([0.0, 0.37, 0.56, 0.63, 0.64, 0.64])
    tf = tensorflow()
    assert float(sparsity_at(tf.constant(2.0), ramp_steps=4, final_sparsity=0.64)) == (
        pytest.approx(0.56)
    )
    assert float(sparsity_at(tf.constant(9.0), ramp_steps=4, final_sparsity=0.5)) == 0.5
    assert sparsity_at(0.0, ramp_steps=0, final_sparsity=0.3) == 0.3


def test_the_least_weights_are_masked_whatever_their_sign() -> None:
    kernel = tensorflow().constant([[0.1, -0.5, 0.3], [-0.2, 0.4, 0.0]])
    mask = np.asarray(magnitude_mask(kernel, 0.5))
    assert mask.tolist() == [[0, 1, 1], [0, 1, 0]]  # 0, 0.1 and 0.2 are the three least of six
    assert np.asarray(magnitude_mask(kernel, 0.0)).tolist() == [[1, 1, 1], [1, 1, 1]]
    ties = np.asarray(magnitude_mask(tensorflow().constant([1.0, -1.0, 1.0, 2.0]), 0.25))
    assert ties.tolist() == [0, 0, 0, 1]  # what is as small as the largest that goes, goes too


def network_of(*, dense: int = 4) -> Any:
    """Three kernels behind one on pixels: 1 x 1 x 5 x 4, 3 x 3 x 4 x 20 and 20 x ``dense``."""
    layers = keras().layers
    pixels = layers.Input((8, 8, 3))
    maps = layers.Conv2D(5, 1, name="stem")(pixels)
    maps = layers.Conv2D(4, 1, name="block1")(maps)
    maps = layers.Conv2D(20, 3, name="block2")(maps)
    maps = layers.GlobalAveragePooling2D()(maps)
    return keras().Model(pixels, layers.Dense(dense, name="logits")(maps))


def test_small_kernels_stay_whole_and_the_others_lose_as_much_more() -> None:
    model = network_of(dense=13)  # 20 + 720 + 260 weights
    config = PruneConfig(final_sparsity=0.49, least_share=0.05)
    found = layer_sparsities(model, config)
    assert found == pytest.approx({"block2": 0.5, "logits": 0.5})  # 490 of 980
    at_the_bound = PruneConfig(final_sparsity=0.49, least_share=0.02)
    every = {"block1": 0.49, "block2": 0.49, "logits": 0.49}
    assert layer_sparsities(model, at_the_bound) == pytest.approx(every)
    blocks = PruneConfig(pattern="2:4", least_share=0.05)
    assert layer_sparsities(model, blocks) == {"block1": 0.5, "block2": 0.5, "logits": 0.5}
    with pytest.raises(
        ConfigError,
        match=r"final_sparsity = 0.98 of 1,000 weights is no less than the 980 in the 2 kernels",
    ):
        layer_sparsities(model, PruneConfig(final_sparsity=0.98, least_share=0.05))


def test_frozen_layers_stay_whole_and_the_others_lose_as_much_more() -> None:
    model = network_of(dense=13)
    config = PruneConfig(final_sparsity=0.13, least_share=0.0, only_trained=True)
    found = layer_sparsities(model, config, ("stem", "block2"))
    assert found == pytest.approx({"block1": 130 / 280, "logits": 130 / 280})
    blocks = PruneConfig(pattern="2:4", only_trained=True)
    assert layer_sparsities(model, blocks, ("block",)) == {"logits": 0.5}
    with pytest.raises(ConfigError, match=r"the 0 in the 0 kernels .* only_trained = True"):
        layer_sparsities(model, config, ("stem", "block", "logits"))
    with pytest.raises(ConfigError, match=r"the 0 in the 0 kernels .* only_trained = True"):
        layer_sparsities(model, blocks, ("stem", "block", "logits"))


def test_two_of_four_input_channels_stay_in_each_block() -> None:
    tf = tensorflow()
    inputs = [[5.0, 0.1], [-6.0, 0.2], [1.0, -0.4], [2.0, 0.3], [0.5, 9.0]]  # 5 inputs, 2 outputs
    mask = np.asarray(two_of_four_mask(tf.constant(inputs)))
    # Output 0: 5 and -6 of the first four; output 1: -0.4 and 0.3. The fifth stands alone.
    assert mask.T.tolist() == [[1, 1, 0, 0, 1], [0, 0, 1, 1, 1]]
    kernel = tf.reshape(tf.constant(inputs[:4]), (1, 1, 4, 2))
    assert np.asarray(two_of_four_mask(kernel))[0, 0].T.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


@pytest.mark.slow
def test_masks_are_those_of_the_optimization_toolkit() -> None:
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_utils
    from tensorflow_model_optimization.sparsity.keras import PolynomialDecay

    tf = tensorflow()
    kernel = tf.random.stateless_normal((3, 3, 10, 7), seed=(0, 1))
    flat = pruning_utils.weights_rearrange(kernel)
    theirs = pruning_utils.m_by_n_sparsity_mask_prepare(
        pruning_utils.generate_m_by_n_mask(flat), kernel.shape
    )
    assert np.array_equal(np.asarray(two_of_four_mask(kernel)), np.asarray(theirs))
    decay = PolynomialDecay(0.0, 0.6, begin_step=0, end_step=100, frequency=1)
    for step in (0, 1, 37, 100, 150):
        mine = sparsity_at(float(step), ramp_steps=100, final_sparsity=0.6)
        assert float(decay(tf.constant(min(step, 100)))[1]) == pytest.approx(mine, abs=1e-6)


@pytest.mark.parametrize(("pattern", "share"), [("unstructured", 0.6), ("2:4", 0.5)])
def test_zeros_are_set_and_counted(tmp_path: Path, pattern: Any, share: float) -> None:
    dataset = write_dataset(tmp_path / "photos")
    parent = write_small(tmp_path / "parent", dataset)
    config = PruneConfig(epochs=0, pattern=pattern)
    made = prune(parent, tmp_path / "made", config, workshop(dataset, tmp_path / "ck"))
    assert made.manifest.variant == "small.pruned.float.keras"
    model = load_keras(made.payload)
    sizes = {kernel.name: kernel.shape.num_elements() for kernel in prunable_kernels(model)}
    # 3 x 3 x 8 x 8, 3 x 3 x 8 x 16 and 16 x 3; the stem is on pixels.
    assert list(sizes.values()) == [576, 1152, 48]
    assert [round(share * size) for size in sizes.values()] == [
        int((kernel.numpy() == 0).sum()) for kernel in prunable_kernels(model)
    ]
    assert not (model.get_layer("stem_conv").kernel.numpy() == 0).any()
    zeros = sum(round(share * size) for size in sizes.values())
    assert count_zeros(model) == (zeros, 1776)
    assert made.manifest.steps[1].config["zeros"] == zeros


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "1:2"}, "pattern must be unstructured or 2:4, got '1:2'"),
        ({"final_sparsity": 1.0}, r"final_sparsity must be in \[0, 1\), got 1\.0"),
        ({"least_share": 1.0}, r"least_share must be in \[0, 1\), got 1\.0"),
        ({"every": 0}, "every must be 1 or more"),
        ({"epochs": 3, "ramp_epochs": 4}, r"ramp_epochs must be from 0 to epochs \(3\), got 4"),
    ],
)
def test_settings_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PruneConfig(**settings)
