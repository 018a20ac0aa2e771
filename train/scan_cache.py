"""What is known of files already looked at, kept in the user's cache.

Facts go by a file's digest, and the digest by path, size and times, so that a second look opens
no file. Losing the cache costs time and nothing else.
"""

import contextlib
import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import PIL

from train.storage import cache_folder

_SCAN_VERSION = 1
_SETTLED_NS = 2_000_000_000  # a file younger than this may change again within one clock tick


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """One file, as found.

    Attributes:
        sha256: digest of its bytes; empty for what was not opened at all.
        file_bytes: its size.
        width: columns as stored, before the EXIF orientation; 0 when unreadable.
        height: rows as stored; 0 when unreadable.
        mode: Pillow's name for its pixels, such as ``CMYK``.
        orientation: EXIF orientation, 1 (upright) to 8.
        problem: why it cannot be read; empty when it can.
        conversion: what it takes to make it upright 8-bit RGB; empty when nothing.
        perceptual_hash: 64 hex digits; empty when unreadable or too flat to have a look.
    """

    sha256: str = ""
    file_bytes: int = 0
    width: int = 0
    height: int = 0
    mode: str = ""
    orientation: int = 1
    problem: str = ""
    conversion: str = ""
    perceptual_hash: str = ""


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from another without opening it."""

    path: bytes
    state: str  # size and times: while they stay, the bytes are taken to stay
    settled: bool


def stamp_of(path: Path) -> Stamp | FileFacts:
    """Return the stamp of a regular file; of anything else, the facts that say so."""
    try:
        status = path.stat()
    except OSError as error:
        return FileFacts(problem=error.strerror or "cannot be opened")
    if not stat.S_ISREG(status.st_mode):
        return FileFacts(problem="not a regular file")  # opening a pipe would wait for ever
    youngest = max(status.st_mtime_ns, status.st_ctime_ns)
    return Stamp(
        os.fsencode(path if path.is_absolute() else path.absolute()),
        f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}",
        settled=time.time_ns() - youngest > _SETTLED_NS,
    )


class FactsCache:
    """Facts by digest and digests by stamp, in one SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS facts (sha256 TEXT PRIMARY KEY, facts TEXT)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS stamps (path BLOB PRIMARY KEY, state TEXT, sha256 TEXT)"
        )

    def by_stamp(self, stamp: Stamp) -> FileFacts | None:
        """Return what is known of a file that has not changed since."""
        return self._one(
            "SELECT facts FROM stamps JOIN facts USING (sha256) WHERE path = ? AND state = ?",
            (stamp.path, stamp.state),
        )

    def by_digest(self, digest: str) -> FileFacts | None:
        """Return what is known of a file's bytes."""
        return self._one("SELECT facts FROM facts WHERE sha256 = ?", (digest,))

    def remember(self, entries: Iterator[tuple[Stamp, FileFacts]]) -> None:
        """Save facts; a disk that refuses costs the next scan its time, and nothing else."""
        with contextlib.suppress(sqlite3.Error), self._connection:
            for stamp, facts in entries:
                if not facts.sha256:
                    continue
                self._connection.execute(
                    "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                    (facts.sha256, json.dumps(asdict(facts))),
                )
                if stamp.settled:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)",
                        (stamp.path, stamp.state, facts.sha256),
                    )

    def _one(self, query: str, values: tuple[object, ...]) -> FileFacts | None:
        try:
            row = self._connection.execute(query, values).fetchone()
            return FileFacts(**json.loads(row[0])) if row else None
        except (sqlite3.Error, ValueError, TypeError):
            return None


@contextlib.contextmanager
def facts_cache() -> Iterator[FactsCache]:
    """Open the user's cache for one scan."""
    path = cache_folder() / "scan" / f"facts-{_SCAN_VERSION}-pillow-{PIL.__version__}.sqlite3"
    connection, cache = _open_cache(path)
    with contextlib.closing(connection):
        yield cache


def _open_cache(path: Path) -> tuple[sqlite3.Connection, FactsCache]:
    """Open the cache at ``path``; a broken one is begun again, and without a disk it is memory."""
    for _ in range(2):
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30)
            return connection, FactsCache(connection)
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.DatabaseError):
                break
            if isinstance(error, sqlite3.OperationalError):
                break  # read-only, locked or full: the file itself is sound
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    memory = sqlite3.connect(":memory:")
    return memory, FactsCache(memory)
