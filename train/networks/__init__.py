"""One file a network: plain functional graphs that convert well, and the table of them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from train.networks import convnext, lite_trio, mobilenet_v2, resnet50, resnet50_v2
from train.networks.convnext import build_convnext_tiny
from train.networks.custom_cnn import build_custom_cnn
from train.networks.efficientnet_lite import build_efficientnet_lite
from train.networks.lite_trio import build_lite_trio
from train.networks.mobilenet_v2 import build_mobilenet_v2
from train.networks.resnet50 import build_resnet50
from train.networks.resnet50_v2 import build_resnet50_v2

NETWORKS: dict[str, Callable[..., Any]] = {
    "custom-cnn": build_custom_cnn,
    "efficientnet-lite0": partial(build_efficientnet_lite, "lite0"),
    "efficientnet-lite2": partial(build_efficientnet_lite, "lite2"),
    "mobilenet-v2": build_mobilenet_v2,
    "mobilenet-v2-0.5": partial(build_mobilenet_v2, width=0.5),
    "resnet50": build_resnet50,
    "resnet50-v2": build_resnet50_v2,
    "convnext-tiny": build_convnext_tiny,
    "lite-trio": build_lite_trio,
}
"""Name to builder ``(*, image_size, classes) -> keras.Model``."""

FROM_KERAS_APPLICATION: dict[str, Callable[..., dict[str, Any]]] = {
    "mobilenet-v2": mobilenet_v2.from_keras_application,
    "mobilenet-v2-0.5": mobilenet_v2.from_keras_application,
    "resnet50": resnet50.from_keras_application,
    "resnet50-v2": resnet50_v2.from_keras_application,
    "convnext-tiny": convnext.from_keras_application,
    "lite-trio": lite_trio.from_keras_application,
}
"""Name to what puts Keras Applications' weights, ``layer/variable`` to array, under our names."""
