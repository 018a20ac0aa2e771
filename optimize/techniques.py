"""TECHNIQUES: what can be done to a trained network, by the name that a plan gives it.

A new technique is one file and one line here. Those that make one Keras network out of another
can be chained, ``shrink+prune+int8``; one that writes a file for a runtime ends the chain.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from optimize.cluster import ClusterConfig, cluster
from optimize.mixed_precision import MixedPrecisionConfig, quantize_mixed
from optimize.prune import PruneConfig, prune
from optimize.quantize import QuantizeConfig, quantize_int8
from optimize.quantize_dynamic import DynamicConfig, quantize_int8_dynamic
from optimize.quantize_float16 import Float16Config, quantize_float16
from optimize.quantize_int16 import Int16Config, quantize_int16x8
from optimize.rewrite_artifact import RewriteConfig, rewrite
from optimize.shrink import ShrinkConfig, shrink
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
    """

    config: type[Any]
    apply: Callable[..., Artifact]
    word: str = ""
    spoils: tuple[str, ...] = ()


TECHNIQUES: dict[str, Technique] = {
    "shrink": Technique(ShrinkConfig, shrink, "shrunk", spoils=("prune", "cluster", "rewrite")),
    "prune": Technique(PruneConfig, prune, "pruned", spoils=("cluster", "rewrite")),
    "cluster": Technique(ClusterConfig, cluster, "clustered", spoils=("rewrite",)),
    "rewrite": Technique(RewriteConfig, rewrite, "rewritten"),
    "int8": Technique(QuantizeConfig, quantize_int8),
    "float16": Technique(Float16Config, quantize_float16),
    "int8-dynamic": Technique(DynamicConfig, quantize_int8_dynamic),
    "int16x8": Technique(Int16Config, quantize_int16x8),
    "mixed": Technique(MixedPrecisionConfig, quantize_mixed),
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
        words = (TECHNIQUES[name].word for name in self.networks)
        return ".".join((*words, self.file or "float"))


def parse_chain(text: str) -> Chain:
    """Return the techniques that ``text`` names, such as ``int8`` or ``shrink+prune+int8``.

    Raises:
        UsageError: a name is unknown or there twice, one that writes files is not the last, or one
            would undo what another has done.
    """
    names = text.split("+")
    for name in names:
        find_technique(name)
    for place, name in enumerate(names):
        technique = TECHNIQUES[name]
        if name in names[:place]:
            raise UsageError(f"techniques {text!r} name {name} twice; once is all that it can do")
        if not technique.word and place < len(names) - 1:
            raise UsageError(
                f"techniques {text!r}: {name} writes a file, from which nothing more is made; put"
                " it last"
            )
        undone = [earlier for earlier in names[:place] if earlier in technique.spoils]
        if undone:
            raise UsageError(
                f"techniques {text!r}: {name} would undo what {undone[0]} has done; put {name}"
                " before it"
            )
    last = "" if TECHNIQUES[names[-1]].word else names[-1]
    return Chain(networks=tuple(names[:-1] if last else names), file=last)


def find_technique(name: str) -> Technique:
    """Return the technique called ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TECHNIQUES:
        raise UsageError(f"technique {name!r} is not one of {', '.join(sorted(TECHNIQUES))}")
    return TECHNIQUES[name]


def make_config(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the configuration of technique ``name`` with ``settings`` over its defaults.

    Raises:
        UsageError: there is no technique of that name.
        ConfigError: a setting is unknown, of another type than its default or out of range.
    """
    return checked_config(name, find_technique(name).config, settings)


def checked_config(name: str, kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """Return the configuration ``kind`` of ``name`` with ``settings`` over its defaults.

    Raises:
        ConfigError: a setting is unknown, of another type than its default or out of range.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cast(Any, kind))}
    for key, value in settings.items():
        if key not in defaults:
            raise ConfigError(f"{name} has no setting {key!r}; it has {', '.join(defaults)}")
        if type(value) is not type(defaults[key]):
            wanted = type(defaults[key]).__name__
            raise ConfigError(f"{name}: {key} must be of type {wanted}, got {value!r}")
    return kind(**settings)
