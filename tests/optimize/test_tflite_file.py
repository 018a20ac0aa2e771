"""Writing into a ``.tflite``: the ready-made model serves as the file."""

import io
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from optimize.tflite_file import LABELS_NAME, packed, unpacked, with_entry, with_labels
from threadlite.model_files import READY_MADE

ALIGNMENT = 16


@pytest.fixture(scope="module")
def content() -> bytes:
    return (READY_MADE / "model.tflite").read_bytes()


def entries_of(content: bytes) -> dict[str, bytes]:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    return {item.name.decode(): bytes(model.buffers[item.buffer].data) for item in model.metadata}


def test_entry_is_added_and_then_replaced(content: bytes) -> None:
    before = entries_of(content)
    once = with_entry(content, "note", b"first")
    twice = with_entry(once, "note", b"second")
    assert entries_of(once) == {**before, "note": b"first"}
    assert entries_of(twice) == {**before, "note": b"second"}


def test_data_that_lies_behind_the_model_comes_inside(content: bytes) -> None:
    model = unpacked(content)
    data = [bytes(buffer.data) if buffer.data is not None else b"" for buffer in model.buffers]
    largest = max(range(len(data)), key=lambda number: len(data[number]))
    model.buffers[largest].data = None
    model.buffers[largest].offset = model.buffers[largest].size = 2**20  # room for the number
    end = len(packed(model, room_bytes=len(content)))
    model.buffers[largest].offset, model.buffers[largest].size = end, len(data[largest])
    outside = packed(model, room_bytes=len(content)) + data[largest]
    assert schema.ModelT.InitFromPackedBuf(outside, 0).buffers[largest].data is None
    written = unpacked(with_entry(outside, "note", b"x"))
    again = [bytes(buffer.data) if buffer.data is not None else b"" for buffer in written.buffers]
    assert again[: len(data)] == data
    assert {buffer.offset for buffer in written.buffers} == {0}


def test_tensor_data_stays_aligned(content: bytes) -> None:
    written = with_entry(content, "note", b"x")
    model = schema.Model.GetRootAs(written, 0)
    for index in range(model.BuffersLength()):
        data = model.Buffers(index)._tab
        field = data.Offset(4)
        if field:
            assert data.Vector(field) % ALIGNMENT == 0


def test_equal_vectors_are_written_once_and_nothing_of_the_model_is_lost(content: bytes) -> None:
    model = unpacked(content)
    tensors = model.subgraphs[0].tensors
    kept = packed(model, room_bytes=len(content))
    points = {
        points.tobytes()
        for tensor in tensors
        if isinstance(points := tensor.quantization.zeroPoint, np.ndarray)
    }
    for tensor in tensors:  # as many vectors as tensors, none like another
        if isinstance(tensor.quantization.zeroPoint, np.ndarray):
            tensor.quantization.zeroPoint = list(tensor.quantization.zeroPoint)
    apart = packed(model, room_bytes=len(content))
    spared = sum(8 * len(tensor.quantization.zeroPoint or ()) for tensor in tensors) - sum(
        map(len, points)
    )
    assert len(apart) - len(kept) == pytest.approx(spared, rel=0.02)
    assert spared > 0.05 * len(content)

    def told(file: bytes) -> list[object]:
        graph = schema.ModelT.InitFromPackedBuf(file, 0).subgraphs[0]
        return [
            (tensor.name, *(np.asarray(part).tolist() for part in (found.scale, found.zeroPoint)))
            for tensor in graph.tensors
            if (found := tensor.quantization)
        ]

    assert told(kept) == told(apart)


def test_labels_are_attached_behind_the_model(content: bytes) -> None:
    bare = with_entry(content, "note", b"x")
    written = with_labels(bare, ("Hat", "Top"))
    assert written.startswith(bare)
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.read(LABELS_NAME) == b"Hat\nTop\n"
