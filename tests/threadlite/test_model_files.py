"""Which model file is meant, and what is said where none is."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tiny_models import LABELS, shared_variants
from threadlite.model_files import RUNTIME_OF, find_model, read_labels
from train.errors import ArtifactError, UsageError


def test_every_format_has_its_runtime() -> None:
    assert RUNTIME_OF == {".tflite": "litert", ".onnx": "onnxruntime"}


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"ghost: no such file or folder"):
        find_model(tmp_path / "ghost")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"must be an artifact, a bundle, or a \.tflite or"):
        find_model(tmp_path / "net.pth")


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[" * 10_000])
def test_a_folder_without_a_manifest(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="neither an artifact nor a bundle"):
        find_model(tmp_path)


@pytest.mark.parametrize("content", [{}, [], {"models": []}, {"models": 3, "schema_version": 9}])
def test_a_manifest_of_nothing(content: object, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"manifest\.json: "):
        find_model(tmp_path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_broken_model_file(suffix: str, tmp_path: Path) -> None:
    broken = tmp_path / f"net{suffix}"
    broken.write_bytes(b"\x00\x01 none of a model")
    with pytest.raises(ArtifactError, match=r"net\.(tflite|onnx): not a"):
        find_model(broken)


def test_a_file_of_an_artifact_is_what_its_manifest_says(tmp_path: Path) -> None:
    artifact = shared_variants(tmp_path / "variants")["float.keras"]
    beside = tmp_path / "beside"
    shutil.copytree(artifact.folder, beside)
    found = find_model(beside / artifact.payload.name)
    assert (found.name, found.labels) == (artifact.manifest.variant, LABELS)
    assert found.pixels == artifact.manifest.pixels
    shutil.copy(artifact.payload, beside / "other.keras")
    assert find_model(beside / "other.keras").labels == ()
    (beside / "manifest.json").write_text("{")
    assert find_model(beside / artifact.payload.name).labels == ()


def test_labels_are_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("Hat\r\nT-Shirt\r\nEtui für Brillen\n".encode())
    assert read_labels(path) == ("Hat", "T-Shirt", "Etui für Brillen")


@pytest.mark.parametrize("content", [b"", b"Hat\n\nShirt\n", b"\xff\xd8\xff"])
def test_labels_that_cannot_be(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="--labels"):
        read_labels(path)
    with pytest.raises(UsageError, match="cannot be read as text"):
        read_labels(tmp_path / "ghost")
