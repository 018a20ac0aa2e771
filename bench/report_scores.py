"""The scores of a report: each computed once, however many rows show it."""

import functools
from collections.abc import Sequence

from bench.record import AccuracyRecord
from bench.scores import Difference, Predicted, Scores, paired_difference, score
from train.errors import DataError


class _Once:
    """A record's predictions as a key: the same predictions give the same scores."""

    def __init__(self, record: Predicted) -> None:
        self.record = record
        self.key = (
            record.labels, record.senders, record.truths, record.predictions, record.top_classes,
            record.confidences,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and self.key == other.key


def score_of(record: Predicted) -> Scores:
    """Return every figure of ``record``, weighted F1 and accuracy with their 95 % intervals."""
    return _score(_Once(record))


def change_between(base: AccuracyRecord, other: AccuracyRecord) -> Difference | None:
    """Return the weighted F1 of ``other`` less that of ``base``, paired photo by photo.

    ``None`` where the two were not judged on the same photos with the same labels.
    """
    try:
        return paired_difference(other, parent=base)
    except DataError:
        return None


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of ``(latency, F1)`` that no other point beats or equals in both."""
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[index][1] > best:
            best = points[index][1]
            front.append(index)
    return front


@functools.lru_cache(maxsize=4096)
def _score(once: _Once) -> Scores:
    return score(once.record)
