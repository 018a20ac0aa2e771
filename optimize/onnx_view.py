"""An ``.onnx`` graph with its makers, takers, constants and shapes at hand, and patterns in it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from optimize.rewrite_graph import Array


class Pattern(NamedTuple):
    """A pattern found: its nodes, the last of which makes its output, and what replaces them."""

    nodes: tuple[Any, ...]
    written: tuple[Any, ...]


class OnnxView:
    """A graph of static shapes; constants can be added to it, nodes are not changed."""

    def __init__(self, proto: Any) -> None:
        from onnx import numpy_helper

        self._proto = proto
        self._graph = proto.graph
        self.constants: dict[str, Array] = {
            item.name: numpy_helper.to_array(item) for item in self._graph.initializer
        }
        self._makers = {name: node for node in self._graph.node for name in node.output}
        self._takers: dict[str, list[Any]] = defaultdict(list)
        for node in self._graph.node:
            for name in dict.fromkeys(node.input):
                self._takers[name].append(node)
        self._outputs = {item.name for item in self._graph.output}

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all tensors; most who look at a graph ask for none of them."""
        from onnx import shape_inference

        inferred = shape_inference.infer_shapes(self._proto).graph
        return {
            item.name: tuple(size.dim_value for size in item.type.tensor_type.shape.dim)
            for item in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def maker(self, name: str, *kinds: str) -> Any:
        """Return the node that makes ``name`` if it is of one of ``kinds``, else ``None``."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type in kinds else None

    def only_taker(self, name: str) -> Any:
        """Return the node that takes ``name`` if there is one alone, else ``None``."""
        takers = self._takers[name]
        return takers[0] if len(takers) == 1 else None

    def parted(self, node: Any) -> tuple[str, Array] | None:
        """Return the varying input of a node of two and its constant one, in whatever order."""
        for varying, constant in self.orders(node):
            if constant in self.constants and varying not in self.constants:
                return varying, self.constants[constant]
        return None

    def orders(self, node: Any) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return the inputs of a node of two in both orders."""
        first, second = node.input
        return (first, second), (second, first)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._shapes[name]

    def constant(self, name: str, value: Array) -> str:
        """Add a float constant and return its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(value, np.float32).reshape(np.shape(value))
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def closed(self, nodes: Sequence[Any]) -> bool:
        """Return whether of ``nodes`` only the last is seen by others."""
        inside = {id(node) for node in nodes}
        return not any(
            name in self._outputs or any(id(taker) not in inside for taker in self._takers[name])
            for node in nodes[:-1]
            for name in node.output
        )


def settings_of(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    from onnx import helper

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def replace_patterns(
    proto: Any, kind: str, find: Callable[[OnnxView, Any], Pattern | None]
) -> tuple[str, ...]:
    """Replace, in place, the patterns that end in a node of ``kind``.

    A pattern that others see into stays. Constants that nothing takes any more go.

    Args:
        proto: an ``onnx.ModelProto`` whose nodes are in topological order.
        kind: such as ``Add``.
        find: returns the pattern that ends in a node, if there is one.

    Returns:
        Name of the output of each pattern replaced.
    """
    view = OnnxView(proto)
    written: dict[str, tuple[Any, ...]] = {}
    gone: set[int] = set()
    for node in proto.graph.node:
        found = find(view, node) if node.op_type == kind else None
        if found is not None and view.closed(found.nodes):
            written[node.output[0]] = found.written
            gone |= {id(item) for item in found.nodes}
    nodes = [
        new
        for node in proto.graph.node
        for new in (written.get(node.output[0], ()) if id(node) in gone else (node,))
    ]
    set_nodes(proto.graph, nodes)
    return tuple(written)


def set_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give ``graph`` these nodes, in place; constants that none of them takes go."""
    taken = {name for node in nodes for name in node.input}
    for field, kept in (
        (graph.node, nodes),
        (graph.initializer, [item for item in graph.initializer if item.name in taken]),
    ):
        copies = [type(item).FromString(item.SerializeToString()) for item in kept]
        del field[:]
        field.extend(copies)
