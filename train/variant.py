"""Variant names: one grammar, written and read here alone.

``network[.technique]*.precision.format``: the network, what was done to it in order, the
precision of its numbers and the format of its file. ``convnext-tiny.rewritten.int8.tflite``
is ConvNeXt-Tiny, rewritten, in full-integer int8, for LiteRT.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from train.errors import UsageError

Format = Literal["keras", "tflite", "onnx"]
PRECISIONS = ("float", "float16", "int8", "int8-dynamic", "int16x8")
_WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A decoded variant name.

    Attributes:
        network: the approach that made it, such as ``custom-cnn``.
        techniques: what was done to it, in order; empty for a network as trained.
        precision: one of ``PRECISIONS``.
        format: the file's format.
    """

    network: str
    techniques: tuple[str, ...] = ()
    precision: str = "float"
    format: Format = "keras"

    def __post_init__(self) -> None:
        for word in (self.network, *self.techniques):
            if not _WORD.fullmatch(word):
                raise UsageError(
                    f"variant part {word!r} must be lower-case letters, digits and single hyphens"
                )
            if word in PRECISIONS:
                raise UsageError(
                    f"variant part {word!r} is a precision, not a network or technique"
                )
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r} is not one of {', '.join(PRECISIONS)}")
        if self.format not in get_args(Format):
            raise UsageError(f"format {self.format!r} is not one of {', '.join(get_args(Format))}")

    def __str__(self) -> str:
        return ".".join((self.network, *self.techniques, self.precision, self.format))

    def as_format(self, target: Format, *, precision: str | None = None) -> "Variant":
        """Return the same network and techniques in another format and perhaps precision."""
        return replace(self, format=target, precision=precision or self.precision)


def parse_variant(name: str) -> Variant:
    """Decode ``name``.

    Raises:
        UsageError: the name does not follow the grammar.
    """
    parts = name.split(".")
    if len(parts) < 3:
        raise UsageError(
            f"variant name {name!r} must read network[.technique]*.precision.format,"
            " such as custom-cnn.int8.tflite"
        )
    network, *techniques, precision, target = parts
    return Variant(
        network=network,
        techniques=tuple(techniques),
        precision=precision,
        format=cast(Format, target),
    )
