"""The inverted residual block: widen, filter each channel by itself, narrow again.

EfficientNet-Lite and MobileNetV2 are made of it. Strided convolutions pad as TensorFlow's
``SAME`` does; for 3 x 3 kernels that is what Keras Applications' explicit padding amounts to, at
even and at odd sizes.
Source: Sandler et al. 2018, arXiv:1801.04381, table 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from train.backend import keras
from train.networks.blocks import conv_norm, he_normal

NORM_EPSILON = 1e-3


class BlockGroup(NamedTuple):
    """A run of blocks, the first of which may halve the maps."""

    kernel: int
    repeats: int
    stride: int
    expansion: int
    channels: int


def names_of_blocks(groups: Sequence[BlockGroup]) -> tuple[str, ...]:
    """Return the names of all blocks in order: ``block1a``, ``block2a``, ``block2b``, ..."""
    return tuple(
        f"block{number}{chr(ord('a') + repeat)}"
        for number, group in enumerate(groups, start=1)
        for repeat in range(group.repeats)
    )


def inverted_residuals(maps: Any, groups: Sequence[BlockGroup], *, prefix: str = "") -> Any:
    """Return ``maps`` after all blocks of all groups.

    Args:
        maps: ``(batch, rows, columns, channels)``.
        groups: in order.
        prefix: of the layers' names, before the block's name.
    """
    names = iter(names_of_blocks(groups))
    for group in groups:
        for repeat in range(group.repeats):
            stride = group.stride if repeat == 0 else 1
            maps = _block(maps, group, stride=stride, name=f"{prefix}{next(names)}")
    return maps


def round_channels(channels: float) -> int:
    """Return the nearest multiple of 8 that loses at most a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _block(maps: Any, group: BlockGroup, *, stride: int, name: str) -> Any:
    entry, channels = maps, maps.shape[-1]
    layers = keras().layers
    if group.expansion != 1:
        maps = conv_norm(
            maps, channels * group.expansion, name=f"{name}_expand", epsilon=NORM_EPSILON
        )
        maps = layers.ReLU(6.0, name=f"{name}_expand_relu")(maps)
    maps = layers.DepthwiseConv2D(
        group.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=he_normal(),
        name=f"{name}_depthwise",
    )(maps)
    maps = layers.BatchNormalization(epsilon=NORM_EPSILON, name=f"{name}_depthwise_bn")(maps)
    maps = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(maps)
    maps = conv_norm(maps, group.channels, name=f"{name}_project", epsilon=NORM_EPSILON)
    if stride == 1 and channels == group.channels:
        maps = layers.Add(name=f"{name}_add")([maps, entry])
    return maps
