"""ResNet-50, version 1: the function and the size of Keras Applications'."""

import numpy as np

from bench.cost import count_layers, total_maccs, total_parameters, uncounted_kinds
from tests.train.networks.twins import assert_equal_features
from train.backend import keras
from train.networks.resnet50 import build_resnet50, from_keras_application


def test_features_equal_those_of_keras_applications() -> None:
    applications = keras().applications
    twin = applications.ResNet50(
        weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3)
    )
    assert_equal_features("resnet50", twin, applications.resnet50.preprocess_input, layers=53)


def test_it_is_as_large_as_published() -> None:
    maccs = 112 * 112 * 49 * 3 * 64
    # Maps of n x n, entering channels, channels of the block's first convolution, blocks.
    for n, entering, c, blocks in (
        (56, 64, 64, 3), (28, 256, 128, 4), (14, 512, 256, 6), (7, 1024, 512, 3),
    ):  # fmt: skip
        first = entering * 4 * c + entering * c + 9 * c * c + 4 * c * c
        other = 4 * c * c + 9 * c * c + 4 * c * c
        maccs += n * n * (first + (blocks - 1) * other)
    maccs += 2048 * 1000
    costs = count_layers(build_resnet50(image_size=224, classes=1000))
    assert total_maccs(costs) == maccs == 3_857_973_248  # published: 3,858 M
    assert total_parameters(costs) == 25_636_712  # as Keras Applications states
    assert uncounted_kinds(costs) == {}


def test_the_first_kernel_alone_is_turned_from_blue_first_to_red_first() -> None:
    kernel = np.arange(7 * 7 * 3 * 2).reshape(7, 7, 3, 2)
    other = np.arange(3.0 * 3 * 3 * 2).reshape(3, 3, 3, 2)
    found = from_keras_application(
        {"conv1_conv/kernel": kernel, "conv2_block1_2_conv/kernel": other}
    )
    for here, there in ((0, 2), (1, 1), (2, 0)):
        assert (found["stem_conv/kernel"][:, :, here] == kernel[:, :, there]).all()
    assert (found["block2a_second_conv/kernel"] == other).all()
