"""MediaPipe's ImageClassifier as a client of a bundle: software that is not ours.

Its absl-py conflicts with the optimization toolkit's, so that it lives in an environment of its
own in the user's cache, made from a lock with digests on first use and named after that lock.
"""

import hashlib
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.loaded import Probabilities
from train.errors import RuntimeFailure
from train.pixels import Pixels
from train.storage import cache_folder, only_process

_CLIENTS = Path(__file__).parent / "clients"
_LOCK, _PROGRAM = _CLIENTS / "mediapipe.lock", _CLIENTS / "mediapipe_client.py"
_READY = ".ready"  # written last: an environment without it was cut off while it was made
_INSTALL_SECONDS, _RUN_SECONDS = 1_800, 600


@dataclass(frozen=True, kw_only=True)
class MediaPipeAnswer:
    """What MediaPipe says of a model and its pictures.

    Attributes:
        name: ``mediapipe`` and its version.
        labels: of the classes, as it finds them in the file.
        metadata: name, description, version, author and licence, as its own reader finds them.
        probabilities: ``(n, classes)``.
    """

    name: str
    labels: tuple[str, ...]
    metadata: dict[str, str]
    probabilities: Probabilities


def ask_mediapipe(
    model: Path, pixels: Pixels, *, say: Callable[[str], None] = lambda line: None
) -> MediaPipeAnswer:
    """Run MediaPipe's ``ImageClassifier`` on pictures.

    Args:
        model: a ``.tflite``.
        pixels: ``(n, height, width, 3)`` uint8.
        say: told, once, that the environment is being made.

    Raises:
        RuntimeFailure: the environment cannot be made, or MediaPipe refuses the model.
        ArtifactError: another process is making the environment.
    """
    python = mediapipe_python(say)
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        given, answer = Path(scratch) / "pixels.npy", Path(scratch) / "answer.json"
        np.save(given, pixels)
        words = [python, _PROGRAM, model.resolve(), given, answer]
        subject = f"{model}: MediaPipe refuses it"
        _run([str(word) for word in words], subject, _RUN_SECONDS, Path(scratch))
        found = json.loads(answer.read_text(encoding="utf-8"))
    return MediaPipeAnswer(
        name=f"mediapipe {found['version']}",
        labels=tuple(found["labels"]),
        metadata=found["metadata"],
        probabilities=np.asarray(found["probabilities"], np.float32),
    )


def mediapipe_python(say: Callable[[str], None]) -> Path:
    """Return the interpreter of MediaPipe's environment, made if it is not there.

    Raises:
        RuntimeFailure: it cannot be made, such as without a network.
        ArtifactError: another process is making it.
    """
    folder = environment_folder()
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    busy = f"{folder}: another threadlite is making it; wait for it to end"
    with only_process(folder.with_name(f"{folder.name}.lock"), busy):
        if not is_ready(folder):
            say(f"making MediaPipe's environment in {folder}, once: some 150 MB are downloaded")
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
                for words in _commands(folder, python):
                    subject = "MediaPipe's environment cannot be made"
                    _run(words, subject, _INSTALL_SECONDS, Path(scratch))
            (folder / _READY).touch()
    return python


def environment_folder() -> Path:
    """Return where MediaPipe's environment of this lock is kept, whether it is there or not."""
    digest = hashlib.sha256(_LOCK.read_bytes() + platform.python_version().encode()).hexdigest()
    return cache_folder().resolve() / "clients" / f"mediapipe-{digest[:12]}"


def is_ready(folder: Path) -> bool:
    """Return whether an environment is there and whole."""
    return (folder / _READY).exists()


def _commands(folder: Path, python: Path) -> list[list[str]]:
    """Return what makes the environment: by uv where there is one, else by venv and pip."""
    uv = shutil.which("uv")
    if uv:
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes"]
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        return [make, [*install, "-r", str(_LOCK)]]
    if importlib.util.find_spec("ensurepip") is None:
        raise RuntimeFailure(
            "MediaPipe's environment cannot be made: Python's ensurepip is missing; install uv,"
            " or your system's package python3-venv"
        )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    make = [sys.executable, "-m", "venv", str(folder)]
    return [make, [*pip, "--require-hashes", "-r", str(_LOCK)]]


def _run(words: Sequence[str], subject: str, seconds: float, folder: Path) -> None:
    """Run a program in ``folder``, an empty one: uv would obey a project found around it."""
    try:
        finished = subprocess.run(
            words, capture_output=True, text=True, timeout=seconds, cwd=folder
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(f"{subject}: no answer in {seconds:.0f} s") from error
    except OSError as error:
        raise RuntimeFailure(f"{subject}: {words[0]}: {error.strerror}") from error
    if finished.returncode:
        lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"it ended with status {finished.returncode}"
        raise RuntimeFailure(f"{subject}: {reason}")
