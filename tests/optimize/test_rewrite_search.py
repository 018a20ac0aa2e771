"""Which rewrites pay: against a clock whose figures are known."""

from typing import Any

import pytest

from optimize.rewrite import EXACT, Applied, rewrite_model
from optimize.rewrite_runtime import Built
from optimize.rewrite_search import Searched, rewrites_that_pay
from tests.optimize.rewrite_cases import network
from train.errors import ConfigError, ConversionError

Names = tuple[str, ...]


def grouped_seven() -> Any:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(4, 1, name="first")(maps)
        maps = layers.Conv2D(4, 7, padding="same", groups=4, name="grouped")(maps)
        return layers.BatchNormalization(name="norm")(maps)

    return network(body)


def kinds(names: Names) -> Built:
    """Return the kinds of the layers in place of a file."""
    model, applied = rewrite_model(grouped_seven(), names)
    return Built(tuple(type(layer).__name__ for layer in model.layers), applied)


def race(first: Built, second: Built) -> tuple[float, float]:
    """A runtime where a grouped convolution takes 40 ms, a whole depthwise one 90, seven 20.

    It folds BatchNorm by itself, so that doing so buys nothing.
    """

    def duration(built: Built) -> float:
        depthwise = built.content.count("DepthwiseConv2D")
        return {0: 40.0, 1: 90.0, 7: 20.0}[depthwise]

    return duration(first), duration(second)


def test_what_pays_is_kept_with_what_makes_it_possible() -> None:
    searched = rewrites_that_pay(EXACT, kinds, race)
    trials = searched.trials
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
    assert list(searched.built.matched) == ["grouped-to-depthwise", "split-depthwise"]
    assert "BatchNormalization" in searched.built.content  # undone in the file, not in words alone


def test_a_rewrite_is_undone_and_stays_so_in_later_races() -> None:
    seen: list[tuple[int, int]] = []

    def slow_split(first: Built, second: Built) -> tuple[float, float]:
        counts = tuple(one.content.count("DepthwiseConv2D") for one in (first, second))
        seen.append((counts[0], counts[1]))
        return 10.0 + counts[0], 10.0 + counts[1]

    names = ("grouped-to-depthwise", "split-depthwise")
    searched = rewrites_that_pay(names, kinds, slow_split)
    assert seen == [(7, 1), (1, 0)]
    assert [trial.kept for trial in searched.trials] == [False, False]
    assert searched.built.matched == {}


def test_a_gain_too_small_to_trust_is_none() -> None:
    def hair(first: Built, second: Built) -> tuple[float, float]:
        del first, second
        return 99.5, 100.0

    def kept(least_gain: float) -> bool:
        (trial,) = rewrites_that_pay(["fold-batch-norm"], kinds, hair, least_gain=least_gain).trials
        return trial.kept

    assert not kept(0.01)
    assert kept(0.004)


def test_nothing_to_rewrite_means_no_race() -> None:
    built = Built("a file", (Applied(rewrite="fold-batch-norm", layers=()),))
    found = rewrites_that_pay(["fold-batch-norm"], lambda names: built, race)
    assert found == Searched(trials=(), built=built)


def test_what_no_file_can_be_made_without_is_needed() -> None:
    def build(names: Names) -> Built:
        if "grouped-to-depthwise" not in names:
            raise ConversionError("no counterpart")
        return Built(names, tuple(Applied(rewrite=name, layers=("a",)) for name in names))

    def even(first: Built, second: Built) -> tuple[float, float]:
        assert set(second.content) < set(first.content)
        return 1.0, 1.0

    names = ("grouped-to-depthwise", "fold-batch-norm")
    found = rewrites_that_pay(names, build, even)
    assert [(trial.rewrite, trial.gain, trial.kept) for trial in found.trials] == [
        ("fold-batch-norm", 0.0, False),
        ("grouped-to-depthwise", None, True),
    ]
    assert found.built.content == ("grouped-to-depthwise",)


def test_a_gain_of_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"least_gain must be in \[0, 1\), got 1.0"):
        rewrites_that_pay(EXACT, kinds, race, least_gain=1.0)
