"""lite-trio: three light backbones on one picture, the roots of their pooled features side by side.

Networks that were made and trained differently see different things, so a linear head on all
three is better than on any; on roots it is better still (``square_root.py``). Each keeps its own
rescaling and its own weights; one input of pixels serves all. It costs what the three cost
together.
Every layer of a backbone bears its name there behind a prefix: ``lite0_stem_conv``. So the weights
of each load by name, and a prefix freezes a backbone or a stage of it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from train.backend import keras
from train.errors import ConfigError
from train.networks import mobilenet_v2
from train.networks.application_names import Array, translated
from train.networks.blocks import HEAD_LAYER, feature_classifier, plain_input
from train.networks.efficientnet_lite import lite_maps
from train.networks.square_root import square_root

BACKBONES: MappingProxyType[str, str] = MappingProxyType(
    {"lite0_": "efficientnet-lite0", "lite2_": "efficientnet-lite2", "mobile_": "mobilenet-v2"}
)
"""Prefix of a backbone's layers to the network that it is."""
_MAPS: dict[str, Callable[..., Any]] = {
    "lite0_": partial(lite_maps, "lite0"),
    "lite2_": partial(lite_maps, "lite2"),
    "mobile_": mobilenet_v2.mobilenet_maps,
}


def build_lite_trio(*, image_size: int, classes: int) -> Any:
    """Return the network with random weights.

    Args:
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``; its ``features`` are ``(batch, 3840)``: roots of
        1280 of efficientnet-lite0, then of efficientnet-lite2, then of mobilenet-v2.

    Raises:
        ConfigError: a size or a number of classes out of range.
    """
    pixels = plain_input(image_size)
    layers = keras().layers
    pooled = [
        layers.GlobalAveragePooling2D(name=f"{prefix}features")(maps(pixels, prefix=prefix))
        for prefix, maps in _MAPS.items()
    ]
    together = layers.Concatenate(name="pooled")(pooled)
    features = layers.Activation(square_root(), name="features")(together)
    return feature_classifier(pixels, features, classes=classes, name="lite-trio")


def backbone_entries(prefix: str, entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return one backbone's weights under the names that they have in the trio.

    Args:
        prefix: key of ``BACKBONES``.
        entries: ``layer/variable`` to array, in the names of the backbone's own network. Its
            classifier has no layer here and is left over: ``lite0_logits/kernel``.

    Raises:
        ConfigError: there is no such backbone.
    """
    if prefix not in BACKBONES:
        raise ConfigError(f"backbone {prefix!r} is not one of {', '.join(BACKBONES)}")
    return {f"{prefix}{key}": array for key, array in entries.items()}


def keras_application_names() -> dict[str, str]:
    """Return the names of Keras Applications' MobileNetV2, each with its layer in the trio."""
    names = mobilenet_v2.keras_application_names()
    return {theirs: f"mobile_{ours}" for theirs, ours in names.items() if ours != HEAD_LAYER}


def from_keras_application(entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of Keras Applications' MobileNetV2 under the names in the trio."""
    return translated(entries, keras_application_names())
