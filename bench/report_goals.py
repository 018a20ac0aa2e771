"""What a variant may be chosen for, and what each goal weighs."""

from collections.abc import Callable
from typing import NamedTuple

from bench.report_format import as_factor, as_megabytes, as_ms
from bench.report_tables import VariantRow


class Goal(NamedTuple):
    """The least weight within the margin of the best F1.

    Attributes:
        words: the goal in words.
        better: what a variant of less weight is: ``faster``.
        weight: what is to be small; infinite where it was not measured.
        instead: the weight of the first row beside that of the second, in words.
        gain: what the first row has over the best one, in words.
    """

    words: str
    better: str
    weight: Callable[[VariantRow], float]
    instead: Callable[[VariantRow, VariantRow], str]
    gain: Callable[[VariantRow, VariantRow], str]


def speed(row: VariantRow) -> float:
    """Return the median latency in ms, infinite where it was not measured."""
    return row.median_ms if row.median_ms is not None else float("inf")


def size(row: VariantRow) -> float:
    """Return the bytes of the file, infinite where they were not counted."""
    return row.file_bytes if row.file_bytes is not None else float("inf")


def most_accurate_under(limit_ms: float) -> str:
    """Return the third goal in words."""
    return f"the most accurate variant with a median under {limit_ms:g} ms"


FASTEST = Goal(
    words="the fastest variant within 1 point of the best weighted F1",
    better="faster",
    weight=speed,
    instead=lambda row, other: (
        f"takes {as_ms(row.median_ms)} ms instead of {as_ms(other.median_ms)} ms"
    ),
    gain=lambda row, best: f"it is {as_factor(speed(best) / speed(row))} as fast",
)
SMALLEST = Goal(
    words="the smallest variant within 1 point of the best weighted F1",
    better="smaller",
    weight=size,
    instead=lambda row, other: (
        f"has {as_megabytes(row.file_bytes)} MB instead of {as_megabytes(other.file_bytes)} MB"
    ),
    gain=lambda row, best: (
        f"its file has {as_megabytes(row.file_bytes)} MB instead of"
        f" {as_megabytes(best.file_bytes)} MB"
    ),
)
GOALS = (FASTEST, SMALLEST)
