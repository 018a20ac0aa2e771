"""EfficientNet-Lite0 and Lite2: inverted residual blocks made for int8.

EfficientNet without squeeze-excite and with ReLU6, whose fixed range quantizes well; in the
scaled variants the stem, the head and the first and last block groups' depth stay as in Lite0.
The packaged weights were converted from TensorFlow checkpoints, so strided convolutions pad as
TensorFlow's ``SAME`` does, and no explicit padding stands in the graph.
Sources: Tan & Le 2019, arXiv:1905.11946, table 1; the Lite variants' scaling and input constants
(mean 127, deviation 128): tensorflow/tpu, models/official/efficientnet/lite.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from train.backend import keras
from train.errors import ConfigError
from train.networks.blocks import HEAD_LAYER, classifier, conv_norm, plain_input
from train.networks.inverted_residual import (
    NORM_EPSILON,
    BlockGroup,
    inverted_residuals,
    names_of_blocks,
    round_channels,
)

Kind = Literal["lite0", "lite2"]
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How a variant differs from Lite0.

    Attributes:
        width: factor on the channels of every block group.
        depth: factor on the repeats of all but the first and the last block group.
        image_size: rows and columns that its weights were trained at.
    """

    width: float
    depth: float
    image_size: int


GROUPS = (
    BlockGroup(kernel=3, repeats=1, stride=1, expansion=1, channels=16),
    BlockGroup(kernel=3, repeats=2, stride=2, expansion=6, channels=24),
    BlockGroup(kernel=5, repeats=2, stride=2, expansion=6, channels=40),
    BlockGroup(kernel=3, repeats=3, stride=2, expansion=6, channels=80),
    BlockGroup(kernel=5, repeats=3, stride=1, expansion=6, channels=112),
    BlockGroup(kernel=5, repeats=4, stride=2, expansion=6, channels=192),
    BlockGroup(kernel=3, repeats=1, stride=1, expansion=6, channels=320),
)
SCALINGS: dict[Kind, Scaling] = {
    "lite0": Scaling(width=1.0, depth=1.0, image_size=224),
    "lite2": Scaling(width=1.1, depth=1.2, image_size=260),
}


def scaled_groups(kind: Kind) -> tuple[BlockGroup, ...]:
    """Return the block groups of a variant, channels and repeats scaled.

    Raises:
        ConfigError: ``kind`` is not a known variant.
    """
    if kind not in SCALINGS:
        raise ConfigError(f"efficientnet-{kind} is not one of {', '.join(SCALINGS)}")
    scaling = SCALINGS[kind]
    last = len(GROUPS) - 1
    return tuple(
        group._replace(
            channels=round_channels(group.channels * scaling.width),
            repeats=group.repeats
            if index in (0, last)
            else math.ceil(group.repeats * scaling.depth),
        )
        for index, group in enumerate(GROUPS)
    )


def block_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all blocks in order: ``block1a``, ``block2a``, ``block2b``, ..."""
    return names_of_blocks(scaled_groups(kind))


def torch_names(kind: Kind) -> dict[str, str]:
    """Return PyTorch's module names in the weights' file, each with the layer that it is here.

    Blocks are counted through there (``_blocks.5``), and normalizations count from 0 or, in the
    one block without expansion, from 1.
    """
    names = {
        "_conv_stem": "stem_conv",
        "_bn0": "stem_bn",
        "_conv_head": "head_conv",
        "_bn1": "head_bn",
        "_fc": HEAD_LAYER,
    }
    for index, block in enumerate(block_names(kind)):
        prefix = f"_blocks.{index}."
        names |= {
            f"{prefix}_expand_conv": f"{block}_expand_conv",
            f"{prefix}_bn0": f"{block}_expand_bn",
            f"{prefix}_depthwise_conv": f"{block}_depthwise",
            f"{prefix}_bn1": f"{block}_depthwise_bn",
            f"{prefix}_project_conv": f"{block}_project_conv",
            f"{prefix}_bn2": f"{block}_project_bn",
        }
    return names


def build_efficientnet_lite(kind: Kind, *, image_size: int, classes: int) -> Any:
    """Return the network with random weights.

    Args:
        kind: ``lite0`` or ``lite2``.
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes; 1000 for the ImageNet classifier itself.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``.

    Raises:
        ConfigError: an unknown variant, or a size or number of classes out of range.
    """
    pixels = plain_input(image_size)
    maps = lite_maps(kind, pixels)
    return classifier(pixels, maps, classes=classes, name=f"efficientnet-{kind}")


def lite_maps(kind: Kind, pixels: Any, *, prefix: str = "") -> Any:
    """Return the last maps of the backbone, before they are pooled.

    Args:
        kind: ``lite0`` or ``lite2``.
        pixels: ``(batch, rows, columns, 3)`` in [0, 255].
        prefix: of every layer's name, for a graph with several backbones.

    Raises:
        ConfigError: an unknown variant.
    """
    groups = scaled_groups(kind)
    layers = keras().layers
    maps = layers.Rescaling(1 / 128, offset=-127 / 128, name=f"{prefix}rescale")(pixels)
    maps = conv_norm(
        maps, STEM_CHANNELS, name=f"{prefix}stem", kernel=3, stride=2, epsilon=NORM_EPSILON
    )
    maps = layers.ReLU(6.0, name=f"{prefix}stem_relu")(maps)
    maps = inverted_residuals(maps, groups, prefix=prefix)
    maps = conv_norm(maps, HEAD_CHANNELS, name=f"{prefix}head", epsilon=NORM_EPSILON)
    return layers.ReLU(6.0, name=f"{prefix}head_relu")(maps)
