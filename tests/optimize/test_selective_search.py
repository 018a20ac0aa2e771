"""Selective precision: ranking, doubling and bisecting by hand, and a search that goes on."""

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from optimize.search_state import read_state
from optimize.selective import SelectiveConfig, search
from optimize.selective_report import outcome, sentences
from optimize.selective_search import (
    LayerCost,
    SearchState,
    best_count,
    next_count,
    powers,
    spare,
    sqnr_db,
    trial_key,
    worst_first,
)
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.progress import Silent

PHOTOS = np.zeros((1, 2, 2, 3), np.uint8)


def test_sqnr_is_in_decibels() -> None:
    signal, noise = powers([3.0, 4.0], [3.0, 4.5])
    assert (signal, noise) == (25.0, 0.25)
    assert sqnr_db(signal, noise) == pytest.approx(20.0)  # 25 / 0.25 = 100
    assert sqnr_db(2.0, 4.0) == pytest.approx(10.0 * math.log10(0.5))


def test_sqnr_of_the_unchanged_and_of_the_silent_is_finite() -> None:
    assert sqnr_db(1.0, 0.0) == 200.0
    assert sqnr_db(0.0, 1.0) == -200.0


def test_the_layer_with_the_least_sqnr_is_the_worst() -> None:
    costs = [
        LayerCost(name=name, operator="CONV_2D", sqnr_db=decibels)
        for name, decibels in (("b", 30.0), ("c", 12.0), ("a", 30.0))
    ]
    assert [cost.name for cost in worst_first(costs)] == ["c", "a", "b"]


def counts_tried(needed: int, layers: int) -> tuple[list[int], dict[int, float]]:
    """Return what is tried where ``needed`` layers in float are the fewest that do."""
    scores: dict[int, float] = {}
    while (count := next_count(scores, 0.9, layers)) is not None:
        assert count not in scores
        scores[count] = 0.95 if count >= needed else 0.5
    return list(scores), scores


@pytest.mark.parametrize(
    ("needed", "layers", "tried"),
    [
        (0, 10, [0]),  # plain int8 will do
        (1, 10, [0, 1]),
        (3, 10, [0, 1, 2, 4, 3]),
        (6, 10, [0, 1, 2, 4, 8, 6, 5]),
        (9, 10, [0, 1, 2, 4, 8, 10, 9]),  # doubled no further than there are layers
        (5, 3, [0, 1, 2, 3]),  # never enough
    ],
)
def test_counts_double_and_are_then_bisected(needed: int, layers: int, tried: list[int]) -> None:
    found, scores = counts_tried(needed, layers)
    assert found == tried
    if needed <= layers:
        assert best_count(scores, 0.9) == needed


def test_where_no_count_is_enough_the_best_score_wins_and_then_the_fewer() -> None:
    assert best_count({0: 0.5, 1: 0.7, 2: 0.7, 4: 0.6}, 0.9) == 1


class FakeMixer:
    """Three layers; content is the set of those in float."""

    def __init__(self) -> None:
        self.ranked: list[str] = []

    def layers(self) -> list[LayerCost]:
        return [LayerCost(name=name, operator="Conv", sqnr_db=0.0) for name in ("x", "y", "z")]

    def in_float(self) -> frozenset[str]:
        return frozenset("xyz")

    def mixed(self, kept: Collection[str]) -> frozenset[str]:
        return frozenset(kept)

    def cost(self, name: str, photos: Pixels) -> float:
        del photos
        self.ranked.append(name)
        return {"x": 40.0, "y": 5.0, "z": 20.0}[name]


def judge_y(content: frozenset[str]) -> float:
    """All is well once ``y`` is in float."""
    return 0.875 if "y" in content else 0.5


def test_the_culprit_is_found_and_named(tmp_path: Path) -> None:
    config = SelectiveConfig(max_f1_drop=0.0)
    found = search(FakeMixer(), PHOTOS, config, judge_y, tmp_path / "s.json", "k", Silent())
    assert (found.float_score, found.scores) == (0.875, {0: 0.5, 1: 0.875})
    report = outcome(found, config.max_f1_drop)
    assert report["kept_in_float"] == [
        {"name": "y", "operator": "Conv", "sqnr_db": 5.0, "score_in_int8": 0.5}
    ]
    assert (report["score"], report["bound_met"]) == (0.875, True)


