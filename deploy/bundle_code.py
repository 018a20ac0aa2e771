"""Code that calls the model, with this model's own constants filled in, and the check of them.

Adding a language is one template in ``deploy/snippets`` and one line in ``SNIPPETS``. Constants
are found again in the written files by their names, whatever case the language writes them in.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from deploy.bundle_manifest import BundledModel, BundleManifest
from deploy.bundle_templates import filled_in
from deploy.loaded import Quantization
from optimize.tflite_file import LABELS_NAME
from train.artifact import PAYLOAD_NAMES
from train.errors import ArtifactError
from train.variant import Format

FOLDER_NAME = "snippets"
_IMAGE = ("MODEL_FILE", "LABELS_FILE", "INPUT_HEIGHT", "INPUT_WIDTH", "CLASSES")
_TENSOR = (*_IMAGE, "OUTPUT_QUANTIZED", "OUTPUT_SCALE", "OUTPUT_ZERO_POINT")
_ASSIGNMENT = re.compile(
    r"\b(?P<name>[A-Za-z][A-Za-z_]*)\s*(?::\s*\w+\s*)?=\s*"
    r"(?P<value>\"[^\"]*\"|true|false|True|False|-?\d[\d.]*(?:[eE][-+]?\d+)?)"
)


class Snippet(NamedTuple):
    """A line of ``SNIPPETS``: the format that it calls and the constants that it must hold."""

    format: Format
    constants: tuple[str, ...]


SNIPPETS: dict[str, Snippet] = {
    "AndroidLiteRt.kt": Snippet("tflite", _TENSOR),
    "AndroidMediaPipe.kt": Snippet("tflite", ("MODEL_FILE", "CLASSES")),
    "IosLiteRt.swift": Snippet("tflite", _TENSOR),
    "browser_onnx.js": Snippet("onnx", _IMAGE),
    "python_litert.py": Snippet("tflite", _TENSOR),
    "python_onnx.py": Snippet("onnx", _IMAGE),
}


def write_snippets(folder: Path, manifest: BundleManifest) -> None:
    """Write ``snippets/`` for the models that the bundle holds."""
    (folder / FOLDER_NAME).mkdir()
    for name, model in wanted_snippets(manifest).items():
        values = constants_of(model, manifest)
        text = filled_in(f"{name}.jinja", {**values, "name": manifest.name, "model": model})
        (folder / FOLDER_NAME / name).write_text(text, encoding="utf-8", newline="\n")


def constants_of(model: BundledModel, manifest: BundleManifest) -> dict[str, Any]:
    """Return every constant that a snippet may hold, by its name."""
    output = model.output_quantization or Quantization(scale=1.0, zero_point=0)
    return {
        "MODEL_FILE": model.file,
        "LABELS_FILE": LABELS_NAME,
        "INPUT_HEIGHT": manifest.pixels.height,
        "INPUT_WIDTH": manifest.pixels.width,
        "CLASSES": len(manifest.labels),
        "OUTPUT_QUANTIZED": model.output_quantization is not None,
        "OUTPUT_SCALE": output.scale,
        "OUTPUT_ZERO_POINT": output.zero_point,
    }


def require_constants(folder: Path, manifest: BundleManifest) -> int:
    """Check that every snippet is there and holds the models' constants; return their number.

    Args:
        folder: of the bundle.
        manifest: as the models themselves are, not only as the bundle says that they are.

    Raises:
        ArtifactError: names the first snippet and constant that differ.
    """
    checked = 0
    for name, model in wanted_snippets(manifest).items():
        path = folder / FOLDER_NAME / name
        try:
            found = read_constants(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} cannot be read; deploy it again") from error
        values = constants_of(model, manifest)
        for constant in SNIPPETS[name].constants:
            if found.get(_plain(constant)) != values[constant]:
                raise ArtifactError(
                    f"{path}: {constant} is {found.get(_plain(constant))!r}, the model's is"
                    f" {values[constant]!r}; deploy it again"
                )
            checked += 1
    return checked


def read_constants(code: str) -> dict[str, str | float | bool]:
    """Return what is first assigned to each plain name in ``code``: lower case, no underscores."""
    found: dict[str, str | float | bool] = {}
    for match in _ASSIGNMENT.finditer(code):
        text = match["value"]
        value: str | float | bool
        if text.startswith('"'):
            value = text[1:-1]
        elif text.lower() in ("true", "false"):
            value = text.lower() == "true"
        else:
            value = float(text)
        found.setdefault(_plain(match["name"]), value)
    return found


def wanted_snippets(manifest: BundleManifest) -> dict[str, BundledModel]:
    """Return the snippets for the models that the bundle holds, and the model that each calls."""
    models = {model.file: model for model in manifest.models}
    return {
        name: models[PAYLOAD_NAMES[snippet.format]]
        for name, snippet in SNIPPETS.items()
        if PAYLOAD_NAMES[snippet.format] in models
    }


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
