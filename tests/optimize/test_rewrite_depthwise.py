"""Depthwise splits and forms: exact at every border, left alone where the identity fails."""

from typing import Any

import numpy as np
import pytest

from optimize.rewrite_dense import dense_to_convolution
from optimize.rewrite_depthwise import (
    grouped_to_depthwise,
    shared_out,
    split_large_depthwise,
)
from optimize.rewrite_graph import read_graph
from tests.optimize.rewrite_cases import kinds, network, rewritten

ROUNDING = 6e-6  # of float32 sums, see test_rewrite_fold


@pytest.mark.parametrize(
    ("kernel", "side", "settings", "pieces"),
    [
        (7, 9, {}, 7),
        (7, 4, {"use_bias": False}, 7),  # the kernel is larger than the maps
        (9, 12, {"depth_multiplier": 2}, 4),
        ((11, 3), 7, {}, 4),
    ],
)
def test_a_large_kernel_is_the_sum_of_its_pieces(
    kernel: int | tuple[int, int], side: int, settings: dict[str, Any], pieces: int
) -> None:
    model = network(
        lambda layers, maps: layers.DepthwiseConv2D(
            kernel, padding="same", name="large", **settings
        )(maps),
        side=side,
    )
    graph, where, moved = rewritten(model, split_large_depthwise)
    assert where == ("large",)
    assert graph.output == "large_sum"
    assert kinds(graph) == ["InputLayer", *["DepthwiseConv2D"] * pieces, "Add"]
    assert moved < ROUNDING


@pytest.mark.parametrize("size", [(7, 7), (9, 9), (11, 3), (7, 5)])
def test_every_tap_is_in_one_piece_and_every_piece_is_centred(size: tuple[int, int]) -> None:
    def offsets(taps: tuple[int, int]) -> list[float]:
        return [(index - (taps[0] - 1) / 2) * taps[1] for index in range(taps[0])]

    found = [
        (row, column)
        for rows, columns in shared_out(*size)
        for row in offsets(rows)
        for column in offsets(columns)
    ]
    reach = [side // 2 for side in size]
    wanted = [
        (row, column)
        for row in range(-reach[0], reach[0] + 1)
        for column in range(-reach[1], reach[1] + 1)
    ]
    assert sorted(found) == wanted


def test_a_seven_by_seven_is_cut_into_pieces_of_at_most_nine() -> None:
    model = network(
        lambda layers, maps: layers.ReLU(name="relu")(
            layers.DepthwiseConv2D(7, padding="same", name="large")(maps)
        )
    )
    graph, _ = split_large_depthwise(read_graph(model))
    whole, bias = model.get_layer("large").get_weights()
    names = [f"large_part{number}" for number in range(1, 8)]
    sizes = [graph.nodes[name].settings["kernel_size"] for name in names]
    assert sizes == [(2, 4), (2, 4), (2, 4), (4, 2), (3, 3), (4, 1), (1, 4)]
    assert np.array_equal(graph.nodes["large_part5"].weights[0][1, 1], whole[3, 3])
    # rows -2 and 2 of 7 are the second and the sixth; columns -3, -1, 1 and 3 every other one
    assert np.array_equal(graph.nodes["large_part2"].weights[0], whole[1::4, ::2])
    assert np.array_equal(graph.nodes["large_part1"].weights[1], bias)
    assert [len(graph.nodes[name].weights) for name in names] == [2, 1, 1, 1, 1, 1, 1]
    assert graph.nodes["relu"].inputs == ("large_sum",)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 5},  # has a kernel of its own
        {"kernel_size": 6},  # even: SAME puts more on one side
        {"kernel_size": 7, "strides": 2},
        {"kernel_size": 7, "padding": "valid"},
        {"kernel_size": 7, "dilation_rate": 2},
        {"kernel_size": 7, "activation": "relu"},
        {"kernel_size": (1, 27)},  # one row has no odd part
    ],
)
def test_other_depthwise_convolutions_stay(settings: dict[str, Any]) -> None:
    model = network(
        lambda layers, maps: layers.DepthwiseConv2D(
            **{"padding": "same", **settings}, name="other"
        )(maps),
        side=13,
    )
    graph, where = split_large_depthwise(read_graph(model))
    assert where == ()
    assert kinds(graph) == ["InputLayer", "DepthwiseConv2D"]


@pytest.mark.parametrize(("filters", "bias"), [(4, True), (12, False)])
def test_a_group_a_channel_is_depthwise(filters: int, bias: bool) -> None:
    model = network(
        lambda layers, maps: layers.Conv2D(
            filters, 3, 2, "same", groups=4, use_bias=bias, activation="relu", name="grouped"
        )(maps),
        channels=4,
    )
    graph, where, moved = rewritten(model, grouped_to_depthwise)
    assert where == ("grouped",)
    assert graph.nodes["grouped"].settings["depth_multiplier"] == filters // 4
    assert moved < ROUNDING


def test_wider_groups_and_a_single_channel_stay() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(4, 1, groups=2, name="pairs")(maps)
        maps = layers.Conv2D(1, 1, name="one")(maps)
        return layers.Conv2D(3, 3, name="of_one")(maps)

    assert grouped_to_depthwise(read_graph(network(body, channels=4)))[1] == ()


def test_dense_on_maps_is_a_convolution_and_on_features_stays() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Dense(6, activation="relu", name="wide")(maps)
        maps = layers.Dense(4, use_bias=False, name="narrow")(maps)
        return layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="features")(maps))

    graph, where, moved = rewritten(network(body), dense_to_convolution)
    assert where == ("wide", "narrow")
    assert kinds(graph)[1:] == ["Conv2D", "Conv2D", "GlobalAveragePooling2D", "Dense"]
    assert graph.nodes["wide"].settings["activation"] == "relu"
    assert moved < ROUNDING
