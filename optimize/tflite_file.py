"""Writing ``.tflite`` files: aligned, equal vectors once, with metadata and labels attached.

A ``.tflite`` is a flatbuffer; files are attached to it as a zip archive behind its end, which
readers of either form pass over.
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

LABELS_NAME = "labels.txt"
_ALIGNMENT = 16  # bytes; TFLite maps tensor data straight out of the file
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold


def unpacked(content: bytes) -> Any:
    """Return a file as ``schema.ModelT``, all its tensor data inside.

    ai-edge-quantizer lays the data of larger models behind the flatbuffer and notes where in the
    file they begin, which is no longer true once the objects are packed again.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 stand for none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def packed(model: Any, *, room_bytes: int) -> bytes:
    """Return a ``schema.ModelT`` as a file, its tensor data aligned, equal vectors written once.

    A flatbuffer refers to vectors by their place, and several may refer to one. In int8 every
    kernel and every bias has a zero point for each channel, of 8 bytes and all of them zero: a
    twelfth of EfficientNet-Lite0's file.

    Args:
        model: the model as objects.
        room_bytes: a guess of the file's size, to begin with.
    """
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
        """Aligns tensor data, which the generated Python code forgets, and shares vectors."""

        def __init__(self, room_bytes: int) -> None:
            super().__init__(room_bytes)
            self._places: dict[tuple[str, bytes], Any] = {}

        def StartVector(self, size: int, count: int, alignment: int) -> Any:
            return super().StartVector(size, count, _ALIGNMENT if size == 1 else alignment)

        def CreateNumpyVector(self, array: Any) -> Any:
            key = (array.dtype.str, array.tobytes())
            if key not in self._places:
                self._places[key] = super().CreateNumpyVector(array)
            return self._places[key]

    builder = SharingBuilder(room_bytes)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_entry(content: bytes, name: str, data: bytes) -> bytes:
    """Return the file with ``data`` as its metadata entry ``name``, in place of one there was.

    What lay behind the flatbuffer is left out.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(data)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    kept = [item for item in model.metadata or [] if item.name not in (name, name.encode())]
    model.metadata = [*kept, entry]
    return packed(model, room_bytes=len(content) + 4096)


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """Return the file with ``labels.txt`` attached, a label a line."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        item = zipfile.ZipInfo(LABELS_NAME, date_time=_FIXED_DATE)
        item.external_attr = 0o644 << 16
        archive.writestr(item, "".join(f"{label}\n" for label in labels))
    return whole.getvalue()
