"""The nameplate: written into the file, read back, missed when it is cut off."""

import zipfile
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from optimize.nameplate import Nameplate, read_nameplate, with_tflite_nameplate
from tests.tiny_models import LABELS, SIDE
from train.artifact import Artifact
from train.errors import ArtifactError
from train.pixels import PixelContract


@pytest.mark.parametrize("key", ["float.tflite", "int8.tflite", "float.onnx", "int8.onnx"])
def test_every_format_and_precision_says_what_it_is(
    variants: dict[str, Artifact], key: str
) -> None:
    found = read_nameplate(variants[key].payload)
    assert found is not None
    assert found.labels == LABELS
    assert found.pixels == PixelContract(height=SIDE, width=SIDE)
    assert found.variant == f"tiny.{key}"


def test_any_zip_reader_finds_the_labels_in_a_tflite(variants: dict[str, Artifact]) -> None:
    with zipfile.ZipFile(variants["int8.tflite"].payload) as archive:
        assert archive.read("labels.txt") == b"Hat\nShirt\nShoes\n"
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_tensor_data_stays_aligned_as_the_schema_demands(variants: dict[str, Artifact]) -> None:
    content = variants["float.tflite"].payload.read_bytes()
    root = schema.Model.GetRootAs(content, 0)
    lengths = []
    for index in range(root.BuffersLength()):
        table = root.Buffers(index)
        if table.DataLength():
            lengths.append(table.DataLength())
            assert table._tab.Vector(table._tab.Offset(4)) % 16 == 0
    assert max(lengths) >= 8 * 8 * 9 * 4  # a convolution's float kernel: it was really looked at


def test_a_foreign_tflite_has_no_nameplate(tmp_path: Path, variants: dict[str, Artifact]) -> None:
    content = variants["float.tflite"].payload.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.metadata = [entry for entry in model.metadata if entry.name != b"threadlite"]
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(bytes(builder.Output()))
    assert read_nameplate(foreign) is None


def test_labels_that_were_cut_off_or_swapped_are_missed(
    tmp_path: Path, variants: dict[str, Artifact]
) -> None:
    content = variants["float.tflite"].payload.read_bytes()
    start = content.rindex(b"PK\x03\x04")
    cut = tmp_path / "cut.tflite"
    for end in (start, start + 10, len(content) - 1):
        cut.write_bytes(content[:end])
        with pytest.raises(ArtifactError, match=r"cut\.tflite: the labels inside cannot be read"):
            read_nameplate(cut)
    other = Nameplate(
        labels=("x", "y", "z"),
        pixels=PixelContract(height=SIDE, width=SIDE),
        variant="tiny.float.tflite",
        producer="other",
    )
    swapped = tmp_path / "swapped.tflite"
    tail = with_tflite_nameplate(content[:start], other)
    swapped.write_bytes(content[:start] + tail[tail.rindex(b"PK\x03\x04") :])
    with pytest.raises(ArtifactError):
        read_nameplate(swapped)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    for name in ("text.tflite", "text.onnx"):
        (tmp_path / name).write_text("no model, and longer than eight bytes")
        with pytest.raises(ArtifactError, match=name):
            read_nameplate(tmp_path / name)
    with pytest.raises(ArtifactError, match=r"none\.tflite"):
        read_nameplate(tmp_path / "none.tflite")
