"""ResNet-50, version 1, as in Keras Applications: the same function, idle biases included.

Keras' preprocessing swaps red and blue and takes the mean colour away. Here the mean is taken
away in the graph, and the swap is in the first kernel: its input channels are turned round when
weights are laid in, so no operator moves channels on a phone.
The stages are named as in the paper: conv1 is ``stem``, conv2 to conv5 are ``block2`` to
``block5``. Strided convolutions stand at the entry of a block, as in Keras, not at its 3 x 3.
Source: He et al. 2016, arXiv:1512.03385, table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.backend import keras
from train.networks.application_names import Array, translated
from train.networks.blocks import HEAD_LAYER, classifier, conv_norm, convolution, pixel_input

NORM_EPSILON = 1.001e-5
STEM_CHANNELS = 64
WIDENING = 4  # of a block's last convolution over its first
MEAN_COLOUR = (123.68, 116.779, 103.939)  # R, G, B of ImageNet
# A block's convolutions in Keras' numbering.
PARTS = {"0": "shortcut", "1": "first", "2": "second", "3": "third"}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A run of residual blocks.

    Attributes:
        number: as in the paper: 2 for conv2.
        channels: of the first two convolutions of every block.
        blocks: how many.
    """

    number: int
    channels: int
    blocks: int


STAGES = (
    Stage(number=2, channels=64, blocks=3),
    Stage(number=3, channels=128, blocks=4),
    Stage(number=4, channels=256, blocks=6),
    Stage(number=5, channels=512, blocks=3),
)


def build_resnet50(*, image_size: int, classes: int) -> Any:
    """Return the network with random weights.

    Args:
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``.

    Raises:
        ConfigError: a size or a number of classes out of range.
    """
    offset = [-mean for mean in MEAN_COLOUR]
    pixels, maps = pixel_input(image_size=image_size, scale=1.0, offset=offset)
    layers = keras().layers
    maps = convolution(maps, STEM_CHANNELS, name="stem", kernel=7, stride=2, pad=3, bias=True)
    maps = layers.BatchNormalization(epsilon=NORM_EPSILON, name="stem_bn")(maps)
    maps = stem_pool(_relu(maps, name="stem"))
    for stage in STAGES:
        for block in range(stage.blocks):
            maps = _residual(maps, stage, block)
    return classifier(pixels, maps, classes=classes, name="resnet50")


def stem_pool(maps: Any) -> Any:
    """Return the stem's ``maps`` at half the size; the border is zeros, as in Keras."""
    layers = keras().layers
    maps = layers.ZeroPadding2D(1, name="stem_pool_pad")(maps)
    return layers.MaxPooling2D(3, strides=2, name="stem_pool")(maps)


def block_name(stage: Stage, block: int) -> str:
    """Return a block's name: ``block2a`` for the first of conv2."""
    return f"block{stage.number}{chr(ord('a') + block)}"


def _residual(maps: Any, stage: Stage, block: int) -> Any:
    name, channels = block_name(stage, block), stage.channels
    stride = 2 if block == 0 and stage.number > 2 else 1
    entry = maps
    if block == 0:
        entry = _conv_norm(entry, WIDENING * channels, name=f"{name}_shortcut", stride=stride)
    maps = _conv_norm(maps, channels, name=f"{name}_first", stride=stride)
    maps = _relu(maps, name=f"{name}_first")
    maps = _conv_norm(maps, channels, name=f"{name}_second", kernel=3)
    maps = _relu(maps, name=f"{name}_second")
    maps = _conv_norm(maps, WIDENING * channels, name=f"{name}_third")
    return _relu(keras().layers.Add(name=f"{name}_add")([entry, maps]), name=name)


def _conv_norm(maps: Any, channels: int, *, name: str, kernel: int = 1, stride: int = 1) -> Any:
    # SAME pads a 3 x 3 of stride 1 by one on each side and a 1 x 1 not at all: as Keras does.
    return conv_norm(
        maps, channels, name=name, kernel=kernel, stride=stride, epsilon=NORM_EPSILON, bias=True
    )


def _relu(maps: Any, *, name: str) -> Any:
    return keras().layers.ReLU(name=f"{name}_relu")(maps)


def keras_application_names() -> dict[str, str]:
    """Return Keras Applications' layer names, each with the layer that it is here."""
    names = {"conv1_conv": "stem_conv", "conv1_bn": "stem_bn", "predictions": HEAD_LAYER}
    for stage in STAGES:
        for block in range(stage.blocks):
            theirs, ours = f"conv{stage.number}_block{block + 1}", block_name(stage, block)
            for number, part in PARTS.items():
                if number != "0" or block == 0:
                    names[f"{theirs}_{number}_conv"] = f"{ours}_{part}_conv"
                    names[f"{theirs}_{number}_bn"] = f"{ours}_{part}_bn"
    return names


def from_keras_application(entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return Keras Applications' weights, ``layer/variable`` to array, under the names here.

    The first kernel's input channels are turned from blue, green, red to red, green, blue.
    """
    return translated(entries, keras_application_names(), _turn_channels)


def _turn_channels(layer: str, variable: str, array: Array) -> tuple[str, Array]:
    if (layer, variable) == ("stem_conv", "kernel") and array.ndim == 4:
        array = array[:, :, ::-1, :]
    return variable, array
