"""What a training leaves after every epoch, so that a killed one goes on.

The log is written last and names the files that belong to it: files of an epoch that was cut off
are never read.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from train.errors import ArtifactError
from train.storage import plain_write_errors, write_text

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


def read_log(folder: Path, *, key: str) -> tuple[EpochLog, ...]:
    """Return the epochs that are done, none if the folder is new.

    Raises:
        ArtifactError: the folder holds another training, or its log is damaged.
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
    return log.epochs


def write_log(folder: Path, *, key: str, log: Sequence[EpochLog]) -> None:
    """Write the log, whole or not at all."""
    write_text(folder / LOG_NAME, _Log(key=key, epochs=tuple(log)).model_dump_json(indent=1))


def remove_stale(folder: Path, log: Sequence[EpochLog]) -> None:
    """Remove the files of all epochs but the last one and the best one."""
    kept = {log[-1].checkpoint, next(entry for entry in reversed(log) if entry.best).checkpoint}
    for path in folder.glob("epoch-*"):
        if path.name.split(".", 1)[0] not in kept:
            path.unlink()
