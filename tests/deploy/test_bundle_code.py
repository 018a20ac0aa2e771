"""Snippets: this model's constants are in them, and the Python ones give the golden answers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.bundle import Bundle, write_bundle
from deploy.bundle_code import SNIPPETS, read_constants, require_constants
from tests.deploy.sealing import set_constant
from train.artifact import Artifact
from train.errors import ArtifactError


@pytest.fixture(scope="module")
def bundle(variants: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    chosen = [variants["int8.tflite"], variants["float.onnx"]]
    return write_bundle(chosen, tmp_path_factory.mktemp("code") / "bundle")


def test_constants_are_found_in_every_language() -> None:
    wanted = {"modelfile": "model.tflite", "classes": 17.0, "outputscale": 0.5, "quantized": True}
    for code in (
        'const val MODEL_FILE = "model.tflite"\nconst val CLASSES = 17\n'
        "const val OUTPUT_SCALE = 0.5f\nconst val QUANTIZED = true",
        'static let modelFile = "model.tflite"\nstatic let classes = 17\n'
        "static let outputScale: Float = 5e-1\nstatic let quantized = true",
        'MODEL_FILE = "model.tflite"\nCLASSES = 17\nOUTPUT_SCALE = 0.5\nQUANTIZED = True',
        'export const MODEL_FILE = "model.tflite";\nexport const CLASSES = 17;\n'
        "export const OUTPUT_SCALE = 0.5; const QUANTIZED = true;",
    ):
        assert read_constants(code) == wanted


def test_every_snippet_is_written_and_holds_every_constant(bundle: Bundle) -> None:
    written = {path.name for path in (bundle.folder / "snippets").iterdir()}
    assert written == set(SNIPPETS)
    count = sum(len(snippet.constants) for snippet in SNIPPETS.values())
    assert require_constants(bundle.folder, bundle.manifest) == count
    kotlin = (bundle.folder / "snippets" / "AndroidLiteRt.kt").read_text()
    assert "const val OUTPUT_SCALE = 0.00390625f" in kotlin
    for path in (bundle.folder / "snippets").iterdir():
        assert "{{" not in path.read_text() and "{%" not in path.read_text()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("AndroidLiteRt.kt", "OUTPUT_SCALE = 0.00390625f", "OUTPUT_SCALE = 1.0f", "OUTPUT_SCALE"),
        ("IosLiteRt.swift", "inputWidth = 32", "inputWidth = 33", "INPUT_WIDTH is 33.0"),
        ("browser_onnx.js", "CLASSES = 3;", "CLASSES = 4;", "CLASSES is 4.0, the model's is 3"),
        ("python_onnx.py", 'MODEL_FILE = "model.onnx"', "", "MODEL_FILE is None"),
    ],
)
def test_a_constant_that_is_not_the_models_is_found(
    bundle: Bundle, tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    set_constant(folder / "snippets" / name, old, new)
    with pytest.raises(ArtifactError, match=message):
        require_constants(folder, bundle.manifest)
    (folder / "snippets" / name).unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        require_constants(folder, bundle.manifest)


@pytest.mark.parametrize(
    ("name", "file"), [("python_litert.py", "model.tflite"), ("python_onnx.py", "model.onnx")]
)
def test_the_python_snippets_give_the_golden_answers(bundle: Bundle, name: str, file: str) -> None:
    picture = json.loads((bundle.folder / "golden" / "golden.json").read_text())["pictures"][0]
    program = [sys.executable, "-B", str(bundle.folder / "snippets" / name)]
    photo = bundle.folder / "golden" / picture["file"]
    done = subprocess.run([*program, photo], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    label, probability = done.stdout.splitlines()[0].split(": ")
    output = picture["outputs"][file]
    raw = output["raw"][output["top"]]
    assert label == bundle.manifest.labels[output["top"]]
    # Printed to 3 digits: half a step of the last.
    told = raw / 256 if file.endswith("tflite") else raw
    assert float(probability) == pytest.approx(told, abs=0.0005 + 1e-6)


def test_the_browser_snippet_is_a_module_that_parses(bundle: Bundle, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so nothing here reads JavaScript")
    path = tmp_path / "snippet.mjs"
    shutil.copyfile(bundle.folder / "snippets" / "browser_onnx.js", path)
    done = subprocess.run([node, "--check", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
