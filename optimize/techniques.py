"""TECHNIQUES: what can be done to a trained network, by the name that a plan gives it.

A new technique is one file and one line here. Those that make one Keras network out of another
can be chained, ``shrink+prune+int8``; one that writes a file for a runtime ends the chain. A
name may carry its one setting that variants are told apart by: ``resolution@160``, or
``shrink@30`` for 30 percent of the MACCs.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from optimize.cluster import ClusterConfig, cluster
from optimize.mixed_precision import MixedPrecisionConfig, quantize_mixed
from optimize.prune import PruneConfig, prune
from optimize.quantize import QuantizeConfig, quantize_int8
from optimize.quantize_aware import QuantizeAwareConfig, quantize_aware
from optimize.quantize_dynamic import DynamicConfig, quantize_int8_dynamic
from optimize.quantize_float16 import Float16Config, quantize_float16
from optimize.quantize_int16 import Int16Config, quantize_int16x8
from optimize.resolution import ResolutionConfig, change_resolution
from optimize.rewrite_artifact import RewriteConfig, rewrite
from optimize.selective import SelectiveConfig, quantize_selective
from optimize.shrink import ShrinkConfig, shrink
from optimize.sweep import SweptConfig, quantize_swept
from optimize.tune import TuneConfig, tune
from train.artifact import Artifact
from train.errors import ConfigError, UsageError

Config = TypeVar("Config")


class Technique(NamedTuple):
    """One technique: its settings, which check themselves, and what applies it.

    Attributes:
        config: its settings.
        apply: for a file, ``apply(parent, target, pixels, ids, folder, config)`` with calibration
            photos and their ids; for a Keras network, ``apply(parent, folder, config, workshop)``
            with an ``optimize.finetune.Workshop``.
        word: what a technique that makes a Keras network adds to the variant's name; empty where
            it writes a file.
        spoils: techniques whose work its own fine-tuning would undo, so that it comes before them.
        at: the setting that ``NAME@VALUE`` sets, a whole number; empty where there is none.
        at_word: what stands before that number in the variant's name.
        judged: whether ``apply`` takes ``score``, which gives a model file's F1 on the validation
            photos, ``state``, a file that a search which was killed goes on from, and
            ``progress``.
    """

    config: type[Any]
    apply: Callable[..., Artifact]
    word: str = ""
    spoils: tuple[str, ...] = ()
    at: str = ""
    at_word: str = ""
    judged: bool = False


_PATTERNS = ("prune", "cluster", "rewrite", "quantize-aware")  # what weights are made to keep
TECHNIQUES: dict[str, Technique] = {
    "tune": Technique(TuneConfig, tune, "tuned", spoils=_PATTERNS),
    "shrink": Technique(
        ShrinkConfig, shrink, "shrunk", spoils=_PATTERNS, at="percent", at_word="shrunk"
    ),
    "resolution": Technique(
        ResolutionConfig, change_resolution, "resized", spoils=_PATTERNS, at="size", at_word="at"
    ),
    "prune": Technique(
        PruneConfig, prune, "pruned", spoils=("cluster", "rewrite", "quantize-aware")
    ),
    "cluster": Technique(ClusterConfig, cluster, "clustered", spoils=("rewrite", "quantize-aware")),
    "quantize-aware": Technique(
        QuantizeAwareConfig, quantize_aware, "aware", spoils=("prune", "cluster", "rewrite")
    ),
    "rewrite": Technique(RewriteConfig, rewrite, "rewritten"),
    "int8": Technique(QuantizeConfig, quantize_int8),
    "float16": Technique(Float16Config, quantize_float16),
    "int8-dynamic": Technique(DynamicConfig, quantize_int8_dynamic),
    "int16x8": Technique(Int16Config, quantize_int16x8),
    "mixed": Technique(MixedPrecisionConfig, quantize_mixed),
    "swept": Technique(SweptConfig, quantize_swept, judged=True),
    "selective": Technique(SelectiveConfig, quantize_selective, judged=True),
}


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Techniques in the order that they are applied.

    Attributes:
        networks: those that make a Keras network out of another.
        file: the one that writes files, last; empty where they are written in float.
    """

    networks: tuple[str, ...]
    file: str

    @property
    def names(self) -> tuple[str, ...]:
        """All techniques, in order."""
        return (*self.networks, *((self.file,) if self.file else ()))

    @property
    def label(self) -> str:
        """What stands for the chain in names of bundles and failures: ``shrunk.int8``."""
        return ".".join((*map(word_of, self.networks), self.file or "float"))


