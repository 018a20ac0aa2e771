"""Brings models of TensorFlow Hub onto disk, whole or not at all, one process at a time.

What was downloaded before is taken from ``TFHUB_CACHE_DIR``, laid out as TensorFlow Hub does, or
from the user's own cache; so it works offline.
"""

import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any

from train.errors import ArtifactError, DataError, WeightsError
from train.fetch import FetchConfig, fetch, forget
from train.keras_weights import OFFLINE_VARIABLE, downloads_are_off
from train.storage import cache_folder, only_process, whole_folder

HUB_ADDRESS = "https://tfhub.dev/"
CACHE_VARIABLE = "TFHUB_CACHE_DIR"
GRAPH_FILE = "saved_model.pb"
MAX_MODEL_BYTES = 2 * 1024**3
_CHUNK_BYTES = 2**20
_SPARE_BYTES = 200_000_000
_IMPATIENT = FetchConfig(connect_seconds=5.0, stall_seconds=15.0, attempts=1)
_CURES = (
    "give a folder with the SavedModel (--weights hub:FOLDER), set TFHUB_CACHE_DIR to a cache that"
    " holds it, or train without (--weights none)"
)


def downloaded(place: str) -> Path:
    """Return the folder of a model in TensorFlow Hub's cache or in ours, downloaded if need be.

    Args:
        place: an address or ``publisher/model/version``.

    Raises:
        WeightsError: no such handle, unreachable, damaged, without a SavedModel, over 2 GiB, no
            room, or another process is downloading it; says what to do.
    """
    address = _address(place)
    key = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    own = cache_folder() / "hub"
    for cache in (os.environ.get(CACHE_VARIABLE), own):
        if cache and _is_model(Path(cache) / key):
            return Path(cache) / key
    if downloads_are_off():
        raise WeightsError(f"{address} is in no cache and {OFFLINE_VARIABLE} is set; {_CURES}")
    busy = f"{address}: another process is downloading it; wait until it has ended"
    try:
        with only_process(own / f"{key}.lock", busy):
            if not _is_model(own / key):  # it may have come just before we had the lock
                _download(address, own / key)
    except (DataError, ArtifactError, OSError) as error:
        message = str(error)
        raise WeightsError(message if message == busy else f"{message}; {_CURES}") from error
    return own / key


def _address(place: str) -> str:
    if place.startswith(("http://", "https://")):
        return place.rstrip("/")
    if place.startswith(("/", ".", "~")) or place.count("/") not in (1, 2):
        raise WeightsError(
            f"hub handle {place!r} is neither a folder with a SavedModel nor an address nor"
            " publisher/model/version; give one of them"
        )
    return f"{HUB_ADDRESS}{place}" if place.count("/") == 2 else f"{HUB_ADDRESS}{place}/1"


def _is_model(folder: Path) -> bool:
    return (folder / GRAPH_FILE).is_file()


def _download(address: str, folder: Path) -> None:
    """Bring a model into ``folder``; to be called under its lock, where it holds no model."""
    part = folder.with_name(f"{folder.name}.tar.gz.part")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetch(
        f"{address}?tf-hub-format=compressed",
        part,
        require_room=lambda coming: _require_room(folder.parent, coming),
        config=_IMPATIENT,
    )
    if folder.exists():
        shutil.rmtree(folder)
    try:
        with whole_folder(folder) as draft:
            _unpack(part, draft, address)
    finally:
        forget(part)  # a damaged one would be met again and again


def _require_room(folder: Path, coming: int | None) -> None:
    free, needed = shutil.disk_usage(folder).free, 2 * (coming or _SPARE_BYTES) + _SPARE_BYTES
    if free < needed:
        raise ArtifactError(f"{folder}: {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed")


def _unpack(archive: Path, folder: Path, address: str) -> None:
    unpacked = 0
    try:
        with tarfile.open(archive, "r:*") as packed:
            for member in packed:
                unpacked += member.size
                if unpacked > MAX_MODEL_BYTES:
                    raise DataError(f"{address}: it unpacks to over 2 GiB")
                _write(packed, member, folder)
            _read_to_end(packed.fileobj)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{address}: the archive is damaged ({error}); it was removed") from error
    if not _is_model(folder):
        raise DataError(f"{address}: the archive holds no {GRAPH_FILE}, so it is no SavedModel")


def _write(packed: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a file of an archive below ``folder``; links and devices are passed over.

    ``tarfile``'s own filters are not in every Python 3.11.

    Raises:
        tarfile.TarError: it would lie elsewhere.
    """
    path = (folder / member.name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name!r} would lie outside of its folder")
    source = packed.extractfile(member) if member.isfile() else None
    if source is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as target:
            shutil.copyfileobj(source, target)


def _read_to_end(stream: Any) -> None:
    """Meet the checksum at a compressed file's end, which lies behind what a tar reader reads."""
    while stream is not None and stream.read(_CHUNK_BYTES):
        pass
