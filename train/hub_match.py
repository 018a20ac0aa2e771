"""Opens a hub's model: puts its variables into our own graph, if both then compute the same.

Variables are matched by the names of Keras Applications; where they are called otherwise, by kind,
shape and order, for a kernel stays a kernel and the first of its shape the first. That is a guess,
so it counts only once the features of both agree on pictures.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from train.backend import keras
from train.errors import ConfigError, WeightsError
from train.hub import HubModel, input_size_of, rescaled_input
from train.networks import FROM_KERAS_APPLICATION
from train.networks.blocks import HEAD_LAYER
from train.pixels import Pixels
from train.torch_pickle import Array
from train.weight_places import Source, lay, named_variables

_PICTURES = 4
_FLOAT32_STEP = 2.0**-23
_OWN_KINDS = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True, kw_only=True)
class Match:
    """A hub's variables in our names, and how well the graphs agree.

    Attributes:
        entries: ``layer/variable`` to array.
        difference: largest difference of a feature, over the features' root mean square.
        tolerance: what rounding alone may make of it.
    """

    entries: dict[str, Array]
    difference: float
    tolerance: float


def match_hub(
    model: HubModel,
    layer: Any,
    *,
    network: str,
    build: Callable[..., Any],
    pictures: Pixels | None = None,
) -> Match:
    """Match an opened model to our own graph and compare their features on pictures.

    Args:
        model: what was opened.
        layer: as a ``hub.KerasLayer``.
        network: key of ``train.networks.NETWORKS``, for the names.
        build: ``(*, image_size, classes) -> keras.Model``, our graph.
        pictures: ``(picture, rows, columns, 3)`` uint8, of any size: photos of the run where there
            are any; by default a few rendered garments.

    Raises:
        WeightsError: a variable finds no counterpart, the features differ, or the handle asks for
            a layer; says which.
    """
    if model.stays_layer:
        raise WeightsError("it was asked to stay a layer (#layer)")
    size = input_size_of(layer) or 224
    try:
        own = build(image_size=size, classes=2)
    except ConfigError as error:
        raise WeightsError(f"{network} cannot be built for its pictures: {error}") from error
    variables = getattr(layer.resolved_object, "variables", ())
    entries = entries_for(own, [(str(v.name), v.numpy()) for v in variables], network=network)
    lay(
        own,
        [
            Source(
                label=model.label,
                path=Path(model.folder.name),
                entries=entries,
                sha256=model.sha256,
            )
        ],
    )
    shown = rendered_pictures(size) if pictures is None else _resized(pictures, size)
    difference = _difference(own, layer, shown, inputs=model.inputs)
    tolerance = rounding_tolerance(own)
    if not difference <= tolerance:  # also where it is no number
        raise WeightsError(
            f"its variables fit {network}, yet features differ by {difference:.2g} of their size,"
            f" rounding explains {tolerance:.2g}; if it takes pixels another way than"
            f" {model.inputs!r}, say so behind the handle (#pixels, #unit)"
        )
    return Match(entries=entries, difference=difference, tolerance=tolerance)


def entries_for(
    own: Any, variables: Sequence[tuple[str, Array]], *, network: str
) -> dict[str, Array]:
    """Return a hub's variables under the names of our graph.

    Args:
        own: our graph.
        variables: name and value of each, in the hub model's order.
        network: whose names of Keras Applications are tried first, or our own where Keras
            publishes no such network.

    Raises:
        WeightsError: a variable of ours finds no counterpart, or one of theirs is left over.
    """
    wanted = {
        name: tuple(variable.shape)
        for name, variable in named_variables(own).items()
        if not name.startswith(f"{HEAD_LAYER}/")
    }
    named = {"/".join(name.split(":")[0].split("/")[-2:]): array for name, array in variables}
    translate = FROM_KERAS_APPLICATION.get(network)
    translated = translate(named) if translate else named
    if len(named) == len(variables) and all(
        name in translated and translated[name].shape == shape for name, shape in wanted.items()
    ):
        return {name: translated[name] for name in wanted}
    return _by_order(wanted, variables)


def _by_order(
    wanted: Mapping[str, tuple[int, ...]], variables: Sequence[tuple[str, Array]]
) -> dict[str, Array]:
    """Match the first of a kind and shape to the first; axes of length 1 do not count."""
    waiting: dict[tuple[str, tuple[int, ...]], list[Array]] = defaultdict(list)
    for name, array in variables:
        waiting[_kind(name), _long_axes(array.shape)].append(array)
    entries: dict[str, Array] = {}
    for name, shape in wanted.items():
        candidates = waiting[_kind(name), _long_axes(shape)]
        if not candidates:
            raise WeightsError(f"no variable is left for {name} {shape}")
        entries[name] = candidates.pop(0).reshape(shape)
    left = sum(map(len, waiting.values()))
    if left:
        raise WeightsError(f"{left} of its {len(variables)} variables have no counterpart")
    return entries


def _kind(name: str) -> str:
    layer, _, variable = name.split(":")[0].rpartition("/")
    kind = "kernel" if variable == "depthwise_kernel" else variable
    return kind if kind in _OWN_KINDS and not layer.endswith("_scale") else "scale"


def _long_axes(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def rounding_tolerance(model: Any) -> float:
    """Return how far two float32 runs of one network may lie apart, relative to its features.

    A sum of n products in another order differs by about sqrt(n) rounding steps of its result;
    at worst the layers' differences add up.
    """
    fan_in = (
        np.prod(layer.weights[0].shape) / layer.weights[0].shape[-1 - _is_depthwise(layer)]
        for layer in model.layers
        if layer.weights and len(layer.weights[0].shape) > 1 and layer.name != HEAD_LAYER
    )
    return float(_FLOAT32_STEP * sum(np.sqrt(count) for count in fan_in))


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, keras().layers.DepthwiseConv2D)


def rendered_pictures(size: int) -> Pixels:
    """Return a few rendered garments ``(picture, size, size, 3)``."""
    from train.garments import render_picture
    from train.wardrobe import DRAWINGS

    labels = list(DRAWINGS)[:_PICTURES]
    return np.concatenate(
        [_resized(np.asarray(render_picture(label, 0, 0))[None], size) for label in labels]
    )


def _resized(pictures: Pixels, size: int) -> Pixels:
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size))) for one in pictures])


def _difference(own: Any, layer: Any, pictures: Pixels, *, inputs: str) -> float:
    module = keras()
    size = int(own.input_shape[1])
    if pictures.shape[1:] != (size, size, 3):
        raise WeightsError(
            f"pictures are {pictures.shape[1:]}, the model takes ({size}, {size}, 3)"
        )
    pixels, rescaled = rescaled_input(size, inputs)
    try:
        theirs = module.Model(pixels, layer(rescaled))
    except Exception as error:  # a SavedModel called with what it does not take
        raise WeightsError(f"it is not called with pictures of {size} pixels") from error
    ours = module.Model(own.input, own.get_layer("features").output)
    shown = pictures.astype(np.float32)
    left, right = (np.asarray(model(shown, training=False)) for model in (ours, theirs))
    if left.shape != right.shape:
        raise WeightsError(f"its features are {right.shape[1:]}, ours {left.shape[1:]}")
    return float(np.abs(left - right).max() / np.sqrt(np.mean(np.square(right))))
