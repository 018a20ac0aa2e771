"""Verify: sound bundles pass under every client, and each lie of a bundle is named."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deploy import mediapipe
from deploy.bundle import Bundle, write_bundle
from deploy.mediapipe import MediaPipeAnswer
from deploy.metadata import read_metadata
from deploy.runtime import open_runtime
from deploy.verify import verify_bundle
from tests.deploy.sealing import seal_again, set_constant
from tests.foreign import mediapipe_at_hand
from tests.tiny_models import LABELS
from train.artifact import Artifact
from train.errors import ArtifactError, ParityError, RuntimeFailure, UsageError
from train.pixels import Pixels


@pytest.fixture(scope="module")
def sound(variants: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    chosen = [variants["int8.tflite"], variants["float.onnx"]]
    return write_bundle(chosen, tmp_path_factory.mktemp("verify") / "bundle")


@pytest.fixture
def folder(sound: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(sound.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_sound_bundle_passes_and_says_what_was_checked(sound: Bundle) -> None:
    said: list[str] = []
    results = verify_bundle(sound.folder, say=said.append)
    assert [result.variant for result in results] == ["tiny.int8.tflite", "tiny.float.onnx"]
    for result, tolerance in zip(results, (0.16, 1e-3), strict=True):
        assert (result.pictures, result.tolerance) == (16, tolerance)
        assert result.max_difference <= tolerance
    assert len(said) == 7  # files, two models, snippets, pictures, two clients
    assert "golden pictures" in said[-1]


def test_the_same_bundle_passes_as_an_archive(sound: Bundle, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "bundle"), "zip", sound.folder))
    assert verify_bundle(archive) == verify_bundle(sound.folder)
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr("stray.txt", "text")
    with pytest.raises(ArtifactError, match=r"'stray\.txt' is missing or does not belong"):
        verify_bundle(archive)


def test_one_flipped_byte_in_any_file_is_found(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(paths) == 28  # 2 models, labels, readme, manifest, 6 snippets, 16 + 1 golden
    for path in paths:
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(ArtifactError, match=r"damaged|manifest"):
            verify_bundle(folder)
        path.write_bytes(whole)


def test_clients_that_are_not_there_are_refused(sound: Bundle, folder: Path) -> None:
    with pytest.raises(UsageError, match="client 'tvm' is not one of litert, onnxruntime"):
        verify_bundle(sound.folder, clients=["tvm"])


def test_a_client_without_its_model_is_refused(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    bundle = write_bundle([variants["float.onnx"]], tmp_path / "onnx")
    for client in ("litert", "mediapipe"):
        with pytest.raises(UsageError, match=rf"holds no \.tflite for {client}"):
            verify_bundle(bundle.folder, clients=[client])


def test_a_golden_answer_that_is_another_is_named(folder: Path) -> None:
    path = folder / "golden" / "golden.json"
    index = json.loads(path.read_text())
    output = index["pictures"][2]["outputs"]["model.onnx"]
    output["raw"][0] += 0.002  # twice the tolerance of 0.001
    path.write_text(json.dumps(index))
    seal_again(folder)
    with pytest.raises(ParityError, match=r"tiny\.float\.onnx under onnxruntime .*03\.png"):
        verify_bundle(folder)
    assert verify_bundle(folder, clients=["litert"])


def test_a_golden_index_without_a_models_output_is_refused(folder: Path) -> None:
    path = folder / "golden" / "golden.json"
    index = json.loads(path.read_text())
    del index["pictures"][0]["outputs"]["model.onnx"]
    path.write_text(json.dumps(index))
    seal_again(folder)
    with pytest.raises(ArtifactError, match=r"must tell 3 values of each of model\.onnx"):
        verify_bundle(folder)


def test_labels_that_are_fewer_than_the_outputs_are_refused(folder: Path) -> None:
    (folder / "labels.txt").write_text("Hat\nShirt\n")
    seal_again(folder, labels=["Hat", "Shirt"])
    with pytest.raises(ArtifactError, match="its number of outputs is 3, the manifest's 2"):
        verify_bundle(folder)


def test_labels_in_another_order_than_the_models_are_refused(folder: Path) -> None:
    (folder / "labels.txt").write_text("Shoes\nShirt\nHat\n")
    seal_again(folder, labels=["Shoes", "Shirt", "Hat"])
    with pytest.raises(ArtifactError, match="its labels is"):
        verify_bundle(folder)


def test_a_missing_label_file_is_named(folder: Path) -> None:
    (folder / "labels.txt").unlink()
    with pytest.raises(ArtifactError, match=r"'labels\.txt' is missing"):
        verify_bundle(folder)


def test_constants_of_another_model_are_refused(folder: Path) -> None:
    set_constant(folder / "snippets" / "python_litert.py", "INPUT_WIDTH = 32", "INPUT_WIDTH = 64")
    seal_again(folder)
    with pytest.raises(ArtifactError, match=r"python_litert\.py: INPUT_WIDTH is 64"):
        verify_bundle(folder)


def test_metadata_of_another_version_is_refused(folder: Path) -> None:
    seal_again(folder, version="9")
    with pytest.raises(ArtifactError, match=r"its version is '[0-9a-f]{12}', the manifest's '9'"):
        verify_bundle(folder)


def _answer(model: Path, pixels: Pixels, **changes: object) -> MediaPipeAnswer:
    with open_runtime(model, "litert") as runtime:
        found = runtime.predict(pixels)
    card = read_metadata(model)
    told = {name: getattr(card, name) for name in ("name", "description", "version", "author")}
    fields = {
        "name": "mediapipe 1",
        "labels": LABELS,
        "metadata": {**told, "licence": card.licence},
        "probabilities": found,
        **changes,
    }
    return MediaPipeAnswer(**fields)  # type: ignore[arg-type]


def test_mediapipes_answers_and_labels_are_held_against_the_bundle(
    sound: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {}
    monkeypatch.setattr(
        "deploy.verify.ask_mediapipe", lambda model, pixels, say: _answer(model, pixels, **changes)
    )
    (result,) = verify_bundle(sound.folder, clients=["mediapipe"])
    assert (result.client, result.same_top) == ("mediapipe 1", 16)
    changes["probabilities"] = np.full((16, 3), np.nan, np.float32)
    with pytest.raises(ParityError, match="under mediapipe 1"):
        verify_bundle(sound.folder, clients=["mediapipe"])
    changes["labels"] = ("Hat", "Shirt", "")
    with pytest.raises(ArtifactError, match="its labels is"):
        verify_bundle(sound.folder, clients=["mediapipe"])


def test_an_environment_that_cannot_be_made_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    fail = ["python3", "-c", "import sys; sys.exit('no network')"]
    monkeypatch.setattr(mediapipe, "_commands", lambda folder, python: [fail])
    said: list[str] = []
    with pytest.raises(RuntimeFailure, match="environment cannot be made: no network"):
        mediapipe.mediapipe_python(said.append)
    assert len(said) == 1 and "once" in said[0]


def test_an_environment_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    monkeypatch.setattr(
        mediapipe,
        "_commands",
        lambda folder, python: [["python3", "-c", f"import os; os.mkdir({str(folder)!r})"]],
    )
    said: list[str] = []
    first = mediapipe.mediapipe_python(said.append)
    assert mediapipe.mediapipe_python(said.append) == first
    assert len(said) == 1


def _require_mediapipes_answers(variants: dict[str, Artifact], folder: Path) -> None:
    for key in ("float.tflite", "int8.tflite"):
        bundle = write_bundle([variants[key]], folder / key)
        (result,) = verify_bundle(bundle.folder, clients=["mediapipe"])
        assert (result.same_top, result.pictures) == (16, 16)


def test_mediapipe_itself_gives_the_golden_answers(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    with mediapipe_at_hand():
        _require_mediapipes_answers(variants, tmp_path)


@pytest.mark.slow
def test_mediapipes_environment_is_made_from_its_lock(
    variants: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    _require_mediapipes_answers(variants, tmp_path)
