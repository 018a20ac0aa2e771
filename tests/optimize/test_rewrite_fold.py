"""Folding: by hand on single weights, to float rounding on networks, refused where not exact."""

from typing import Any

import numpy as np
import pytest

from optimize.rewrite_fold import (
    fold_batch_norm,
    fold_layer_norm,
    fold_layer_scale,
    fold_preprocessing,
)
from optimize.rewrite_graph import Node
from optimize.rewrite_linear import scaled_after, scaled_before
from tests.optimize.rewrite_cases import kinds, network, rewritten

# float32 keeps 24 bits, 6e-8 of a value; sums of terms of mixed sign lose a hundredfold
ROUNDING = 6e-6


def conv(kernel: list[Any], bias: list[float] | None, **settings: Any) -> Node:
    weights = [np.array(kernel, np.float32)]
    if bias is not None:
        weights.append(np.array(bias, np.float32))
    shape = weights[0].shape
    return Node(
        name="c",
        kind="Conv2D",
        settings={
            "use_bias": bias is not None,
            "kernel_size": shape[:2],
            "padding": "valid",
            **settings,
        },
        inputs=("x",),
        weights=tuple(weights),
        shape=(None, 4, 4, shape[-1]),
    )


def test_a_scale_and_shift_behind_by_hand() -> None:
    # two inputs a, b; outputs a + 2b + 7 and 3a + 4b + 8; times (10, 100), plus (1, 2)
    node = conv([[[[1, 3], [2, 4]]]], [7, 8])
    folded = scaled_after(node, np.array([10.0, 100.0]), np.array([1.0, 2.0]))
    assert folded.weights[0].tolist() == [[[[10, 300], [20, 400]]]]
    assert folded.weights[1].tolist() == [71, 802]


def test_a_scale_and_shift_before_by_hand() -> None:
    # a + 2b and 3a + 4b of a = 10p + 1, b = 100q + 2: 10p + 200q + 5 and 30p + 400q + 11
    node = conv([[[[1, 3], [2, 4]]]], None)
    folded = scaled_before(node, np.array([10.0, 100.0]), np.array([1.0, 2.0]))
    assert folded is not None
    assert folded.weights[0].tolist() == [[[[10, 30], [200, 400]]]]
    assert folded.weights[1].tolist() == [5, 11]
    assert folded.settings["use_bias"]
    assert not node.settings["use_bias"]


def test_a_shift_before_counts_every_tap() -> None:
    # 3 taps in a row, 2 below them: all of one channel; each sees the shift of 5
    node = conv([[[[1]], [[2]], [[3]]], [[[4]], [[5]], [[6]]]], [1])
    folded = scaled_before(node, np.array([1.0]), np.array([5.0]))
    assert folded is not None
    assert folded.weights[1].tolist() == [1 + 5 * 21]


def test_only_a_shift_minds_padding() -> None:
    node = conv([[[[1]], [[2]]]], [1], padding="same")
    one = np.array([1.0])
    assert scaled_before(node, 2 * one, one) is None
    scaled = scaled_before(node, 2 * one, 0 * one)
    assert scaled is not None and scaled.weights[0].reshape(-1).tolist() == [2, 4]
    pointwise = conv([[[[3]]]], [1], padding="same")  # reads no padding whatever it is called
    assert scaled_before(pointwise, one, one) is not None


def test_a_layer_without_bias_gets_none_of_zeros() -> None:
    node = conv([[[[1]]]], None)
    folded = scaled_after(node, np.array([2.0]), np.array([0.0]))
    assert len(folded.weights) == 1 and not folded.settings["use_bias"]


def test_batch_norm_goes_into_every_linear_layer_under_padding_and_strides() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(6, 3, 2, "same", use_bias=False, name="a")(maps)
        maps = layers.BatchNormalization(name="a_bn")(maps)
        maps = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="b")(maps)
        maps = layers.BatchNormalization(scale=False, name="b_bn")(maps)
        maps = layers.Dense(5, name="c")(maps)
        maps = layers.BatchNormalization(center=False, name="c_bn")(maps)
        maps = layers.Conv2D(10, 3, groups=5, name="d")(maps)
        return layers.BatchNormalization(name="d_bn")(maps)

    graph, where, moved = rewritten(network(body), fold_batch_norm)
    assert where == ("a_bn", "b_bn", "c_bn", "d_bn")
    assert kinds(graph) == ["InputLayer", "Conv2D", "DepthwiseConv2D", "Dense", "Conv2D"]
    assert moved < ROUNDING


