"""Times of every operator of a variant, measured in a child process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from bench.apart import ask_apart
from bench.awake import cores_awake
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
        rounds: turns of calls without profiling and calls with it, one after the other; at least.
        calls: timed calls in each half of a round; one untimed call goes before them.
        seconds: a model that is through earlier goes on with more rounds: on a machine whose speed
            comes and goes, the quickest calls of either kind are alike only after some time.
        most_rounds: but no more than these.
    """

    warmup: int = 10
    rounds: int = 6
    calls: int = 5
    seconds: float = 1.5
    most_rounds: int = 18

    def __post_init__(self) -> None:
        if min(self.warmup, self.rounds, self.calls) < 1:
            raise ConfigError(
                "warmup, rounds and calls must be at least 1, got"
                f" {self.warmup}, {self.rounds} and {self.calls}"
            )
        if not (self.seconds >= 0 and self.most_rounds >= self.rounds):
            raise ConfigError(
                "seconds must be at least 0 and most_rounds at least rounds, got"
                f" {self.seconds:g}, {self.most_rounds} and {self.rounds}"
            )


@cores_awake()
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
        pixels = decode(picture, artifact.manifest.pixels)[np.newaxis]
        try:
            found = profile_model(
                artifact.payload, runtime, pixels, threads=threads, plan=plan or ProfilePlan()
            )
            records.append(_record(artifact, found, threads, environment))
        except RuntimeFailure as error:
            records.append(layer_failure(artifact, runtime, environment, error))
        if advance is not None:
            advance(1)
    return records


def layer_failure(
    artifact: Artifact, runtime: str, environment: str, error: Exception, *, stage: str = "layers"
) -> FailureRecord:
    """Return the record of a variant whose layers could not be measured, or not wholly."""
    subject = subject_of(artifact.manifest, environment)
    reason = without_paths(str(error))
    return FailureRecord(**subject, stage=stage, runtime=runtime, reason=reason)


def _record(
    artifact: Artifact, found: dict[str, Any], threads: int, environment: str
) -> LayerTimesRecord:
    try:
        return LayerTimesRecord(
            **subject_of(artifact.manifest, environment),
            threads=threads,
            counted_from="file" if found["layers"] else "",
            **found,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise RuntimeFailure(
            f"{artifact.manifest.variant}: its profile is none of whole calls"
            f" ({first['msg']}); make the artifact again"
        ) from error


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
    """Return what ``bench.profile_worker`` answers: fields of ``LayerTimesRecord``.

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
    return ask_apart("bench.profile_worker", job, tensor.tobytes(), answer_seconds)
