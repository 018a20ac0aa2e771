"""What a division of the photos cannot teach or judge: classes that a side has no photo of."""

from collections.abc import Iterator, Sequence

from train.dataset import Dataset
from train.splits import Split

_UNTAUGHT = (
    "the network cannot learn what it never sees; bring photos of more senders, or leave it out"
)
_UNJUDGED = {
    "validation": "no choice can regard it; bring photos of more senders",
    "test": "the F1 says nothing of it; bring photos of more senders",
}


def split_gaps(dataset: Dataset, split: Split) -> Iterator[str]:
    """Yield a sentence for each side that lacks a class; a side without photos lacks none.

    Args:
        dataset: the photos, of the classes that are told apart.
        split: which of them is on which side.
    """
    yield from untaught_classes(dataset, split)
    for side, outcome in _UNJUDGED.items():
        ids = getattr(split, side)
        if ids and (names := _missing(dataset, ids)):
            yield f"no {split.method} {side} photo of {names}: {outcome}"


def untaught_classes(dataset: Dataset, split: Split) -> Iterator[str]:
    """Yield the sentence of the training side, where it lacks a class."""
    if names := _missing(dataset, split.train):
        yield f"no {split.method} training photo of {names}: {_UNTAUGHT}"


def _missing(dataset: Dataset, ids: Sequence[str]) -> str:
    labels = {photo.photo_id: photo.label for photo in dataset.photos}
    present = {labels[name] for name in ids}
    return ", ".join(f"{label!r}" for label in dataset.labels if label not in present)
