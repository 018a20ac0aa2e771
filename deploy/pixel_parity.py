"""Pixel parity: how far another resize or JPEG decoder moves a model's answers on real photos.

A phone, a browser and Python scale and decode with code of their own. Each way of doing so is put
in the place of the pixel contract's, one change at a time, and the answers are compared.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.loaded import Probabilities
from deploy.runtime import open_runtime, runtime_for
from train.artifact import Artifact
from train.backend import tensorflow
from train.dataset import Photo
from train.errors import ArtifactError
from train.pixels import PixelContract, Pixels, to_rgb

_ORIENTATION = 0x0112  # the EXIF tag that says how the camera was held
_BATCH = 16  # photos in memory at a time, in every way

Decoder = Callable[[bytes, PixelContract], Image.Image]
Resizer = Callable[[Image.Image, PixelContract], Image.Image]


class WayParity(BaseModel):
    """How the answers are when pixels are made in one other way.

    Attributes:
        way: a name in ``WAYS``.
        changed: share of photos whose pixels are others at all, in [0, 1].
        agreement: share of photos whose top class stays, in [0, 1].
        accuracy: share of photos whose top class is right, in [0, 1].
        mean_difference: mean over photos of the greatest difference of a probability.
        max_difference: greatest difference of a probability on any photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    way: str
    changed: float = Field(ge=0, le=1)
    agreement: float = Field(ge=0, le=1)
    accuracy: float = Field(ge=0, le=1)
    mean_difference: float = Field(ge=0)
    max_difference: float = Field(ge=0)


class PixelParity(BaseModel):
    """What was measured of one model; written as JSON.

    Attributes:
        schema_version: of this record.
        variant: the model's name.
        network_sha256: of the trained network that it was made from.
        runtime: what ran it: ``litert 2.3.0``.
        dataset: name of the photos' dataset.
        split_method: ``grouped`` or ``stratified``; its test photos were used.
        photos: their number.
        accuracy: share of them whose top class is right under the contract itself.
        ways: a line each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    variant: str
    network_sha256: str
    runtime: str
    dataset: str
    split_method: str
    photos: int = Field(ge=1)
    accuracy: float = Field(ge=0, le=1)
    ways: tuple[WayParity, ...]


class Answers(NamedTuple):
    """Probabilities ``(photos, classes)`` under the contract, and the right class of each photo."""

    own: Probabilities
    truth: Any


class Way(NamedTuple):
    """One way to make the pixels: how a file is decoded, and how the picture is scaled."""

    decode: Decoder
    resize: Resizer


def _decode(content: bytes, contract: PixelContract) -> Image.Image:
    """Decode as the contract does: libjpeg-turbo's exact DCT and smooth colour."""
    del contract
    with Image.open(io.BytesIO(content)) as picture:
        return to_rgb(ImageOps.exif_transpose(picture))


