"""Verify: a bundle proves on this machine that it is whole and computes what it says.

Digests, metadata, constants of the snippets, and every golden picture through every client. The
first difference ends it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from deploy import golden
from deploy.bundle import Bundle, read_bundle
from deploy.bundle_code import require_constants
from deploy.bundle_manifest import BundledModel, BundleManifest
from deploy.bundle_zip import bundle_folder
from deploy.loaded import Probabilities
from deploy.mediapipe import ask_mediapipe
from deploy.metadata import attached_labels, read_metadata
from deploy.runtime import RUNTIMES, open_runtime, runtime_for
from optimize.nameplate import read_nameplate
from train.errors import ArtifactError, ParityError, UsageError
from train.pixels import Pixels
from train.variant import Format, parse_variant

MEDIAPIPE = "mediapipe"
CLIENTS = (*RUNTIMES, MEDIAPIPE)
Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ClientResult:
    """How one client did on the golden pictures.

    Attributes:
        client: name and version: ``litert 2.3.0``.
        variant: name of the model.
        pictures: golden pictures.
        same_top: those with the same top class.
        max_difference: greatest difference of a probability.
        tolerance: bound on it.
    """

    client: str
    variant: str
    pictures: int
    same_top: int
    max_difference: float
    tolerance: float


def verify_bundle(
    path: Path, *, clients: Sequence[str] = (), threads: int = 1, say: Say = lambda line: None
) -> tuple[ClientResult, ...]:
    """Check a bundle.

    Args:
        path: its folder, or a zip archive of it.
        clients: names in ``CLIENTS``; empty: the own runtime of each model.
        threads: threads that a runtime may use.
        say: told of every check that was passed.

    Raises:
        UsageError: there is no such client, or the bundle holds no model for it.
        ArtifactError: a file, the metadata or a snippet is not what it must be.
        RuntimeFailure: a client cannot load a model.
        ParityError: a client's answer to a golden picture is another.
    """
    unknown = [name for name in clients if name not in CLIENTS]
    if unknown:
        raise UsageError(f"client {unknown[0]!r} is not one of {', '.join(CLIENTS)}")
    with bundle_folder(path) as folder:
        bundle = read_bundle(folder)
        manifest = bundle.manifest
        say(f"{len(manifest.files)} files have the digests that the manifest names")
        for model in manifest.models:
            say(_require_model(bundle, model))
        count = require_constants(folder, manifest)
        say(f"{count} constants in the snippets are the models'")
        index, pixels = golden.read_golden(folder / golden.FOLDER_NAME, manifest.pixels)
        _require_outputs(folder, manifest, index)
        say(f"{len(pixels)} golden pictures have the pixels that are told")
        return tuple(
            _client_result(bundle, name, index, pixels, threads=threads, say=say)
            for name in clients or _own_runtimes(manifest)
        )


def _require_model(bundle: Bundle, model: BundledModel) -> str:
    """Check what a model is and says of itself; return what was found well."""
    path, manifest = bundle.folder / model.file, bundle.manifest
    with open_runtime(path, runtime_for(_format_of(model)), threads=1) as runtime:
        found: dict[str, object] = {
            "number of outputs": runtime.classes,
            "input size": runtime.input_shape[1:3],
            "input quantization": runtime.input_quantization,
            "output quantization": runtime.output_quantization,
        }
    told: dict[str, object] = {
        "number of outputs": len(manifest.labels),
        "input size": (manifest.pixels.height, manifest.pixels.width),
        "input quantization": model.input_quantization,
        "output quantization": model.output_quantization,
    }
    _require_same(path, found, told)
    _require_same(path, _said_by(path), _told_of(manifest, model))
    return f"{model.file}: input, output, labels and metadata are as the manifest says"


def _said_by(path: Path) -> dict[str, object]:
    """Return what a model file says of itself: its metadata and its nameplate."""
    card, nameplate = read_metadata(path), read_nameplate(path)
    if nameplate is None:
        raise ArtifactError(f"{path}: says nothing of its labels; deploy it again")
    tflite = path.suffix == ".tflite"
    return {
        "name": card.name,
        "version": card.version,
        "author": card.author,
        "licence": card.licence,
        "size in the metadata": (card.height, card.width),
        "input range": card.input_range,
        "labels": nameplate.labels,
        "attached labels": attached_labels(path) if tflite else nameplate.labels,
        "pixel contract": nameplate.pixels,
        "variant": nameplate.variant,
    }


def _told_of(manifest: BundleManifest, model: BundledModel) -> dict[str, object]:
    """Return what the manifest says of the same."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "author": manifest.author,
        "licence": manifest.licence,
        "size in the metadata": (manifest.pixels.height, manifest.pixels.width),
        "input range": (0.0, 255.0),
        "labels": manifest.labels,
        "attached labels": manifest.labels,
        "pixel contract": manifest.pixels,
        "variant": model.variant,
    }


