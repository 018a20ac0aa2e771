"""Tables of photos: an ``images.csv`` and the pictures that its rows name.

No row can make the program open a file outside the folder of pictures: a row is looked up in a
listing of that folder, and one that points elsewhere is refused.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from train.dataset import SourceOptions
from train.errors import DataError

TABLE_NAME = "images.csv"
IMAGE_FOLDERS = ("images", "images_compressed", "images_original")
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
)
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: where it stands (the header is line 1) and what it says."""

    line: int
    image: str
    label: str
    sender: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The files of one folder, by their POSIX path within it.

    Attributes:
        folder: the folder.
        files: every file in it and below, links that leave the folder apart.
        stems: picture names without their extension, to the file of that name.
        outside: links that leave the folder; never followed.
    """

    folder: Path
    files: dict[str, Path]
    stems: dict[str, str] = field(repr=False)
    outside: frozenset[str]

    def find(self, image: str) -> str | None:
        """Return the listed name that ``image`` means, with or without extension and folder."""
        names = [image]
        if image.startswith(f"{self.folder.name}/"):
            names.append(image.partition("/")[2])
        for name in names:
            if name in self.files:
                return name
            if name in self.stems:
                return self.stems[name]
        return None


def read_rows(table: Path, options: SourceOptions) -> list[Row]:
    """Return the rows of a table separated by commas, semicolons or tabs.

    Raises:
        DataError: the file is not UTF-8 text, is empty, has no rows, or lacks a column.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{table} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not a table: it must be UTF-8 text; save it as CSV") from error
    if "\0" in text:
        raise DataError(f"{table} is not a table: it holds NUL bytes; save it as UTF-8 CSV")
    if not text.strip():
        raise DataError(f"{table} is empty: it must hold a header and a row a photo")
    header = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        _require_columns(table, reader.fieldnames or (), options)
        rows = [_row(reader.line_num, fields, options) for fields in reader]
    except csv.Error as error:
        raise DataError(
            f"{table}, after line {reader.line_num}: not readable as CSV ({error})"
        ) from error
    if not rows:
        raise DataError(f"{table} has a header and no rows: it must hold a row a photo")
    return rows


def has_columns(table: Path, options: SourceOptions) -> bool:
    """Return whether ``table`` can be read as a table of photos."""
    try:
        read_rows(table, options)
    except DataError:
        return False
    return True


def find_images(folder: Path) -> Path:
    """Return where a table's pictures lie: a known subfolder, else beside the table."""
    for name in IMAGE_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    return folder


def list_pictures(folder: Path, *, home: Path | None) -> Pictures:
    """List the files of ``folder`` and below; linked folders are not entered.

    Args:
        folder: the folder of pictures.
        home: the source's folder: a link may lead anywhere inside it. ``None`` lets links lead
            anywhere, for folders that the user filled and no table names.
    """
    files: dict[str, Path] = {}
    outside: set[str] = set()
    for name, entry in _walk(folder):
        path = Path(entry.path)
        if home and entry.is_symlink() and not _leads_inside(path, (folder, home)):
            outside.add(name)
        elif not entry.is_dir(follow_symlinks=False):
            files[name] = path
    stems: dict[str, str] = {}
    for name in sorted(files):
        if is_picture(name):
            stems.setdefault(name.rpartition(".")[0], name)
    return Pictures(folder=folder, files=files, stems=stems, outside=frozenset(outside))


def is_picture(name: str) -> bool:
    """Return whether a file's name is that of a picture; hidden files are not."""
    _, dot, suffix = name.rpartition(".")
    hidden = name.startswith(".") or "/." in name
    return dot + suffix.lower() in PICTURE_SUFFIXES and not hidden


def match_row(row: Row, pictures: Pictures, table: Path) -> str | None:
    """Return the listed name of the row's file, or ``None`` where there is none.

    Raises:
        DataError: the row names a path outside the folder of pictures.
    """
    image = PurePosixPath(row.image.replace("\\", "/"))
    leaves = (
        image.is_absolute()
        or ".." in image.parts
        or (image.parts and image.parts[0].endswith(":"))
        or _within(image, pictures.outside)
    )
    if leaves:
        raise DataError(
            f"{table}, line {row.line}: image {row.image!r} lies outside {pictures.folder};"
            " such files are never opened: put the photo into the folder or remove the row"
        )
    return pictures.find(str(image))


def _leads_inside(link: Path, tops: Sequence[Path]) -> bool:
    return any(link.resolve().is_relative_to(top.resolve()) for top in tops)


def _within(image: PurePosixPath, outside: frozenset[str]) -> bool:
    if not outside:
        return False
    ways = [str(image), *(str(parent) for parent in image.parents)]
    return any(
        way in outside or any(way + suffix in outside for suffix in PICTURE_SUFFIXES)
        for way in ways
    )


def _walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error
    for entry in listed:
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")


def _require_columns(table: Path, columns: Sequence[str], options: SourceOptions) -> None:
    wanted = {"image": options.image_column, "label": options.label_column}
    for what, column in wanted.items():
        if column not in columns:
            raise DataError(
                f"{table} has no column {column!r} for the {what}; its columns are"
                f" {', '.join(repr(name) for name in columns)}: name one with"
                f" --{what}-column (a plan's {what}_column)"
            )


def _row(line: int, fields: dict[str, str | None], options: SourceOptions) -> Row:
    return Row(
        line=line,
        image=(fields[options.image_column] or "").strip(),
        label=(fields[options.label_column] or "").strip(),
        sender=(fields.get(options.sender_column) or "").strip(),
    )
