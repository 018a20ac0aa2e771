"""EfficientNet-Lite: its cost, its scaling, and its arithmetic against a reference in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.train.networks.counting import maccs_of
from train.backend import keras
from train.errors import ConfigError
from train.networks.efficientnet_lite import (
    block_names,
    build_efficientnet_lite,
    scaled_groups,
    torch_names,
)
from train.torch_pickle import read_torch_weights
from train.weights import load_weights, packaged_weights

Floats = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("kind", "image_size", "maccs", "parameters"),
    # Published: 407 M and 967 M "MAdds" count more than multiplications; the closed form over
    # the layers gives 385 M and 860 M. Parameters published: 4.7 M and 6.1 M.
    [("lite0", 224, 385_187_552, 4_694_024), ("lite2", 260, 859_736_272, 6_150_168)],
)
def test_efficientnet_lite_is_as_large_as_published(
    kind: Any, image_size: int, maccs: int, parameters: int
) -> None:
    model = build_efficientnet_lite(kind, image_size=image_size, classes=1000)
    assert maccs_of(model) == maccs
    assert model.count_params() == parameters


def test_scaling_keeps_first_and_last_group_and_rounds_to_eight() -> None:
    # 1.1 x (16, 24, 40, 80, 112, 192, 320) to the nearest 8; 1.2 x the repeats, rounded up,
    # but for the first and the last group.
    groups = scaled_groups("lite2")
    assert [group.channels for group in groups] == [16, 24, 48, 88, 120, 208, 352]
    assert [group.repeats for group in groups] == [1, 3, 3, 4, 4, 5, 1]
    assert len(block_names("lite0")) == 16
    assert block_names("lite0")[:3] == ("block1a", "block2a", "block2b")


@pytest.mark.parametrize("kind", ["lite0", "lite2"])
def test_every_name_of_the_torch_file_that_has_a_layer_here_has_one(kind: Any) -> None:
    model = build_efficientnet_lite(kind, image_size=64, classes=5)
    layers = {layer.name for layer in model.layers if layer.weights}
    named = torch_names(kind)
    assert layers <= set(named.values())
    # Block 1a has no expansion: its two names are the only ones over.
    assert set(named.values()) - layers == {"block1a_expand_conv", "block1a_expand_bn"}


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": 31, "classes": 3},
        {"image_size": 64, "classes": 1},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        build_efficientnet_lite("lite0", **settings)


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="efficientnet-lite9 is not one of lite0, lite2"):
        build_efficientnet_lite("lite9", image_size=64, classes=3)  # type: ignore[arg-type]


def pad_same(maps: Floats, kernel: int, stride: int) -> Floats:
    """Pad ``(rows, columns, channels)`` as TensorFlow's SAME does: the odd one goes last."""
    pads = []
    for size in maps.shape[:2]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(maps, [*pads, (0, 0)])


def windows(maps: Floats, kernel: int, stride: int) -> Floats:
    """Return ``(rows, columns, channels, kernel, kernel)``."""
    padded = pad_same(maps, kernel, stride)
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(0, 1))
    return view[::stride, ::stride]


def reference_features(weights: dict[str, Any], pixels: Floats) -> Floats:
    """Run Lite0 in NumPy on PyTorch's own arrays: written from the paper, not from our graph."""

    def normalized(maps: Floats, name: str) -> Floats:
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale = weights[f"{name}.weight"] / np.sqrt(variance.astype(np.float64) + 1e-3)
        return np.asarray((maps - mean) * scale + weights[f"{name}.bias"])

    def convolved(maps: Floats, name: str, stride: int = 1) -> Floats:
        kernel = weights[f"{name}.weight"].astype(np.float64)
        patches = windows(maps, kernel.shape[-1], stride)
        rule = "hwcij,cij->hwc" if name.endswith("depthwise_conv") else "hwcij,ocij->hwo"
        kernel = kernel[:, 0] if name.endswith("depthwise_conv") else kernel
        return np.einsum(rule, patches, kernel, optimize=True)

    def relu6(maps: Floats) -> Floats:
        return np.clip(maps, 0, 6)

    maps = (pixels - 127) / 128
    maps = relu6(normalized(convolved(maps, "_conv_stem", 2), "_bn0"))
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for index, stride in enumerate(strides):
        name, entry = f"_blocks.{index}.", maps
        if index > 0:
            maps = relu6(normalized(convolved(maps, f"{name}_expand_conv"), f"{name}_bn0"))
        maps = convolved(maps, f"{name}_depthwise_conv", stride)
        maps = relu6(normalized(maps, f"{name}_bn1"))
        maps = normalized(convolved(maps, f"{name}_project_conv"), f"{name}_bn2")
        maps = maps + entry if maps.shape == entry.shape else maps
    maps = relu6(normalized(convolved(maps, "_conv_head"), "_bn1"))
    return np.asarray(maps.mean(axis=(0, 1)))


@pytest.mark.parametrize("image_size", [64, 50])
def test_packaged_lite0_equals_a_reference_in_numpy(image_size: int) -> None:
    model = build_efficientnet_lite("lite0", image_size=image_size, classes=1000)
    load_weights(model, network="efficientnet-lite0")
    weights = read_torch_weights(packaged_weights("efficientnet-lite0"))
    pixels = np.random.default_rng(1).integers(0, 256, (image_size, image_size, 3))
    wanted = reference_features(weights, pixels.astype(np.float64))
    module = keras()
    both = module.Model(
        model.input, [model.get_layer("features").output, model.get_layer("logits").output]
    )
    features, logits = both(pixels[None].astype(np.float32))
    assert wanted.max() > 0.1  # not a comparison of zeros
    # float32 against float64: 50 layers of values up to 6 lose about 50 x 6 x 6e-8 = 2e-5.
    np.testing.assert_allclose(features.numpy()[0], wanted, atol=1e-4)
    scores = weights["_fc.weight"] @ wanted + weights["_fc.bias"]
    np.testing.assert_allclose(logits.numpy()[0], scores, atol=1e-3)
