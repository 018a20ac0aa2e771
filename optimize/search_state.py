"""Where a search was left, in a file, so that one that was killed goes on."""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from train.storage import write_text

State = TypeVar("State", bound="KeyedState")


class KeyedState(BaseModel):
    """How far a search is.

    Attributes:
        schema_version: of the file.
        key: digest of all that the search depends on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    key: str


def read_state(kind: type[State], path: Path, key: str) -> State:
    """Return where the search named ``key`` was left; its beginning if the file is of another."""
    try:
        found = kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return kind(key=key)
    return found if found.key == key else kind(key=key)


def save_state(path: Path, state: KeyedState) -> None:
    """Write where a search is.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    write_text(path, state.model_dump_json(indent=2) + "\n")