def parse_chain(text: str) -> Chain:
    """Return the techniques that ``text`` names, such as ``int8`` or ``shrink+prune+int8``.

    Raises:
        UsageError: a name is unknown or there twice, one that writes files is not the last, or one
            would undo what another has done.
    """
    names = text.split("+")
    for name in names:
        find_technique(name)
    bases = [base_of(name) for name in names]
    for place, base in enumerate(bases):
        technique = TECHNIQUES[base]
        if base in bases[:place]:
            raise UsageError(f"techniques {text!r} name {base} twice; once is all that it can do")
        if not technique.word and place < len(names) - 1:
            raise UsageError(
                f"techniques {text!r}: {base} writes a file, from which nothing more is made; put"
                " it last"
            )
        undone = [earlier for earlier in bases[:place] if earlier in technique.spoils]
        if undone and base in TECHNIQUES[undone[0]].spoils:
            raise UsageError(
                f"techniques {text!r}: {base} and {undone[0]} each undo what the other has done;"
                " leave one of them out"
            )
        if undone:
            raise UsageError(
                f"techniques {text!r}: {base} would undo what {undone[0]} has done; put {base}"
                " before it"
            )
    last = "" if TECHNIQUES[bases[-1]].word else names[-1]
    return Chain(networks=tuple(names[:-1] if last else names), file=last)


def base_of(name: str) -> str:
    """Return a technique's name without its value: ``resolution`` of ``resolution@160``."""
    return name.partition("@")[0]


def word_of(name: str) -> str:
    """Return what ``name`` adds to the name of a variant: ``shrunk``, ``shrunk30`` or ``at160``."""
    base, at, value = name.partition("@")
    technique = TECHNIQUES[base]
    return f"{technique.at_word}{value}" if at else technique.word


def find_technique(name: str) -> Technique:
    """Return the technique called ``name``, with or without a value.

    Raises:
        UsageError: there is none of that name, or it takes no such value.
    """
    base, at, value = name.partition("@")
    if base not in TECHNIQUES:
        raise UsageError(f"technique {base!r} is not one of {', '.join(sorted(TECHNIQUES))}")
    technique = TECHNIQUES[base]
    if at and not (technique.at and value.isdecimal() and not value.startswith("0")):
        takers = ", ".join(f"{name}@NUMBER" for name, one in TECHNIQUES.items() if one.at)
        raise UsageError(f"technique {name!r}: a value is given as in {takers} alone")
    return technique


def make_config(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the configuration of technique ``name`` with ``settings`` over its defaults.

    A value in the name, as in ``resolution@160``, lies over both.

    Raises:
        UsageError: there is no technique of that name.
        ConfigError: a setting is unknown, of another type than its default or out of range.
    """
    technique = find_technique(name)
    base, at, value = name.partition("@")
    given = {technique.at: int(value)} if at else {}
    return checked_config(base, technique.config, {**settings, **given})


def checked_config(name: str, kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """Return the configuration ``kind`` of ``name`` with ``settings`` over its defaults.

    Raises:
        ConfigError: a setting is unknown, of another type than its default or out of range.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cast(Any, kind))}
    taken = dict(settings)
    for key, value in settings.items():
        if key not in defaults:
            raise ConfigError(f"{name} has no setting {key!r}; it has {', '.join(defaults)}")
        wanted = type(defaults[key])
        if wanted is str and type(value) in (int, float):
            taken[key] = str(value)  # a list of numbers in text that holds but one: sizes=8
        elif type(value) is not wanted:
            raise ConfigError(f"{name}: {key} must be of type {wanted.__name__}, got {value!r}")
    return kind(**taken)
