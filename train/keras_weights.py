"""ImageNet weights that Keras Applications publishes, brought once into the user's cache.

The files and their digests are those of Keras' own source (``keras/applications``); Keras
publishes no digest for MobileNetV2, whose file is accepted when every array in it fits its layer.
A file that cannot be had never stops a training: the caller is told why and goes on without.
Sources: ResNet50, He et al., MIT; ResNet50V2, BSD; MobileNetV2, Apache-2.0; ConvNeXt, Meta, MIT.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from train.errors import ArtifactError, DataError, WeightsError
from train.fetch import FetchConfig, fetch, forget
from train.storage import cache_folder, digest_of_file, only_process

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
URL_VARIABLE = "THREADLITE_WEIGHTS_URL"
OFFLINE_VARIABLE = "THREADLITE_OFFLINE"
_SPARE_BYTES = 50_000_000
_USUAL_BYTES = 120_000_000
# An absent network must cost a training seconds: one fruitless attempt is the last.
_IMPATIENT = FetchConfig(connect_seconds=3.0, stall_seconds=10.0, attempts=1)


@dataclass(frozen=True, kw_only=True)
class KerasFile:
    """One published file without its classifier.

    Attributes:
        path: below the base address.
        digest: MD5 (32 hex digits) or SHA-256 (64) as Keras' source has it; empty: none published.
        licence: of the weights.
    """

    path: str
    digest: str
    licence: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where it is had: below ``THREADLITE_WEIGHTS_URL`` or Keras' own storage."""
        return f"{(os.environ.get(URL_VARIABLE) or BASE_URL).rstrip('/')}/{self.path}"


def _mobilenet(width: str) -> KerasFile:
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_224_no_top.h5"
    return KerasFile(path=f"mobilenet_v2/{name}", digest="", licence="Apache-2.0")


KERAS_FILES = {
    "resnet50": KerasFile(
        path="resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        digest="4d473c1dd8becc155b73f8504c6f6626",
        licence="MIT",
    ),
    "resnet50-v2": KerasFile(
        path="resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        digest="fac2f116257151a9d068a22e544a4917",
        licence="BSD",
    ),
    "mobilenet-v2": _mobilenet("1.0"),
    "mobilenet-v2-0.5": _mobilenet("0.5"),
    "convnext-tiny": KerasFile(
        path="convnext/convnext_tiny_notop.h5",
        digest="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        licence="MIT",
    ),
}


def obtain(file: KerasFile) -> Path:
    """Return the file in the user's cache, downloading it there first if need be.

    Within one process a refusal is remembered: a second call asks no server again.

    Raises:
        WeightsError: it is not in the cache and cannot be had: no connection, a server that
            refuses, a file with another digest, no room, or downloads are switched off.
    """
    found, reason = _obtained(file, file.url, cache_folder(), downloads_are_off())
    if found is None:
        raise WeightsError(reason)
    return found


def downloads_are_off() -> bool:
    """Return whether ``THREADLITE_OFFLINE`` says to ask no server."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


@cache
def _obtained(file: KerasFile, url: str, folder: Path, offline: bool) -> tuple[Path | None, str]:
    target = folder / "weights" / file.name
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _our_turn(part.with_name(part.name + ".lock")):
            if _is_whole(target, file.digest):
                return target, ""
            if offline:
                return None, f"{file.name} is not in the cache and {OFFLINE_VARIABLE} is set"
            _download(file, url, part)
            part.replace(target)
            forget(part)
    except (DataError, ArtifactError, OSError) as error:
        return None, f"download of {file.name} failed: {error}"
    return target, ""


@contextlib.contextmanager
def _our_turn(
    lock: Path, *, wait_seconds: float = 600.0, pause_seconds: float = 0.5
) -> Iterator[None]:
    """Wait until no other process downloads the same file, then hold the others off."""
    busy = f"another process has been downloading it for {wait_seconds:.0f} s"
    patience = time.monotonic() + wait_seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(only_process(lock, busy))
                break
            except ArtifactError as error:
                if str(error) != busy or time.monotonic() > patience:
                    raise
                time.sleep(pause_seconds)
        yield


def _is_whole(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    if _has_digest(path, digest):
        return True
    path.unlink()  # damaged in the cache: worth nothing
    return False


def _download(file: KerasFile, url: str, part: Path) -> None:
    def require_room(coming: int | None) -> None:
        needed = (_USUAL_BYTES if coming is None else coming) + _SPARE_BYTES
        free = shutil.disk_usage(part.parent).free
        if free < needed:
            raise ArtifactError(
                f"{part.parent} has {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB are needed"
            )

    fetch(url, part, require_room=require_room, config=_IMPATIENT)
    if not _has_digest(part, file.digest):
        forget(part)
        raise DataError(f"what {url} sends has not the digest {file.digest} that Keras publishes")


def _has_digest(path: Path, digest: str) -> bool:
    """Return whether the file has the digest; without one, whether it begins as HDF5 does."""
    if not digest:
        with path.open("rb") as stream:
            return stream.read(8) == b"\x89HDF\r\n\x1a\n"
    if len(digest) == 64:
        return digest_of_file(path) == digest
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == digest
