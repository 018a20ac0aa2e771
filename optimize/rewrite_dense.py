"""Dense layers over maps and 1 x 1 convolutions: one product of matrices in two forms.

LiteRT has its best kernel for the convolution. ONNX Runtime has its best 8-bit kernel for the
product of matrices, which it makes of a dense layer; and there the maps stay as they lie, channels
last, for the normalizations beside it.
"""

from dataclasses import replace

from optimize.rewrite_graph import Graph, Node
from optimize.rewrite_linear import Rewritten

_OF_MAPS = {
    "kernel_size": (1, 1),
    "strides": (1, 1),
    "padding": "valid",
    "data_format": "channels_last",
    "dilation_rate": (1, 1),
    "groups": 1,
}
"""What a 1 x 1 convolution is told and a Dense layer is not."""


def dense_to_convolution(graph: Graph) -> Rewritten:
    """Turn each Dense layer on ``(batch, rows, columns, channels)`` into a 1 x 1 convolution.

    Both multiply the channels of every position by one matrix: the kernel ``(in, out)`` becomes
    ``(1, 1, in, out)``. Exact. A runtime otherwise flattens the maps and builds them up again.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node = graph.nodes[name]
        if node.kind == "Dense" and len(node.shape) == 4:
            graph = graph.with_node(_as_convolution(node))
            found.append(name)
    return graph, tuple(found)


def convolution_to_dense(graph: Graph) -> Rewritten:
    """Turn each 1 x 1 convolution that reads every position into a Dense layer.

    The inverse of ``dense_to_convolution``, exact likewise: the kernel ``(1, 1, in, out)`` becomes
    ``(in, out)``.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node = graph.nodes[name]
        if _is_dense(node):
            graph = graph.with_node(_as_dense(node))
            found.append(name)
    return graph, tuple(found)


def _is_dense(node: Node) -> bool:
    settings, plain = node.settings, (1, 1)
    return (
        node.kind == "Conv2D"
        and tuple(settings["kernel_size"]) == tuple(settings["strides"]) == plain
        and settings["groups"] == 1
        and settings["data_format"] == "channels_last"
    )


def _as_dense(node: Node) -> Node:
    settings = {key: value for key, value in node.settings.items() if key not in _OF_MAPS}
    settings["units"] = settings.pop("filters")
    weights = (node.weights[0][0, 0], *node.weights[1:])
    return replace(node, kind="Dense", settings=settings, weights=weights)


def _as_convolution(node: Node) -> Node:
    settings = dict(node.settings)
    settings["filters"] = settings.pop("units")
    settings |= _OF_MAPS
    weights = (node.weights[0][None, None], *node.weights[1:])
    return replace(node, kind="Conv2D", settings=settings, weights=weights)
