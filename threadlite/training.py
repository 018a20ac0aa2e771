"""Training one approach in a workspace, by labels alone or under teachers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from optimize.distill import DistillConfig, distill
from threadlite.variants import identity_of
from threadlite.workspace import Workspace, step_key
from train.artifact import Artifact
from train.fit import train_approach
from train.progress import Progress
from train.split_gaps import split_gaps
from train.training import Training


def train_in(
    workspace: Workspace,
    training: Training,
    name: str,
    *,
    refit: bool,
    teachers: Sequence[Artifact],
    config: DistillConfig,
    progress: Progress,
) -> Artifact:
    """Train, unless it is done; a training that was cut off goes on.

    Args:
        workspace: keeps the artifact and the checkpoints.
        training: what to train on what.
        name: of the artifact in the workspace.
        refit: as of ``train.fit.train_approach``.
        teachers: none to learn by labels alone.
        config: what is learned from teachers.
        progress: told of every step.
    """
    inputs: dict[str, object] = {"training": training.key, **({"refit": True} if refit else {})}
    if teachers:
        taught = {"teachers": [identity_of(one) for one in teachers], "config": asdict(config)}
        key = step_key("optimize.distill", {**inputs, **taught})
    else:
        key = step_key("train.fit", inputs)

    def make(folder: Path) -> Artifact:
        return train_or_distill(
            training, folder, checkpoints=workspace.checkpoints(key), refit=refit,
            teachers=teachers, config=config, progress=progress,
        )  # fmt: skip

    return workspace.artifact(name, key, make)


def train_or_distill(
    training: Training,
    folder: Path,
    *,
    checkpoints: Path,
    refit: bool,
    teachers: Sequence[Artifact],
    config: DistillConfig,
    progress: Progress,
) -> Artifact:
    """Train by labels alone, or under teachers where there are some; see ``train_in``."""
    for line in split_gaps(training.dataset, training.split):
        progress.say(line)
    if not teachers:
        return train_approach(
            training, folder, checkpoints=checkpoints, progress=progress, refit=refit
        )
    return distill(
        training, teachers, config, folder,
        checkpoints=checkpoints, progress=progress, refit=refit,
    )  # fmt: skip
