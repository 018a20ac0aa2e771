"""Which layer a group of a Keras weights file is, and what the arrays in it are called.

The newer layout of Keras (``.keras``, ``.weights.h5``) counts layers by class (``conv2d_3``) and
the variables of a layer by position; a network inside a network is a group of such groups. Names
stand in the configuration of a ``.keras``, and Keras 3 writes them to each group. A ``.weights.h5``
of ``tf_keras`` has none: it is read by position, and only where its groups are those of our own
graph, layers without weights included, in which no two implementations of a network are alike.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.errors import WeightsError
from train.networks.blocks import HEAD_LAYER
from train.torch_pickle import Array

# A variable, and the setting that a layer is without it; an empty one where it always has it.
_KERNEL_AND_BIAS = (("kernel", ""), ("bias", "use_bias"))
_GAMMA_AND_BETA = (("gamma", "scale"), ("beta", "center"))
_VARIABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "batch_normalization": (*_GAMMA_AND_BETA, ("moving_mean", ""), ("moving_variance", "")),
    "conv2d": _KERNEL_AND_BIAS,
    "dense": _KERNEL_AND_BIAS,
    "depthwise_conv2d": (("depthwise_kernel", ""), ("bias", "use_bias")),
    "layer_normalization": _GAMMA_AND_BETA,
    "layer_scale": (("gamma", ""),),
}
_CURE = "save the network as .keras or .h5, which have names"


@dataclass(frozen=True, kw_only=True)
class StoredLayer:
    """A group of a file.

    Attributes:
        arrays: in the order of the layer's variables.
        name: of the layer, where the file has it; else empty.
    """

    arrays: tuple[Array, ...]
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownLayer:
    """A layer of a configuration.

    Attributes:
        name: its name.
        kind: its class, as groups are called by it: ``depthwise_conv2d``.
        settings: its own configuration.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]


def layers_of_config(
    layers: Sequence[Mapping[str, Any]], outer: str = ""
) -> Iterator[tuple[str, KnownLayer]]:
    """Yield every layer under the group that Keras stores it in, those of inner networks too.

    Args:
        layers: of a network's configuration, in order.
        outer: the group of the network and ``/``; empty for the outermost.
    """
    kinds = [kind_of(str(layer["class_name"])) for layer in layers]
    for layer, kind, group in zip(layers, kinds, groups_of(kinds), strict=True):
        settings = layer["config"]
        known = KnownLayer(name=str(settings["name"]), kind=kind, settings=settings)
        yield f"{outer}{group}", known
        if isinstance(settings.get("layers"), list):
            yield from layers_of_config(settings["layers"], f"{outer}{group}/")


def kind_of(class_name: str) -> str:
    """Return what Keras calls groups of a class: ``depthwise_conv2d`` for ``DepthwiseConv2D``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", class_name).lower()


def groups_of(kinds: Iterable[str]) -> Iterator[str]:
    """Yield the group of each layer in order: ``conv2d``, ``conv2d_1``, ..."""
    counts: dict[str, int] = {}
    for kind in kinds:
        seen = counts.get(kind, 0)
        counts[kind] = seen + 1
        yield f"{kind}_{seen}" if seen else kind


def variable_name(variable: Any) -> str:
    """Return the last part of a Keras variable's name: ``kernel`` of ``stem_conv/kernel:0``."""
    return str(variable.name).split(":")[0].rsplit("/", 1)[-1]


def named_by_config(
    stored: Mapping[str, StoredLayer], layers: Mapping[str, KnownLayer], model: Any, path: Path
) -> dict[str, Array]:
    """Return the arrays under ``layer/variable``, by the names and classes of a configuration.

    Args:
        stored: group to what is in it.
        layers: group to the layer that it is.
        model: what the variables of a class unknown here are called by, where it has the layer.
        path: the file, for messages.

    Raises:
        WeightsError: file and configuration disagree, or two layers have one name.
    """
    own = {layer.name: [variable_name(each) for each in layer.weights] for layer in model.layers}
    found: list[tuple[str, Sequence[str], StoredLayer]] = []
    for group, one in _with_arrays(stored):
        layer = layers.get(group)
        if layer is None or one.name not in ("", layer.name):
            raise WeightsError(f"{path}: its group {group} is no layer of its config.json; {_CURE}")
        known = layer.kind in _VARIABLES
        names = _variables_of(layer) if known else own.get(layer.name, ())
        found.append((layer.name, names, one))
    for group, layer in layers.items():
        if layer.kind in _VARIABLES and group not in stored:
            raise WeightsError(
                f"{path}: layer {layer.name} of its config.json has no group {group}, as where"
                " networks inside it share layers; save one of them alone"
            )
    return _entries(found, path)


