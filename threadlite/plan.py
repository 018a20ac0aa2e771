"""Plans: a whole run as one TOML file, checked before anything starts."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from deploy.runtime import RUNTIMES
from optimize.techniques import TECHNIQUES, make_config
from train.approaches import APPROACHES, Approach, Recipe, approach_named
from train.dataset import DROPPED_LABELS, SourceOptions
from train.errors import ConfigError, ThreadliteError
from train.seeds import SEED_LIMIT
from train.splits import SplitMethod

PARITY_PHOTOS = 256


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSection(_Section):
    """Which photos, and how they are divided.

    Attributes:
        source: ``garments``, ``clothing`` or a path.
        splits: each is trained, benched and decided on by itself.
        classes: ``all``, ``topN`` or names separated by commas.
        drop: labels that are left out.
        image_column: column of the table that names the image.
        label_column: column that names the class.
        sender_column: column that names the sender.
    """

    source: str
    splits: tuple[SplitMethod, ...] = Field(default=("grouped",), min_length=1)
    classes: str = "all"
    drop: tuple[str, ...] = DROPPED_LABELS
    image_column: str = "image"
    label_column: str = "label"
    sender_column: str = "sender_id"

    @field_validator("splits")
    @classmethod
    def _are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return once(value)

    def options(self, *, seed: int) -> SourceOptions:
        """Return these settings as the data stage takes them."""
        return SourceOptions(
            image_column=self.image_column,
            label_column=self.label_column,
            sender_column=self.sender_column,
            classes=self.classes,
            dropped_labels=self.drop,
            seed=seed,
        )


class ApproachSection(_Section):
    """One approach to train; ``recipe`` overrides keys of its recipe."""

    name: str
    weights: str = "auto"
    recipe: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        self.resolve()
        return self

    def resolve(self) -> Approach:
        """Return the approach with this section's recipe.

        Raises:
            ValueError: no such approach, or a recipe key that is unknown or out of range.
        """
        if self.name not in APPROACHES:
            raise ValueError(f"{self.name!r} is not known; choose from {', '.join(APPROACHES)}")
        return override(approach_named(self.name), self.recipe)


def once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``names``.

    Raises:
        ValueError: one is named twice.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"named twice: {', '.join(names)}")
    return names


class OptimizeSection(_Section):
    """Which techniques make variants of every trained network, with their settings."""

    techniques: tuple[str, ...] = ("int8",)
    settings: dict[str, dict[str, JsonValue]] = {}

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        once(self.techniques)
        for name in (*self.techniques, *self.settings):
            if name not in TECHNIQUES:
                raise ValueError(f"{name!r} is not known; choose from {', '.join(TECHNIQUES)}")
        for name in self.techniques:
            self.config_of(name)
        return self

    def config_of(self, technique: str) -> Any:
        """Return the technique's configuration with this plan's settings."""
        try:
            return make_config(technique, self.settings.get(technique, {}))
        except ThreadliteError as error:
            raise ValueError(str(error)) from error


class DeploySection(_Section):
    """Which formats are made, and how closely they must follow the Keras network."""

    formats: tuple[Literal["tflite", "onnx"], ...] = Field(default=("tflite", "onnx"), min_length=1)
    parity_photos: int = Field(default=PARITY_PHOTOS, ge=16)

    @field_validator("formats")
    @classmethod
    def _are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return once(value)


class BenchSection(_Section):
    """What is measured, and how latency is timed.

    Attributes:
        runtimes: variants for other runtimes are bundled, and neither judged nor timed.
        threads: of each runtime.
        rounds: turns of each variant, five timed calls a turn, batch 1.
    """

    runtimes: tuple[str, ...] = Field(default=tuple(RUNTIMES), min_length=1)
    threads: int = Field(default=2, ge=1, le=64)
    rounds: int = Field(default=20, ge=5)

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        once(self.runtimes)
        for name in self.runtimes:
            if name not in RUNTIMES:
                raise ValueError(f"{name!r} is not known; choose from {', '.join(RUNTIMES)}")
        return self


class Plan(_Section):
    """A whole run: dataset, approaches, techniques, runtimes."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)
    data: DataSection
    approaches: tuple[ApproachSection, ...] = Field(min_length=1)
    optimize: OptimizeSection = OptimizeSection()
    deploy: DeploySection = DeploySection()
    bench: BenchSection = BenchSection()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        once(tuple(approach.name for approach in self.approaches))
        return self


def override(approach: Approach, settings: dict[str, JsonValue]) -> Approach:
    """Return ``approach`` with some keys of its recipe replaced.

    Raises:
        ValueError: a key is unknown or a value is out of range (pydantic's own message).
    """
    recipe = approach.recipe.model_dump()
    for key, value in settings.items():
        old = recipe.get(key)
        recipe[key] = (
            {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return Approach(
        network=approach.network, recipe=Recipe.model_validate(recipe), about=approach.about
    )


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or breaks a rule; the message names
            the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"plan {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"plan {path} is not TOML: {error}") from error
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"plan {path}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Return the first fault of a validation in one line: where, what, and what was met."""
    faults = error.errors()
    misspelt = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    first = (misspelt or faults)[0]  # a misspelt key is why another is missing
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    if first["type"] == "extra_forbidden":
        return f"{where}: no such key; README.md and train/approaches.py name those there are"
    return f"{where}: {first['msg'].removeprefix('Value error, ')} (got {first['input']!r})"
