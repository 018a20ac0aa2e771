"""The clothing dataset, downloaded once from its public GitHub archive.

The archive is pinned to a commit. Its SHA-256 is checked where one is configured; otherwise the
commit that the archive names in its comment, and the CRC-32 of every member, which guard against
damage and not against a malicious server. The digest seen goes into a receipt beside the data.
Source: https://github.com/alexeygrigorev/clothing-dataset (CC0).
"""

import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from train.errors import ArtifactError, ConfigError, DataError
from train.fetch import FetchConfig, Received, fetch, forget
from train.storage import (
    cache_folder,
    digest_of,
    digest_of_file,
    only_process,
    whole_folder,
    write_text,
)
from train.tables import TABLE_NAME

COMMIT = "08b50460cf229fd852bb6c11564e0959f52578ca"
ARCHIVE_URL = f"https://codeload.github.com/alexeygrigorev/clothing-dataset/zip/{COMMIT}"
URL_VARIABLE = "THREADLITE_CLOTHING_URL"
SHA256_VARIABLE = "THREADLITE_CLOTHING_SHA256"
RECEIPT_NAME = "receipt.json"
_USUAL_BYTES = 200_000_000  # GitHub does not say how long an archive is before sending it
_SPARE_BYTES = 50_000_000
_PHOTO = re.compile(r"images/[^/]+\.jpg", re.IGNORECASE)
_WAYS_ON = (
    "three ways on: give the dataset's folder by path (--data FOLDER), set THREADLITE_CLOTHING"
    " to it, or use the rendered garments (--data garments)"
)
_NOT_A_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Receipt(BaseModel):
    """Where a downloaded dataset came from, and what proved it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    commit: str
    sha256: str
    archive_bytes: int
    photos: int
    proof: str


def clothing_folder() -> Path:
    """Return where the downloaded dataset lies in the user's cache, once it is there."""
    return cache_folder() / "clothing" / COMMIT[:12]


def read_receipt(folder: Path) -> Receipt | None:
    """Return the receipt of a downloaded dataset; ``None`` for a folder that was not."""
    try:
        return Receipt.model_validate_json((folder / RECEIPT_NAME).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def download_clothing(
    folder: Path,
    *,
    received: Received | None = None,
    config: FetchConfig | None = None,
    free_bytes: Callable[[Path], int] | None = None,
) -> Path:
    """Download the clothing dataset into ``folder``, which appears whole or not at all.

    Args:
        folder: where it goes; must not exist.
        received: called with bytes so far and bytes in all, ``None`` where unknown.
        config: timeouts and attempts.
        free_bytes: free space of the disk that holds a folder; asks the system by default.

    Returns:
        ``folder``.

    Raises:
        DataError: no connection, a server that refuses, or an archive that is not the one meant.
        ArtifactError: the disk is too full or refuses; another process is downloading.
        ConfigError: ``THREADLITE_CLOTHING_SHA256`` is not a SHA-256.
    """
    url = os.environ.get(URL_VARIABLE) or ARCHIVE_URL
    expected = _expected_sha256()
    part = folder.with_name(f"{folder.name}-{digest_of(url)[:8]}.zip.part")
    measure = free_bytes or _free_bytes
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder.parent} cannot be written: {error.strerror}") from error

    def require_room(coming: int | None) -> None:
        # The archive and what is taken out of it lie side by side for a moment.
        needed = 2 * (_USUAL_BYTES if coming is None else coming) + _SPARE_BYTES
        _require_room(folder.parent, needed, measure)

    lock = part.with_name(part.name + ".lock")
    with only_process(lock, f"{part}: another process is downloading it; wait for that one"):
        if folder.is_dir():  # another process brought it while this one waited
            return folder
        try:
            fetch(
                url, part, require_room=require_room, config=config or FetchConfig(),
                received=received,
            )  # fmt: skip
        except DataError as error:
            raise DataError(f"clothing: {error}; {_WAYS_ON}") from error
        try:
            _unpack(part, folder, url, expected, measure)
        except DataError:
            forget(part)  # what is wrong as a whole is not worth going on from
            raise
        forget(part)
    return folder


def _unpack(
    part: Path, folder: Path, url: str, expected: str | None, measure: Callable[[Path], int]
) -> None:
    sha256 = digest_of_file(part)
    if expected and sha256 != expected:
        raise DataError(
            f"clothing: the archive from {url} has sha256 {sha256}, expected {expected}"
            f" ({SHA256_VARIABLE}); it was removed: try again, or {_WAYS_ON}"
        )
    try:
        with zipfile.ZipFile(part) as archive:
            if not expected:
                _require_commit(archive, url)
            _require_room(folder.parent, sum(i.file_size for i in archive.infolist()), measure)
            with whole_folder(folder) as draft:
                photos = _extract(archive, draft)
                receipt = Receipt(
                    url=url,
                    commit=COMMIT,
                    sha256=sha256,
                    archive_bytes=part.stat().st_size,
                    photos=photos,
                    proof="sha256" if expected else "commit id and CRC-32",
                )
                write_text(draft / RECEIPT_NAME, receipt.model_dump_json(indent=1) + "\n")
    except _NOT_A_ZIP as error:
        raise DataError(
            f"clothing: the archive from {url} is damaged ({error}); it was removed: try again,"
            f" or {_WAYS_ON}"
        ) from error


def _extract(archive: zipfile.ZipFile, draft: Path) -> int:
    """Take the table and the photos out, read everything else for its CRC; return the photos."""
    (draft / "images").mkdir()
    photos = 0
    for member in archive.infolist():
        inner = _inner_name(member.filename)
        wanted = inner == TABLE_NAME or _PHOTO.fullmatch(inner) is not None
        with archive.open(member) as source:
            if wanted and not member.is_dir():
                with (draft / inner).open("xb") as target:
                    shutil.copyfileobj(source, target)
                photos += inner != TABLE_NAME
            else:
                _read_through(source)
    if not (draft / TABLE_NAME).is_file() or not photos:
        raise DataError(
            f"clothing: the archive holds {photos} photos and"
            f" {'a' if (draft / TABLE_NAME).is_file() else 'no'} {TABLE_NAME}: it is not the"
            f" dataset's; {_WAYS_ON}"
        )
    return photos


def _inner_name(name: str) -> str:
    """Return a member's name without the archive's top folder, refusing one that climbs out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise DataError(
            f"clothing: the archive holds {name!r}, a path outside its folder: it is not the"
            f" dataset's; {_WAYS_ON}"
        )
    return str(PurePosixPath(*path.parts[1:]))


def _read_through(source: IO[bytes]) -> None:
    while source.read(1 << 20):
        pass


def _require_commit(archive: zipfile.ZipFile, url: str) -> None:
    comment = archive.comment.decode("ascii", "replace")
    if comment != COMMIT:
        raise DataError(
            f"clothing: the archive from {url} is of commit {comment[:40]!r}, expected {COMMIT};"
            f" set {SHA256_VARIABLE} to vouch for another archive, or {_WAYS_ON}"
        )


def _expected_sha256() -> str | None:
    value = os.environ.get(SHA256_VARIABLE, "").strip().lower()
    if value and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ConfigError(f"{SHA256_VARIABLE} must be 64 hex digits, got {value!r}")
    return value or None


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _require_room(folder: Path, needed: int, measure: Callable[[Path], int]) -> None:
    free = measure(folder)
    if free < needed:
        raise ArtifactError(
            f"{folder}: the download needs {needed / 1e6:,.0f} MB of free disk, there are"
            f" {free / 1e6:,.0f} MB; make room, or set THREADLITE_CACHE to a larger disk"
        )
