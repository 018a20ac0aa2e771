"""The bundle's manifest: what is in the folder, what the models are fed, and a seal on all of it.

The manifest holds the digest of every other file and one of itself, and it is written in one
form alone, so that a single flipped byte, wherever it is, is found.
"""

from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.loaded import Quantization
from train.artifact import MANIFEST_NAME, DatasetReference
from train.errors import ArtifactError
from train.pixels import PixelContract
from train.storage import digest_of, digest_of_file
from train.variant import parse_variant

SCHEMA_VERSION = 2
_DIGEST = r"^[0-9a-f]{64}$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundledFile(_Frozen):
    """One file of the bundle: its digest and its size."""

    sha256: str = Field(pattern=_DIGEST)
    file_bytes: int = Field(ge=1)


class BundledModel(_Frozen):
    """One model of the bundle.

    Attributes:
        file: its name in the bundle.
        variant: its name (see ``train.variant``).
        artifact_sha256: digest of the artifact's payload, before metadata was written in.
        input_quantization: scale and zero point of the uint8 input; ``None``: cast inside.
        output_quantization: of the output; ``None`` for float probabilities.
    """

    file: str
    variant: str
    artifact_sha256: str = Field(pattern=_DIGEST)
    input_quantization: Quantization | None
    output_quantization: Quantization | None

    @property
    def precision(self) -> str:
        """Precision of its numbers, one of ``train.variant.PRECISIONS``."""
        return parse_variant(self.variant).precision


class BundleManifest(_Frozen):
    """What a bundle holds and what it must be fed.

    Attributes:
        schema_version: of this manifest.
        name: of the network.
        version: of the model: the trained network's digest, shortened, unless one was given.
        author: who made it.
        licence: under what terms it, and what it was made of, may be used.
        labels: classes in the order of the outputs.
        pixels: what the models are fed.
        dataset: what it was trained on.
        models: one a format.
        files: every file of the bundle but the manifest, by its path in the bundle.
        seal: digest of all of the above.
    """

    schema_version: Literal[2] = 2
    name: str
    version: str
    author: str
    licence: str
    labels: tuple[str, ...] = Field(min_length=2)
    pixels: PixelContract
    dataset: DatasetReference
    models: tuple[BundledModel, ...] = Field(min_length=1)
    files: dict[str, BundledFile]
    seal: str = ""

    def sealed(self) -> Self:
        """Return the manifest with the seal that its contents ask for."""
        return self.model_copy(
            update={"seal": digest_of(self.model_dump(mode="json", exclude={"seal"}))}
        )

    def text(self) -> str:
        """Return the one form in which the manifest is written."""
        return self.model_dump_json(indent=2) + "\n"


def files_below(folder: Path) -> dict[str, BundledFile]:
    """Return digest and size of every file in ``folder``, by its path in it.

    Raises:
        ArtifactError: a symlink, or anything else that is neither a file nor a folder.
    """
    return {
        name: BundledFile(sha256=digest_of_file(path), file_bytes=path.stat().st_size)
        for name, path in sorted(paths_below(folder).items())
        if name != MANIFEST_NAME
    }


def paths_below(folder: Path) -> dict[str, Path]:
    """Return every file in ``folder`` and its folders, by its path in it.

    Raises:
        ArtifactError: a symlink, or anything else that is neither a file nor a folder.
    """
    found: dict[str, Path] = {}
    for path in folder.iterdir():
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactError(
                f"{path} is a link or a device: a bundle holds plain files; deploy it again"
            )
        if path.is_dir():
            inner = paths_below(path)
            found |= {f"{path.name}/{name}": place for name, place in inner.items()}
        else:
            found[path.name] = path
    return found


def leaves_folder(name: str) -> bool:
    """Return whether ``name``, a path in a bundle or archive, could lead out of its folder."""
    parts = PurePosixPath(name).parts
    odd = "\\" in name or ":" in name or "\0" in name
    return odd or not parts or name.startswith("/") or ".." in parts


def read_manifest(folder: Path) -> BundleManifest:
    """Read a manifest and check its form and its seal.

    Raises:
        ArtifactError: it is missing, of another schema version, broken or altered.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{folder} is not a bundle: {MANIFEST_NAME} cannot be read") from error
    try:
        manifest = BundleManifest.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {_complaint(error)}; deploy it again") from error
    outside = [name for name in manifest.files if leaves_folder(name)]
    if outside:
        raise ArtifactError(f"{path}: {outside[0]!r} leaves the bundle; do not use it")
    if text != manifest.text() or manifest != manifest.sealed():
        raise ArtifactError(f"{path} is damaged: its seal does not fit it; deploy again")
    return manifest


def _complaint(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    versions = [item for item in error.errors() if item["loc"] == ("schema_version",)]
    if versions:
        return f"schema_version is {versions[0]['input']!r}, this threadlite reads {SCHEMA_VERSION}"
    return f"{where}: {first['msg']}"
