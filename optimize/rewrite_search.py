"""Which rewrites pay on a runtime: found by racing, each against the file without it.

All that match are applied first; then each in turn is left out, and comes back only if the file
is slower without it. So a rewrite that pays by making another possible is kept with it.
The clock is the caller's: this module times nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimize.rewrite_runtime import Built
from train.errors import ConfigError, ConversionError


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one rewrite bought.

    Attributes:
        rewrite: its name.
        layers: those that it changed.
        with_ms: duration of a call with it, beside all rewrites not yet undone; ``None`` where
            there was no race, because no file can be made without it.
        without_ms: duration without it, out of the same race; ``None`` likewise.
        kept: whether it bought at least what was asked for, or is needed.
    """

    rewrite: str
    layers: tuple[str, ...]
    with_ms: float | None
    without_ms: float | None
    kept: bool

    @property
    def gain(self) -> float | None:
        """The share of the time without it that it saves; below 0 where it costs time."""
        if self.with_ms is None or self.without_ms is None:
            return None
        return 1.0 - self.with_ms / self.without_ms


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search found: each trial, last applied first, and the file of what was kept."""

    trials: tuple[Trial, ...]
    built: Built


def rewrites_that_pay(
    names: Sequence[str],
    build: Callable[[tuple[str, ...]], Built],
    race: Callable[[Built, Built], tuple[float, float]],
    *,
    least_gain: float = 0.01,
) -> Searched:
    """Return what each rewrite bought, and the file with those that are worth applying.

    Args:
        names: rewrites to try, in the order that they are applied in; those that match nothing
            are not in the result.
        build: makes the runtime's file with some of them, such as ``rewrite_runtime.build_file``
            of a network.
        race: times two files, interleaved, and returns the typical duration of each in ms.
        least_gain: share of the time that a rewrite must save to be kept, in [0, 1). Below what
            the timing itself wanders by, chance decides.

    Raises:
        ConfigError: ``least_gain`` is out of range.
        ConversionError: no file can be made even with all of them.
    """
    if not 0.0 <= least_gain < 1.0:
        raise ConfigError(f"least_gain must be in [0, 1), got {least_gain}")
    built, trials = build(tuple(names)), list[Trial]()
    matched = built.matched
    current = tuple(name for name in names if name in matched)
    for name in reversed(current):
        fewer = tuple(item for item in current if item != name)
        try:
            other = build(fewer)
        except ConversionError:  # the runtime has no operator for what it rewrites
            trials.append(_trial(name, matched[name], None, None, kept=True))
            continue
        with_ms, without_ms = race(built, other)
        kept = with_ms <= (1.0 - least_gain) * without_ms
        trials.append(_trial(name, matched[name], with_ms, without_ms, kept=kept))
        if not kept:
            current, built = fewer, other
    return Searched(trials=tuple(trials), built=built)


def _trial(
    name: str,
    layers: tuple[str, ...],
    with_ms: float | None,
    without_ms: float | None,
    *,
    kept: bool,
) -> Trial:
    return Trial(rewrite=name, layers=layers, with_ms=with_ms, without_ms=without_ms, kept=kept)
