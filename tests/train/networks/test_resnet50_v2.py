"""ResNet-50, version 2: the function and the size of Keras Applications'."""

from bench.cost import count_layers, total_maccs, total_parameters, uncounted_kinds
from tests.train.networks.twins import assert_equal_features
from train.backend import keras
from train.networks.resnet50_v2 import build_resnet50_v2


def test_features_equal_those_of_keras_applications() -> None:
    # 75 px is odd at four of its five halvings: 75, 38, 19, 10, 5, 3.
    applications = keras().applications
    twin = applications.ResNet50V2(
        weights=None, include_top=False, pooling="avg", input_shape=(75, 75, 3)
    )
    assert_equal_features("resnet50-v2", twin, applications.resnet_v2.preprocess_input, layers=53)


def test_it_is_as_large_as_published() -> None:
    maccs = 112 * 112 * 49 * 3 * 64
    # Maps of n x n on entry and m x m after the last block; entering channels, channels, blocks.
    for n, m, entering, c, blocks in (
        (56, 28, 64, 64, 3), (28, 14, 256, 128, 4), (14, 7, 512, 256, 6), (7, 7, 1024, 512, 3),
    ):  # fmt: skip
        first = n * n * (entering * 4 * c + entering * c + 9 * c * c + 4 * c * c)
        middle = n * n * (4 * c * c + 9 * c * c + 4 * c * c)
        last = n * n * 4 * c * c + m * m * (9 * c * c + 4 * c * c)
        maccs += first + (blocks - 2) * middle + last
    maccs += 2048 * 1000
    costs = count_layers(build_resnet50_v2(image_size=224, classes=1000))
    assert total_maccs(costs) == maccs
    assert total_parameters(costs) == 25_613_800  # as Keras Applications states
    assert uncounted_kinds(costs) == {}
