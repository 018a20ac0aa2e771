"""One file a network: plain functional graphs that convert well, and the table of them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from train.networks.custom_cnn import build_custom_cnn
from train.networks.efficientnet_lite import build_efficientnet_lite

NETWORKS: dict[str, Callable[..., Any]] = {
    "custom-cnn": build_custom_cnn,
    "efficientnet-lite0": partial(build_efficientnet_lite, "lite0"),
    "efficientnet-lite2": partial(build_efficientnet_lite, "lite2"),
}
"""Name to builder ``(*, image_size, classes) -> keras.Model``."""
