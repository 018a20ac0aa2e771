"""Plans: a whole run as one TOML file, checked before anything starts."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from deploy.runtime import RUNTIMES, runtime_for
from optimize.techniques import TECHNIQUES, Chain, base_of, make_config, parse_chain
from threadlite.plan_approach import ApproachSection, Section, once
from train.dataset import DROPPED_LABELS, SourceOptions
from train.errors import ConfigError, ThreadliteError, UsageError
from train.seeds import SEED_LIMIT
from train.splits import SplitMethod

PARITY_PHOTOS = 256
# The first runtime of each format is the one that ships; others are there to compare answers with.
_BENCHED = tuple(dict.fromkeys(runtime_for(entry.format) for entry in RUNTIMES.values()))


class DataSection(Section):
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


class OptimizeSection(Section):
    """Which variants are made of every trained network.

    Attributes:
        techniques: each makes a variant in every format; ``shrink+prune+int8`` chains several.
        settings: of each technique, wherever it stands; those of ``shrink`` are of ``shrink@30``
            too, and its own lie over them.
    """

    techniques: tuple[str, ...] = ("int8",)
    settings: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        for name in self.settings:
            if base_of(name) not in TECHNIQUES:
                raise ValueError(f"{name!r} is not known; choose from {', '.join(TECHNIQUES)}")
            self.config_of(name)
        self.chains_of(self.techniques)
        return self

    @property
    def chains(self) -> tuple[Chain, ...]:
        """What ``techniques`` names, decoded."""
        return self.chains_of(self.techniques)

    def chains_of(self, techniques: tuple[str, ...]) -> tuple[Chain, ...]:
        """Return what ``techniques`` names, decoded, each with settings that are in range.

        Raises:
            ValueError: one is named twice, is unknown or has settings that cannot be.
        """
        try:
            found = tuple(parse_chain(text) for text in once(techniques))
        except ThreadliteError as error:
            raise ValueError(str(error)) from error
        for chain in found:
            for name in chain.names:
                self.config_of(name)
        return found

    def config_of(self, technique: str) -> Any:
        """Return the technique's configuration with this plan's settings."""
        try:
            shared = self.settings.get(base_of(technique), {})
            return make_config(technique, {**shared, **self.settings.get(technique, {})})
        except ThreadliteError as error:
            raise ValueError(str(error)) from error


class DeploySection(Section):
    """Which formats are made, and what of them is checked before they are let out.

    Attributes:
        formats: of each technique's file.
        parity_photos: on which each variant must follow its Keras network.
        pixels: whether each bundle's README tells how pixels that are made in other ways move the
            answers on the test photos; they are decoded once in each way.
    """

    formats: tuple[Literal["tflite", "onnx"], ...] = Field(default=("tflite", "onnx"), min_length=1)
    parity_photos: int = Field(default=PARITY_PHOTOS, ge=16)
    pixels: bool = False

    @field_validator("formats")
    @classmethod
    def _are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return once(value)


class BenchSection(Section):
    """What is measured, and how latency is timed.

    Attributes:
        runtimes: variants for other runtimes are bundled, and neither judged nor timed.
        threads: of each runtime.
        rounds: turns of each variant, five timed calls a turn, batch 1.
        layers: whether every layer of every variant is timed too.
        rewrites: rows and columns of the input at which ConvNeXt-Tiny's rewritten forms are timed
            against Keras' own by the converter's defaults, and the trained one's judged, in the
            place of the timing of the plan's own variants; 0 does not.
    """

    runtimes: tuple[str, ...] = Field(default=_BENCHED, min_length=1)
    threads: int = Field(default=2, ge=1, le=64)
    rounds: int = Field(default=20, ge=5)
    layers: bool = False
    rewrites: int = Field(default=0, ge=0, le=512)

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        once(self.runtimes)
        if 0 < self.rewrites < 32:
            raise ValueError(f"rewrites is a size of 32 or more, or 0, got {self.rewrites}")
        for name in self.runtimes:
            if name not in _BENCHED:
                raise ValueError(f"{name!r} is not known; choose from {', '.join(_BENCHED)}")
        return self


class GoalsSection(Section):
    """What the report chooses a variant for, beside the fastest and the smallest.

    Attributes:
        under_ms: asks for the most accurate variant with a median under so many milliseconds.
    """

    under_ms: float | None = Field(default=None, gt=0)


class Plan(Section):
    """A whole run: dataset, approaches, techniques, runtimes and goals.

    ``folds`` is of every cross-validation that an approach asks for.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)
    data: DataSection
    approaches: tuple[ApproachSection, ...] = Field(min_length=1)
    folds: int = Field(default=5, ge=2, le=20)
    optimize: OptimizeSection = OptimizeSection()
    deploy: DeploySection = DeploySection()
    bench: BenchSection = BenchSection()
    goals: GoalsSection = GoalsSection()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        once(tuple(approach.called for approach in self.approaches))
        return self

    @model_validator(mode="after")
    def _own_techniques_are_known(self) -> Self:
        for section in self.approaches:
            self.chains_of(section)
        return self

    def chains_of(self, section: ApproachSection) -> tuple[Chain, ...]:
        """Return the techniques of an approach: its own, or those of all."""
        own = section.techniques
        return self.optimize.chains_of(self.optimize.techniques if own is None else own)

    @model_validator(mode="after")
    def _teachers_come_first(self) -> Self:
        before: dict[str, ApproachSection] = {}
        for section in self.approaches:
            splits = set(self._splits_of(section))
            for name in section.teachers:
                if name not in before:
                    raise ValueError(
                        f"approach {section.called!r} has the teacher {name!r}, which is none of"
                        f" those before it ({', '.join(before) or 'there are none'})"
                    )
                missing = splits - set(self._splits_of(before[name]))
                if missing:
                    raise ValueError(
                        f"approach {section.called!r} trains under {', '.join(sorted(missing))},"
                        f" and its teacher {name!r} does not; both need the same splits"
                    )
            before[section.called] = section
        return self

    def _splits_of(self, section: ApproachSection) -> tuple[SplitMethod, ...]:
        return self.data.splits if section.splits is None else section.splits

    @model_validator(mode="after")
    def _splits_are_made(self) -> Self:
        for approach in self.approaches:
            for method in approach.splits or ():
                if method not in self.data.splits:
                    raise ValueError(
                        f"approach {approach.called!r} trains under {method!r}, which is not in"
                        f" data.splits ({', '.join(self.data.splits)}); add it there"
                    )
        return self


def with_weights(plan: Plan, words: Sequence[str]) -> Plan:
    """Return ``plan`` with the weights that ``APPROACH=WEIGHTS`` words name.

    Raises:
        UsageError: a word reads otherwise, or the plan has no such approach.
    """
    sections = {section.called: section for section in plan.approaches}
    for word in words:
        called, equals, weights = word.partition("=")
        if not equals or not weights or called not in sections:
            raise UsageError(
                f"--weights {word!r} must read APPROACH=WEIGHTS, with one of the plan's approaches:"
                f" {', '.join(sections)}"
            )
        sections[called] = sections[called].model_copy(update={"weights": weights})
    return plan.model_copy(update={"approaches": tuple(sections.values())})


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
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return (
            f"{where}: no such key; README.md names those of a plan, train/approaches.py those of a"
            " recipe"
        )
    says = first["msg"].removeprefix("Value error, ")
    if not isinstance(first["input"], dict):  # else keys do not go together: the message names them
        says += f" (got {first['input']!r})"
    return f"{where}: {says}" if where else says
