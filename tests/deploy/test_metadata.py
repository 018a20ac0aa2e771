"""Metadata: written into both formats, read back, and the model computes what it did."""

import dataclasses
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from deploy.metadata import attached_labels, read_metadata, with_metadata
from deploy.metadata_table import ModelCard, decode_card, encode_card
from deploy.runtime import open_runtime, runtime_for
from optimize.nameplate import read_nameplate
from tests.tiny_models import LABELS, pictures
from train.artifact import Artifact
from train.errors import ArtifactError

CARD = ModelCard(
    name="tiny",
    description="Says which of 3, d'après Ada.",
    version="7",
    author="Ada",
    licence="CC0-1.0",
    height=32,
    width=48,
)


def written(variant: Artifact, folder: Path) -> Path:
    path = folder / variant.payload.name
    path.write_bytes(with_metadata(variant.payload.read_bytes(), path.suffix, CARD, LABELS))
    return path


def test_a_card_comes_back_as_it_was() -> None:
    content = encode_card(CARD)
    assert content[4:8] == b"M001"
    assert decode_card(content) == CARD
    other = dataclasses.replace(CARD, input_range=(-1.0, 1.0), labels_file="words.txt", author="")
    assert decode_card(encode_card(other)) == other


def test_a_card_lies_as_the_schema_says() -> None:
    # By the library's own reader: root table, field 0 (vtable place 4) is the name; field 3
    # (place 10) the subgraphs; of those, field 2 (place 8) the inputs.
    content = encode_card(CARD)
    place = flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0)
    root = flatbuffers.table.Table(content, place)
    assert root.String(root.Offset(4) + root.Pos) == b"tiny"
    assert root.VectorLen(root.Offset(10)) == 1
    first = root.Indirect(root.Vector(root.Offset(10)))
    graph = flatbuffers.table.Table(content, first)
    assert (graph.VectorLen(graph.Offset(8)), graph.VectorLen(graph.Offset(10))) == (1, 1)


def test_a_card_cut_anywhere_is_refused_and_crashes_nothing() -> None:
    content = encode_card(CARD)
    with pytest.raises(ArtifactError, match="must be b'M001'"):
        decode_card(b"\0" * 16)
    for end in range(8, len(content) // 2, 5):  # behind lie texts, which a cut may spare
        with pytest.raises(ArtifactError, match="cannot be read"):
            decode_card(content[:end])


@pytest.mark.parametrize("key", ["float.tflite", "int8.tflite", "float.onnx", "int8.onnx"])
def test_metadata_is_read_back_and_changes_no_answer(
    variants: dict[str, Artifact], tmp_path: Path, key: str
) -> None:
    variant = variants[key]
    path = written(variant, tmp_path)
    assert read_metadata(path) == CARD
    assert read_nameplate(path) == read_nameplate(variant.payload)
    runtime = runtime_for(variant.manifest.name.format)
    with open_runtime(path, runtime) as new, open_runtime(variant.payload, runtime) as old:
        np.testing.assert_array_equal(new.predict(pictures(4)), old.predict(pictures(4)))


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_writing_twice_gives_the_same_bytes(
    variants: dict[str, Artifact], tmp_path: Path, key: str
) -> None:
    path = written(variants[key], tmp_path)
    content = path.read_bytes()
    assert with_metadata(variants[key].payload.read_bytes(), path.suffix, CARD, LABELS) == content
    assert with_metadata(content, path.suffix, CARD, LABELS)  # over itself: it stands there once
    path.write_bytes(with_metadata(content, path.suffix, CARD, LABELS))
    assert read_metadata(path) == CARD


def test_labels_are_attached_once_and_tensors_stay_aligned(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    path = written(variants["float.tflite"], tmp_path)
    assert attached_labels(path) == LABELS
    content = path.read_bytes()
    assert content.count(b"PK\x03\x04") == 1
    root = schema.Model.GetRootAs(content, 0)
    for index in range(root.BuffersLength()):
        table = root.Buffers(index)
        if table.DataLength():
            assert table._tab.Vector(table._tab.Offset(4)) % 16 == 0
    path.write_bytes(content[: content.rindex(b"PK\x03\x04")])
    with pytest.raises(ArtifactError, match=r"no file 'labels\.txt' is attached"):
        read_metadata(path)


def test_models_without_metadata_say_so(variants: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no TFLITE_METADATA; deploy it again"):
        read_metadata(variants["float.tflite"].payload)
    with pytest.raises(ArtifactError, match=r"property 'card\.name' is missing"):
        read_metadata(variants["float.onnx"].payload)
    for name in ("words.tflite", "words.onnx"):
        (tmp_path / name).write_bytes(b"these are words and no model at all")
        with pytest.raises(ArtifactError, match=name):
            read_metadata(tmp_path / name)


def test_onnx_says_it_in_plain_properties(variants: dict[str, Artifact], tmp_path: Path) -> None:
    proto = onnx.load(written(variants["float.onnx"], tmp_path))
    found = {item.key: item.value for item in proto.metadata_props}
    assert found["card.licence"] == "CC0-1.0"
    assert found["card.input_range"] == "0 255"
    assert proto.doc_string == CARD.description