def have_names(stored: Mapping[str, StoredLayer]) -> bool:
    """Return whether every group with arrays has the name of its layer, as Keras 3 writes it."""
    return all(layer.name for _, layer in _with_arrays(stored))


def named_by_group(stored: Mapping[str, StoredLayer], path: Path) -> dict[str, Array]:
    """Return the arrays under ``layer/variable``, by the name that each group has.

    Raises:
        WeightsError: two layers have one name.
    """
    kinds = {group: _kind_of_group(group) for group in stored}
    return _entries(
        [
            (one.name, _variables_by_count(kinds[group], len(one.arrays)), one)
            for group, one in _with_arrays(stored)
        ],
        path,
    )


def named_by_position(
    stored: Mapping[str, StoredLayer], model: Any, path: Path
) -> dict[str, Array]:
    """Return the arrays under ``layer/variable``, each group being the layer at its place.

    A head of other layers, or for other classes, does not make it another graph.

    Raises:
        WeightsError: the groups are not those of ``model``, down to the shape of each array.
    """
    inner = next((group for group in stored if "/" in group), "")
    if inner:
        raise WeightsError(
            f"{path}: it has no layer names, and its {inner.partition('/')[0]} is a network of its"
            " own; save the whole as .keras or .h5, which have names, or the inner network alone"
        )
    kinds = [kind_of(type(layer).__name__) for layer in model.layers]
    layers = dict(zip(groups_of(kinds), model.layers, strict=True))
    heads = {kind for kind, layer in zip(kinds, model.layers, strict=True) if _is_head(layer)}
    _require_same_layers(stored, layers, heads, model.name, path)
    sides = [
        {group for group in side if _kind_of_group(group) in heads} for side in (stored, layers)
    ]
    foreign = sides[0] if sides[0] != sides[1] else ()
    found: list[tuple[str, Sequence[str], StoredLayer]] = []
    for group, one in _with_arrays(stored):
        if group in foreign:
            found.append((group, (), one))
        else:
            layer = layers[group]
            found.append((layer.name, [variable_name(each) for each in layer.weights], one))
    return _entries(found, path)


def _require_same_layers(
    stored: Mapping[str, StoredLayer],
    layers: Mapping[str, Any],
    heads: Container[str],
    network: str,
    path: Path,
) -> None:
    """Refuse groups that are not those of ``layers``; those of the classes ``heads`` may be any."""
    for group in {**layers, **stored}:
        layer, one = layers.get(group), stored.get(group)
        if _kind_of_group(group) in heads:
            continue
        if layer is None:
            difference = f"that has no {group}"
        elif one is None:
            difference = f"it has no {group} (layer {layer.name})"
        else:
            takes = [tuple(each.shape) for each in layer.weights]
            holds = [array.shape for array in one.arrays]
            if takes == holds:
                continue
            difference = (
                f"its {group} holds {_told(holds)}, layer {layer.name} takes {_told(takes)}"
            )
        raise WeightsError(
            f"{path}: it has no layer names, so its layers must be just those of {network}, and"
            f" {difference}; {_CURE}"
        )


def _is_head(layer: Any) -> bool:
    return bool(layer.name == HEAD_LAYER)


def _with_arrays(stored: Mapping[str, StoredLayer]) -> Iterator[tuple[str, StoredLayer]]:
    return ((group, layer) for group, layer in stored.items() if layer.arrays)


def _entries(
    found: Iterable[tuple[str, Sequence[str], StoredLayer]], path: Path
) -> dict[str, Array]:
    """Return arrays by name; where there are not as many names as arrays, by number."""
    entries: dict[str, Array] = {}
    seen: set[str] = set()
    for layer, names, one in found:
        if layer in seen:
            raise WeightsError(
                f"{path}: two of its layers are called {layer}; save the inner network alone"
            )
        seen.add(layer)
        numbers = [str(number) for number in range(len(one.arrays))]
        known = names if len(names) == len(numbers) else numbers
        entries |= {f"{layer}/{name}": array for name, array in zip(known, one.arrays, strict=True)}
    return entries


def _variables_of(layer: KnownLayer) -> list[str]:
    return [name for name, switch in _VARIABLES[layer.kind] if layer.settings.get(switch, True)]


def _variables_by_count(kind: str, count: int) -> list[str]:
    """Return the variables of a class where their number leaves no doubt; else none."""
    variables = _VARIABLES.get(kind, ())
    every = [name for name, _ in variables]
    least = [name for name, switch in variables if not switch]
    return next((names for names in (every, least) if len(names) == count), [])


def _kind_of_group(group: str) -> str:
    return re.sub(r"_\d+$", "", group.rpartition("/")[2])


def _told(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes)) or "nothing"
