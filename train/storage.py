"""Files that appear whole or not at all, and the digests that name them."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from train.errors import ArtifactError, first_line

PARTIAL_PREFIX = ".partial-"
_ABANDONED_SECONDS = 86_400.0  # a draft so old has no living writer


def cache_folder() -> Path:
    """Return the user's cache: ``THREADLITE_CACHE``, else the platform's own place."""
    return Path(os.environ.get("THREADLITE_CACHE") or platformdirs.user_cache_dir("threadlite"))


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it is renamed to ``path`` only when the block ends well.

    Raises:
        ArtifactError: the folder cannot be written (read-only, disk full).
    """
    with plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_partials(path.parent, older_than_seconds=_ABANDONED_SECONDS)
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            draft.chmod(0o644)
            _flush(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it is renamed to ``path`` only when the block ends well.

    Raises:
        ArtifactError: ``path`` exists already, or its parent cannot be written.
    """
    with plain_write_errors(path):
        if path.exists():
            raise ArtifactError(f"{path} exists already; choose another folder or remove it first")
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_partials(path.parent, older_than_seconds=_ABANDONED_SECONDS)
        draft = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=path.parent))
        try:
            yield draft
            draft.chmod(0o755)
            for child in draft.rglob("*"):
                if child.is_file():
                    _flush(child)
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def require_writable(path: Path) -> None:
    """Make the folder that ``path`` would stand in, and try to write there.

    Raises:
        ArtifactError: it cannot be made or written; better said before hours of work than after.
    """
    with plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=PARTIAL_PREFIX, dir=path.parent):
            pass


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 so that ``path`` holds all of it or what it held before."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_array(
    path: Path, dtype: str, shape: tuple[int, ...], rows: Iterable[npt.NDArray[Any]]
) -> None:
    """Write ``rows``, of ``dtype`` each, as one ``.npy`` file of ``shape``.

    Written as a stream: a memory map would meet a full disk as a signal that ends the process.
    """
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for row in rows:
            stream.write(row.tobytes())


def stored_array(
    path: Path, dtype: str, shape: tuple[int, ...], *, say: Callable[[str], None] | None = None
) -> npt.NDArray[Any] | None:
    """Return an array of the cache as a read-only view, or ``None`` where it must be made anew.

    Args:
        path: of the ``.npy`` file.
        dtype: of the array.
        shape: its first dimensions, or all of them.
        say: told of a file that is there and is not that array whole.
    """
    if not path.exists():
        return None
    try:
        found = np.lib.format.open_memmap(path, mode="r")
        if found.dtype == dtype and found.shape[: len(shape)] == shape:
            array: npt.NDArray[Any] = found
            return array
        reason = f"it holds {found.dtype} {found.shape}, wanted {dtype} {shape}"
    except Exception as error:  # a broken header is parsed as Python, and may raise anything
        reason = first_line(error)
    if say is not None:
        say(f"{path} in the cache is damaged ({reason}): it is computed again")
    return None


@contextlib.contextmanager
def only_process(lock: Path, busy: str) -> Iterator[None]:
    """Hold off other processes that take the same lock; wait for none.

    A folder that was made for the lock goes with it where nothing else came into it.

    Args:
        lock: a file beside what must be worked on by one process alone.
        busy: the message where another process has it.

    Raises:
        ArtifactError: another process has it, or the file cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two processes at once are not kept apart there
        yield
        return
    begun = not lock.parent.exists()
    with plain_write_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError(busy) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if begun and [*lock.parent.iterdir()] == [lock]:  # nothing came of it
                    lock.unlink()
                    lock.parent.rmdir()


def remove_partials(folder: Path, *, older_than_seconds: float = 0.0) -> None:
    """Remove what killed writers left in ``folder`` (its direct children only)."""
    newest = time.time() - older_than_seconds
    for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
        try:
            if leftover.stat().st_mtime > newest:
                continue
        except OSError:  # another process was first
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def plain_write_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write ``path`` into an error that says so.

    Raises:
        ArtifactError: instead of any ``OSError`` in the block.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(
            f"{path} cannot be written: {reason}; nothing was left there"
        ) from error
