"""Which model file a folder or a file means, and what it says of itself before it is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path

from deploy.bundle import BundledModel, read_bundle
from deploy.runtime import RUNTIMES, runtime_for
from optimize.nameplate import read_nameplate
from train.artifact import MANIFEST_NAME, Artifact, open_artifact
from train.errors import ArtifactError, UsageError
from train.pixels import PixelContract

READY_MADE = Path(__file__).parents[1] / "models" / "efficientnet-lite0"
RUNTIME_OF = {f".{entry.format}": runtime_for(entry.format) for entry in RUNTIMES.values()}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model file and what is known of it before it is loaded.

    Attributes:
        file: the ``.tflite``, ``.onnx`` or ``.keras``.
        name: its variant name; the file's name where it tells none.
        labels: the classes in the order of the outputs; empty where it tells none.
        pixels: what it must be fed; ``None``: the size of its input.
    """

    file: Path
    name: str
    labels: tuple[str, ...] = ()
    pixels: PixelContract | None = None


def find_model(path: Path | None, *, runtime: str | None = None) -> Model:
    """Return the model that ``path`` means.

    Args:
        path: an artifact, a bundle or a model file; ``None`` for the ready-made model.
        runtime: a name in ``RUNTIMES``: which model of a bundle to take.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    if path is None and not READY_MADE.is_dir():
        raise ArtifactError(
            f"the ready-made model is not at {READY_MADE}: it comes with a clone of the"
            " repository; name an artifact, a bundle or a model file with --model"
        )
    path = path or READY_MADE
    if path.is_dir():
        if is_bundle(path):
            return _model_of_bundle(path, runtime)
        return _model_of_artifact(open_artifact(path))
    if not path.is_file():
        raise ArtifactError(f"--model {path}: no such file or folder")
    if path.suffix not in (*RUNTIME_OF, ".keras"):
        raise ArtifactError(
            f"--model {path}: must be an artifact, a bundle, or a .tflite or .onnx file"
        )
    nameplate = None if path.suffix == ".keras" else read_nameplate(path)
    if nameplate is None:
        return _model_of_manifest(path) or Model(file=path, name=path.name)
    return Model(
        file=path, name=nameplate.variant, labels=nameplate.labels, pixels=nameplate.pixels
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels of a text file, a line each.

    Raises:
        UsageError: it cannot be read, or a line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path} cannot be read as text: {error}") from error
    if not all(line.strip() for line in lines):
        raise UsageError(f"--labels {path}: must hold a label a line, and one is empty")
    return tuple(lines)


def is_bundle(folder: Path) -> bool:
    """Return whether the manifest is that of a bundle: it alone holds ``models``."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{folder} is neither an artifact nor a bundle: {MANIFEST_NAME} cannot be read"
        ) from error
    return isinstance(manifest, dict) and "models" in manifest


def _model_of_manifest(file: Path) -> Model | None:
    """Return a file as the manifest beside it tells of it; ``None`` where none does."""
    try:
        artifact = open_artifact(file.parent)
    except ArtifactError:
        return None
    return _model_of_artifact(artifact) if artifact.payload.samefile(file) else None


def _model_of_artifact(artifact: Artifact) -> Model:
    manifest = artifact.manifest
    return Model(
        file=artifact.payload,
        name=manifest.variant,
        labels=manifest.labels,
        pixels=manifest.pixels,
    )


def _model_of_bundle(folder: Path, runtime: str | None) -> Model:
    manifest = read_bundle(folder).manifest

    def rank(model: BundledModel) -> tuple[bool, int]:
        name = RUNTIME_OF[Path(model.file).suffix]
        return name != runtime, list(RUNTIMES).index(name)

    known = [model for model in manifest.models if Path(model.file).suffix in RUNTIME_OF]
    if not known:
        raise ArtifactError(f"{folder}: holds no model that a runtime runs; deploy again")
    chosen = min(known, key=rank)
    return Model(
        file=folder / chosen.file,
        name=chosen.variant,
        labels=manifest.labels,
        pixels=manifest.pixels,
    )
