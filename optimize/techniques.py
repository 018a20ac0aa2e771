"""TECHNIQUES: what can be done to a trained network, by the name that a plan gives it.

A new technique is one file and one line here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from optimize.quantize import QuantizeConfig, quantize_int8
from train.artifact import Artifact
from train.errors import ConfigError, UsageError


class Technique(NamedTuple):
    """One technique: its settings, which check themselves, and what applies it."""

    config: type[Any]
    apply: Callable[..., Artifact]


TECHNIQUES: dict[str, Technique] = {
    "int8": Technique(QuantizeConfig, quantize_int8),
}


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
    kind = find_technique(name).config
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for key, value in settings.items():
        if key not in defaults:
            raise ConfigError(f"{name} has no setting {key!r}; it has {', '.join(defaults)}")
        if type(value) is not type(defaults[key]):
            wanted = type(defaults[key]).__name__
            raise ConfigError(f"{name}: {key} must be of type {wanted}, got {value!r}")
    return kind(**settings)
