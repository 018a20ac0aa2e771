"""MobileNetV2: the function and the size of Keras Applications', at two widths."""

import pytest

from bench.cost import count_layers, total_maccs, total_parameters, uncounted_kinds
from tests.train.networks.twins import assert_equal_features
from train.backend import keras
from train.errors import ConfigError
from train.networks.mobilenet_v2 import build_mobilenet_v2, scaled_groups


# 75 px is odd at its first, second and fourth halving (75, 38, 19, 10, 5, 3).
@pytest.mark.parametrize(
    ("network", "width", "image_size"), [("mobilenet-v2", 1.0, 64), ("mobilenet-v2-0.5", 0.5, 75)]
)
def test_features_equal_those_of_keras_applications(
    network: str, width: float, image_size: int
) -> None:
    applications = keras().applications
    twin = applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=width,
        input_shape=(image_size, image_size, 3),
    )  # fmt: skip
    prepare = applications.mobilenet_v2.preprocess_input
    assert_equal_features(network, twin, prepare, layers=53)


@pytest.mark.parametrize(
    # Published: 300 M and 97 M; 3.54 M and 1.99 M parameters with 1000 classes.
    ("width", "maccs", "parameters"),
    [(1.0, 301e6, 3_538_984), (0.5, 97e6, 1_987_224)],
)
def test_it_is_as_large_as_published(width: float, maccs: float, parameters: int) -> None:
    costs = count_layers(build_mobilenet_v2(image_size=224, classes=1000, width=width))
    assert total_maccs(costs) == pytest.approx(maccs, rel=0.01)
    assert total_parameters(costs) == parameters
    assert uncounted_kinds(costs) == {}


def test_channels_are_cut_to_whole_ones_then_rounded_to_eight() -> None:
    # 0.35 x (16, 24, 32, 64, 96, 160, 320) = 5, 8, 11, 22, 33, 56, 112; 11 to 8 would lose more
    # than a tenth, so 16.
    assert [group.channels for group in scaled_groups(0.35)] == [8, 8, 16, 24, 32, 56, 112]


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_a_width_that_no_network_can_have_is_refused(width: float) -> None:
    with pytest.raises(ConfigError, match="width of mobilenet-v2 must be greater than 0"):
        build_mobilenet_v2(image_size=64, classes=3, width=width)
