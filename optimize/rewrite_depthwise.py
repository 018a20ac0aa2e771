"""Depthwise convolutions in the form that runtimes have fast kernels for."""

from dataclasses import replace

import numpy as np

from optimize.rewrite_graph import Graph, Node
from optimize.rewrite_linear import Rewritten

LARGEST_WITH_KERNEL = 5
"""Side of the largest square kernel that XNNPACK has a depthwise routine for: 25 taps."""

Taps = tuple[int, int]
"""Taps along one axis, centred: how many, and how many positions apart."""

SEVEN: tuple[tuple[Taps, Taps], ...] = (
    ((2, 2), (4, 2)),  # rows -1 and 1, columns -3, -1, 1 and 3
    ((2, 4), (4, 2)),
    ((2, 6), (4, 2)),
    ((4, 2), (2, 4)),
    ((3, 2), (3, 2)),
    ((4, 2), (1, 1)),
    ((1, 1), (4, 2)),
)
"""The 49 taps of a 7 x 7 in pieces of at most 9: rows and columns of each.

XNNPACK's routines take 3, 4, 9 or 25 taps, and a smaller kernel pays for those that it leaves
empty: by parity alone 84 for 49, in these pieces 53.
"""


def split_large_depthwise(graph: Graph) -> Rewritten:
    """Split each depthwise convolution of more than 25 taps into dilated ones and a sum.

    A kernel of odd side ``k`` has its taps at offsets ``-r..r``, ``r = (k - 1) / 2``, along each
    axis. ``n`` taps that are ``d`` apart and lie around the middle are what ``SAME`` padding makes
    of a kernel of ``n`` under dilation ``d``, provided that ``(n - 1) d`` is even. So pieces that
    hold every tap once add up to the whole, at the border too: exact but for the order of the
    additions. Nothing is padded or sliced by an operator of its own, and the number of
    multiplications stays.

    A 7 x 7 becomes the seven pieces of ``SEVEN``. Any other becomes four, by parity: along one
    axis, the taps of even index lie at ``-r, 2 - r, ..., r`` and those of odd index at ``1 - r,
    ..., r - 1``.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node = graph.nodes[name]
        if _can_split(node):
            pieces = _pieces(node)
            graph = graph.with_replacement(name, pieces, pieces[-1].name)
            found.append(name)
    return graph, tuple(found)


def grouped_to_depthwise(graph: Graph) -> Rewritten:
    """Turn each grouped convolution with one input channel a group into a depthwise one.

    Output channel ``c m + j`` of ``c`` groups with ``m`` outputs each reads input channel ``c``
    alone, in a grouped kernel ``(rows, columns, 1, c m)`` and in a depthwise one ``(rows,
    columns, c, m)`` alike: the same numbers in the same order. Exact.
    """
    found: list[str] = []
    for name in tuple(graph.nodes):
        node = graph.nodes[name]
        if _is_grouped_by_channel(graph, node):
            graph = graph.with_node(_as_depthwise(node))
            found.append(name)
    return graph, tuple(found)


def _can_split(node: Node) -> bool:
    if node.kind != "DepthwiseConv2D" or node.settings["data_format"] != "channels_last":
        return False
    settings, plain = node.settings, (1, 1)
    rows, columns = settings["kernel_size"]
    return (
        rows * columns > LARGEST_WITH_KERNEL**2
        and rows % 2 == columns % 2 == 1
        and min(rows, columns) > 1  # one tap has none of odd index
        and settings["padding"] == "same"
        and tuple(settings["strides"]) == tuple(settings["dilation_rate"]) == plain
        and node.linear
    )


def _pieces(node: Node) -> list[Node]:
    """Return the dilated convolutions, the first with the bias, and their sum."""
    pieces: list[Node] = []
    size = tuple(node.settings["kernel_size"])
    for number, (rows, columns) in enumerate(shared_out(*size), start=1):
        places = np.ix_(_indices(size[0], rows), _indices(size[1], columns))
        biased = number == 1 and node.settings["use_bias"]
        piece = node.with_settings(
            kernel_size=(rows[0], columns[0]),
            dilation_rate=(rows[1], columns[1]),
            use_bias=biased,
        )
        weights = (node.weights[0][places], *(node.weights[1:] if biased else ()))
        pieces.append(replace(piece, name=f"{node.name}_part{number}", weights=weights))
    total = Node(
        name=f"{node.name}_sum",
        kind="Add",
        settings={"trainable": True, "dtype": node.settings["dtype"]},
        inputs=tuple(piece.name for piece in pieces),
        shape=node.shape,
    )
    return [*pieces, total]


def shared_out(rows: int, columns: int) -> tuple[tuple[Taps, Taps], ...]:
    """Return the pieces that a kernel of odd sides above 1 is split into, rows and columns."""
    if (rows, columns) == (7, 7):
        return SEVEN
    halves = [(((side + 1) // 2, 2), ((side - 1) // 2, 2)) for side in (rows, columns)]
    return tuple((row, column) for row in halves[0] for column in halves[1])


def _indices(side: int, taps: Taps) -> list[int]:
    """Return which of ``side`` taps a piece holds: those around the middle one."""
    count, step = taps
    first = (side - 1 - (count - 1) * step) // 2
    return [first + index * step for index in range(count)]


def _is_grouped_by_channel(graph: Graph, node: Node) -> bool:
    if node.kind != "Conv2D" or node.settings["data_format"] != "channels_last":
        return False
    strides, source = node.settings["strides"], graph.source(node)
    return (
        source is not None
        and node.settings["groups"] == source.shape[-1] != 1
        and strides[0] == strides[1]  # Keras has no depthwise convolution with unequal ones
    )


def _as_depthwise(node: Node) -> Node:
    settings = dict(node.settings)
    filters, groups = settings.pop("filters"), settings.pop("groups")
    for part in ("initializer", "regularizer", "constraint"):
        settings[f"depthwise_{part}"] = settings.pop(f"kernel_{part}")
    settings["depth_multiplier"] = filters // groups
    rows, columns = settings["kernel_size"]
    kernel = np.reshape(node.weights[0], (rows, columns, groups, filters // groups))
    weights = (kernel, *node.weights[1:])
    return replace(node, kind="DepthwiseConv2D", settings=settings, weights=weights)
