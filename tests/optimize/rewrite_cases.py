"""Small networks with weights that hide nothing, for the tests of rewrites."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.rewrite_graph import Graph, build_model, read_graph
from optimize.rewrite_linear import Rewritten
from train.backend import keras

SIDE = 9  # odd, so that borders on both sides differ under strides


def shaken(model: Any) -> Any:
    """Give ``model`` weights unlike those that it begins with, variances above zero."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        value = generator.normal(0.0, 0.4, weight.shape)
        positive = "variance" in weight.name or "gamma" in weight.name
        weight.assign(np.abs(value) + 0.5 if positive else value)
    return model


def network(body: Callable[[Any, Any], Any], *, channels: int = 3, side: int = SIDE) -> Any:
    """Return the network of ``body(layers, maps)`` on ``(batch, side, side, channels)``."""
    pixels = keras().Input((side, side, channels), name="pixels")
    return shaken(keras().Model(pixels, body(keras().layers, pixels), name="small"))


def answers(model: Any, *, seed: int = 1) -> npt.NDArray[np.float64]:
    """Return the outputs for two random inputs in [-1, 1]."""
    shape = (2, *model.input_shape[1:])
    fed = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
    return np.asarray(model(fed, training=False), np.float64)


def rewritten(
    model: Any, rewrite: Callable[[Graph], Rewritten]
) -> tuple[Graph, tuple[str, ...], float]:
    """Return the graph after ``rewrite``, where it applied, and how far the answers moved.

    The distance is the greatest absolute difference over the greatest absolute answer.
    """
    graph, where = rewrite(read_graph(model))
    was, now = answers(model), answers(build_model(graph))
    assert was.std() > 0.01  # a network that answers the same to everything proves nothing
    return graph, where, float(np.abs(was - now).max() / np.abs(was).max())


def kinds(graph: Graph) -> list[str]:
    """Return the kinds of the nodes, in order."""
    return [node.kind for node in graph.nodes.values()]
