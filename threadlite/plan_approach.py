"""One approach of a plan: what is trained, how, and under whom."""

from dataclasses import replace
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from optimize.distill import DistillConfig
from optimize.techniques import checked_config
from train.approaches import APPROACHES, Approach, Recipe, approach_named, settings_at
from train.errors import ThreadliteError
from train.splits import SplitMethod

Name = TypeVar("Name", bound=str)


class Section(BaseModel):
    """A part of a plan: nothing in it is changed, and no key is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ApproachSection(Section):
    """One approach to train, to cross-validate, or both.

    Attributes:
        name: of the approach.
        label: what its networks are called here, to train one approach in several ways; its name
            unless given, with ``-distilled`` and ``-refit`` where it is one.
        refit: whether it is trained on training and validation photos together, the recipe having
            been chosen; nothing is chosen on it then.
        weights: ``auto``, ``none`` or a file.
        recipe: overrides keys of the approach's recipe.
        splits: which of the plan's splits it is trained under; all of them unless given.
        crossval: how folds are made for its cross-validation; none unless given.
        teachers: approaches before this one, by what they are called, whose answers it learns
            beside the labels, under the same split.
        distill: how it learns from them.
        techniques: of its own variants; those of ``optimize`` unless given.
    """

    name: str
    label: str = Field(default="", pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$")
    weights: str = "auto"
    refit: bool = False
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    splits: tuple[SplitMethod, ...] | None = None
    crossval: tuple[SplitMethod, ...] = ()
    teachers: tuple[str, ...] = ()
    distill: dict[str, JsonValue] = Field(default_factory=dict)
    techniques: tuple[str, ...] | None = None

    @field_validator("splits", "crossval")
    @classmethod
    def _are_distinct(cls, value: tuple[SplitMethod, ...] | None) -> tuple[SplitMethod, ...] | None:
        return value if value is None else once(value)

    @property
    def called(self) -> str:
        """What its networks are called."""
        distilled = "-distilled" if self.teachers else ""
        refitted = "-refit" if self.refit else ""
        return self.label or f"{self.name}{distilled}{refitted}"

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        self.resolve()
        once(self.teachers)
        if self.distill and not self.teachers:
            raise ValueError("distill has settings and teachers names none; name them, or drop it")
        if self.teachers and self.crossval:
            raise ValueError(
                "a student is not cross-validated, for its teachers have seen the photos of every"
                " fold; drop crossval or teachers"
            )
        self.lesson()
        return self

    def lesson(self) -> DistillConfig:
        """Return how it learns from its teachers.

        Raises:
            ValueError: a setting is unknown, of another type or out of range.
        """
        try:
            return checked_config("distill", DistillConfig, self.distill)
        except ThreadliteError as error:
            raise ValueError(str(error)) from error

    def resolve(self) -> Approach:
        """Return the approach with this section's recipe.

        Raises:
            ValueError: no such approach, or a recipe key that is unknown or out of range.
        """
        if self.name not in APPROACHES:
            raise ValueError(f"{self.name!r} is not known; choose from {', '.join(APPROACHES)}")
        return override(approach_named(self.name), self.recipe)


def once(names: tuple[Name, ...]) -> tuple[Name, ...]:
    """Return ``names``.

    Raises:
        ValueError: one is named twice.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"named twice: {', '.join(names)}")
    return names


def override(approach: Approach, settings: dict[str, JsonValue]) -> Approach:
    """Return ``approach`` with some keys of its recipe replaced.

    ``train_sizes`` were chosen for one size of input: another ``image_size`` empties them, unless
    they are given too.

    Raises:
        ValueError: a key is unknown or a value is out of range (pydantic's own message).
    """
    usual = approach.recipe.model_dump()
    recipe = settings_at(usual, settings.get("image_size", usual["image_size"]))
    for key, value in settings.items():
        old = recipe.get(key)
        recipe[key] = (
            {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return replace(approach, recipe=Recipe.model_validate(recipe))
