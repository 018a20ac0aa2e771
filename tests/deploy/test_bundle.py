"""The bundle: whole, repeatable, and any flipped byte is found."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from deploy.bundle import About, Bundle, BundleManifest, read_bundle, write_bundle
from deploy.bundle_manifest import paths_below
from deploy.bundle_readme import HostLatency, MeasuredF1, VariantEvidence
from deploy.loaded import Quantization
from tests.tiny_models import LABELS, pictures, tiny_network, write_parent
from train.artifact import Artifact
from train.errors import ArtifactError, ConfigError, UsageError
from train.storage import digest_of_file


@pytest.fixture
def bundle(variants: dict[str, Artifact], tmp_path: Path) -> Bundle:
    chosen = [variants["int8.tflite"], variants["int8.onnx"]]
    return write_bundle(chosen, tmp_path / "bundle")


def test_a_bundle_holds_models_labels_and_manifest(
    bundle: Bundle, variants: dict[str, Artifact]
) -> None:
    names = {path.name for path in bundle.folder.iterdir()}
    files = {"model.tflite", "model.onnx", "labels.txt", "manifest.json", "README.md"}
    assert names == files | {"golden", "snippets"}
    assert (bundle.folder / "labels.txt").read_text() == "Hat\nShirt\nShoes\n"
    manifest = read_bundle(bundle.folder).manifest
    assert manifest == bundle.manifest
    assert manifest.labels == LABELS
    assert [model.variant for model in manifest.models] == ["tiny.int8.tflite", "tiny.int8.onnx"]
    assert manifest.models[0].input_quantization == Quantization(scale=1.0, zero_point=0)
    assert manifest.models[1].input_quantization is None
    for name, entry in manifest.files.items():
        assert entry.file_bytes == (bundle.folder / name).stat().st_size
    for model, key in zip(manifest.models, ("int8.tflite", "int8.onnx"), strict=True):
        assert model.artifact_sha256 == variants[key].manifest.payload_sha256


def test_equal_variants_make_equal_bundles(
    bundle: Bundle, variants: dict[str, Artifact], tmp_path: Path
) -> None:
    again = write_bundle([variants["int8.tflite"], variants["int8.onnx"]], tmp_path / "again")
    assert again.manifest == bundle.manifest
    for name, path in paths_below(bundle.folder).items():
        assert digest_of_file(path) == digest_of_file(again.folder / name)


def test_one_flipped_byte_in_any_file_is_found(bundle: Bundle) -> None:
    chooser = random.Random(0)
    for name in bundle.manifest.files:
        path = bundle.folder / name
        whole = path.read_bytes()
        places = (0, len(whole) // 2, len(whole) - 1, chooser.randrange(len(whole)))
        for place in places:
            flipped = whole[place] ^ 1 << chooser.randrange(8)
            path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
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
    with pytest.raises(ArtifactError, match=r"labels\.txt is a link"):
        read_bundle(bundle.folder)
    labels.unlink()
    shutil.move(tmp_path / "elsewhere.txt", labels)
    shutil.move(bundle.folder / "golden", tmp_path / "golden")
    (bundle.folder / "golden").symlink_to(tmp_path / "golden")
    with pytest.raises(ArtifactError, match=r"golden is a link"):
        read_bundle(bundle.folder)


def test_one_flipped_byte_in_the_manifest_is_found(bundle: Bundle) -> None:
    path = bundle.folder / "manifest.json"
    whole = path.read_bytes()
    # Every seventh byte: spaces, names, digits and the seal itself are among them.
    for place in range(0, len(whole), 7):
        for bit in (1, 1 << place % 8):
            flipped = bytes([whole[place] ^ bit])
            path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
            with pytest.raises(ArtifactError):
                read_bundle(bundle.folder)
    path.write_bytes(whole + b"\n")
    with pytest.raises(ArtifactError, match="its seal does not fit"):
        read_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema_version", 1, "schema_version is 1, this threadlite reads 2"),
        ("labels", ["x", "y", "z"], r"labels\.txt differs from the manifest"),
        ("models", [], "models"),
        ("files", {}, "does not belong"),
        ("files", {"../../etc/passwd": {"sha256": "0" * 64, "file_bytes": 1}}, "leaves the bundle"),
        ("files", {"/etc/passwd": {"sha256": "0" * 64, "file_bytes": 1}}, "leaves the bundle"),
    ],
)
def test_a_sealed_manifest_that_lies_is_refused(
    bundle: Bundle, key: str, value: object, message: str
) -> None:
    path = bundle.folder / "manifest.json"
    fields = {**json.loads(path.read_text()), key: value}
    try:
        path.write_text(BundleManifest.model_validate_json(json.dumps(fields)).sealed().text())
    except ValidationError:
        path.write_text(json.dumps(fields))
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


def test_what_its_maker_says_goes_into_manifest_and_readme(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    about = About(version="2.1", author="Ada", licence="CC0-1.0")
    bundle = write_bundle([variants["float.onnx"]], tmp_path / "said", about=about)
    found = bundle.manifest
    assert (found.version, found.author) == ("2.1", "Ada")
    assert found.licence == "CC0-1.0; weights began random; trained on blotches"
    text = (bundle.folder / "README.md").read_text()
    assert "# tiny, version 2.1" in text and "- Author: Ada" in text
    assert {path.name for path in (bundle.folder / "snippets").iterdir()} == {
        "browser_onnx.js",
        "python_onnx.py",
    }
    with pytest.raises(ConfigError, match="author must be one line of text"):
        About(author="Ada\nBob")


def test_photos_given_become_the_golden_pictures(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    photos = pictures(20)
    bundle = write_bundle([variants["float.onnx"]], tmp_path / "photos", photos=photos)
    index = json.loads((bundle.folder / "golden" / "golden.json").read_text())
    assert (index["source"], len(index["pictures"])) == ("photos given", 16)
    with pytest.raises(UsageError, match="12 golden pictures or more, got 11"):
        write_bundle([variants["float.onnx"]], tmp_path / "few", photos=np.array(photos[:11]))
    assert not (tmp_path / "few").exists()


def test_the_readme_tells_what_was_measured_and_where(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    variant = variants["int8.tflite"]
    measured = VariantEvidence(
        accuracy=MeasuredF1(
            runtime="litert 2",
            split_method="grouped",
            weighted_f1=0.75,
            class_f1=(1.0, 0.5, 0.25),
            class_photos=(4, 2, 1),
        ),
        latencies=(HostLatency(runtime="litert 2", threads=1, median_ms=1.5, processor="Abacus"),),
    )
    evidence = {variant.manifest.payload_sha256: measured}
    bundle = write_bundle([variant], tmp_path / "measured", evidence=evidence)
    text = (bundle.folder / "README.md").read_text()
    for part in (
        "weighted F1 0.750 on 7 photos, grouped split",  # 4 + 2 + 1
        "| 1 | Shirt | 0.500 (2) |",
        "| `model.tflite` | litert 2 | 1 | 1.50 | Abacus |",
        "on the **host** computer",
        "shape (1, 32, 32, 3)",
        "probability = 0.00390625 * (integer - 0)",
    ):
        assert part in text
