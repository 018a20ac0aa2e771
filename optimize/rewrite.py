"""Graph rewrites: the same function in fewer or faster operators.

A rewrite matches a pattern, wherever it stands, and changes no answer beyond float rounding; the
one that does, ``tanh-gelu``, is marked. It makes a model neither smaller nor more exact. What a
rewrite buys depends on the runtime, whose converter may do the same by itself (both fold
BatchNorm): measure before and after.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from optimize.rewrite_dense import convolution_to_dense, dense_to_convolution
from optimize.rewrite_depthwise import grouped_to_depthwise, split_large_depthwise
from optimize.rewrite_fold import (
    fold_batch_norm,
    fold_layer_norm,
    fold_layer_scale,
    fold_preprocessing,
)
from optimize.rewrite_gelu import exact_to_tanh_gelu
from optimize.rewrite_graph import Graph, build_model, read_graph
from optimize.rewrite_linear import Rewritten
from train.errors import ConfigError


class Rewrite(NamedTuple):
    """One rewrite.

    Attributes:
        apply: what applies it.
        exact: whether it changes no answer beyond float rounding.
        asked: whether it is applied only where it is asked for, because it undoes another.
    """

    apply: Callable[[Graph], Rewritten]
    exact: bool
    asked: bool = False


REWRITES: dict[str, Rewrite] = {
    "grouped-to-depthwise": Rewrite(grouped_to_depthwise, exact=True),
    "dense-to-convolution": Rewrite(dense_to_convolution, exact=True),
    "fold-preprocessing": Rewrite(fold_preprocessing, exact=True),
    "fold-batch-norm": Rewrite(fold_batch_norm, exact=True),
    "fold-layer-scale": Rewrite(fold_layer_scale, exact=True),
    "fold-layer-norm": Rewrite(fold_layer_norm, exact=True),
    "split-depthwise": Rewrite(split_large_depthwise, exact=True),
    "convolution-to-dense": Rewrite(convolution_to_dense, exact=True, asked=True),
    "tanh-gelu": Rewrite(exact_to_tanh_gelu, exact=False),
}
"""In the order that they are applied in: first what makes patterns, last what breaks them up."""
EXACT = tuple(name for name, rewrite in REWRITES.items() if rewrite.exact and not rewrite.asked)
"""What is applied where nothing is named."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """One rewrite as applied: its name and the layers that it changed, maybe none."""

    rewrite: str
    layers: tuple[str, ...]


def require_rewrites(names: Collection[str]) -> None:
    """Check that there are rewrites of these names.

    Raises:
        ConfigError: there is none of a name.
    """
    for name in names:
        if name not in REWRITES:
            raise ConfigError(f"rewrite {name!r} is not one of {', '.join(REWRITES)}")


def rewrite_model(model: Any, names: Collection[str] = EXACT) -> tuple[Any, tuple[Applied, ...]]:
    """Return the rewritten network, and what was applied where.

    Args:
        model: a functional ``tf_keras`` network of one input and one output; it is not changed.
        names: of the rewrites; they are applied in the order of ``REWRITES``.

    Raises:
        ConfigError: there is no rewrite of a name.
        ConversionError: the network is not made of plain layers that are called once.
    """
    require_rewrites(names)
    graph, applied = read_graph(model), []
    for name, rewrite in REWRITES.items():
        if name in names:
            graph, layers = rewrite.apply(graph)
            applied.append(Applied(rewrite=name, layers=layers))
    return build_model(graph), tuple(applied)
