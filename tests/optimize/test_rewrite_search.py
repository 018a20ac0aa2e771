"""Which rewrites pay: against a clock whose figures are known."""

from typing import Any

import pytest

from optimize.rewrite_search import rewrites_that_pay
from tests.optimize.rewrite_cases import network
from train.errors import ConfigError


def grouped_seven() -> Any:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(4, 1, name="first")(maps)
        maps = layers.Conv2D(4, 7, padding="same", groups=4, name="grouped")(maps)
        return layers.BatchNormalization(name="norm")(maps)

    return network(body)


def kinds(model: Any) -> tuple[str, ...]:
    return tuple(type(layer).__name__ for layer in model.layers)


def race(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[float, float]:
    """A runtime where a grouped convolution takes 40 ms, a whole depthwise one 90, seven 20.

    It folds BatchNorm by itself, so that doing so buys nothing.
    """

    def duration(layers: tuple[str, ...]) -> float:
        depthwise = layers.count("DepthwiseConv2D")
        return {0: 40.0, 1: 90.0, 7: 20.0}[depthwise]

    return duration(first), duration(second)


def test_what_pays_is_kept_with_what_makes_it_possible() -> None:
    trials = rewrites_that_pay(grouped_seven(), kinds, race)
    found = {trial.rewrite: (trial.with_ms, trial.without_ms, trial.kept) for trial in trials}
    # Becoming depthwise costs 50 ms by itself; left out, though, there is nothing to split.
    assert found == {
        "split-depthwise": (20.0, 90.0, True),
        "fold-batch-norm": (20.0, 20.0, False),
        "grouped-to-depthwise": (20.0, 40.0, True),
    }
    assert [trial.rewrite for trial in trials] == list(found)
    assert trials[0].gain == pytest.approx(7 / 9)
    assert trials[0].layers == ("grouped",)


def test_a_rewrite_is_undone_and_stays_so_in_later_races() -> None:
    seen: list[tuple[int, int]] = []

    def slow_split(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[float, float]:
        counts = first.count("DepthwiseConv2D"), second.count("DepthwiseConv2D")
        seen.append(counts)
        return 10.0 + counts[0], 10.0 + counts[1]

    names = ("grouped-to-depthwise", "split-depthwise")
    trials = rewrites_that_pay(grouped_seven(), kinds, slow_split, names=names)
    assert seen == [(7, 1), (1, 0)]
    assert [trial.kept for trial in trials] == [False, False]


def test_a_gain_too_small_to_trust_is_none() -> None:
    def hair(first: Any, second: Any) -> tuple[float, float]:
        del first, second
        return 99.5, 100.0

    def kept(least_gain: float) -> bool:
        (trial,) = rewrites_that_pay(
            grouped_seven(), kinds, hair, names=["fold-batch-norm"], least_gain=least_gain
        )
        return trial.kept

    assert not kept(0.01)
    assert kept(0.004)


def test_nothing_to_rewrite_means_no_race() -> None:
    model = network(lambda layers, maps: layers.ReLU(name="relu")(maps))
    assert rewrites_that_pay(model, kinds, race) == ()


def test_a_gain_of_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"least_gain must be in \[0, 1\), got 1.0"):
        rewrites_that_pay(grouped_seven(), kinds, race, least_gain=1.0)
