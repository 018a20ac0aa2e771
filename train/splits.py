"""Train, validation and test sides that share no sender."""

import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from train.chains import chains
from train.dataset import Dataset, Photo
from train.errors import ArtifactError, DataError

SplitMethod = Literal["grouped", "stratified"]
SPLIT_METHODS: tuple[SplitMethod, ...] = ("grouped", "stratified")
_FOLDS = 20  # of which 14 train, 3 validate and 3 test: 70/15/15
_SHARE = 0.15


class Split(BaseModel):
    """Which photo is on which side.

    Attributes:
        method: ``grouped``: no sender on two sides; ``stratified``: classes in equal shares, and
            only copies of the same file are kept together.
        seed: seed of the shuffle.
        train: photo ids, 70 %.
        validation: photo ids, 15 %.
        test: photo ids, 15 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: SplitMethod
    seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split_photos(photos: Sequence[Photo], *, method: SplitMethod, seed: int) -> Split:
    """Divide photos 70/15/15 into train, validation and test.

    Both ways are stratified by class. ``grouped`` keeps each sender on one side; ``stratified``
    ignores senders, and keeps only byte-identical copies together.

    Raises:
        DataError: there are too few groups for the three sides.
    """
    groups = groups_of(photos, method)
    if len(set(groups)) < 3:
        raise DataError(
            f"a {method} split needs at least 3 senders, got {len(set(groups))};"
            " use --split stratified or bring photos of more senders"
        )
    folds = _folds(photos, groups, seed)
    test, validation, train = _assign(photos, folds)
    return Split(method=method, seed=seed, train=train, validation=validation, test=test)


def groups_of(photos: Sequence[Photo], method: SplitMethod) -> list[str]:
    """Return the group of each photo: photos of one group must stay on one side.

    ``grouped``: its sender, and with it every sender who sent a copy of one of the same files;
    ``stratified``: its bytes.
    """
    if method == "stratified":
        return [photo.sha256 for photo in photos]
    first: dict[str, str] = {}
    links = [(first.setdefault(photo.sha256, photo.sender), photo.sender) for photo in photos]
    names = {sender: min(chain) for chain in chains(links) for sender in chain}
    return [names[photo.sender] for photo in photos]


def fold_photos(
    photos: Sequence[Photo], *, method: SplitMethod, folds: int, seed: int
) -> list[list[int]]:
    """Return the indices of the photos of each fold; every photo is in one.

    Raises:
        DataError: a class has fewer photos than there are folds, or the photos fall into fewer
            groups.
    """
    counts = Counter(photo.label for photo in photos)
    rarest = min(counts, key=lambda label: (counts[label], label), default="")
    if folds < 2 or counts[rarest] < folds:
        raise DataError(
            f"{folds} folds: class {rarest!r} has {counts[rarest]} photos, and each fold needs one"
            " or more; give at least 2 folds, at most as many as the rarest class has photos, or"
            " leave the class out"
        )
    found = _folds(photos, groups_of(photos, method), seed, folds=folds)
    if len(found) < folds:
        raise DataError(
            f"{folds} {method} folds: the photos fall into {len(found)} groups that can be told"
            " apart; lower --folds or bring photos of more senders"
        )
    return found


def _folds(
    photos: Sequence[Photo], groups: Sequence[str], seed: int, *, folds: int = _FOLDS
) -> list[list[int]]:
    """Return the indices of each of up to ``folds`` stratified folds that share no group."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.array([photo.label for photo in photos])
    biggest = int(np.unique(labels, return_counts=True)[1].max())
    count = min(folds, biggest, len(set(groups)))
    if count < min(3, folds):
        raise DataError(
            f"the largest class has {biggest} photos; a split needs 3 or more: bring more photos"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class smaller than the folds: see _assign
        if len(set(groups)) == len(photos):
            plain = StratifiedKFold(count, shuffle=True, random_state=seed)
            return [test.tolist() for _, test in plain.split(labels, labels)]
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        found = [test.tolist() for _, test in grouped.split(labels, labels, groups)]
        return [fold for fold in found if fold]


def _assign(
    photos: Sequence[Photo], folds: list[list[int]]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return test, validation and train ids: the folds whose class counts come nearest 15 %."""
    import numpy as np

    names = sorted({photo.label for photo in photos})
    if len(folds) < 3:
        raise DataError(
            f"the photos fall into {len(folds)} groups that can be told apart, a split needs 3:"
            " bring photos of more senders, or use --split stratified"
        )
    counts = np.zeros((len(folds), len(names)))
    for number, fold in enumerate(folds):
        for index in fold:
            counts[number, names.index(photos[index].label)] += 1
    target = _SHARE * counts.sum(axis=0)
    taken = max(1, round(_SHARE * len(folds)))
    taken = min(taken, (len(folds) - 1) // 2)
    left = set(range(len(folds)))
    sides: list[tuple[str, ...]] = []
    for others in (2, 1):  # sides still to fill after this one
        chosen = min(
            (
                numbers
                for size in range(max(1, taken - 1), taken + 3)
                for numbers in itertools.combinations(sorted(left), size)
                if len(left) - len(numbers) >= others
            ),
            key=lambda numbers: float(
                (((counts[list(numbers)].sum(axis=0) - target) ** 2) / (target + 1)).sum()
            ),
        )
        left -= set(chosen)
        sides.append(_ids(photos, folds, chosen))
    return sides[0], sides[1], _ids(photos, folds, sorted(left))


def _ids(
    photos: Sequence[Photo], folds: list[list[int]], numbers: Sequence[int]
) -> tuple[str, ...]:
    return tuple(sorted(photos[index].photo_id for number in numbers for index in folds[number]))


def select(photos: Sequence[Photo], ids: Sequence[str]) -> list[Photo]:
    """Return the photos with these ids, in the order of ``ids``.

    Raises:
        DataError: an id is not among the photos.
    """
    by_id = {photo.photo_id: photo for photo in photos}
    missing = [photo_id for photo_id in ids if photo_id not in by_id]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ids)} photos of the split are not in the dataset"
            f" (first: {missing[0]}); use the data that the model was trained on"
        )
    return [by_id[photo_id] for photo_id in ids]


def restrict_split(split: Split, dataset: Dataset) -> Split:
    """Return ``split`` with those photos alone that are in ``dataset``; none changes its side.

    Raises:
        DataError: a side is left empty.
    """
    kept = {photo.photo_id for photo in dataset.photos}
    sides = {
        side: tuple(photo_id for photo_id in getattr(split, side) if photo_id in kept)
        for side in ("train", "validation", "test")
    }
    for side, ids in sides.items():
        if not ids:
            raise DataError(
                f"the {side} side of the {split.method} split holds no photo of"
                f" {', '.join(repr(label) for label in dataset.labels)};"
                " choose other classes or bring more photos of these"
            )
    return split.model_copy(update=sides)


def write_split(path: Path, split: Split) -> None:
    """Write ``split`` as JSON."""
    path.write_text(split.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_split(path: Path) -> Split:
    """Read what ``write_split`` wrote.

    Raises:
        ArtifactError: the file is missing or is not a split.
    """
    try:
        return Split.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(f"{path}: not a readable split; make the artifact again") from error
