"""Times of every operator of a variant, measured in a child process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.record import FailureRecord
from bench.record_layers import LayerTimesRecord
from bench.subject import subject_of, without_paths
from train.artifact import Artifact
from train.errors import ConfigError, RuntimeFailure
from train.pixels import decode

ANSWER_SECONDS = 300.0  # a child silent for so long hangs


@dataclass(frozen=True, kw_only=True)
class ProfilePlan:
    """How often to call a model.

    Attributes:
        warmup: calls before the first round.
        rounds: turns of calls without profiling and calls with it, one after the other.
        calls: timed calls in each half of a round; one untimed call goes before them.
    """

    warmup: int = 10
    rounds: int = 6
    calls: int = 5

    def __post_init__(self) -> None:
        if min(self.warmup, self.rounds, self.calls) < 1:
            raise ConfigError(
                "warmup, rounds and calls must be at least 1, got"
                f" {self.warmup}, {self.rounds} and {self.calls}"
            )


def measure_layer_times(
    variants: Sequence[tuple[Artifact, str]],
    *,
    threads: int,
    environment: str,
    picture: Path,
    plan: ProfilePlan | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[LayerTimesRecord | FailureRecord]:
    """Return the times of every operator of each variant, one process a variant.

    A variant that cannot be loaded, fails or kills its process gives a failure; the others go on.

    Args:
        variants: artifacts, each with the runtime to time it on (``litert``, ``onnxruntime``).
        threads: threads each runtime is given.
        environment: name of the environment record.
        picture: the photo that every call computes on, decoded under each variant's contract.
        plan: how often to call; the defaults if ``None``.
        advance: called with 1 after each variant.

    Returns:
        One record a variant, in the order given.

    Raises:
        ConfigError: ``threads`` is less than one.
        DataError: the picture cannot be decoded.
    """
    if threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    records: list[LayerTimesRecord | FailureRecord] = []
    for artifact, runtime in variants:
        subject = subject_of(artifact.manifest, environment)
        pixels = decode(picture, artifact.manifest.pixels)[np.newaxis]
        try:
            found = profile_model(
                artifact.payload, runtime, pixels, threads=threads, plan=plan or ProfilePlan()
            )
            records.append(LayerTimesRecord(**subject, threads=threads, **found))
        except RuntimeFailure as error:
            reason = without_paths(str(error))
            records.append(FailureRecord(**subject, stage="layers", runtime=runtime, reason=reason))
        if advance is not None:
            advance(1)
    return records


def profile_model(
    model: Path,
    runtime: str,
    tensor: npt.NDArray[np.generic],
    *,
    threads: int,
    plan: ProfilePlan,
    bare: bool = True,
    answer_seconds: float = ANSWER_SECONDS,
) -> dict[str, Any]:
    """Return what ``bench.profile_worker`` answers: the fields of ``LayerTimesRecord``.

    Args:
        model: the ``.tflite`` or ``.onnx`` file.
        runtime: ``litert`` or ``onnxruntime``.
        tensor: the input, as the model takes it.
        threads: threads the runtime is given.
        plan: how often to call.
        bare: time calls without profiling too; the model must then take a picture.
        answer_seconds: a child silent for so long is ended.

    Raises:
        RuntimeFailure: the runtime refuses the model, or the process dies over it or hangs.
    """
    job = {
        **{"model": str(model.resolve()), "runtime": runtime, "threads": threads, "bare": bare},
        **{"shape": list(tensor.shape), "dtype": str(tensor.dtype)},
        **vars(plan),
    }
    request = json.dumps(job).encode() + b"\n" + tensor.tobytes()
    reply = _ask(request, [sys.executable, "-P", "-m", "bench.profile_worker"], answer_seconds)
    if "error" in reply:
        raise RuntimeFailure(reply["error"])
    return reply


def _ask(request: bytes, command: Sequence[str], answer_seconds: float) -> dict[str, Any]:
    """Start a process, hand it a request, and return the line that it answers with."""
    house = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))
    try:
        ended = subprocess.run(
            command,
            input=request,
            capture_output=True,
            timeout=answer_seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(
            f"the profiling process gave no answer within {answer_seconds:g} s and was ended"
        ) from error
    if not ended.stdout.endswith(b"\n"):
        raise RuntimeFailure(_cause_of_death(ended.returncode, ended.stderr))
    reply: dict[str, Any] = json.loads(ended.stdout)
    return reply


def _cause_of_death(code: int, complaints: bytes) -> str:
    """Return how the process ended, with the last line it complained in."""
    try:
        ended = f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        ended = f"ended with code {code}"
    lines = complaints.decode(errors="replace").strip().splitlines()
    return f"the profiling process {ended}" + (f": {lines[-1].strip()}" if lines else "")
