"""The bundle: the folder that goes into an app.

``model.tflite`` and ``model.onnx`` (either may be missing), ``labels.txt`` and ``manifest.json``
with the digest of every file, so that one flipped byte is found.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.loaded import Quantization
from deploy.runtime import open_runtime, runtime_for
from optimize.nameplate import LABELS_NAME
from train.artifact import MANIFEST_NAME, PAYLOAD_NAMES, Artifact, DatasetReference
from train.errors import ArtifactError, UsageError
from train.pixels import PixelContract
from train.storage import digest_of_file, whole_folder


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundledFile(_Frozen):
    """One file of the bundle: its digest and its size."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file_bytes: int = Field(ge=1)


class BundledModel(_Frozen):
    """One model of the bundle.

    Attributes:
        file: its name in the bundle.
        variant: its name (see ``train.variant``).
        input_quantization: scale and zero point of the uint8 input; ``None``: cast inside.
        output_quantization: of the output; ``None`` for float probabilities.
    """

    file: str
    variant: str
    input_quantization: Quantization | None
    output_quantization: Quantization | None


class BundleManifest(_Frozen):
    """What a bundle holds and what it must be fed."""

    schema_version: Literal[1] = 1
    labels: tuple[str, ...] = Field(min_length=2)
    pixels: PixelContract
    dataset: DatasetReference
    models: tuple[BundledModel, ...] = Field(min_length=1)
    files: dict[str, BundledFile]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk that was read and checked."""

    folder: Path
    manifest: BundleManifest


def write_bundle(variants: Sequence[Artifact], folder: Path) -> Bundle:
    """Write the bundle of one network; it appears whole or not at all.

    Args:
        variants: one ``.tflite``, one ``.onnx`` or both, of the same training.
        folder: where it goes; must not exist.

    Raises:
        UsageError: no variant, two of one format, or variants of different trainings.
        RuntimeFailure: a variant cannot be loaded on its runtime.
        ArtifactError: a model's outputs are not the labels, or ``folder`` cannot be written.
    """
    _require_family(variants)
    first = variants[0].manifest
    models = tuple(_describe(variant) for variant in variants)
    with whole_folder(folder) as draft:
        for variant, model in zip(variants, models, strict=True):
            shutil.copyfile(variant.payload, draft / model.file)
        text = "".join(f"{label}\n" for label in first.labels)
        (draft / LABELS_NAME).write_text(text, encoding="utf-8")
        manifest = BundleManifest(
            labels=first.labels,
            pixels=first.pixels,
            dataset=first.dataset,
            models=models,
            files={
                path.name: BundledFile(sha256=digest_of_file(path), file_bytes=path.stat().st_size)
                for path in sorted(draft.iterdir())
            },
        )
        lines = manifest.model_dump_json(indent=2) + "\n"
        (draft / MANIFEST_NAME).write_text(lines, encoding="utf-8")
    return Bundle(folder=folder, manifest=manifest)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every file against its digest.

    Raises:
        ArtifactError: no manifest or a broken one, a file missing, too many or altered, or a
            name that leaves the folder.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = BundleManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{folder} is not a bundle: {MANIFEST_NAME} cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ArtifactError(f"{path}: {where}: {first['msg']}; deploy it again") from error
    _require_files(folder, manifest)
    return Bundle(folder=folder, manifest=manifest)


def _require_family(variants: Sequence[Artifact]) -> None:
    formats = [variant.manifest.name.format for variant in variants]
    if not variants or "keras" in formats or len(set(formats)) != len(formats):
        raise UsageError(
            f"a bundle holds one tflite and one onnx variant at most, got {formats or 'none'};"
            " name the variants to bundle"
        )
    # The step after the training names the trained network's digest: the root of the family.
    roots = {variant.manifest.steps[1].parent_sha256 for variant in variants}
    if len(roots) != 1:
        names = " and ".join(variant.manifest.variant for variant in variants)
        raise UsageError(f"{names} come from different trainings; bundle variants of one")


def _describe(variant: Artifact) -> BundledModel:
    manifest = variant.manifest
    with open_runtime(variant.payload, runtime_for(manifest.name.format), threads=1) as runtime:
        if runtime.classes != len(manifest.labels):
            raise ArtifactError(
                f"{manifest.variant}: gives {runtime.classes} probabilities for"
                f" {len(manifest.labels)} labels; make it again"
            )
        return BundledModel(
            file=PAYLOAD_NAMES[manifest.name.format],
            variant=manifest.variant,
            input_quantization=runtime.input_quantization,
            output_quantization=runtime.output_quantization,
        )


def _require_files(folder: Path, manifest: BundleManifest) -> None:
    expected = {*manifest.files, MANIFEST_NAME}
    present = {path.name for path in folder.iterdir()}
    named = {LABELS_NAME, *(model.file for model in manifest.models)}
    strays = sorted((present ^ expected) | (named ^ set(manifest.files)))
    if strays:
        raise ArtifactError(f"{folder}: {strays[0]!r} is missing or does not belong; deploy again")
    for name, entry in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or digest_of_file(path) != entry.sha256:
            raise ArtifactError(
                f"{path} is damaged: its sha256 is not the manifest's; deploy again"
            )
    labels = (folder / LABELS_NAME).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if tuple(labels) != manifest.labels:
        raise ArtifactError(f"{folder}: {LABELS_NAME} differs from the manifest; deploy again")
