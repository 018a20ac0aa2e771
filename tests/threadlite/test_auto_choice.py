"""What auto tries and takes: ladders, climbing and choosing, by hand."""

import pytest

from bench.scores import Difference
from threadlite.auto_choice import Rung, Tried, choose, climb, ladders, summary


def rungs_of(goal: str, size: int) -> list[list[str]]:
    return [[str(rung) for rung in ladder] for ladder in ladders(goal, size)]  # type: ignore[arg-type]


def test_each_goal_has_the_families_that_serve_it() -> None:
    shrink = ["shrink (maccs 0.7)", "shrink (maccs 0.5)", "shrink (maccs 0.35)"]
    assert rungs_of("latency", 224) == [
        shrink, ["resolution@192", "resolution@160", "resolution@128"]
    ]  # fmt: skip
    assert rungs_of("latency", 100) == [shrink, ["resolution@96", "resolution@64"]]
    assert rungs_of("latency", 64) == [shrink]  # nothing smaller is worth a network
    assert rungs_of("size", 224) == [
        shrink,
        ["prune (final_sparsity 0.5)", "prune (final_sparsity 0.7)"],
        ["cluster (centroids 64)", "cluster (centroids 32)"],
    ]


A = [Rung(name=name, settings={}) for name in ("a1", "a2", "a3")]
B = [Rung(name=name, settings={}) for name in ("b1", "b2")]


@pytest.mark.parametrize(
    ("holding", "tried", "held"),
    [
        ({"a1", "a2", "a2 b1"}, ["a1", "a2", "a3", "a2 b1", "a2 b2"], "a2 b1"),
        ({"b1", "b2"}, ["a1", "b1", "b2"], "b2"),  # a family that costs too much is left out
        (set(), ["a1", "b1"], ""),
    ],
)
def test_ladders_are_climbed_on_top_of_one_another(
    holding: set[str], tried: list[str], held: str
) -> None:
    asked: list[str] = []

    def attempt(rungs: tuple[Rung, ...]) -> bool:
        asked.append(" ".join(rung.name for rung in rungs))
        return asked[-1] in holding

    found = climb((A, B), attempt)
    assert asked == tried
    assert " ".join(rung.name for rung in found) == held


def tried(label: str, drop: float, weight: float, *, low: float = 0.0) -> Tried:
    change = Difference(value=-drop, low=low or -drop, high=0.0)
    return Tried(label=label, place=f"in/{label}", f1=0.9 - drop, change=change, weight=weight)


FLOAT = tried("float", 0.0, 10.0)


def test_the_lightest_that_holds_is_chosen() -> None:
    every = [FLOAT, tried("int8", 0.01, 5.0), tried("half", 0.005, 6.0), tried("far", 0.02, 2.0)]
    best = choose(every, FLOAT, max_f1_drop=0.01)
    assert best is not None
    assert best.label == "int8"
    assert choose(every, FLOAT, max_f1_drop=0.001) is None
    slow = [FLOAT, tried("int8", 0.0, 9.6)]  # 4 % less is no gain that two runs would agree on
    assert choose(slow, FLOAT, max_f1_drop=0.01) is None


def test_the_summary_marks_the_front_and_gives_a_reason() -> None:
    every = [FLOAT, tried("int8", 0.01, 5.0, low=-0.03), tried("worse", 0.02, 6.0)]
    lines = summary(every, FLOAT, goal="latency", max_f1_drop=0.01)
    marks = [(line[1], line.split()[-1]) for line in lines[1:4]]
    assert marks == [("*", "int8"), (" ", "worse"), ("*", "float")]
    assert lines[4].startswith("recommended: int8, the fastest of all that lose at most 0.01 of F1")
    assert "5.00 ms instead of 10.00 ms (0.50 of it)" in lines[4]
    assert lines[5].startswith("  these photos cannot rule out that it loses more")
    assert lines[6] == "  it is in in/int8"


def test_where_nothing_is_better_it_says_so() -> None:
    lines = summary([FLOAT], FLOAT, goal="size", max_f1_drop=0.01)
    assert lines[-1].startswith(
        "nothing better was found: no variant loses at most 0.01 of float's F1 and is at least 5%"
        " smaller;"
    )
