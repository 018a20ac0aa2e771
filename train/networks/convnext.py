"""ConvNeXt-Tiny in operators that phones have.

The function is that of Keras Applications' ConvNeXtTiny, its normalization of pixels included.
Three of its layers are built otherwise, with the same weights: the grouped 7 x 7 convolution is a
depthwise one, the dense layers over channels are 1 x 1 convolutions, and the layer scale is a
1 x 1 depthwise convolution, so that no layer of our own is needed to open the file.
GELU is the exact one, by the error function. Stages 0 to 3 there are ``block1`` to ``block4``
here; what halves the maps before a stage belongs to it (``block2_down_conv``).
Source: Liu et al. 2022, arXiv:2201.03545, figure 4 and table 9.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.backend import keras
from train.networks.application_names import Array, translated
from train.networks.blocks import HEAD_LAYER, feature_classifier, pixel_input

NORM_EPSILON = 1e-6
WIDENING = 4  # of a block's middle over its ends
FIRST_LAYER_SCALE = 1e-6
MEAN_COLOUR = (0.485 * 255, 0.456 * 255, 0.406 * 255)  # R, G, B of ImageNet, in [0, 255]
COLOUR_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
PARTS = {
    "depthwise_conv": "depthwise",
    "layernorm": "norm",
    "pointwise_conv_1": "expand_conv",
    "pointwise_conv_2": "project_conv",
    "layer_scale": "scale",
}
# The last normalization has no name of its own there without the classifier: Keras counts it up.
_COUNTED_NORM = re.compile(r"^layer_normalization(_\d+)?(?=/)")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A run of blocks at one size of the maps."""

    channels: int
    blocks: int


STAGES = (
    Stage(channels=96, blocks=3),
    Stage(channels=192, blocks=3),
    Stage(channels=384, blocks=9),
    Stage(channels=768, blocks=3),
)


def build_convnext_tiny(*, image_size: int, classes: int) -> Any:
    """Return the network with random weights.

    Args:
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``. ``features`` are pooled and normalized, which is what
        the published feature extractors give.

    Raises:
        ConfigError: a size or a number of classes out of range.
    """
    pixels, maps = pixel_input(
        image_size=image_size,
        scale=[1 / deviation for deviation in COLOUR_DEVIATION],
        offset=[
            -mean / deviation for mean, deviation in zip(MEAN_COLOUR, COLOUR_DEVIATION, strict=True)
        ],
    )
    maps = _convolution(maps, STAGES[0].channels, name="stem", kernel=4)
    maps = _norm(maps, name="stem")
    for number, stage in enumerate(STAGES, start=1):
        if number > 1:
            maps = _norm(maps, name=f"block{number}_down")
            maps = _convolution(maps, stage.channels, name=f"block{number}_down", kernel=2)
        for block in range(stage.blocks):
            maps = _block(maps, name=_block_name(number, block))
    layers = keras().layers
    pooled = _norm(layers.GlobalAveragePooling2D(name="head_pool")(maps), name="head")
    features = layers.Activation("linear", name="features")(pooled)
    return feature_classifier(pixels, features, classes=classes, name="convnext-tiny")


def _block_name(stage: int, block: int) -> str:
    return f"block{stage}{chr(ord('a') + block)}"


def _block(maps: Any, *, name: str) -> Any:
    entry, channels = maps, maps.shape[-1]
    layers, initializers = keras().layers, keras().initializers
    maps = layers.DepthwiseConv2D(
        7, padding="same", depthwise_initializer=_narrow_normal(), name=f"{name}_depthwise"
    )(maps)
    maps = _norm(maps, name=name)
    maps = _convolution(maps, WIDENING * channels, name=f"{name}_expand")
    maps = layers.Activation("gelu", name=f"{name}_gelu")(maps)
    maps = _convolution(maps, channels, name=f"{name}_project")
    maps = layers.DepthwiseConv2D(
        1,
        use_bias=False,
        depthwise_initializer=initializers.Constant(FIRST_LAYER_SCALE),
        name=f"{name}_scale",
    )(maps)
    return layers.Add(name=f"{name}_add")([entry, maps])


def _convolution(maps: Any, channels: int, *, name: str, kernel: int = 1) -> Any:
    """Return ``maps`` cut into squares of ``kernel`` positions, each turned into one."""
    return keras().layers.Conv2D(
        channels,
        kernel,
        strides=kernel,
        kernel_initializer=_narrow_normal(),
        name=f"{name}_conv",
    )(maps)


def _norm(maps: Any, *, name: str) -> Any:
    return keras().layers.LayerNormalization(epsilon=NORM_EPSILON, name=f"{name}_norm")(maps)


def _narrow_normal() -> Any:
    return keras().initializers.TruncatedNormal(stddev=0.02)


def keras_application_names() -> dict[str, str]:
    """Return Keras Applications' layer names, each with the layer that it is here.

    Layers inside Keras' small sequential models go by their own names, not by the model's.
    """
    names = {
        "convnext_tiny_stem_conv": "stem_conv",
        "convnext_tiny_stem_layernorm": "stem_norm",
        "convnext_tiny_head_layernorm": "head_norm",
        "layer_normalization": "head_norm",
        "convnext_tiny_head_dense": HEAD_LAYER,
    }
    for index in range(len(STAGES) - 1):
        names[f"convnext_tiny_downsampling_layernorm_{index}"] = f"block{index + 2}_down_norm"
        names[f"convnext_tiny_downsampling_conv_{index}"] = f"block{index + 2}_down_conv"
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            theirs = f"convnext_tiny_stage_{number}_block_{block}"
            for part, ours in PARTS.items():
                names[f"{theirs}_{part}"] = f"{_block_name(number + 1, block)}_{ours}"
    return names


def from_keras_application(entries: Mapping[str, Array]) -> dict[str, Array]:
    """Return Keras Applications' weights, ``layer/variable`` to array, under the names here.

    Dense kernels ``(in, out)`` become ``(1, 1, in, out)``, grouped kernels ``(7, 7, 1, channels)``
    become depthwise ones ``(7, 7, channels, 1)``, and a layer scale ``(channels,)``, whatever its
    variable is called, becomes ``(1, 1, channels, 1)``.
    """
    named = {_COUNTED_NORM.sub("layer_normalization", key): a for key, a in entries.items()}
    return translated(named, keras_application_names(), _reshape)


def _reshape(layer: str, variable: str, array: Array) -> tuple[str, Array]:
    if layer.endswith("_scale"):
        return "depthwise_kernel", array.reshape(1, 1, -1, 1)
    if layer.endswith("_depthwise") and array.ndim == 4:
        return "depthwise_kernel", array.transpose(0, 1, 3, 2)
    if layer.endswith("_conv") and variable == "kernel" and array.ndim == 2:
        return variable, array[None, None]
    return variable, array