def _require_same(subject: Path, found: dict[str, object], told: dict[str, object]) -> None:
    for what, value in found.items():
        if value != told[what]:
            raise ArtifactError(
                f"{subject}: its {what} is {value!r}, the manifest's {told[what]!r}; deploy again"
            )


def _require_outputs(folder: Path, manifest: BundleManifest, index: golden.GoldenSet) -> None:
    """Check that every picture tells an output of each model, a value a class."""
    files = {model.file for model in manifest.models}
    classes = len(manifest.labels)
    for picture in index.pictures:
        sizes = {file: len(output.raw) for file, output in picture.outputs.items()}
        if sizes != dict.fromkeys(files, classes) or set(index.models) != files:
            raise ArtifactError(
                f"{folder / golden.FOLDER_NAME / picture.file}: {golden.INDEX_NAME} must tell"
                f" {classes} values of each of {', '.join(sorted(files))}; deploy again"
            )


def _own_runtimes(manifest: BundleManifest) -> list[str]:
    return [runtime_for(_format_of(model)) for model in manifest.models]


def _format_of(model: BundledModel) -> Format:
    return parse_variant(model.variant).format


def _client_result(
    bundle: Bundle,
    client: str,
    index: golden.GoldenSet,
    pixels: Pixels,
    *,
    threads: int,
    say: Say,
) -> ClientResult:
    target = "tflite" if client == MEDIAPIPE else RUNTIMES[client].format
    models = [model for model in bundle.manifest.models if _format_of(model) == target]
    if not models:
        raise UsageError(f"{bundle.folder}: holds no .{target} for {client}; name another client")
    model = models[0]
    name, found = _answers_of(bundle, client, model, pixels, threads=threads, say=say)
    result = compare(name, model, index, found)
    say(
        f"{model.file} under {name}: same top class on {result.same_top} of {result.pictures}"
        f" golden pictures, largest difference {result.max_difference:.2g}"
        f" (at most {result.tolerance:.2g})"
    )
    return result


def _answers_of(
    bundle: Bundle, client: str, model: BundledModel, pixels: Pixels, *, threads: int, say: Say
) -> tuple[str, Probabilities]:
    """Return name and version of a client, and its probabilities ``(n, classes)``."""
    path = bundle.folder / model.file
    if client != MEDIAPIPE:
        with open_runtime(path, client, threads=threads) as runtime:
            return runtime.name, runtime.predict(pixels)
    answer = ask_mediapipe(path, pixels, say=say)
    told = _told_of(bundle.manifest, model)
    found: dict[str, object] = {**answer.metadata, "labels": answer.labels}
    told["description"] = read_metadata(path).description
    _require_same(path, found, told)
    return answer.name, answer.probabilities


def compare(
    client: str, model: BundledModel, index: golden.GoldenSet, found: Probabilities
) -> ClientResult:
    """Hold a client's answers against the golden outputs of a model.

    Args:
        client: its name, for messages.
        model: the model it ran.
        index: what must come out.
        found: ``(n, classes)``, a row a golden picture.

    Raises:
        ParityError: names the first picture, what came out and what must.
    """
    tolerance = index.models[model.file].tolerance
    differences = []
    same_top = 0
    for picture, row in zip(index.pictures, found, strict=True):
        output = picture.outputs[model.file]
        wanted = golden.probabilities_of(output, model.output_quantization)
        difference = float(np.abs(row - wanted).max())
        top = int(row.argmax())
        if not difference <= tolerance or (output.decisive and top != output.top):
            raise ParityError(
                f"{model.variant} under {client}: golden picture {picture.file} gives class"
                f" {top}, must give {output.top}; a probability differs by {difference:.2g}"
                f" (at most {tolerance:.2g})"
            )
        same_top += top == output.top
        differences.append(difference)
    return ClientResult(
        client=client,
        variant=model.variant,
        pictures=len(differences),
        same_top=same_top,
        max_difference=max(differences),
        tolerance=tolerance,
    )
