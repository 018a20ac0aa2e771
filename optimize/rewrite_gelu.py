"""GELU by the hyperbolic tangent in place of the error function: not exact, and measured.

``x Phi(x)`` is replaced by ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``. The two differ
by at most ``LARGEST_ERROR`` at any x; what that does to a network's answers has to be measured.
Some runtimes have the one as a fast operator, some the other, some both.
Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2.
"""

from dataclasses import replace
from typing import Any

from optimize.rewrite_graph import Graph
from optimize.rewrite_linear import Rewritten
from train.backend import keras

LARGEST_ERROR = 4.74e-4
"""Of one value, absolute; it is met near x = 2.7 and x = -2.7."""


def exact_to_tanh_gelu(graph: Graph) -> Rewritten:
    """Replace every exact GELU, as a layer or as the activation of one, by the other.

    The network computes but cannot be kept as a Keras file, where an activation is one word:
    convert it at once.
    """
    found: list[str] = []
    for name, node in graph.nodes.items():
        if node.settings.get("activation") == "gelu":
            graph = graph.with_node(replace(node, settings={**node.settings, "activation": _tanh}))
            found.append(name)
    return graph, tuple(found)


def _tanh(values: Any) -> Any:
    return keras().activations.gelu(values, approximate=True)
