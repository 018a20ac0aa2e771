"""The flip ledger: which photos a variant predicts otherwise than its parent, and which way.

Two variants of one score need not be right on the same photos: a person who knows an app's
answers notices each photo that changed, whichever way. Measures nothing.
Source: Yan et al. 2021, "Positive-congruent training" (negative flips: right to wrong).
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.record import AccuracyRecord, Record, of_kind
from bench.scores import count_flips
from train.errors import DataError, UsageError
from train.variant import Variant, parse_variant

Way = Literal["right to wrong", "wrong to right", "wrong to wrong"]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One photo whose prediction changed; classes by name."""

    photo_id: str
    truth: str
    before: str
    after: str
    way: Way


@dataclass(frozen=True, kw_only=True)
class ClassFlips:
    """What changed for one class.

    Attributes:
        photos: photos that are of it.
        f1_before: the parent's F1 of the class, in [0, 1].
        f1_after: the variant's.
        right_to_wrong: its photos that the parent alone got right.
        wrong_to_right: its photos that the variant alone gets right.
    """

    label: str
    photos: int
    f1_before: float
    f1_after: float
    right_to_wrong: int
    wrong_to_right: int

    @property
    def f1_loss(self) -> float:
        """What the class lost of F1, in [-1, 1]; negative where it gained."""
        return self.f1_before - self.f1_after


@dataclass(frozen=True, kw_only=True)
class FlipLedger:
    """All changes between a variant and its parent on the same photos.

    Attributes:
        photos: photos compared.
        flips: the photos that changed, in the order of the variant's record.
        classes: every class, the greatest loss of F1 first.
    """

    variant: str
    parent: str
    runtime: str
    split_method: str
    side: str
    photos: int
    flips: tuple[Flip, ...]
    classes: tuple[ClassFlips, ...]

    @property
    def agreement(self) -> float:
        """Share of photos with the same prediction, in [0, 1]."""
        return 1.0 - len(self.flips) / self.photos

    def count(self, way: Way) -> int:
        """Return how many photos changed ``way``."""
        return sum(flip.way == way for flip in self.flips)


def flip_ledger(record: AccuracyRecord, *, parent: AccuracyRecord) -> FlipLedger:
    """Return what changed from ``parent`` to ``record``, photo by photo and class by class.

    Raises:
        DataError: the two were not measured on the same photos, truths and classes.
    """
    count_flips(record, parent=parent)  # refuses what cannot be compared
    old = dict(zip(parent.photo_ids, parent.predictions, strict=True))
    flips = tuple(
        Flip(
            photo_id=photo_id,
            truth=record.labels[truth],
            before=record.labels[old[photo_id]],
            after=record.labels[new],
            way=_way(truth, old[photo_id], new),
        )
        for photo_id, truth, new in zip(
            record.photo_ids, record.truths, record.predictions, strict=True
        )
        if old[photo_id] != new
    )
    return FlipLedger(
        variant=record.variant,
        parent=parent.variant,
        runtime=record.runtime,
        split_method=record.split_method,
        side=record.side,
        photos=len(record.photo_ids),
        flips=flips,
        classes=_classes(record, parent, flips),
    )


def flip_ledgers(records: Sequence[Record]) -> list[FlipLedger]:
    """Return the ledger of every variant that was judged beside its float parent on test photos.

    Both under one runtime; of repeated records the latest counts, and two that were not judged
    on the same photos give none.
    """
    found: dict[tuple[str, ...], AccuracyRecord] = {
        (one.split_method, one.network_sha256, one.runtime, one.variant): one
        for one in of_kind(records, AccuracyRecord)
        if one.side == "test"
    }
    ledgers: list[FlipLedger] = []
    for (*where, name), record in found.items():
        with contextlib.suppress(DataError, UsageError):  # other photos, a name of another grammar
            parents = [
                found[*where, other] for other in float_names(name) if (*where, other) in found
            ]
            ledgers += [flip_ledger(record, parent=parent) for parent in parents[:1]]
    return ledgers


def float_names(variant: str) -> tuple[str, ...]:
    """Return the float variants to hold ``variant`` against, the first choice first.

    The plain network's, then the one with the same techniques; none for the plain network itself.

    Raises:
        UsageError: the name does not follow the grammar.
    """
    name = parse_variant(variant)
    plain = Variant(network=name.network, format=name.format)
    names = dict.fromkeys((str(plain), str(name.as_format(name.format, precision="float"))))
    return () if variant == str(plain) else tuple(other for other in names if other != variant)


def _way(truth: int, before: int, after: int) -> Way:
    if before == truth:
        return "right to wrong"
    return "wrong to right" if after == truth else "wrong to wrong"


def _classes(
    record: AccuracyRecord, parent: AccuracyRecord, flips: Sequence[Flip]
) -> tuple[ClassFlips, ...]:
    ways = Counter((flip.truth, flip.way) for flip in flips)
    photos = Counter(record.truths)
    scores = zip(_class_f1s(parent), _class_f1s(record), strict=True)
    classes = [
        ClassFlips(
            label=label,
            photos=photos[number],
            f1_before=before,
            f1_after=after,
            right_to_wrong=ways[label, "right to wrong"],
            wrong_to_right=ways[label, "wrong to right"],
        )
        for number, (label, (before, after)) in enumerate(zip(record.labels, scores, strict=True))
    ]
    return tuple(sorted(classes, key=lambda one: (-one.f1_loss, one.label)))


def _class_f1s(record: AccuracyRecord) -> list[float]:
    """Return the F1 of each class: twice its hits over its photos and predictions together."""
    photos, taken = Counter(record.truths), Counter(record.predictions)
    hits = Counter(
        truth for truth, new in zip(record.truths, record.predictions, strict=True) if truth == new
    )
    return [
        2 * hits[number] / (photos[number] + taken[number]) if hits[number] else 0.0
        for number in range(len(record.labels))
    ]
