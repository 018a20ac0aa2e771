"""What a profiler gives: the times of whole calls and of the operators inside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.record_layers import OperatorTimes


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Calls of one model, operator by operator; the fields are those of ``LayerTimesRecord``."""

    calls_us: tuple[float, ...]
    operators: tuple[OperatorTimes, ...]
    partitions: int = 0
    optimized: dict[str, int] = field(default_factory=dict)
    inserted: dict[str, int] = field(default_factory=dict)
    fused: dict[str, int] = field(default_factory=dict)
    no_profiler: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain values; ``no_profiler`` where there is something to say."""
        operators = [one.model_dump(mode="json") for one in self.operators]
        said = {name: value for name, value in vars(self).items() if name != "no_profiler" or value}
        return {**said, "operators": operators}


class Profiler(Protocol):
    """A loaded model whose runtime times its operators."""

    name: str

    def feed(self, tensor: npt.NDArray[np.generic]) -> None:
        """Hand over the one input."""
        ...

    def run(self, calls: int, *, timed: bool) -> None:
        """Run the model ``calls`` times; only timed calls count."""
        ...

    def finish(self) -> Profile:
        """Return everything timed; the model runs no more."""
        ...


def counted(names: Sequence[str]) -> dict[str, int]:
    """Return how often each name stands, in alphabetical order."""
    return {name: names.count(name) for name in sorted(set(names))}
