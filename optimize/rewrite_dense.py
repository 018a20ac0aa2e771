"""Dense layers over maps as 1 x 1 convolutions, which every runtime has its best kernel for."""

from dataclasses import replace

from optimize.rewrite_graph import Graph, Node
from optimize.rewrite_linear import Rewritten


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


def _as_convolution(node: Node) -> Node:
    settings = dict(node.settings)
    settings["filters"] = settings.pop("units")
    settings |= {
        "kernel_size": (1, 1),
        "strides": (1, 1),
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": (1, 1),
        "groups": 1,
    }
    weights = (node.weights[0][None, None], *node.weights[1:])
    return replace(node, kind="Conv2D", settings=settings, weights=weights)
