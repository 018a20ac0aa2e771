"""A bundle as it travels: a folder, or a zip archive of one, which is unpacked with care."""

import contextlib
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from deploy.bundle_manifest import leaves_folder
from train.artifact import MANIFEST_NAME
from train.errors import ArtifactError

MAX_UNPACKED_BYTES = 2**31  # far above any model that a phone loads
MAX_ENTRIES = 10_000
# What zipfile raises on damage: its own errors, those of each compression, of names, and of places.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError, ValueError,
)  # fmt: skip


@contextlib.contextmanager
def bundle_folder(path: Path) -> Iterator[Path]:
    """Yield the folder of a bundle; a ``.zip`` is unpacked into one that goes with the block.

    Raises:
        ArtifactError: there is nothing, it is no archive, or an entry is a link, leaves the
            folder, stands twice or makes the whole too large.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise ArtifactError(f"{path}: no such bundle")
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        yield _unpacked(path, Path(scratch))


def _unpacked(path: Path, scratch: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            _require_harmless(path, archive.infolist())
            for item in archive.infolist():
                target = scratch / item.filename
                if item.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(item) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except _BROKEN as error:
        raise ArtifactError(
            f"{path}: must be a bundle's folder or a zip archive of it ({error})"
        ) from error
    tops = list(scratch.iterdir())
    inside = len(tops) == 1 and tops[0].is_dir() and not (scratch / MANIFEST_NAME).exists()
    return tops[0] if inside else scratch


def _require_harmless(path: Path, items: list[zipfile.ZipInfo]) -> None:
    names = [item.filename for item in items]
    total = sum(item.file_size for item in items)
    if len(set(names)) != len(names):
        raise ArtifactError(f"{path}: an entry stands in it twice; do not use it")
    if total > MAX_UNPACKED_BYTES or len(items) > MAX_ENTRIES:
        raise ArtifactError(
            f"{path}: unpacks to {len(items):,} entries of {total:,} bytes, at most"
            f" {MAX_ENTRIES:,} of {MAX_UNPACKED_BYTES:,} are taken"
        )
    for item in items:
        kind = stat.S_IFMT(item.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArtifactError(f"{path}: {item.filename!r} is a link or a device; do not use it")
        if leaves_folder(item.filename):
            raise ArtifactError(f"{path}: {item.filename!r} leaves the bundle; do not use it")
