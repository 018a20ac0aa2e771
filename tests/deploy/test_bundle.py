"""The bundle: whole, repeatable, and any flipped byte is found."""

import json
import shutil
from pathlib import Path

import pytest

from deploy.bundle import Bundle, read_bundle, write_bundle
from deploy.loaded import Quantization
from tests.tiny_models import LABELS, tiny_network, write_parent
from train.artifact import Artifact
from train.errors import ArtifactError, UsageError
from train.storage import digest_of_file


@pytest.fixture
def bundle(variants: dict[str, Artifact], tmp_path: Path) -> Bundle:
    chosen = [variants["int8.tflite"], variants["int8.onnx"]]
    return write_bundle(chosen, tmp_path / "bundle")


def test_a_bundle_holds_models_labels_and_manifest(
    bundle: Bundle, variants: dict[str, Artifact]
) -> None:
    names = {path.name for path in bundle.folder.iterdir()}
    assert names == {"model.tflite", "model.onnx", "labels.txt", "manifest.json"}
    assert (bundle.folder / "labels.txt").read_text() == "Hat\nShirt\nShoes\n"
    manifest = read_bundle(bundle.folder).manifest
    assert manifest == bundle.manifest
    assert manifest.labels == LABELS
    assert [model.variant for model in manifest.models] == ["tiny.int8.tflite", "tiny.int8.onnx"]
    assert manifest.models[0].input_quantization == Quantization(scale=1.0, zero_point=0)
    assert manifest.models[1].input_quantization is None
    for name, entry in manifest.files.items():
        assert entry.file_bytes == (bundle.folder / name).stat().st_size
    assert manifest.files["model.onnx"].sha256 == variants["int8.onnx"].manifest.payload_sha256


def test_equal_variants_make_equal_bundles(
    bundle: Bundle, variants: dict[str, Artifact], tmp_path: Path
) -> None:
    again = write_bundle([variants["int8.tflite"], variants["int8.onnx"]], tmp_path / "again")
    for path in bundle.folder.iterdir():
        assert digest_of_file(path) == digest_of_file(again.folder / path.name)


def test_one_flipped_byte_in_any_file_is_found(bundle: Bundle) -> None:
    for name in bundle.manifest.files:
        path = bundle.folder / name
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(ArtifactError, match=rf"{name} is damaged"):
                read_bundle(bundle.folder)
        path.write_bytes(whole)
    read_bundle(bundle.folder)


def test_missing_extra_and_linked_files_are_found(bundle: Bundle, tmp_path: Path) -> None:
    stray = bundle.folder / "notes.txt"
    stray.touch()
    with pytest.raises(ArtifactError, match=r"'notes\.txt' is missing or does not belong"):
        read_bundle(bundle.folder)
    stray.unlink()
    labels = bundle.folder / "labels.txt"
    shutil.move(labels, tmp_path / "elsewhere.txt")
    with pytest.raises(ArtifactError, match=r"'labels\.txt' is missing or does not belong"):
        read_bundle(bundle.folder)
    labels.symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(ArtifactError, match=r"labels\.txt is damaged"):
        read_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema_version", 2, "schema_version"),
        ("labels", ["x", "y", "z"], r"labels\.txt differs from the manifest"),
        ("models", [], "models"),
        ("files", {}, "does not belong"),
        ("files", {"../../etc/passwd": {"sha256": "0" * 64, "file_bytes": 1}}, "does not belong"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    bundle: Bundle, key: str, value: object, message: str
) -> None:
    path = bundle.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ArtifactError, match=message):
        read_bundle(bundle.folder)


def test_folders_that_are_no_bundle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a bundle"):
        read_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json: the file"):
        read_bundle(tmp_path)


def test_variants_that_do_not_belong_together_are_refused(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    other = tiny_network()
    other.get_layer("logits").bias.assign_add([1.0, 0.0, 0.0])
    from optimize.convert import export_float

    stranger = export_float(write_parent(tmp_path / "other", other), "onnx", tmp_path / "stranger")
    for chosen, message in (
        ([], "got none"),
        ([variants["float.keras"]], "got .*keras"),
        ([variants["float.onnx"], variants["int8.onnx"]], "got .*onnx.*onnx"),
        ([variants["float.tflite"], stranger], "come from different trainings"),
    ):
        with pytest.raises(UsageError, match=message):
            write_bundle(chosen, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_in_the_way_is_left_alone(variants: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already"):
        write_bundle([variants["float.tflite"]], tmp_path)
    assert list(tmp_path.iterdir()) == []
