"""Which rewrites pay on a runtime: found by racing, each against the network without it.

All that match are applied first; then each in turn is left out, and comes back only if the network
is slower without it. So a rewrite that pays by making another possible is kept with it.
The clock is the caller's: this module times nothing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from optimize.rewrite import EXACT, REWRITES, require_rewrites, rewrite_model
from train.errors import ConfigError

_File = TypeVar("_File")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one rewrite bought.

    Attributes:
        rewrite: its name.
        layers: those that it changed.
        with_ms: duration of a call with it, beside all rewrites not yet undone.
        without_ms: duration without it, out of the same race.
        kept: whether it bought at least what was asked for.
    """

    rewrite: str
    layers: tuple[str, ...]
    with_ms: float
    without_ms: float
    kept: bool

    @property
    def gain(self) -> float:
        """The share of the time without it that it saves; below 0 where it costs time."""
        return 1.0 - self.with_ms / self.without_ms


def rewrites_that_pay(
    model: Any,
    convert: Callable[[Any], _File],
    race: Callable[[_File, _File], tuple[float, float]],
    *,
    names: Collection[str] = EXACT,
    least_gain: float = 0.01,
) -> tuple[Trial, ...]:
    """Return what each rewrite bought, last applied first; those with ``kept`` are worth applying.

    Args:
        model: a functional ``tf_keras`` network; it is not changed.
        convert: makes the runtime's file out of a network, such as ``convert.to_tflite``.
        race: times two files, interleaved, and returns the typical duration of each in ms.
        names: rewrites to try; those that match nothing are not in the result.
        least_gain: share of the time that a rewrite must save to be kept, in [0, 1). Below what
            the timing itself wanders by, chance decides.

    Raises:
        ConfigError: there is no rewrite of a name, or ``least_gain`` is out of range.
        ConversionError: the network is not made of plain layers, or cannot be converted.
    """
    if not 0.0 <= least_gain < 1.0:
        raise ConfigError(f"least_gain must be in [0, 1), got {least_gain}")
    require_rewrites(names)
    rewritten, applied = rewrite_model(model, names)
    matched = {item.rewrite: item.layers for item in applied if item.layers}
    current, trials = tuple(matched), []
    if matched:
        file = convert(rewritten)
    for name in reversed([name for name in REWRITES if name in matched]):
        fewer = tuple(item for item in current if item != name)
        other = convert(rewrite_model(model, fewer)[0])
        with_ms, without_ms = race(file, other)
        kept = with_ms <= (1.0 - least_gain) * without_ms
        trials.append(
            Trial(
                rewrite=name,
                layers=matched[name],
                with_ms=with_ms,
                without_ms=without_ms,
                kept=kept,
            )
        )
        if not kept:
            current, file = fewer, other
    return tuple(trials)
