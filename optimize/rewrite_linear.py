"""A scale and a shift of channels, taken into the linear layer before or after them.

A linear layer (a convolution without activation, or a dense layer) computes ``W * x + b``.
What stands behind it commutes always: ``s (W * x + b) + t`` has the kernel ``s W``, by output
channel, and the bias ``s b + t``. What stands before it, ``W * (s x + t) + b``, has the kernel
``W s``, by input channel, and the bias ``b + sum of W t`` over all taps: true only where every
tap lies on ``x``. A padded tap reads 0 behind the shift, and would read ``t`` after folding, so a
shift passes no padded layer; a scale alone does.
"""

from dataclasses import replace

import numpy as np

from optimize.rewrite_graph import Array, Graph, Node

LINEAR_KINDS = ("Conv2D", "DepthwiseConv2D", "Dense")
Rewritten = tuple[Graph, tuple[str, ...]]
"""A rewritten graph, and the name of the layer at every place where it was rewritten."""


def is_linear_layer(node: Node, *, grouped: bool = False) -> bool:
    """Return whether ``node`` is a linear layer whose weights these functions can change.

    Args:
        node: any.
        grouped: whether convolutions by groups count too; ``scaled_after`` takes them.
    """
    return (
        node.kind in LINEAR_KINDS
        and (grouped or node.settings.get("groups", 1) == 1)
        and node.settings.get("data_format", "channels_last") == "channels_last"
    )


def scaled_after(node: Node, scale: Array, shift: Array) -> Node:
    """Return the linear layer that computes ``scale * node(x) + shift``.

    Args:
        node: a linear layer without activation.
        scale: ``(output channels,)``.
        shift: likewise.
    """
    kernel, bias = kernel_and_bias(node)
    # A depthwise kernel is (rows, columns, channels, multiplier): its outputs are the last two.
    outputs = kernel.shape[-2:] if node.kind == "DepthwiseConv2D" else kernel.shape[-1:]
    return _with_weights(node, kernel * scale.reshape(outputs), bias * scale + shift)


def scaled_before(node: Node, scale: Array, shift: Array) -> Node | None:
    """Return the linear layer that computes ``node(scale * x + shift)``.

    Args:
        node: a linear layer, with or without activation.
        scale: ``(input channels,)``.
        shift: likewise.

    Returns:
        ``None`` where the shift meets padding.
    """
    if np.any(shift) and not _reads_no_padding(node):
        return None
    kernel, bias = kernel_and_bias(node)
    shifted = kernel * shift[:, np.newaxis]
    taps = shifted.sum(axis=(0, 1)) if kernel.ndim == 4 else shifted
    added = taps.reshape(-1) if node.kind == "DepthwiseConv2D" else taps.sum(axis=0)
    return _with_weights(node, kernel * scale[:, np.newaxis], bias + added)


def kernel_and_bias(node: Node) -> tuple[Array, Array]:
    """Return both in float64; zeros ``(output channels,)`` for a bias that is not there."""
    kernel = node.weights[0].astype(np.float64)
    if node.settings["use_bias"]:
        return kernel, node.weights[1].astype(np.float64)
    return kernel, np.zeros(node.shape[-1] or 0)


def _with_weights(node: Node, kernel: Array, bias: Array) -> Node:
    """Return the layer with these weights; a bias of zeros is not given to one without."""
    if not node.settings["use_bias"] and not bias.any():
        return replace(node, weights=(kernel.astype(np.float32),))
    weights = (kernel.astype(np.float32), bias.astype(np.float32))
    return replace(node.with_settings(use_bias=True), weights=weights)


def _reads_no_padding(node: Node) -> bool:
    if node.kind == "Dense" or node.settings["padding"] == "valid":
        return True
    return tuple(node.settings["kernel_size"]) == (1, 1)
