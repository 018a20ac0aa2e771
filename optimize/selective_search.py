"""The arithmetic of selective precision: what a layer costs, and how many to spare.

Layers are ranked by the noise that quantizing each alone puts on its output; the worst are kept
in float, 1, 2, 4 and so on, until the score is within its bound, and then as few as still are.
Noise is not F1: each of those is then put into int8 after all, the least harmful first, and stays
there where the score allows it. What was found is kept after every step, so that a search that
was killed goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from optimize.search_state import KeyedState
from train.storage import digest_of

SQNR_CEILING_DB = 200.0  # for outputs that did not change: JSON holds no infinity


class LayerCost(BaseModel):
    """What quantizing one layer costs.

    Attributes:
        name: of the operator, as its file format names it.
        operator: its kind, such as ``CONV_2D``.
        sqnr_db: signal over quantization noise at its output, decibels; low is bad.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    operator: str
    sqnr_db: float


class SearchState(KeyedState):
    """How far a search is.

    Attributes:
        costs: of the layers ranked so far.
        float_score: the network's own, in float; ``None`` before it is known.
        scores: layers kept in float, the worst ones -> score of that variant.
        trials: digest of the names of other layers kept in float -> score of that variant.
    """

    costs: tuple[LayerCost, ...] = ()
    float_score: float | None = None
    scores: dict[int, float] = Field(default_factory=dict)
    trials: dict[str, float] = Field(default_factory=dict)

    @property
    def evaluations(self) -> int:
        """How many variants were scored, the float one among them."""
        return len(self.scores) + len(self.trials) + (self.float_score is not None)


class Spared(NamedTuple):
    """Which layers stay in float, as far as is known.

    Attributes:
        names: of the layers, the worst first.
        score: of that variant.
        in_int8: layer -> score of the variant that has it in int8 as well; of those tried.
        untried: the layers of a variant whose score would tell more; ``None`` when all is known.
    """

    names: tuple[str, ...]
    score: float
    in_int8: dict[str, float]
    untried: tuple[str, ...] | None


def sqnr_db(signal: float, noise: float) -> float:
    """Return ``10 log10(signal / noise)``, at most ``SQNR_CEILING_DB``.

    Args:
        signal: sum of squares of the float values.
        noise: sum of squares of what quantization changed.
    """
    if noise <= 0.0:
        return SQNR_CEILING_DB
    if signal <= 0.0:
        return -SQNR_CEILING_DB
    return float(np.clip(10.0 * np.log10(signal / noise), -SQNR_CEILING_DB, SQNR_CEILING_DB))


def powers(reference: Any, found: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return ``(signal, noise)``: sums of squares of ``reference`` and of the difference."""
    exact = np.asarray(reference, np.float64)
    return np.array([np.square(exact).sum(), np.square(exact - found).sum()])


def worst_first(costs: Sequence[LayerCost]) -> tuple[LayerCost, ...]:
    """Return the layers, those that quantization hurts most first; equal ones by name."""
    return tuple(sorted(costs, key=lambda cost: (cost.sqnr_db, cost.name)))


def next_count(scores: Mapping[int, float], least: float, layers: int) -> int | None:
    """Return how many of the worst layers to keep in float next; ``None`` when that is settled.

    Args:
        scores: layers kept in float -> score, of what was tried.
        least: the least score that will do.
        layers: how many there are.
    """
    if not scores:
        return 0
    enough = [count for count, score in scores.items() if score >= least]
    if not enough:
        most = max(scores)
        return None if most >= layers else min(max(1, 2 * most), layers)
    few = min(enough)
    too_few = max((count for count in scores if count < few), default=few - 1)
    return None if few - too_few == 1 else (few + too_few) // 2


def best_count(scores: Mapping[int, float], least: float) -> int:
    """Return the fewest layers in float that score at least ``least``, else the best scoring."""
    enough = [count for count, score in scores.items() if score >= least]
    return min(enough) if enough else max(scores, key=lambda count: (scores[count], -count))


def spare(state: SearchState, worst: Sequence[str], least: float) -> Spared:
    """Return the layers that stay in float once each was put into int8 that could be.

    Args:
        state: what was scored, of the worst layers at least one count.
        worst: names of all layers, the worst first.
        least: the least score that will do; where none does, the best one found must hold.
    """
    count = best_count(state.scores, least)
    kept, score = tuple(worst[:count]), state.scores[count]
    bound, in_int8 = min(least, score), dict[str, float]()
    for name in reversed(kept):
        rest = tuple(other for other in kept if other != name)
        found = state.trials.get(trial_key(rest))
        if rest == tuple(worst[: len(rest)]):
            found = state.scores.get(len(rest), found)
        if found is None:
            return Spared(kept, score, in_int8, rest)
        if found >= bound:
            kept, score = rest, found
        else:
            in_int8[name] = found
    return Spared(kept, score, in_int8, None)


def trial_key(names: Sequence[str]) -> str:
    """Return what a set of layers is called in ``SearchState.trials``."""
    return digest_of(sorted(names))[:16]
