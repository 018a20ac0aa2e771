"""ConvNeXt-Tiny: the function and the size of Keras Applications'."""

import numpy as np
import pytest

from bench.cost import count_layers, total_maccs, total_parameters, uncounted_kinds
from tests.train.networks.twins import assert_equal_features
from train.backend import keras
from train.networks.convnext import build_convnext_tiny, from_keras_application


def test_features_equal_those_of_keras_applications() -> None:
    twin = keras().applications.ConvNeXtTiny(
        weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3)
    )
    assert_equal_features("convnext-tiny", twin, lambda pixels: pixels, layers=58)


def test_it_is_as_large_as_published() -> None:
    maccs, entering = 56 * 56 * 16 * 3 * 96, 0
    for n, c, blocks in ((56, 96, 3), (28, 192, 3), (14, 384, 9), (7, 768, 3)):
        # 7 x 7 depthwise, two 1 x 1 between c and 4 c, the layer scale; 2 x 2 on the way down.
        maccs += n * n * blocks * (49 * c + 8 * c * c + c) + n * n * 4 * entering * c
        entering = c
    maccs += 768 * 1000
    costs = count_layers(build_convnext_tiny(image_size=224, classes=1000))
    assert total_maccs(costs) == maccs
    assert maccs == pytest.approx(4_456e6, rel=0.01)  # published
    assert total_parameters(costs) == 28_589_128  # as published
    assert uncounted_kinds(costs) == {}


def test_layer_scale_starts_small_and_keeps_one_figure_a_channel() -> None:
    model = build_convnext_tiny(image_size=32, classes=2)
    (scale,) = model.get_layer("block4c_scale").get_weights()
    assert scale.shape == (1, 1, 768, 1)
    assert (scale == np.float32(1e-6)).all()


@pytest.mark.parametrize("variable", ["gamma", "Variable"])
def test_a_layer_scale_loads_whatever_its_variable_is_called(variable: str) -> None:
    found = from_keras_application(
        {f"convnext_tiny_stage_2_block_8_layer_scale/{variable}": np.arange(384.0)}
    )
    assert list(found) == ["block3i_scale/depthwise_kernel"]
    assert found["block3i_scale/depthwise_kernel"][0, 0, 5, 0] == 5.0


def test_kernels_take_the_axes_of_the_layers_here() -> None:
    grouped = np.arange(7 * 7 * 96.0).reshape(7, 7, 1, 96)
    dense = np.arange(96 * 384.0).reshape(96, 384)
    found = from_keras_application(
        {
            "convnext_tiny_stage_0_block_0_depthwise_conv/kernel": grouped,
            "convnext_tiny_stage_0_block_0_pointwise_conv_1/kernel": dense,
        }
    )
    assert found["block1a_depthwise/depthwise_kernel"].shape == (7, 7, 96, 1)
    assert found["block1a_depthwise/depthwise_kernel"][2, 3, 4, 0] == grouped[2, 3, 0, 4]
    assert found["block1a_expand_conv/kernel"].shape == (1, 1, 96, 384)
    assert found["block1a_expand_conv/kernel"][0, 0, 7, 9] == dense[7, 9]


@pytest.mark.parametrize("name", ["layer_normalization", "layer_normalization_23"])
def test_the_last_normalization_is_known_by_the_name_that_keras_counts_up(name: str) -> None:
    assert list(from_keras_application({f"{name}/gamma": np.ones(768)})) == ["head_norm/gamma"]
