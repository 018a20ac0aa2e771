"""custom-cnn: a small residual network of our own, made to be trained from scratch on a CPU.

Plain 3 x 3 convolutions, because depthwise ones use a CPU badly in training and pay little for
each MACC there; halved to a quarter of the picture before the first residual block, because
wide maps cost the most time; narrow early and wide late. Every operator has an int8 kernel on
both runtimes: convolution, addition, ReLU, average pool.
Sources: residual blocks, He et al. 2016, arXiv:1512.03385; pooled shortcut, He et al. 2019,
arXiv:1812.01187, figure 2c.
"""

from dataclasses import dataclass
from typing import Any

from train.backend import keras
from train.networks.blocks import classifier, conv_norm, pixel_input

DEFAULT_IMAGE_SIZE = 160
# A moving average over about 10 steps: a training of 30 epochs on 3,000 photos has only some
# 50 to 100 steps an epoch, and Keras' 0.99 would lag behind the weights by more than one.
NORM_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One block group.

    Attributes:
        channels: outputs of every block.
        blocks: residual blocks of two convolutions each.
        halves: whether the first block halves rows and columns.
    """

    channels: int
    blocks: int
    halves: bool


STEM_CHANNELS = (24, 32)
STAGES = (
    Stage(channels=32, blocks=1, halves=False),
    Stage(channels=64, blocks=1, halves=True),
    Stage(channels=128, blocks=2, halves=True),
    Stage(channels=256, blocks=1, halves=True),
)


def build_custom_cnn(*, image_size: int = DEFAULT_IMAGE_SIZE, classes: int) -> Any:
    """Return the untrained network.

    Args:
        image_size: rows and columns of the picture, at least 32.
        classes: number of classes.

    Returns:
        A functional model from pixels ``(batch, image_size, image_size, 3)`` in [0, 255] to
        probabilities ``(batch, classes)``.

    Raises:
        ConfigError: a size or a number of classes that no network can have.
    """
    pixels, maps = pixel_input(image_size=image_size, scale=1 / 127.5, offset=-1.0)
    for channels, name in zip(STEM_CHANNELS, ("stem_first", "stem_second"), strict=True):
        maps = _relu(_conv_norm(maps, channels, name=name, stride=2), name=name)
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.blocks):
            name = f"block{number}{chr(ord('a') + repeat)}"
            halves = stage.halves and repeat == 0
            maps = _residual(maps, stage.channels, stride=2 if halves else 1, name=name)
    return classifier(pixels, maps, classes=classes, name="custom-cnn")


def _residual(maps: Any, channels: int, *, stride: int, name: str) -> Any:
    entry = maps
    maps = _relu(
        _conv_norm(maps, channels, name=f"{name}_first", stride=stride), name=f"{name}_first"
    )
    maps = _conv_norm(maps, channels, name=f"{name}_second")
    layers = keras().layers
    if stride != 1:
        entry = layers.AveragePooling2D(2, padding="same", name=f"{name}_shortcut_pool")(entry)
    if entry.shape[-1] != channels:
        entry = _conv_norm(entry, channels, name=f"{name}_shortcut", kernel=1)
    return _relu(layers.Add(name=f"{name}_add")([maps, entry]), name=name)


def _conv_norm(maps: Any, channels: int, *, name: str, kernel: int = 3, stride: int = 1) -> Any:
    return conv_norm(
        maps, channels, name=name, kernel=kernel, stride=stride, momentum=NORM_MOMENTUM
    )


def _relu(maps: Any, *, name: str) -> Any:
    return keras().layers.ReLU(name=f"{name}_relu")(maps)
