"""TFLite's ModelMetadata as a flatbuffer: what an image classifier says of itself, both ways.

Only the tables that an image classifier needs are written; a reader of the whole schema reads
them. The numbers below are the schema's: the place of a field in its table.
Source: https://ai.google.dev/edge/litert/models/metadata and metadata_schema.fbs, version 1.2.1.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.errors import ArtifactError

IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"  # every field written here has been in the schema since then
_IMAGE_PROPERTIES, _NORMALIZATION_OPTIONS = 2, 1  # members of the schema's two unions
_RGB, _AXIS_LABELS = 1, 2  # ColorSpaceType.RGB, AssociatedFileType.TENSOR_AXIS_LABELS


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the metadata says.

    Attributes:
        name: of the model.
        description: what it does, what it is fed and what it gives.
        version: of the model, not of the format.
        author: who made it.
        licence: under what terms it, and what it was made of, may be used.
        height: rows of the input.
        width: columns of the input.
        input_range: least and greatest value of a pixel.
        labels_file: name of the attached file with a label a line.
    """

    name: str
    description: str
    version: str
    author: str
    licence: str
    height: int
    width: int
    input_range: tuple[float, float] = (0.0, 255.0)
    labels_file: str = "labels.txt"


def encode_card(card: ModelCard) -> bytes:
    """Return ``card`` as a flatbuffer of the schema's root table."""
    import flatbuffers

    writer = _Writer(flatbuffers.Builder(1024))
    graph = writer.table(
        {
            2: writer.tables([_input_table(writer, card)]),
            3: writer.tables([_output_table(writer, card)]),
        }
    )
    root = writer.table(
        {
            0: writer.text(card.name),
            1: writer.text(card.description),
            2: writer.text(card.version),
            3: writer.tables([graph]),
            4: writer.text(card.author),
            5: writer.text(card.licence),
            7: writer.text(_PARSER_VERSION),
        }
    )
    writer.builder.Finish(root, IDENTIFIER)
    return bytes(writer.builder.Output())


def decode_card(content: bytes) -> ModelCard:
    """Return what a flatbuffer of the schema's root table says of an image classifier.

    Raises:
        ArtifactError: it is no such flatbuffer, or a field of ours is not in it.
    """
    if content[4:8] != IDENTIFIER:
        raise ArtifactError(f"the metadata begins with {content[4:8]!r}, must be {IDENTIFIER!r}")
    try:
        return _decoded(content)
    except (struct.error, IndexError, TypeError, UnicodeDecodeError, _Absent) as error:
        raise ArtifactError(f"the metadata cannot be read ({error})") from error


def _input_table(writer: "_Writer", card: ModelCard) -> int:
    least, greatest = card.input_range
    size = writer.table(
        {}, {0: ("PrependUint32Slot", card.width), 1: ("PrependUint32Slot", card.height)}
    )
    image = writer.table({1: size}, {0: ("PrependInt8Slot", _RGB)})
    content = writer.table({1: image}, {0: ("PrependUint8Slot", _IMAGE_PROPERTIES)})
    # (pixel - 0) / 1: pixels go in as they are; normalisation is inside the graph.
    options = writer.table({0: writer.floats([0.0]), 1: writer.floats([1.0])})
    unit = writer.table({1: options}, {0: ("PrependUint8Slot", _NORMALIZATION_OPTIONS)})
    return writer.table(
        {
            0: writer.text("image"),
            1: writer.text(f"RGB pixels as they are, {least:g} to {greatest:g}"),
            3: content,
            4: writer.tables([unit]),
            5: writer.table({0: writer.floats([greatest]), 1: writer.floats([least])}),
        }
    )


def _output_table(writer: "_Writer", card: ModelCard) -> int:
    labels = writer.table(
        {0: writer.text(card.labels_file), 1: writer.text("a class a line, in output order")},
        {2: ("PrependInt8Slot", _AXIS_LABELS)},
    )
    return writer.table(
        {
            0: writer.text("probability"),
            1: writer.text("probability of each class"),
            5: writer.table({0: writer.floats([1.0]), 1: writer.floats([0.0])}),
            6: writer.tables([labels]),
        }
    )


def _decoded(content: bytes) -> ModelCard:
    root = _Table.root(content)
    graph = root.first_of(3)
    image_tensor, output = graph.first_of(2), graph.first_of(3)
    size = image_tensor.table(3).table(1).table(1)
    stats = image_tensor.table(5)
    return ModelCard(
        name=root.text(0),
        description=root.text(1),
        version=root.text(2),
        author=root.text(4),
        licence=root.text(5),
        height=size.whole(1),
        width=size.whole(0),
        input_range=(stats.first_float(1), stats.first_float(0)),
        labels_file=output.first_of(6).text(0),
    )


class _Writer:
    """Writes strings, vectors and tables; children before the table that holds them."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return int(self.builder.EndVector())

    def tables(self, places: Sequence[int]) -> int:
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return int(self.builder.EndVector())

    def table(
        self, children: dict[int, int], numbers: dict[int, tuple[str, int]] | None = None
    ) -> int:
        """Write a table of ``children`` (field: place) and ``numbers`` (field: kind, value)."""
        numbers = numbers or {}
        self.builder.StartObject(max((*children, *numbers)) + 1)
        for field, place in children.items():
            self.builder.PrependUOffsetTRelativeSlot(field, place, 0)
        for field, (kind, value) in numbers.items():
            getattr(self.builder, kind)(field, value, 0)
        return int(self.builder.EndObject())


class _Absent(Exception):
    """A field that is looked for is not in its table."""


class _Table:
    """Reads one table; its fields by their number."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place

    @classmethod
    def root(cls, content: bytes) -> "_Table":
        return cls(content, _whole(content, 0))

    def text(self, field: int) -> str:
        begin = self._child(field)
        length = _whole(self._content, begin)
        return self._content[begin + 4 : begin + 4 + length].decode()

    def whole(self, field: int) -> int:
        return _whole(self._content, self._field(field))

    def table(self, field: int) -> "_Table":
        return _Table(self._content, self._child(field))

    def first_of(self, field: int) -> "_Table":
        first = self._child(field) + 4
        return _Table(self._content, first + _whole(self._content, first))

    def first_float(self, field: int) -> float:
        (found,) = struct.unpack_from("<f", self._content, self._child(field) + 4)
        return float(found)

    def _child(self, field: int) -> int:
        place = self._field(field)
        return place + _whole(self._content, place)

    def _field(self, field: int) -> int:
        (back,) = struct.unpack_from("<i", self._content, self._place)
        fields = self._place - back  # where the table says how far in each of its fields lies
        (bytes_of_fields,) = struct.unpack_from("<H", self._content, fields)
        at = 4 + 2 * field
        (shift,) = (
            struct.unpack_from("<H", self._content, fields + at) if at < bytes_of_fields else (0,)
        )
        if not shift:
            raise _Absent(f"field {field} of a table is missing")
        return self._place + int(shift)


def _whole(content: bytes, place: int) -> int:
    (found,) = struct.unpack_from("<I", content, place)
    return int(found)
