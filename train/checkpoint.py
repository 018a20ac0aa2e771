"""What a training leaves after every epoch, so that a killed one goes on.

The log is written last and names the files that belong to it: files of an epoch that was cut off
are never read. Damaged files end a training before its next epoch, and are left as they are.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from train.errors import ArtifactError, first_line
from train.storage import digest_of_file, plain_write_errors, write_text

LOG_NAME = "training.json"


class EpochLog(BaseModel):
    """One finished epoch.

    Attributes:
        loss: mean training loss.
        validation_f1: weighted F1 of the averaged weights, in [0, 1]; ``None`` without
            validation photos.
        seconds: wall time of training and validation.
        checkpoint: prefix of its files in the folder.
        best: whether it was better than all before it; without validation photos always.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: float
    validation_f1: float | None
    seconds: float
    checkpoint: str
    best: bool


class _Log(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    epochs: tuple[EpochLog, ...]
    weights_sha256: str = ""  # of the best epoch's weights; HDF5 checks no numbers itself


def best_of(log: Sequence[EpochLog]) -> EpochLog:
    """Return the best epoch by validation F1, or the last one without validation photos."""
    return next(entry for entry in reversed(log) if entry.best)


def weights_of(folder: Path, entry: EpochLog) -> Path:
    """Return the file of an epoch's averaged weights, which the best epochs have."""
    return folder / f"{entry.checkpoint}.weights.h5"


def read_log(folder: Path, *, key: str) -> tuple[EpochLog, ...]:
    """Return the epochs that are done, none if the folder is new.

    Raises:
        ArtifactError: the folder holds another training, or its log or weights are damaged.
    """
    with plain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_NAME
    if not path.exists():
        return ()
    try:
        log = _Log.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(f"{path}: not a readable training log; remove {folder}") from error
    if log.key != key:
        raise ArtifactError(
            f"{folder} holds a training with other settings or photos; remove it or choose another"
            " --out"
        )
    if log.weights_sha256:
        weights = weights_of(folder, best_of(log.epochs))
        with whole_or_told(weights):
            if digest_of_file(weights) != log.weights_sha256:
                raise ValueError("it holds other bytes than were written")
    return log.epochs


@contextlib.contextmanager
def whole_or_told(path: Path) -> Iterator[None]:
    """Turn whatever reading a file of a checkpoint ends in into an error with a cure.

    Args:
        path: the file, or the common beginning of several files' names.

    Raises:
        ArtifactError: instead of any other error in the block.
    """
    try:
        yield
    except Exception as error:  # TensorFlow and h5py name a broken file in a hundred ways
        reason = first_line(error)
        raise ArtifactError(
            f"{path}: this checkpoint is damaged or of another version of threadlite ({reason});"
            f" remove {path.parent} to train anew"
        ) from error


def write_log(folder: Path, *, key: str, log: Sequence[EpochLog]) -> None:
    """Write the log, whole or not at all, once the files that it tells of are written."""
    with plain_write_errors(folder):
        digest = digest_of_file(weights_of(folder, best_of(log)))
    written = _Log(key=key, epochs=tuple(log), weights_sha256=digest)
    write_text(folder / LOG_NAME, written.model_dump_json(indent=1))


def remove_stale(folder: Path, log: Sequence[EpochLog]) -> None:
    """Remove the files of all epochs but the last one and the best one."""
    kept = {log[-1].checkpoint, best_of(log).checkpoint}
    for path in folder.glob("epoch-*"):
        if path.name.split(".", 1)[0] not in kept:
            path.unlink()
