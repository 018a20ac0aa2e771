"""Photos with labels and senders, from whatever the user has, and the classes chosen of them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from train.dirt import conflicting_duplicates
from train.errors import DataError
from train.storage import digest_of

DROPPED_LABELS = ("Not sure", "Other", "Others", "Skip")
_TOP = re.compile(r"top(\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One readable, labelled photo.

    Attributes:
        photo_id: unique name within the dataset, never a path of this machine.
        path: the file.
        label: its class; empty where none is known.
        sender: who sent it; photos of one sender stay on one side of a grouped split. Where the
            source knows no senders, the photo's own id.
        sha256: digest of the file's bytes.
    """

    photo_id: str
    path: Path
    label: str
    sender: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Dirt:
    """What is wrong with a source, by name, so that it can be said and not stumbled over.

    Every field lists names (ids or file names relative to the source), sorted; nothing here
    stops a run. Photos in ``unreadable`` and ``missing_files`` are left out of the dataset.
    """

    missing_files: tuple[str, ...] = ()  # rows without a file
    files_without_row: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()  # (id, why): truncated, zero bytes, a bomb
    converted: tuple[tuple[str, str], ...] = ()  # (id, why): CMYK, greyscale, alpha, 16-bit, EXIF
    duplicate_ids: tuple[str, ...] = ()  # named by an earlier row already; that row is kept
    exact_duplicates: tuple[tuple[str, ...], ...] = ()  # groups of ids with the same bytes
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    conflicting_duplicates: tuple[tuple[str, ...], ...] = ()  # of both kinds, labels differ
    dropped_labels: tuple[tuple[str, int], ...] = ()  # (label, photos) left out by choice


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled photos, ready to be split.

    Attributes:
        name: what the user called it: ``clothing``, ``garments`` or the folder's name.
        photos: sorted by ``photo_id``; readable, labelled and kept by the class selection.
        labels: the classes, sorted; their order is the order of a network's outputs.
        fingerprint: SHA-256 over every photo's id, digest, label and sender.
        dirt: what was found wrong.
        unlabelled: readable files that no row names, under their names within the source.
    """

    name: str
    photos: tuple[Photo, ...]
    labels: tuple[str, ...]
    fingerprint: str
    dirt: Dirt
    unlabelled: tuple[Photo, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        image_column: column of the table that names the image (with or without extension).
        label_column: column that names the class.
        sender_column: column that names the sender; may be absent from the table.
        classes: ``all``, ``topN`` (the N most frequent) or names separated by commas.
        dropped_labels: classes left out; matched without regard to case.
        empty_classes: whether ``all`` passes over classes that the source names and has no photo
            of, which is otherwise refused.
        seed: of the rendered garments.
    """

    image_column: str = "image"
    label_column: str = "label"
    sender_column: str = "sender_id"
    classes: str = "all"
    dropped_labels: tuple[str, ...] = DROPPED_LABELS
    empty_classes: bool = False
    seed: int = 0


def fingerprint_of(photos: Sequence[Photo]) -> str:
    """Return the SHA-256 over every photo's id, digest, label and sender, wherever they lie."""
    return digest_of(
        sorted([photo.photo_id, photo.sha256, photo.label, photo.sender] for photo in photos)
    )


def unlabelled_apart_from(dataset: Dataset, photo_ids: Collection[str]) -> tuple[Photo, ...]:
    """Return the unlabelled photos that repeat none of some others, exactly or nearly.

    Args:
        dataset: with what was found of duplicates when it was opened.
        photo_ids: such as those that a network is judged on.
    """
    wanted = set(photo_ids)
    alike = {
        name
        for group in (*dataset.dirt.exact_duplicates, *dataset.dirt.near_duplicates)
        if wanted.intersection(group)
        for name in group
    }
    return tuple(photo for photo in dataset.unlabelled if photo.photo_id not in alike)


def restrict(dataset: Dataset, classes: str) -> Dataset:
    """Return ``dataset`` with the photos of some of its classes, as if it were opened so.

    Args:
        dataset: what to choose from; it is not changed.
        classes: ``all``, ``topN`` (the N most frequent) or names separated by commas.

    Raises:
        DataError: a class has no photo, or fewer than two classes are left.
    """
    counts = Counter(photo.label for photo in dataset.photos)
    chosen = choose_labels(counts, classes, place=dataset.name)
    if chosen == set(dataset.labels):
        return dataset
    photos = tuple(photo for photo in dataset.photos if photo.label in chosen)
    label_of = {photo.photo_id: photo.label for photo in photos}
    old = dataset.dirt
    left_out = [(label, count) for label, count in counts.items() if label not in chosen]
    dirt = replace(
        old,
        converted=tuple(item for item in old.converted if item[0] in label_of),
        conflicting_duplicates=conflicting_duplicates(
            (*old.exact_duplicates, *old.near_duplicates), label_of
        ),
        dropped_labels=tuple(sorted([*old.dropped_labels, *left_out])),
    )
    return replace(
        dataset,
        photos=photos,
        labels=tuple(label for label in dataset.labels if label in chosen),
        fingerprint=fingerprint_of(photos),
        dirt=dirt,
    )


def choose_labels(
    counts: Mapping[str, int], classes: str, *, place: str, dropped: Collection[str] = ()
) -> frozenset[str]:
    """Return the labels that ``classes`` means.

    Args:
        counts: photos of each label.
        classes: ``all``, ``topN`` or names; see ``SourceOptions``.
        place: where the photos are, for messages.
        dropped: labels that are not meant unless by name; matched without regard to case.

    Raises:
        DataError: a class has no photo, or fewer than two classes are left.
    """
    unwanted = {label.casefold() for label in dropped}
    offered = {label: n for label, n in counts.items() if label.casefold() not in unwanted}
    wish = classes.strip()
    if wish.lower() == "all":
        chosen = frozenset(offered)
    elif top := _TOP.fullmatch(wish):
        chosen = _most_frequent(offered, int(top[1]))
    else:
        chosen = frozenset(name.strip() for name in wish.split(",") if name.strip())
        require_photos(chosen, counts)
    if len(chosen) < 2:
        raise DataError(
            f"{place} offers {len(chosen)} class"
            f" ({', '.join(repr(label) for label in chosen) or 'after dropping'}):"
            " a classifier needs at least 2"
        )
    return chosen


def require_photos(labels: Iterable[str], counts: Mapping[str, int]) -> None:
    """Check that every label has a photo.

    Raises:
        DataError: one has none.
    """
    bare = sorted(label for label in labels if not counts.get(label))
    if bare:
        raise DataError(
            f"class {bare[0]!r} has no readable photo; name the classes to keep with --classes,"
            f" out of {', '.join(repr(label) for label in sorted(counts))}"
        )


def _most_frequent(offered: Mapping[str, int], wanted: int) -> frozenset[str]:
    if not 2 <= wanted <= len(offered):
        raise DataError(
            f"classes 'top{wanted}': N must be in [2, {len(offered)}], as so many classes have"
            " photos; take another N, or all of them with --classes all"
        )
    ranked = sorted(offered, key=lambda label: (-offered[label], label))
    return frozenset(ranked[:wanted])
