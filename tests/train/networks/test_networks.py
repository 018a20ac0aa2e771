"""What holds for every network: outer names, plain operators, stages, shapes."""

import functools
from typing import Any

import numpy as np
import pytest

from train.networks import FROM_KERAS_APPLICATION, NETWORKS
from train.networks.blocks import stage_of, stages_of

# Operators that convert to built-in operators of LiteRT and of ONNX, with no code of ours.
ALLOWED_LAYERS = {
    "InputLayer", "Rescaling", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add",
    "AveragePooling2D", "GlobalAveragePooling2D", "Dense", "Activation",
    "MaxPooling2D", "ZeroPadding2D", "LayerNormalization", "Concatenate",
}  # fmt: skip
PUBLISHED_WITH_BIASES = {"resnet50", "resnet50-v2", "convnext-tiny"}


@functools.cache
def small(network: str) -> Any:
    """Return a network for 64 px and 5 classes, built once: no test changes it."""
    return NETWORKS[network](image_size=64, classes=5)


@pytest.mark.parametrize("network", NETWORKS)
def test_graph_is_plain_and_named_as_agreed(network: str) -> None:
    model = small(network)
    assert model.name == network
    assert {type(layer).__name__ for layer in model.layers} <= ALLOWED_LAYERS
    names = [layer.name for layer in model.layers]
    rescaled = 1 if network != "lite-trio" else 3
    assert names[0] == "pixels"
    assert sum(name.endswith("rescale") for name in names) == rescaled
    assert names[-3:] == ["features", "logits", "probabilities"]
    assert model.input_shape == (None, 64, 64, 3)
    assert model.get_layer("features").output_shape[0] is None
    assert len(model.get_layer("features").output_shape) == 2
    assert model.output_shape == (None, 5)
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            assert layer.groups == 1
            assert network in PUBLISHED_WITH_BIASES or not layer.use_bias
        if layer.name != "pixels":
            assert None not in layer.output_shape[1:]


@pytest.mark.parametrize("network", NETWORKS)
def test_output_is_a_distribution_over_classes(network: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    probabilities = small(network)(pixels).numpy()
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_with_weights_but_the_classifier_is_in_a_stage(network: str) -> None:
    model = small(network)
    outside = [layer.name for layer in model.layers if layer.weights and not stage_of(layer.name)]
    assert outside == ["logits"]
    if network != "lite-trio":
        assert stages_of(model)[0] == "stem"
        assert stages_of(model)[1].startswith("block")


@pytest.mark.parametrize(
    ("network", "image_size"),
    [("custom-cnn", 33), ("custom-cnn", 50), ("custom-cnn", 161), ("efficientnet-lite0", 49),
     ("convnext-tiny", 45)],
)  # fmt: skip
def test_sizes_that_do_not_halve_evenly_still_build(network: str, image_size: int) -> None:
    assert NETWORKS[network](image_size=image_size, classes=2).output_shape == (None, 2)


@pytest.mark.parametrize("network", FROM_KERAS_APPLICATION)
def test_weights_under_our_own_names_pass_the_translation_unchanged(network: str) -> None:
    own = {
        f"{layer.name}/{variable.name.split(':')[0].rsplit('/', 1)[-1]}": variable.numpy()
        for layer in small(network).layers
        for variable in layer.weights
    }
    passed = FROM_KERAS_APPLICATION[network](own)
    assert list(passed) == list(own)
    assert all(passed[name] is own[name] for name in own)
