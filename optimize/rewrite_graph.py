"""A network as plain data: nodes with settings and weights, which rewrites take and give.

Rewrites are then arithmetic on arrays, tested without a runtime; Keras is asked twice, when the
graph is read and when the rewritten one is built. Layers keep their names, so that stages still
freeze and outer layers (``features``, ``logits``) are still found by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import keras
from train.errors import ConversionError

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One layer, called once.

    Attributes:
        name: the layer's name.
        kind: its class in ``keras.layers``, such as ``Conv2D``.
        settings: its configuration, as Keras writes it; the name in it counts for nothing.
        inputs: names of the layers that feed it, in order.
        weights: its variables, in Keras' order.
        shape: of its output, ``(None, ...)`` with the batch first.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: tuple[Array, ...] = ()
    shape: tuple[int | None, ...]

    @property
    def linear(self) -> bool:
        """Whether the layer has no activation of its own."""
        return self.settings.get("activation", "linear") in ("linear", None)

    def with_settings(self, **settings: Any) -> "Node":
        """Return the node with some settings changed."""
        return replace(self, settings={**self.settings, **settings})


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A functional network of one input and one output.

    Attributes:
        name: the network's name.
        nodes: by name, every node after those that feed it.
        input: name of the input layer.
        output: name of the layer whose output is the network's.
    """

    name: str
    nodes: Mapping[str, Node] = field(repr=False)
    input: str
    output: str

    def takers(self, name: str) -> tuple[Node, ...]:
        """Return the nodes that take the output of ``name``."""
        return tuple(node for node in self.nodes.values() if name in node.inputs)

    def only_taker(self, name: str) -> Node | None:
        """Return the one node that takes the output of ``name``; ``None`` if others see it."""
        takers = self.takers(name)
        alone = len(takers) == 1 and name != self.output and takers[0].inputs.count(name) == 1
        return takers[0] if alone else None

    def source(self, node: Node) -> Node | None:
        """Return the one node that feeds ``node``; ``None`` if it has several inputs or none."""
        return self.nodes[node.inputs[0]] if len(node.inputs) == 1 else None

    def with_node(self, node: Node) -> "Graph":
        """Return the graph with ``node`` in the place of the one of its name."""
        return replace(self, nodes={**self.nodes, node.name: node})

    def without(self, name: str) -> "Graph":
        """Return the graph with what feeds ``name`` in its place; it must have one input."""
        (source,) = self.nodes[name].inputs
        return self.with_replacement(name, (), source)

    def with_replacement(self, name: str, nodes: Sequence[Node], last: str) -> "Graph":
        """Return the graph with ``nodes``, in order, in the place of ``name``.

        Args:
            name: the node that goes.
            nodes: the new ones; their names must be free.
            last: whichever took the output of ``name`` takes that of ``last``.

        Raises:
            ConversionError: a name is taken.
        """
        found: dict[str, Node] = {}
        for old in self.nodes.values():
            for new in nodes if old.name == name else (old,):
                if new.name in found or (old.name == name and new.name in self.nodes):
                    raise ConversionError(
                        f"{self.name}: a rewrite of {name!r} needs the name {new.name!r}, which"
                        " another layer has; rename that layer"
                    )
                inputs = tuple(last if item == name else item for item in new.inputs)
                found[new.name] = replace(new, inputs=inputs)
        return replace(self, nodes=found, output=last if self.output == name else self.output)


def read_graph(model: Any) -> Graph:
    """Return a functional Keras network as data; it is not changed.

    Raises:
        ConversionError: several inputs or outputs, a layer called twice, called with arguments,
            or of a kind that ``keras.layers`` does not have, such as a network or a hub model.
    """
    settings = model.get_config()
    entries = (settings["input_layers"], settings["output_layers"])
    if any(len(entry) != 1 for entry in entries):
        raise ConversionError(
            f"{model.name}: it has {len(entries[0])} inputs and {len(entries[1])} outputs; a"
            " rewrite takes one of each"
        )
    nodes = [_read_node(model, layer) for layer in settings["layers"]]
    return Graph(
        name=model.name,
        nodes=_sorted(nodes),
        input=entries[0][0][0],
        output=entries[1][0][0],
    )


def build_model(graph: Graph) -> Any:
    """Return the functional Keras network that ``graph`` describes, with its weights."""
    layers, outputs = keras().layers, {}
    for node in graph.nodes.values():
        layer = getattr(layers, node.kind).from_config({**node.settings, "name": node.name})
        if node.kind == "InputLayer":
            outputs[node.name] = layer.output
            continue
        taken = [outputs[name] for name in node.inputs]
        outputs[node.name] = layer(taken if len(taken) > 1 else taken[0])
        if node.weights:
            layer.set_weights([np.asarray(weight, np.float32) for weight in node.weights])
    return keras().Model(outputs[graph.input], outputs[graph.output], name=graph.name)


def _read_node(model: Any, entry: Mapping[str, Any]) -> Node:
    name, kind, calls = entry["name"], entry["class_name"], entry["inbound_nodes"]
    if kind in ("Functional", "Sequential") or not hasattr(keras().layers, kind):
        raise ConversionError(
            f"{model.name}: layer {name!r} is a {kind}, which a rewrite cannot look into; build"
            " the network from plain layers"
        )
    if len(calls) > 1 or any(item[3] for call in calls for item in call):
        raise ConversionError(
            f"{model.name}: layer {name!r} is called {len(calls)} times or with arguments; a"
            " rewrite takes layers that are called once, on maps alone"
        )
    layer = model.get_layer(name)
    return Node(
        name=name,
        kind=kind,
        settings=entry["config"],
        inputs=tuple(item[0] for call in calls for item in call),
        weights=tuple(layer.get_weights()),
        shape=tuple(layer.output.shape),
    )


def _sorted(nodes: Sequence[Node]) -> dict[str, Node]:
    """Return the nodes with each after those that feed it, otherwise in their order."""
    found: dict[str, Node] = {}
    waiting = list(nodes)
    while waiting:
        ready = [node for node in waiting if all(name in found for name in node.inputs)]
        found |= {node.name: node for node in ready}
        waiting = [node for node in waiting if node.name not in found]
    return found
