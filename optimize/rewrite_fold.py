"""Normalizations and scales folded into the linear layer next to them: fewer passes over maps.

Each function takes a graph and returns the rewritten one with the names of the layers that went.
A layer goes only where nobody else sees what its neighbour gives.
"""

import numpy as np

from optimize.rewrite_graph import Array, Graph, Node
from optimize.rewrite_linear import Rewritten, is_linear_layer, scaled_after, scaled_before


def fold_batch_norm(graph: Graph) -> Rewritten:
    """Fold each BatchNormalization into the linear layer before it.

    With ``s = gamma / sqrt(variance + epsilon)`` it computes ``s y + beta - s mean`` of that
    layer's output ``y``: a scale and a shift after it, exact under any padding. One that stands
    before its convolution stays, because an activation lies between.
    """
    return _fold_behind(graph, "BatchNormalization")


def fold_layer_scale(graph: Graph) -> Rewritten:
    """Fold each 1 x 1 depthwise convolution into the linear layer before it.

    That is what ConvNeXt's layer scale is here: one factor a channel, and perhaps a bias, after
    a 1 x 1 convolution. Exact under any padding.
    """
    return _fold_behind(graph, "DepthwiseConv2D")


def fold_layer_norm(graph: Graph) -> Rewritten:
    """Fold the scale and shift of each LayerNormalization into the linear layer after it.

    ``gamma n + beta`` of the normalized channels ``n`` is a scale and a shift before that layer:
    exact where it reads no padding (1 x 1, or any kernel with ``VALID``). The normalization
    stays, without the two. In place of a multiplication and an addition over the whole maps, none
    is left.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node, taker = graph.nodes[name], graph.only_taker(name)
        if taker is None or not is_linear_layer(taker) or not _is_whole_layer_norm(node):
            continue
        gamma, beta = _gain_and_offset(node)
        folded = scaled_before(taker, gamma, beta)
        if folded is None:
            continue
        bare = Node(
            name=name,
            kind=node.kind,
            settings={**node.settings, "center": False, "scale": False},
            inputs=node.inputs,
            shape=node.shape,
        )
        graph = graph.with_node(bare).with_node(folded)
        found.append(name)
    return graph, tuple(found)


def fold_preprocessing(graph: Graph) -> Rewritten:
    """Fold each Rescaling into the linear layer after it.

    ``scale x + offset`` of the pixels is a scale and a shift before the first convolution: exact
    where that reads no padding, or where the offset is zero. A padded stem is left alone, since
    its border is 0 after the shift, whose raw value ``-offset / scale`` no padding can give; so
    is one with a ZeroPadding2D between. ConvNeXt's stem, 4 x 4 by strides of 4, has none.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node, taker = graph.nodes[name], graph.only_taker(name)
        if node.kind != "Rescaling" or taker is None or not is_linear_layer(taker):
            continue
        channels = node.shape[-1] or 0
        scale = np.broadcast_to(np.asarray(node.settings["scale"], np.float64), (channels,))
        shift = np.broadcast_to(np.asarray(node.settings["offset"], np.float64), (channels,))
        folded = scaled_before(taker, scale, shift)
        if folded is not None:
            graph = graph.with_node(folded).without(name)
            found.append(name)
    return graph, tuple(found)


def _fold_behind(graph: Graph, kind: str) -> Rewritten:
    found: list[str] = []
    for name in tuple(graph.nodes):
        node = graph.nodes[name]
        affine = _affine(node) if node.kind == kind else None
        source = graph.source(node)
        if affine is None or source is None or graph.only_taker(source.name) is not node:
            continue
        if is_linear_layer(source, grouped=True) and source.linear:
            folded = scaled_after(source, *affine)
            if not node.linear:
                folded = folded.with_settings(activation=node.settings["activation"])
            graph = graph.with_node(folded).without(name)
            found.append(name)
    return graph, tuple(found)


def _affine(node: Node) -> tuple[Array, Array] | None:
    """Return the factor and the addend of each channel, float64; ``None`` if it is not that."""
    if node.kind == "BatchNormalization":
        return _batch_norm_affine(node) if _normalizes_channels(node) else None
    settings, plain = node.settings, (1, 1)
    if tuple(settings["kernel_size"]) != plain or tuple(settings["strides"]) != plain:
        return None
    if settings["depth_multiplier"] != 1 or not is_linear_layer(node):
        return None
    scale = node.weights[0].astype(np.float64).reshape(-1)
    shift = node.weights[1].astype(np.float64) if settings["use_bias"] else np.zeros_like(scale)
    return scale, shift


def _batch_norm_affine(node: Node) -> tuple[Array, Array]:
    mean, variance = (weight.astype(np.float64) for weight in node.weights[-2:])
    gamma, beta = _gain_and_offset(node)
    scale = gamma / np.sqrt(variance + node.settings["epsilon"])
    return scale, beta - scale * mean


def _gain_and_offset(node: Node) -> tuple[Array, Array]:
    """Return gamma and beta of a normalization, float64; ones and zeros where it has none."""
    weights, channels = iter(node.weights), node.shape[-1] or 0
    gamma = next(weights) if node.settings["scale"] else np.ones(channels)
    beta = next(weights) if node.settings["center"] else np.zeros(channels)
    return gamma.astype(np.float64), beta.astype(np.float64)


def _normalizes_channels(node: Node) -> bool:
    axis = node.settings["axis"]
    axes = [axis] if isinstance(axis, int) else list(axis)
    return [item % len(node.shape) for item in axes] == [len(node.shape) - 1]


def _is_whole_layer_norm(node: Node) -> bool:
    return (
        node.kind == "LayerNormalization"
        and (node.settings["center"] or node.settings["scale"])
        and _normalizes_channels(node)
    )