def test_a_layer_that_is_noisy_and_harmless_goes_back_into_int8(tmp_path: Path) -> None:
    """``y`` has the least SQNR, and ``z`` alone costs F1: 0, 1 and 2 layers, then z alone."""

    def judge(content: frozenset[str]) -> float:
        return 0.875 if "z" in content else 0.5

    config = SelectiveConfig(max_f1_drop=0.0)
    found = search(FakeMixer(), PHOTOS, config, judge, tmp_path / "s.json", "k", Silent())
    assert found.scores == {0: 0.5, 1: 0.5, 2: 0.875}
    assert found.trials == {trial_key(["z"]): 0.875}
    report = outcome(found, config.max_f1_drop)
    assert [(cost["name"], cost["score_in_int8"]) for cost in report["kept_in_float"]] == [
        ("z", 0.5)
    ]
    short = search(
        FakeMixer(), PHOTOS, SelectiveConfig(max_f1_drop=0.0, evaluations=4), judge,
        tmp_path / "short.json", "k", Silent(),
    )  # fmt: skip
    report = {**outcome(short, 0.0), "max_f1_drop": 0.0}
    kept = [(cost["name"], cost["score_in_int8"]) for cost in report["kept_in_float"]]
    assert kept == [("y", None), ("z", 0.5)]  # the budget ended before y was tried
    assert sentences(report) == [
        "2 of 3 layers stay in float: validation F1 0.875, in float 0.875, wholly in int8 0.500;"
        " that is within the drop of 0 allowed (4 variants scored)",
        "  y (Conv): SQNR 5.0 dB, not tried in int8 again",
        "  z (Conv): SQNR 20.0 dB, F1 0.500 with it in int8",
    ]


def test_where_no_bound_holds_nothing_that_scores_is_given_back() -> None:
    state = SearchState(key="k", float_score=0.9, scores={0: 0.5, 1: 0.6, 2: 0.7})
    assert spare(state, ["a", "b"], 0.89).untried == ("b",)
    same = state.model_copy(update={"trials": {trial_key(["b"]): 0.7}})
    assert spare(same, ["a", "b"], 0.89)[:2] == (("b",), 0.7)  # as good with fewer in float
    worse = state.model_copy(update={"trials": {trial_key(["b"]): 0.65}})
    assert spare(worse, ["a", "b"], 0.89)[:3] == (("a", "b"), 0.7, {"b": 0.6, "a": 0.65})


def test_a_search_that_was_killed_pays_for_nothing_twice(tmp_path: Path) -> None:
    state, config = tmp_path / "s.json", SelectiveConfig(max_f1_drop=0.0)

    def killed_at_second(content: frozenset[str]) -> float:
        if len(content) < 3:
            raise KeyboardInterrupt
        return 0.875

    with pytest.raises(KeyboardInterrupt):
        search(FakeMixer(), PHOTOS, config, killed_at_second, state, "k", Silent())
    again, judged = FakeMixer(), []

    def judge(content: frozenset[str]) -> float:
        judged.append(sorted(content))
        return judge_y(content)

    search(again, PHOTOS, config, judge, state, "k", Silent())
    assert (again.ranked, judged) == ([], [[], ["y"]])  # the float one was scored before


def test_another_search_begins_anew_and_a_broken_file_too(tmp_path: Path) -> None:
    state = tmp_path / "s.json"
    search(FakeMixer(), PHOTOS, SelectiveConfig(), judge_y, state, "k", Silent())
    assert read_state(SearchState, state, "k").evaluations == 3
    assert read_state(SearchState, state, "other").costs == ()
    state.write_text('{"schema_version": 1, "key": "k", "cos')
    assert read_state(SearchState, state, "k").evaluations == 0


def test_the_budget_holds_and_says_that_the_bound_was_not_met(tmp_path: Path) -> None:
    config = SelectiveConfig(evaluations=2)
    found = search(FakeMixer(), PHOTOS, config, judge_y, tmp_path / "s.json", "k", Silent())
    assert found.evaluations == 2
    report = outcome(found, config.max_f1_drop)
    assert (report["kept_in_float"], report["bound_met"]) == ([], False)


def test_a_network_without_layers_is_refused(tmp_path: Path) -> None:
    class Empty(FakeMixer):
        def layers(self) -> list[LayerCost]:
            return []

    with pytest.raises(ConversionError, match="has no layer that can be quantized"):
        search(Empty(), PHOTOS, SelectiveConfig(), judge_y, tmp_path / "s.json", "k", Silent())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_f1_drop": 1.0}, r"max_f1_drop must be in \[0, 1\), got 1.0"),
        ({"evaluations": 1}, "evaluations must be at least 2, got 1"),
        ({"ranking_photos": 0}, "ranking_photos must be at least 1, got 0"),
        ({"photos": 7}, "photos must be at least 8"),
    ],
)
def test_settings_check_themselves(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SelectiveConfig(**settings)  # type: ignore[arg-type]
