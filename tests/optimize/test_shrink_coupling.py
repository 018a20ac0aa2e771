"""Coupling of channels, worked out by hand."""

from typing import Any

import numpy as np
import pytest

from bench.cost import count_layers, total_maccs
from optimize.shrink_coupling import Coupling, couple, maccs_of
from train.backend import keras
from train.errors import ConversionError
from train.networks import NETWORKS


def groups_of(coupling: Coupling) -> dict[tuple[str, ...], int]:
    return {group.layers: len(group.channels) for group in coupling.groups}


def network(build: Any, *, side: int = 8) -> Any:
    module = keras()
    pixels = module.layers.Input((side, side, 3), name="pixels")
    maps = build(module.layers, pixels)
    features = module.layers.GlobalAveragePooling2D(name="features")(maps)
    logits = module.layers.Dense(2, name="logits")(features)
    return module.Model(pixels, module.layers.Activation("softmax", name="out")(logits))


def test_a_plain_chain_couples_nothing_and_keeps_pixels_and_classes() -> None:
    def build(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(4, 3, padding="same", name="a")(x)
        x = layers.ReLU()(layers.BatchNormalization()(layers.ZeroPadding2D(1)(x)))
        return layers.MaxPooling2D(2)(layers.Conv2D(6, 1, name="b")(x))

    coupling = couple(network(build))
    # Only a and b: the 3 pixels and the 2 logits are in no group.
    assert groups_of(coupling) == {("a",): 4, ("b",): 6}
    # a: 8 x 8 positions x 9 x 3 x 4; b: padded to 10 x 10 x 4 x 6; head: 6 x 2.
    assert maccs_of(coupling, coupling.all_kept()) == 64 * 9 * 12 + 100 * 24 + 12
    kept = coupling.all_kept()
    for group in coupling.groups:
        kept[group.channels[:2]] = False
    assert maccs_of(coupling, kept) == 64 * 9 * 3 * 2 + 100 * 2 * 4 + 4 * 2


def test_an_addition_makes_one_of_what_it_adds_and_chains_of_them_too() -> None:
    def build(layers: Any, x: Any) -> Any:
        a = layers.Conv2D(4, 1, name="a")(x)
        b = layers.Conv2D(4, 1, name="b")(layers.ReLU()(a))
        first = layers.Add()([a, b])
        hidden = layers.Conv2D(6, 1, name="hidden")(first)
        c = layers.Conv2D(4, 1, name="c")(hidden)
        return layers.Add()([layers.ReLU()(first), c])

    assert groups_of(couple(network(build))) == {("a", "b", "c"): 4, ("hidden",): 6}


def test_a_depthwise_convolution_goes_with_its_input() -> None:
    def build(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(4, 1, name="a")(x)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="deep")(x)
        return layers.Conv2D(5, 1, name="b")(x)

    coupling = couple(network(build))
    assert groups_of(coupling) == {("a",): 4, ("b",): 5}
    first = coupling.groups[0].channels
    layers = {layer.name: layer for layer in coupling.layers}
    assert layers["deep"].outputs.tolist() == np.repeat(first, 2).tolist()
    assert layers["b"].inputs.tolist() == np.repeat(first, 2).tolist()
    kept = coupling.all_kept()
    kept[first[1]] = False
    # a: 64 x 3 x 3; deep: 64 x 9 for each of 6 outputs; b: 64 x 6 x 5; head: 5 x 2.
    assert maccs_of(coupling, kept) == 64 * 9 + 64 * 9 * 6 + 64 * 30 + 10


def test_a_concatenation_lines_up_and_an_addition_behind_it_couples_each_part() -> None:
    def build(layers: Any, x: Any) -> Any:
        a = layers.Conv2D(2, 1, name="a")(x)
        b = layers.Conv2D(3, 1, name="b")(x)
        both = layers.Concatenate()([a, b])
        return layers.Add()([both, layers.Conv2D(5, 1, name="c")(x)])

    coupling = couple(network(build))
    assert groups_of(coupling) == {("a", "c"): 2, ("b", "c"): 3}


def test_what_is_added_to_pixels_and_what_a_layer_mixes_stays() -> None:
    def build(layers: Any, x: Any) -> Any:
        a = layers.Conv2D(3, 1, name="on_pixels")(x)
        x = layers.Conv2D(4, 1, name="normed")(layers.Add()([a, x]))
        x = layers.Conv2D(4, 1, name="free")(layers.LayerNormalization()(x))
        x = layers.Conv2D(4, 1, groups=2, name="grouped")(x)
        return layers.Conv2D(4, 1, activation="softmax", name="soft")(x)

    # free feeds grouped convolutions, so it stays as well.
    assert groups_of(couple(network(build))) == {}


def test_a_layer_that_is_called_twice_is_refused() -> None:
    def build(layers: Any, x: Any) -> Any:
        shared = layers.Conv2D(3, 1, name="shared")
        return shared(shared(x))

    with pytest.raises(ConversionError, match="'shared' is called more than once"):
        couple(network(build))


def test_maccs_of_custom_cnn_are_those_of_the_bench() -> None:
    model = NETWORKS["custom-cnn"](image_size=32, classes=3)
    coupling = couple(model)
    assert maccs_of(coupling, coupling.all_kept()) == total_maccs(count_layers(model))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenet-v2", "resnet50", "resnet50-v2"])
def test_maccs_of_large_networks_are_those_of_the_bench(name: str) -> None:
    model = NETWORKS[name](image_size=64, classes=3)
    coupling = couple(model)
    assert maccs_of(coupling, coupling.all_kept()) == total_maccs(count_layers(model))
    assert len(coupling.groups) >= 24
