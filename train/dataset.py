"""Photos with labels and senders, from whatever the user has."""

from dataclasses import dataclass
from pathlib import Path

DROPPED_LABELS = ("Not sure", "Other", "Others", "Skip")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One readable, labelled photo.

    Attributes:
        photo_id: unique name within the dataset, never a path of this machine.
        path: the file.
        label: its class.
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
        unlabelled: readable files that no row names.
    """

    name: str
    photos: tuple[Photo, ...]
    labels: tuple[str, ...]
    fingerprint: str
    dirt: Dirt
    unlabelled: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        image_column: column of the table that names the image (with or without extension).
        label_column: column that names the class.
        sender_column: column that names the sender; may be absent from the table.
        classes: ``all``, ``topN`` (the N most frequent) or names separated by commas.
        dropped_labels: classes left out; matched without regard to case.
        seed: of the rendered garments.
    """

    image_column: str = "image"
    label_column: str = "label"
    sender_column: str = "sender_id"
    classes: str = "all"
    dropped_labels: tuple[str, ...] = DROPPED_LABELS
    seed: int = 0
