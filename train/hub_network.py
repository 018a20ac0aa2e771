"""A network out of a hub's model: our own graph with its weights, else the model itself.

Our own graph is counted, pruned and quantized like any other. Where the variables do not match, the
model stays a ``hub.KerasLayer``: frozen, under our classifier, with the reason in the origin.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from train.artifact import WeightsOrigin
from train.backend import keras
from train.errors import WeightsError, first_line
from train.hub import HubModel, hub_layer, input_size_of, open_hub, rescaled_input
from train.hub_match import match_hub
from train.networks import NETWORKS
from train.networks.blocks import feature_classifier
from train.pixels import Pixels
from train.weight_places import Source, lay

HUB_LAYER = "hub"


def network_from_hub(
    network: str,
    handle: str,
    *,
    image_size: int,
    classes: int,
    pictures: Pixels | None = None,
    build: Callable[..., Any] | None = None,
) -> tuple[Any, WeightsOrigin]:
    """Open a hub's model as our own graph where they compute the same, else as a layer.

    Args:
        network: key of ``train.networks.NETWORKS`` that the model may be.
        handle: as for ``open_hub``.
        image_size: rows and columns of the new network's input.
        classes: number of classes.
        pictures: compared on, photos of the run where there are any; by default rendered garments.
        build: our graph, by default that of ``network``.

    Raises:
        UsageError: the handle names an unknown input.
        WeightsError: the model cannot be had or opened, is refused, or takes another size.
    """
    opened = open_hub(handle)
    layer = hub_layer(opened, name=HUB_LAYER)
    _require_finite(layer, opened)
    build = build or NETWORKS[network]
    try:
        match = match_hub(opened, layer, network=network, build=build, pictures=pictures)
    except WeightsError as reason:
        model = hub_extractor(opened, layer, image_size=image_size, classes=classes, name=network)
        return model, _origin_of_layer(model, opened, str(reason))
    model = build(image_size=image_size, classes=classes)
    label = f"{opened.label}, opened: features agree within {match.difference:.1e}"
    source = Source(
        label=label, path=Path(opened.folder.name), entries=match.entries, sha256=opened.sha256
    )
    return model, lay(model, [source])


def hub_extractor(opened: HubModel, layer: Any, *, image_size: int, classes: int, name: str) -> Any:
    """Return a network with the hub's model inside as a frozen feature extractor.

    Args:
        opened: the model.
        layer: the same as a ``hub.KerasLayer``.
        image_size: rows and columns of the input.
        classes: number of classes.
        name: the network's name.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``, with the outer layers that every network has.

    Raises:
        WeightsError: the model takes pictures of another size, or gives neither feature maps nor
            vectors.
    """
    size = input_size_of(layer)
    if size not in (None, image_size):
        raise WeightsError(
            f"{opened.label} takes pictures of {size} pixels, got image_size {image_size};"
            f" set image_size = {size}"
        )
    pixels, rescaled = rescaled_input(image_size, opened.inputs)
    try:
        found = layer(rescaled)
    except Exception as error:  # a SavedModel called with what it does not take
        first = first_line(error)
        raise WeightsError(f"{opened.label} is not called with pictures ({first})") from error
    layers = keras().layers
    rank = len(getattr(found, "shape", ()))
    if rank == 4:
        features = layers.GlobalAveragePooling2D(name="features")(found)
    elif rank == 2:
        features = layers.Activation("linear", name="features")(found)
    else:
        raise WeightsError(
            f"{opened.label} gives {found!r}, neither maps nor vectors; give a feature extractor"
        )
    return feature_classifier(pixels, features, classes=classes, name=name)


def _require_finite(layer: Any, opened: HubModel) -> None:
    for variable in layer.weights:
        if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
            raise WeightsError(
                f"{opened.label}: {variable.name} holds something other than finite numbers;"
                " download or save the model again"
            )


def _origin_of_layer(model: Any, opened: HubModel, reason: str) -> WeightsOrigin:
    head = model.get_layer("logits").count_params()
    return WeightsOrigin(
        source=f"{opened.label} as hub.KerasLayer, not opened: {reason}",
        licence="unknown",
        sha256=opened.sha256,
        loaded_parameters=model.count_params() - head,
        total_parameters=model.count_params(),
        random_variables=("logits/kernel", "logits/bias"),
    )
