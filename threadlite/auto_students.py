"""Students in ``optimize auto``: a smaller network that learns what the parent answers.

A student is trained anew, on the parent's photos and split, with the parent as its teacher; the
ladders of the other techniques are then climbed on top of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from optimize.distill import DistillConfig
from optimize.finetune import training_of
from optimize.techniques import checked_config
from threadlite.auto_choice import Goal, Rung
from threadlite.plan_approach import override
from threadlite.steps import Steps
from threadlite.training import train_in
from train.approaches import APPROACHES, approach_named
from train.artifact import Artifact
from train.dataset import Dataset
from train.errors import ConfigError
from train.training import Training

DISTILL = "distill"
_STRIDE = 32  # of the networks: sizes that are multiples of it leave whole places
_SMALLEST_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class StudentConfig(DistillConfig):
    """Who learns, and how.

    Attributes:
        approach: that is trained; empty for the parent's own.
        image_size: rows and columns of its input; 0 for half of the parent's.
        epochs: of the training; 0 for those of the approach.
    """

    approach: str = ""
    image_size: int = 0
    epochs: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.approach and self.approach not in APPROACHES:
            raise ConfigError(
                f"distill: approach must be one of {', '.join(APPROACHES)}, got {self.approach!r}"
            )
        if self.image_size < 0 or self.epochs < 0:
            raise ConfigError(
                "distill: image_size and epochs must be 0 or more, got"
                f" {self.image_size} and {self.epochs}"
            )

    def lesson(self) -> DistillConfig:
        """Return how it learns."""
        names = [field.name for field in fields(DistillConfig)]
        return DistillConfig(**{name: getattr(self, name) for name in names})


def student_config(settings: Mapping[str, Any]) -> StudentConfig:
    """Return the settings of ``--set distill.KEY=VALUE`` over their defaults.

    Raises:
        ConfigError: one is unknown, of another type than its default or out of range.
    """
    return checked_config(DISTILL, StudentConfig, settings)


def student_rung(parent: Artifact, goal: Goal, settings: Mapping[str, Any]) -> Rung | None:
    """Return the student that serves ``goal``; ``None`` where none is known to.

    The parent's own approach on pictures of half the side takes a quarter of the MACCs, and is as
    large a file: for size another approach must be named.

    Args:
        parent: who teaches.
        goal: what is wanted.
        settings: of ``distill``.
    """
    config = student_config(settings)
    approach = config.approach or parent.manifest.approach
    half = parent.manifest.pixels.height // 2 // _STRIDE * _STRIDE
    size = config.image_size or (parent.manifest.pixels.height if config.approach else half)
    as_parent = not config.approach and goal == "size"
    if approach not in APPROACHES or as_parent or size < _SMALLEST_SIZE:
        return None
    return Rung(name=DISTILL, settings={"approach": approach, "image_size": size})


def taught_student(
    parent: Artifact, rung: Rung, settings: Mapping[str, Any], steps: Steps
) -> Artifact:
    """Train the student of ``rung`` under ``parent``, unless it is done.

    Raises:
        ThreadliteError: it cannot be trained.
    """
    config = student_config({**settings, **rung.settings})
    training = student_training(parent, config, steps.dataset)
    return train_in(
        steps.workspace,
        training,
        f"{training.name}.{training.split.method}",
        refit=False,
        teachers=[parent],
        config=config.lesson(),
        progress=steps.progress,
    )


def student_training(parent: Artifact, config: StudentConfig, dataset: Dataset) -> Training:
    """Return the training of a student on the photos, split and seed of its teacher."""
    known = approach_named(config.approach)
    recipe: dict[str, Any] = {"image_size": config.image_size}
    if config.epochs:
        recipe |= {"epochs": config.epochs, "scratch_epochs": config.epochs}
    approach = override(known, recipe)
    return replace(
        training_of(parent, approach.recipe, dataset),
        name=f"{config.approach}-student-{config.image_size}",
        approach=approach,
        weights="auto",
    )
