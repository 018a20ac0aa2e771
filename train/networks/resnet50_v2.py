"""ResNet-50, version 2: normalization and ReLU stand before each convolution.

The function is that of Keras Applications' ResNet50V2, with its preprocessing (x / 127.5 - 1)
inside the graph. The stages are named as in the paper: conv1 is ``stem``, conv2 to conv5 are
``block2`` to ``block5``, and the last normalization is ``head``. A stage halves its maps in its
last block, as in Keras.
Source: He et al. 2016, arXiv:1603.05027, figure 1b.
"""

from collections.abc import Mapping
from typing import Any

from train.backend import keras
from train.networks.application_names import Array, translated
from train.networks.blocks import HEAD_LAYER, classifier, conv_norm, convolution, pixel_input
from train.networks.resnet50 import (
    NORM_EPSILON,
    STAGES,
    STEM_CHANNELS,
    WIDENING,
    Stage,
    block_name,
    stem_pool,
)


def build_resnet50_v2(*, image_size: int, classes: int) -> Any:
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
    pixels, maps = pixel_input(image_size=image_size, scale=1 / 127.5, offset=-1.0)
    maps = convolution(maps, STEM_CHANNELS, name="stem", kernel=7, stride=2, pad=3, bias=True)
    maps = stem_pool(maps)
    for stage in STAGES:
        for block in range(stage.blocks):
            maps = _residual(maps, stage, block)
    maps = _norm_relu(maps, name="head")
    return classifier(pixels, maps, classes=classes, name="resnet50-v2")


def _residual(maps: Any, stage: Stage, block: int) -> Any:
    name, channels = block_name(stage, block), stage.channels
    last = block == stage.blocks - 1
    stride = 2 if last and stage.number < 5 else 1
    entry, layers = maps, keras().layers
    maps = _norm_relu(maps, name=f"{name}_entry")
    if block == 0:
        entry = convolution(maps, WIDENING * channels, name=f"{name}_shortcut", bias=True)
    elif stride > 1:
        entry = layers.MaxPooling2D(1, strides=stride, name=f"{name}_shortcut_pool")(entry)
    maps = _conv_norm_relu(maps, channels, name=f"{name}_first")
    maps = _conv_norm_relu(maps, channels, name=f"{name}_second", kernel=3, stride=stride)
    maps = convolution(maps, WIDENING * channels, name=f"{name}_third", bias=True)
    return layers.Add(name=f"{name}_add")([entry, maps])


def _norm_relu(maps: Any, *, name: str) -> Any:
    layers = keras().layers
    maps = layers.BatchNormalization(epsilon=NORM_EPSILON, name=f"{name}_bn")(maps)
    return layers.ReLU(name=f"{name}_relu")(maps)


def _conv_norm_relu(
    maps: Any, channels: int, *, name: str, kernel: int = 1, stride: int = 1
) -> Any:
    if stride == 1:  # SAME pads as Keras does, without an operator of its own
        maps = conv_norm(maps, channels, name=name, kernel=kernel, epsilon=NORM_EPSILON)
        return keras().layers.ReLU(name=f"{name}_relu")(maps)
    maps = convolution(maps, channels, name=name, kernel=kernel, stride=stride, pad=1)
    return _norm_relu(maps, name=name)


def keras_application_names() -> dict[str, str]:
    """Return Keras Applications' layer names, each with the layer that it is here."""
    names = {"conv1_conv": "stem_conv", "post_bn": "head_bn", "predictions": HEAD_LAYER}
    for stage in STAGES:
        for block in range(stage.blocks):
            theirs, ours = f"conv{stage.number}_block{block + 1}", block_name(stage, block)
            if block == 0:
                names[f"{theirs}_0_conv"] = f"{ours}_shortcut_conv"
            names |= {
                f"{theirs}_preact_bn": f"{ours}_entry_bn",
                f"{theirs}_1_conv": f"{ours}_first_conv",
                f"{theirs}_1_bn": f"{ours}_first_bn",
                f"{theirs}_2_conv": f"{ours}_second_conv",
                f"{theirs}_2_bn": f"{ours}_second_bn",
                f"{theirs}_3_conv": f"{ours}_third_conv",
            }
    return names


def from_keras_application(entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return Keras Applications' weights, ``layer/variable`` to array, under the names here."""
    return translated(entries, keras_application_names())
