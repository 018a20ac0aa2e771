"""Where a run keeps what it has made, each thing under a key of all that went into it.

A step that is done is found by its key and not done again. Everything appears whole or not at
all, so a run that was killed at any moment goes on, and loses at most the step it was in.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record import FailureRecord, Record, read_records, write_records
from threadlite.code import code_digest
from train.artifact import Artifact, library_versions, open_artifact
from train.storage import (
    PARTIAL_PREFIX,
    digest_of,
    digest_of_file,
    plain_write_errors,
    remove_partials,
    write_text,
)

_KEY_LENGTH = 16


def step_key(module: str, inputs: dict[str, Any]) -> str:
    """Return the key of a step: what goes in, the code that runs and the libraries below it.

    Args:
        module: dotted name of the module that does the work.
        inputs: a JSON value; settings and digests, never a path of this machine.
    """
    whole = {"inputs": inputs, "code": code_digest(module), "versions": library_versions()}
    return digest_of(whole)[:_KEY_LENGTH]


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file of ``folder``: templates are part of a step, as code is."""
    return {path.name: digest_of_file(path) for path in sorted(folder.iterdir()) if path.is_file()}


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One run's folder.

    Attributes:
        folder: holds ``artifacts/``, ``records/``, ``splits/``, ``checkpoints/``, ``bundles/``,
            ``report/`` and ``keys/``.
        done: told of each step that was found done, or had to be done: (name, was_there).
    """

    folder: Path
    done: Callable[[str, bool], None]

    def clean(self) -> None:
        """Remove what a killed run left half-written."""
        for child in ("", "artifacts", "records", "bundles", "splits", "report"):
            remove_partials(self.folder / child)

    def artifact(self, name: str, key: str, make: Callable[[Path], Artifact]) -> Artifact:
        """Return the artifact of this key, made by ``make(folder)`` where it is not there."""
        folder = self.folder / "artifacts" / f"{name}-{key}"
        there = folder.exists()
        self.done(name, there)
        return open_artifact(folder) if there else make(folder)

    def records(self, name: str, key: str, make: Callable[[], Sequence[Record]]) -> list[Record]:
        """Return the records of this key, made by ``make`` where they are not there."""
        path = self.folder / "records" / f"{name}-{key}.jsonl"
        there = path.exists()
        self.done(name, there)
        if there:
            return read_records(path)[0]
        made = list(make())
        if not any(isinstance(record, FailureRecord) for record in made):
            write_records(path, made)  # what failed is tried again by the next run
        return made

    def file(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the file or folder of this key, made by ``make(path)`` where it is not there."""
        stem, dot, suffix = name.partition(".")
        path = self.folder / f"{stem}-{key}{dot}{suffix}"
        there = path.exists()
        self.done(name, there)
        if not there:
            with plain_write_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        return path

    def only_folder(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the folder ``name``, made anew by ``make(folder)`` where its key is another.

        For what a person opens: its path stays the same from run to run.
        """
        folder, note = self.folder / name, self.folder / "keys" / name
        there = folder.exists() and note.exists() and note.read_text(encoding="utf-8") == key
        self.done(name, there)
        if not there:
            fresh = folder.with_name(f"{PARTIAL_PREFIX}{folder.name}")
            with plain_write_errors(folder):
                shutil.rmtree(fresh, ignore_errors=True)
                make(fresh)
                note.unlink(missing_ok=True)
                if folder.exists():
                    shutil.rmtree(folder)
                fresh.rename(folder)
            write_text(note, key)
        return folder

    def checkpoints(self, key: str) -> Path:
        """Return the folder of a training's checkpoints."""
        return self.folder / "checkpoints" / key

    def forget_checkpoints(self) -> None:
        """Remove all checkpoints: call it when every training of the plan is done."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
