"""The parts that every network shares: its input, its head and the names of its layers.

A layer's name begins with its stage: ``stem_``, ``block1a_`` (block group 1, its first block),
``head_``. The outer layers have the same name in every network: ``pixels``, ``rescale``,
``features``, ``logits``, ``probabilities``. So a stage freezes, and weights load,
by name. Where one graph holds several backbones, each has a prefix of its own before all that:
``lite0_stem_conv``, ``lite0_rescale``, ``lite0_features``.
"""

import re
from collections.abc import Sequence
from typing import Any

from train.backend import keras
from train.errors import ConfigError

HEAD_LAYER = "logits"
BACKBONE_PREFIXES = ("lite0_", "lite2_", "mobile_")
_STAGE = re.compile(rf"({'|'.join(BACKBONE_PREFIXES)})?(stem|head|block[0-9]+)(?![0-9])")


def stage_of(layer_name: str) -> str:
    """Return the stage that a layer belongs to, read off its name.

    Returns:
        ``stem``, ``block1``, ``block2``, ... or ``head``, behind the prefix of its backbone
        where there are several; an empty string for the layers outside every stage
        (``pixels``, ``rescale``, ``features``, ``logits``, ...).
    """
    found = _STAGE.match(layer_name)
    return found.group(0) if found else ""


def stages_of(model: Any) -> tuple[str, ...]:
    """Return the stages of a network from input to output, each once."""
    names = (stage_of(layer.name) for layer in model.layers)
    return tuple(dict.fromkeys(name for name in names if name))


def pixel_input(
    *, image_size: int, scale: float | Sequence[float], offset: float | Sequence[float]
) -> tuple[Any, Any]:
    """Return the input and the rescaled picture that the stem takes.

    Args:
        image_size: rows and columns of the picture; at least 32, the stride of the networks.
        scale: factor applied to pixels in [0, 255]; one figure, or one for each of R, G and B.
        offset: added after that; likewise.

    Returns:
        The input ``(batch, image_size, image_size, 3)`` and the same shape rescaled.

    Raises:
        ConfigError: the picture is smaller than 32 pixels.
    """
    pixels = plain_input(image_size)
    return pixels, keras().layers.Rescaling(scale, offset=offset, name="rescale")(pixels)


def plain_input(image_size: int) -> Any:
    """Return the input ``(batch, image_size, image_size, 3)`` of pixels in [0, 255].

    Raises:
        ConfigError: the picture is smaller than 32 pixels.
    """
    if image_size < 32:
        raise ConfigError(f"image_size must be at least 32 pixels, got {image_size}")
    return keras().layers.Input((image_size, image_size, 3), name="pixels")


def conv_norm(
    maps: Any,
    channels: int,
    *,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    bias: bool = False,
) -> Any:
    """Return ``maps`` after a convolution and a batch normalization.

    Args:
        maps: feature maps ``(batch, rows, columns, channels)``.
        channels: output channels.
        name: the layers are named ``{name}_conv`` and ``{name}_bn``.
        kernel: rows and columns of the kernel.
        stride: in both directions; the padding is TensorFlow's ``SAME``.
        momentum: of the moving statistics.
        epsilon: added to the variance.
        bias: whether the convolution has one. The normalization makes it idle; some published
            weights have it all the same.
    """
    layers = keras().layers
    maps = convolution(maps, channels, name=name, kernel=kernel, stride=stride, bias=bias)
    return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_bn")(maps)


def convolution(
    maps: Any,
    channels: int,
    *,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    pad: int | None = None,
    bias: bool = False,
) -> Any:
    """Return ``maps`` after a convolution alone.

    Args:
        maps: feature maps ``(batch, rows, columns, channels)``.
        channels: output channels.
        name: the layers are named ``{name}_conv`` and, with ``pad``, ``{name}_pad``.
        kernel: rows and columns of the kernel.
        stride: in both directions.
        pad: zeros put on each of the four sides; ``None`` for TensorFlow's ``SAME``, which
            under a stride puts the odd one last.
        bias: whether it has one.
    """
    layers = keras().layers
    if pad is not None:
        maps = layers.ZeroPadding2D(pad, name=f"{name}_pad")(maps)
    return layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same" if pad is None else "valid",
        use_bias=bias,
        kernel_initializer=he_normal(),
        name=f"{name}_conv",
    )(maps)


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
    features = keras().layers.GlobalAveragePooling2D(name="features")(maps)
    return feature_classifier(pixels, features, classes=classes, name=name)


def feature_classifier(pixels: Any, features: Any, *, classes: int, name: str) -> Any:
    """Return the model that classifies the output of a layer named ``features``.

    Args:
        pixels: the input layer's tensor.
        features: ``(batch, features)``.
        classes: width of ``logits`` and ``probabilities``.
        name: the model's name.

    Raises:
        ConfigError: fewer than two classes.
    """
    if classes < 2:
        raise ConfigError(f"classes must be at least 2, got {classes}")
    module = keras()
    logits = module.layers.Dense(
        classes,
        kernel_initializer=module.initializers.VarianceScaling(1.0, mode="fan_in"),
        name=HEAD_LAYER,
    )(features)
    probabilities = module.layers.Activation("softmax", name="probabilities")(logits)
    return module.Model(pixels, probabilities, name=name)
