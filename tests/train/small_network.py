"""A network of three small stages, and a training that is cut off or heard, for tests."""

from typing import Any

from train.backend import keras
from train.networks.blocks import classifier, conv_norm, pixel_input
from train.progress import Silent


def build_small(*, image_size: int, classes: int) -> Any:
    """Return an untrained network: a stem, a residual block and a block that halves."""
    layers = keras().layers
    pixels, maps = pixel_input(image_size=image_size, scale=1 / 127.5, offset=-1.0)
    maps = conv_norm(maps, 8, name="stem", kernel=5, stride=2, momentum=0.9)
    entry = layers.ReLU(name="stem_relu")(maps)
    maps = conv_norm(entry, 8, name="block1a", kernel=3, momentum=0.9)
    maps = layers.Add(name="block1a_add")([maps, entry])
    maps = layers.ReLU(name="block1a_relu")(maps)
    maps = conv_norm(maps, 16, name="block2a", kernel=3, stride=2, momentum=0.9)
    maps = layers.ReLU(name="block2a_relu")(maps)
    return classifier(pixels, maps, classes=classes, name="small")


class Heard(Silent):
    """Keeps what is begun and what is said."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.lines: list[str] = []

    def begin(self, what: str, total: int) -> None:
        self.begun.append(what)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Cut(Exception):
    """Stands for the power going off."""


class CutAfter(Silent):
    """Ends the training right after it has said so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def say(self, line: str) -> None:
        if line.startswith("epoch"):
            self.left -= 1
            if self.left == 0:
                raise Cut
