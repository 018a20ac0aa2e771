"""The parts that every network shares: its input, its head and the names of its layers.

A layer's name begins with its stage: ``stem_``, ``block1a_`` (block group 1, its first block),
``head_``. The outer layers have the same name in every network: ``pixels``, ``rescale``,
``features``, ``logits``, ``probabilities``. So a stage freezes, and weights load,
by name.
"""

import re
from typing import Any

from train.backend import keras
from train.errors import ConfigError

HEAD_LAYER = "logits"
_STAGE = re.compile(r"(stem|head|block[0-9]+)(?![0-9])")


def stage_of(layer_name: str) -> str:
    """Return the stage that a layer belongs to, read off its name.

    Returns:
        ``stem``, ``block1``, ``block2``, ... or ``head``; an empty string for the layers
        outside every stage (``pixels``, ``rescale``, ``features``, ``logits``, ...).
    """
    found = _STAGE.match(layer_name)
    return found.group(1) if found else ""


def stages_of(model: Any) -> tuple[str, ...]:
    """Return the stages of a network from input to output, each once."""
    names = (stage_of(layer.name) for layer in model.layers)
    return tuple(dict.fromkeys(name for name in names if name))


def pixel_input(*, image_size: int, scale: float, offset: float) -> tuple[Any, Any]:
    """Return the input and the rescaled picture that the stem takes.

    Args:
        image_size: rows and columns of the picture; at least 32, the stride of the networks.
        scale: factor applied to pixels in [0, 255].
        offset: added after that.

    Returns:
        The input ``(batch, image_size, image_size, 3)`` and the same shape rescaled.

    Raises:
        ConfigError: the picture is smaller than 32 pixels.
    """
    if image_size < 32:
        raise ConfigError(f"image_size must be at least 32 pixels, got {image_size}")
    layers = keras().layers
    pixels = layers.Input((image_size, image_size, 3), name="pixels")
    return pixels, layers.Rescaling(scale, offset=offset, name="rescale")(pixels)


def conv_norm(
    maps: Any,
    channels: int,
    *,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> Any:
    """Return ``maps`` after a convolution without bias and a batch normalization.

    Args:
        maps: feature maps ``(batch, rows, columns, channels)``.
        channels: output channels.
        name: the layers are named ``{name}_conv`` and ``{name}_bn``.
        kernel: rows and columns of the kernel.
        stride: in both directions; the padding is TensorFlow's ``SAME``.
        momentum: of the moving statistics.
        epsilon: added to the variance.
    """
    module = keras()
    maps = module.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=he_normal(),
        name=f"{name}_conv",
    )(maps)
    return module.layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_bn")(
        maps
    )


def he_normal() -> Any:
    """Return He's initializer for layers that a ReLU follows, by fan-out as for deep residuals."""
    return keras().initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal"
    )


def classifier(pixels: Any, maps: Any, *, classes: int, name: str) -> Any:
    """Return the model that pools ``maps`` and classifies them.

    It has no dropout: the training loop drops features between ``features`` and ``logits``, with
    a mask that repeats from its seed.

    Args:
        pixels: the input layer's tensor.
        maps: feature maps ``(batch, rows, columns, channels)``.
        classes: width of ``logits`` and ``probabilities``.
        name: the model's name.

    Raises:
        ConfigError: fewer than two classes.
    """
    if classes < 2:
        raise ConfigError(f"classes must be at least 2, got {classes}")
    module = keras()
    layers = module.layers
    features = layers.GlobalAveragePooling2D(name="features")(maps)
    logits = layers.Dense(
        classes,
        kernel_initializer=module.initializers.VarianceScaling(1.0, mode="fan_in"),
        name=HEAD_LAYER,
    )(features)
    probabilities = layers.Activation("softmax", name="probabilities")(logits)
    return module.Model(pixels, probabilities, name=name)