def _decode_scaled(content: bytes, contract: PixelContract) -> Image.Image:
    """Decode a JPEG at a half, quarter or eighth, as thumbnail APIs of phones do."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.draft("RGB", (contract.width, contract.height))  # never below this size
        return to_rgb(ImageOps.exif_transpose(picture))


def _decode_fast(content: bytes, contract: PixelContract) -> Image.Image:
    """Decode a JPEG with the fast integer DCT and colours that are repeated, not smoothed."""
    with Image.open(io.BytesIO(content)) as picture:
        if picture.format != "JPEG" or picture.mode != "RGB":
            return _decode(content, contract)
        orientation = picture.getexif().get(_ORIENTATION, 1)
    read = tensorflow().io.decode_jpeg
    found = read(content, channels=3, fancy_upscaling=False, dct_method="INTEGER_FAST")
    fast = Image.fromarray(found.numpy())
    fast.getexif()[_ORIENTATION] = orientation
    return ImageOps.exif_transpose(fast)


def _antialiased(method: Image.Resampling) -> Resizer:
    def resize(picture: Image.Image, contract: PixelContract) -> Image.Image:
        return picture.resize((contract.width, contract.height), method)

    return resize


def _sampled(method: Image.Resampling) -> Resizer:
    """Return a resize that looks at the pixels about each sample alone, and skips the others."""

    def resize(picture: Image.Image, contract: PixelContract) -> Image.Image:
        steps = (picture.width / contract.width, 0, 0, 0, picture.height / contract.height, 0)
        size = (contract.width, contract.height)
        return picture.transform(size, Image.Transform.AFFINE, steps, method)

    return resize


_CONTRACT = Way(_decode, _antialiased(Image.Resampling.BILINEAR))
WAYS: dict[str, Way] = {
    "area (box)": Way(_decode, _antialiased(Image.Resampling.BOX)),
    "bicubic, antialiased": Way(_decode, _antialiased(Image.Resampling.BICUBIC)),
    "Lanczos, antialiased": Way(_decode, _antialiased(Image.Resampling.LANCZOS)),
    "bilinear, not antialiased": Way(_decode, _sampled(Image.Resampling.BILINEAR)),
    "bicubic, not antialiased": Way(_decode, _sampled(Image.Resampling.BICUBIC)),
    "nearest": Way(_decode, _sampled(Image.Resampling.NEAREST)),
    "JPEG decoded at a fraction": Way(_decode_scaled, _CONTRACT.resize),
    "JPEG by the fast DCT, plain colour": Way(_decode_fast, _CONTRACT.resize),
}


def measure_pixel_parity(
    artifact: Artifact,
    photos: Sequence[Photo],
    *,
    threads: int,
    advance: Callable[[int], None] = lambda amount: None,
) -> PixelParity:
    """Run a model on photos whose pixels are made in every way.

    Args:
        artifact: a ``.tflite`` or ``.onnx``.
        photos: of its test side.
        threads: threads that its runtime may use.
        advance: called with the number of photos just done.

    Raises:
        RuntimeFailure: the model cannot be run.
    """
    manifest = artifact.manifest
    runtime_name = runtime_for(manifest.name.format)
    with open_runtime(artifact.payload, runtime_name, threads=threads) as runtime:
        own: list[Probabilities] = []
        others: dict[str, list[Probabilities]] = {name: [] for name in WAYS}
        changed = dict.fromkeys(WAYS, 0)
        for begin in range(0, len(photos), _BATCH):
            contents = [photo.path.read_bytes() for photo in photos[begin : begin + _BATCH]]
            pixels = made_by(_CONTRACT, contents, manifest.pixels)
            own.append(runtime.predict(pixels))
            for name, way in WAYS.items():
                other = made_by(way, contents, manifest.pixels)
                others[name].append(runtime.predict(other))
                changed[name] += int((other != pixels).any(axis=(1, 2, 3)).sum())
            advance(len(contents))
        runtime_name = runtime.name
    answers = Answers(
        own=np.concatenate(own),
        truth=np.array([manifest.labels.index(photo.label) for photo in photos]),
    )
    return PixelParity(
        variant=manifest.variant,
        network_sha256=str(manifest.steps[1].parent_sha256),
        runtime=runtime_name,
        dataset=manifest.dataset.name,
        split_method=manifest.split.method,
        photos=len(photos),
        accuracy=_share(answers.own.argmax(axis=1) == answers.truth),
        ways=tuple(
            compare(way, answers, np.concatenate(parts), changed[way] / len(photos))
            for way, parts in others.items()
        ),
    )


def made_by(way: Way, contents: Sequence[bytes], contract: PixelContract) -> Pixels:
    """Return ``(n, height, width, 3)`` uint8 of encoded photos, made in that way."""
    pictures = [way.resize(way.decode(content, contract), contract) for content in contents]
    return np.stack([np.asarray(picture, np.uint8) for picture in pictures])


def compare(way: str, answers: Answers, other: Probabilities, changed: float) -> WayParity:
    """Compare answers ``(photos, classes)`` with those under the contract.

    Args:
        way: a name in ``WAYS``.
        answers: under the contract, and what is right.
        other: with pixels made in that way.
        changed: share of photos whose pixels are others.
    """
    differences = np.abs(other - answers.own).max(axis=1)
    return WayParity(
        way=way,
        changed=changed,
        agreement=_share(answers.own.argmax(axis=1) == other.argmax(axis=1)),
        accuracy=_share(other.argmax(axis=1) == answers.truth),
        mean_difference=float(differences.mean()),
        max_difference=float(differences.max()),
    )


def read_pixel_parity(path: Path) -> PixelParity:
    """Read a record.

    Raises:
        ArtifactError: it cannot be read, or is none.
    """
    try:
        return PixelParity.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ArtifactError(f"{path} is no record of `threadlite pixels` ({first})") from error


def _share(hits: Any) -> float:
    return float(np.mean(hits))