def test_batch_norm_that_cannot_go_stays() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(4, 3, activation="relu", name="active")(maps)
        maps = layers.BatchNormalization(name="after_active")(maps)
        seen = layers.Conv2D(4, 1, name="seen")(maps)
        normed = layers.BatchNormalization(name="of_seen")(seen)
        maps = layers.ReLU(name="relu")(layers.Add(name="sum")([seen, normed]))
        return layers.BatchNormalization(name="after_relu")(maps)

    graph, where, moved = rewritten(network(body), fold_batch_norm)
    assert where == ()
    assert kinds(graph).count("BatchNormalization") == 3
    assert moved == 0.0


@pytest.mark.parametrize("bias", [False, True])
def test_layer_scale_goes_into_the_convolution_before_it(bias: bool) -> None:
    def body(layers: Any, maps: Any) -> Any:
        entry = layers.Conv2D(4, 3, padding="same", name="entry")(maps)
        maps = layers.Conv2D(4, 1, name="project")(entry)
        maps = layers.DepthwiseConv2D(1, use_bias=bias, name="scale")(maps)
        return layers.Add(name="add")([entry, maps])

    graph, where, moved = rewritten(network(body), fold_layer_scale)
    assert where == ("scale",)
    assert graph.nodes["add"].inputs == ("entry", "project")
    assert moved < ROUNDING


def test_a_depthwise_convolution_of_more_taps_or_strides_is_no_scale() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(4, 1, name="first")(maps)
        maps = layers.DepthwiseConv2D(3, padding="same", name="wide")(maps)
        maps = layers.DepthwiseConv2D(1, strides=2, name="strided")(maps)
        return layers.DepthwiseConv2D(1, depth_multiplier=2, name="doubled")(maps)

    assert rewritten(network(body), fold_layer_scale)[1] == ()


def test_layer_norm_keeps_its_normalization_alone() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(8, 3, padding="same", name="first")(maps)
        maps = layers.LayerNormalization(epsilon=1e-6, name="norm")(maps)
        maps = layers.Conv2D(6, 1, use_bias=False, activation="gelu", name="expand")(maps)
        maps = layers.LayerNormalization(center=False, name="down_norm")(maps)
        maps = layers.Conv2D(6, 2, 2, name="down")(maps)  # VALID
        maps = layers.LayerNormalization(scale=False, name="last_norm")(maps)
        return layers.Dense(5, name="dense")(maps)

    graph, where, moved = rewritten(network(body), fold_layer_norm)
    assert where == ("norm", "down_norm", "last_norm")
    for name in where:
        assert graph.nodes[name].weights == ()
        assert not graph.nodes[name].settings["center"] | graph.nodes[name].settings["scale"]
    assert moved < ROUNDING


def test_layer_norm_that_others_see_or_that_meets_padding_stays_whole() -> None:
    def body(layers: Any, maps: Any) -> Any:
        seen = layers.LayerNormalization(name="seen")(maps)
        maps = layers.Conv2D(3, 1, name="one")(seen)
        maps = layers.LayerNormalization(name="padded")(layers.Add(name="sum")([seen, maps]))
        maps = layers.Conv2D(4, 3, padding="same", name="two")(maps)
        maps = layers.LayerNormalization(axis=[1, 2, 3], name="all")(maps)
        return layers.Conv2D(4, 1, name="three")(maps)

    _, where, moved = rewritten(network(body), fold_layer_norm)
    assert (where, moved) == ((), 0.0)


def stem(padding: str, offset: Any, *, pad: bool = False) -> Any:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Rescaling([2.0, 0.5, 3.0], offset=offset, name="rescale")(maps)
        if pad:
            maps = layers.ZeroPadding2D(1, name="pad")(maps)
        return layers.Conv2D(4, 3, 3, padding, name="stem")(maps)

    return network(body)


def test_preprocessing_goes_into_a_stem_without_padding() -> None:
    graph, where, moved = rewritten(stem("valid", [0.3, -0.2, 0.1]), fold_preprocessing)
    assert where == ("rescale",)
    assert kinds(graph) == ["InputLayer", "Conv2D"]
    assert moved < ROUNDING


def test_preprocessing_without_offset_passes_padding() -> None:
    _, where, moved = rewritten(stem("same", 0.0), fold_preprocessing)
    assert where == ("rescale",)
    assert moved < ROUNDING


@pytest.mark.parametrize(("padding", "pad"), [("same", False), ("valid", True)])
def test_preprocessing_with_offset_stays_before_padding(padding: str, pad: bool) -> None:
    _, where, moved = rewritten(stem(padding, -1.0, pad=pad), fold_preprocessing)
    assert (where, moved) == ((), 0.0)
