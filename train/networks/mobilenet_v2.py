"""MobileNetV2, as wide or narrow as asked for.

The function is that of Keras Applications' MobileNetV2, with its preprocessing (x / 127.5 - 1)
inside the graph. Only the momentum of the normalizations' moving statistics is another (0.99 for
0.999), which a small dataset needs and inference does not see.
Source: Sandler et al. 2018, arXiv:1801.04381, table 2.
"""

from collections.abc import Mapping
from typing import Any

from train.backend import keras
from train.errors import ConfigError
from train.networks.application_names import Array, translated
from train.networks.blocks import HEAD_LAYER, classifier, conv_norm, plain_input
from train.networks.inverted_residual import (
    NORM_EPSILON,
    BlockGroup,
    inverted_residuals,
    names_of_blocks,
    round_channels,
)

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
GROUPS = (
    BlockGroup(kernel=3, repeats=1, stride=1, expansion=1, channels=16),
    BlockGroup(kernel=3, repeats=2, stride=2, expansion=6, channels=24),
    BlockGroup(kernel=3, repeats=3, stride=2, expansion=6, channels=32),
    BlockGroup(kernel=3, repeats=4, stride=2, expansion=6, channels=64),
    BlockGroup(kernel=3, repeats=3, stride=1, expansion=6, channels=96),
    BlockGroup(kernel=3, repeats=3, stride=2, expansion=6, channels=160),
    BlockGroup(kernel=3, repeats=1, stride=1, expansion=6, channels=320),
)


def build_mobilenet_v2(*, image_size: int, classes: int, width: float = 1.0) -> Any:
    """Return the network with random weights.

    Args:
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes.
        width: factor on the channels of every layer but the last convolution, which only grows
            with a width above 1; greater than 0.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``.

    Raises:
        ConfigError: a size, width or number of classes out of range.
    """
    pixels = plain_input(image_size)
    maps = mobilenet_maps(pixels, width=width)
    name = "mobilenet-v2" if width == 1.0 else f"mobilenet-v2-{width:g}"
    return classifier(pixels, maps, classes=classes, name=name)


def mobilenet_maps(pixels: Any, *, width: float = 1.0, prefix: str = "") -> Any:
    """Return the last maps of the backbone, before they are pooled.

    Args:
        pixels: ``(batch, rows, columns, 3)`` in [0, 255].
        width: factor on the channels.
        prefix: of every layer's name, for a graph with several backbones.

    Raises:
        ConfigError: ``width`` is not greater than 0.
    """
    groups = scaled_groups(width)
    stem = round_channels(STEM_CHANNELS * width)
    head = round_channels(HEAD_CHANNELS * max(width, 1.0))
    layers = keras().layers
    maps = layers.Rescaling(1 / 127.5, offset=-1.0, name=f"{prefix}rescale")(pixels)
    maps = conv_norm(maps, stem, name=f"{prefix}stem", kernel=3, stride=2, epsilon=NORM_EPSILON)
    maps = layers.ReLU(6.0, name=f"{prefix}stem_relu")(maps)
    maps = inverted_residuals(maps, groups, prefix=prefix)
    maps = conv_norm(maps, head, name=f"{prefix}head", epsilon=NORM_EPSILON)
    return layers.ReLU(6.0, name=f"{prefix}head_relu")(maps)


def scaled_groups(width: float) -> tuple[BlockGroup, ...]:
    """Return the block groups with their channels scaled, cut to whole ones before rounding.

    Raises:
        ConfigError: ``width`` is not greater than 0.
    """
    if not width > 0:
        raise ConfigError(f"width of mobilenet-v2 must be greater than 0, got {width}")
    return tuple(
        group._replace(channels=round_channels(int(group.channels * width))) for group in GROUPS
    )


def keras_application_names() -> dict[str, str]:
    """Return Keras Applications' layer names, each with the layer that it is here, at any width."""
    names = {
        "Conv1": "stem_conv",
        "bn_Conv1": "stem_bn",
        "Conv_1": "head_conv",
        "Conv_1_bn": "head_bn",
        "predictions": HEAD_LAYER,
    }
    for index, block in enumerate(names_of_blocks(GROUPS)):
        theirs = f"block_{index}" if index else "expanded_conv"
        if index:
            names[f"{theirs}_expand"] = f"{block}_expand_conv"
            names[f"{theirs}_expand_BN"] = f"{block}_expand_bn"
        names[f"{theirs}_depthwise"] = f"{block}_depthwise"
        names[f"{theirs}_depthwise_BN"] = f"{block}_depthwise_bn"
        names[f"{theirs}_project"] = f"{block}_project_conv"
        names[f"{theirs}_project_BN"] = f"{block}_project_bn"
    return names


def from_keras_application(entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return Keras Applications' weights, ``layer/variable`` to array, under the names here."""
    return translated(entries, keras_application_names())
