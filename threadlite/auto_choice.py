"""What ``optimize auto`` tries, in which order, and which of it is the one to take.

Each family of techniques is a ladder whose rungs give up more and more; it is climbed while the
validation F1 holds, on top of the best rung of the families before it. So a chain is always in
an order in which nothing undoes what was done before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.report_format import as_points
from bench.report_scores import pareto_front
from bench.scores import Difference

Goal = Literal["latency", "size"]
GOALS: tuple[Goal, ...] = ("latency", "size")
LEAST_GAIN = 0.05  # what gains less is within what two runs of one file differ by
_WORDS = {"latency": ("faster", "fastest"), "size": ("smaller", "smallest")}
_STRIDE = 32  # of the networks: sizes that are multiples of it leave whole places
_SMALLEST_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One technique with the settings that make it what it is on its ladder.

    Attributes:
        name: of the technique, perhaps with its value: ``resolution@160``.
        settings: over the technique's own defaults.
    """

    name: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        values = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.name} ({values})" if values else self.name


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One variant that was made and measured.

    Attributes:
        label: what was done, in words.
        place: its artifact's folder, inside the workspace.
        f1: weighted F1 on the validation photos.
        change: of that against the float file's.
        weight: what the goal wants small: median ms, or bytes compressed.
    """

    label: str
    place: str
    f1: float
    change: Difference
    weight: float


def ladders(goal: Goal, image_size: int) -> tuple[tuple[Rung, ...], ...]:
    """Return the families that serve a goal, each from the least to the most that is given up.

    Smaller pictures make no file smaller; zeros and shared weights make no call faster.

    Args:
        goal: what is wanted.
        image_size: rows of the network's input.
    """
    shrink = tuple(Rung(name="shrink", settings={"maccs": share}) for share in (0.7, 0.5, 0.35))
    if goal == "latency":
        top = (image_size - 1) // _STRIDE * _STRIDE
        sizes = [top - _STRIDE * step for step in range(3)]
        smaller = tuple(
            Rung(name=f"resolution@{size}", settings={}) for size in sizes if size >= _SMALLEST_SIZE
        )
        return (shrink, smaller) if smaller else (shrink,)
    zeros = tuple(Rung(name="prune", settings={"final_sparsity": part}) for part in (0.5, 0.7))
    shared = tuple(Rung(name="cluster", settings={"centroids": count}) for count in (64, 32))
    return shrink, zeros, shared


def climb(
    families: Sequence[Sequence[Rung]],
    attempt: Callable[[tuple[Rung, ...]], bool],
) -> tuple[Rung, ...]:
    """Try rung after rung and return those that held.

    Args:
        families: ladders, in the order in which their techniques are applied.
        attempt: makes and judges a network by these rungs; says whether its F1 held.
    """
    held: tuple[Rung, ...] = ()
    for ladder in families:
        best: tuple[Rung, ...] = ()
        for rung in ladder:
            if not attempt((*held, rung)):
                break
            best = (rung,)
        held += best
    return held


def choose(tried: Sequence[Tried], reference: Tried, *, max_f1_drop: float) -> Tried | None:
    """Return the variant of least weight whose F1 holds; ``None`` where none is worth it.

    Args:
        tried: variants; the reference may be among them.
        reference: the float file.
        max_f1_drop: how far below its F1 the variant's may be.
    """
    holding = [
        one
        for one in tried
        if one.change.value >= -max_f1_drop and one.weight <= (1 - LEAST_GAIN) * reference.weight
    ]
    return min(holding, key=lambda one: (one.weight, -one.f1), default=None)


def summary(
    tried: Sequence[Tried], reference: Tried, *, goal: Goal, max_f1_drop: float
) -> list[str]:
    """Return the Pareto front among all that was tried, and one recommendation with its reason."""
    ordered = sorted(tried, key=lambda one: (one.weight, -one.f1))
    front = set(pareto_front([(one.weight, one.f1) for one in ordered]))
    lines = ["tried, on the validation photos (* on the Pareto front; F1 against float in points):"]
    for number, one in enumerate(ordered):
        mark = "*" if number in front else " "
        lines.append(
            f" {mark} {_weighed(one, goal):>9}  F1 {one.f1:.3f}  {as_points(one.change):>18}"
            f"  {one.label}"
        )
    best = choose(tried, reference, max_f1_drop=max_f1_drop)
    if best is None:
        return [
            *lines,
            f"nothing better was found: no variant loses at most {max_f1_drop:g} of float's F1 and"
            f" is at least {LEAST_GAIN:.0%} {_WORDS[goal][0]}; allow a larger --max-f1-drop, or"
            " give more --minutes",
        ]
    lines.append(
        f"recommended: {best.label}, the {_WORDS[goal][1]} of all that lose at most"
        f" {max_f1_drop:g} of F1: {_weighed(best, goal)} instead of {_weighed(reference, goal)}"
        f" ({best.weight / reference.weight:.2f} of it), F1 {as_points(best.change)} points"
    )
    if best.change.low < -max_f1_drop:
        lines.append(
            "  these photos cannot rule out that it loses more: see threadlite gate, on test photos"
        )
    return [*lines, f"  it is in {best.place}"]


def _weighed(one: Tried, goal: Goal) -> str:
    return f"{one.weight:.2f} ms" if goal == "latency" else f"{one.weight / 1e6:.2f} MB"
