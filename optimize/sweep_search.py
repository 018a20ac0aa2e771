"""The arithmetic of swept calibration: what is tried next, and which of it is best.

Methods are compared on the most photos, and the best one's ranges are then found on fewer. A
search that was killed goes on: every score is kept as soon as it is known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from optimize.search_state import KeyedState


class Method(NamedTuple):
    """One way of finding ranges.

    Attributes:
        backend: that writes the file.
        calibration: how ranges are found.
        percentile: percent of the values kept, where ``calibration`` is ``percentile``.
    """

    backend: str
    calibration: str
    percentile: float


class Trial(BaseModel):
    """One way of calibrating, and what it scored.

    Attributes:
        method: how ranges were found.
        photos: on how many photos.
        score: of the variant; ``None`` where it could not be made or run.
        reason: why it could not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method
    photos: int
    score: float | None
    reason: str = ""


class SweepState(KeyedState):
    """How far a sweep is.

    Attributes:
        trials: what was scored, in the order made.
    """

    trials: tuple[Trial, ...] = ()


def next_trial(
    methods: Sequence[Method], sizes: Sequence[int], trials: Sequence[Trial]
) -> tuple[Method, int] | None:
    """Return what to try next: every method on the most photos, then the best one on fewer.

    Args:
        methods: in the order that they are tried in.
        sizes: numbers of photos.
        trials: what was tried.

    Returns:
        ``None`` where there is nothing left to try, as when no method works.
    """
    tried = {(trial.method, trial.photos) for trial in trials}
    most = max(sizes)
    for method in methods:
        if (method, most) not in tried:
            return method, most
    best = best_trial([trial for trial in trials if trial.photos == most])
    if best is None:
        return None
    fewer = sorted(set(sizes) - {most}, reverse=True)
    return next(((best.method, size) for size in fewer if (best.method, size) not in tried), None)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that scored most, of equal ones the first; ``None`` where none has a score.

    Methods are tried from the plainest, sizes from the largest: a tie is no reason to leave them.
    """
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: trial.score or 0.0, default=None)


def worded(method: Method) -> str:
    """Return a method in words: ``percentile 99.9 by converter``."""
    percent = f" {method.percentile:g}" if method.calibration == "percentile" else ""
    return f"{method.calibration}{percent} by {method.backend}"


def sentences(step: Mapping[str, Any]) -> list[str]:
    """Return what a person is told of a sweep, a line each, the best way first.

    Args:
        step: the configuration of a manifest's ``swept`` step.
    """
    trials = [Trial.model_validate(trial) for trial in step["trials"]]
    best = best_trial(trials)
    lines = []
    for trial in sorted(trials, key=lambda one: (one is not best, -(one.score or 0.0))):
        scored = f"validation F1 {trial.score:.3f}" if trial.score is not None else trial.reason
        chosen = ", chosen" if trial is best else ""
        lines.append(f"{worded(trial.method)} on {trial.photos} photos: {scored}{chosen}")
    return lines
