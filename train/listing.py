"""What a source lists before any file is opened: a photo a row, and the files left over."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from train.dataset import SourceOptions
from train.errors import DataError
from train.tables import (
    TABLE_NAME,
    Row,
    find_images,
    has_columns,
    is_picture,
    list_pictures,
    match_row,
    read_rows,
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A photo as listed: its file exists, but nothing is known of what is in it."""

    photo_id: str
    path: Path
    label: str
    sender: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A source before its files are looked at.

    Attributes:
        name: the folder's name.
        listed: photos with a label and a file.
        leftover: picture files that no labelled row names, by their name within the source.
        foreign: other files among the pictures, in formats that are not read.
        missing: ids of rows without a file.
        repeated: ids of rows whose id or file an earlier row has already.
        expected: every label that the source speaks of, photos or not.
        place: where the pictures were looked for.
    """

    name: str
    listed: tuple[Listed, ...]
    leftover: dict[str, Path]
    foreign: tuple[str, ...]
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    expected: frozenset[str]
    place: Path


def list_source(path: Path, options: SourceOptions) -> Listing:
    """List a table of photos, a folder with a table in it, or a folder of classes.

    Raises:
        DataError: nothing there, a broken table, or neither a table nor classes.
    """
    if path.is_file():
        return list_table(path, options)
    if not path.is_dir():
        raise DataError(
            f"data source {str(path)!r}: no such file or folder;"
            " name clothing, garments, or the path of a folder or of a table"
        )
    if (path / TABLE_NAME).is_file():
        return list_table(path / TABLE_NAME, options)
    if not any(path.iterdir()):
        raise DataError(
            f"{path} is empty: it must hold {TABLE_NAME} or one subfolder of photos a class"
        )
    tables = sorted(path.glob("*.csv"))
    usable = [table for table in tables if has_columns(table, options)]
    if len(usable) > 1:
        names = ", ".join(table.name for table in usable)
        raise DataError(f"{path} holds several tables ({names}): give the path of one of them")
    if usable:
        return list_table(usable[0], options)
    if tables and not _class_names(path):
        return list_table(tables[0], options)  # says which column it lacks
    return list_classes(path)


def list_table(table: Path, options: SourceOptions) -> Listing:
    """List the photos that a table names.

    Raises:
        DataError: the table is broken, or a row points outside the folder of pictures.
    """
    folder = find_images(table.parent)
    pictures = list_pictures(folder, home=table.parent)
    rows = read_rows(table, options)
    listed: dict[str, Listed] = {}  # by the file's name
    missing: list[str] = []
    repeated: list[str] = []
    ids: set[str] = set()
    for row in rows:
        name = match_row(row, pictures, table) if row.image else None
        photo_id = row.image or f"line {row.line}"
        if photo_id in ids or (name is not None and name in listed):
            repeated.append(photo_id)
        elif name is None:
            missing.append(photo_id)
        elif row.label:
            listed[name] = _listed(row, pictures.files[name])
        ids.add(photo_id)
    return Listing(
        name=table.parent.resolve().name,
        listed=tuple(listed.values()),
        leftover=_leftover(pictures.files, listed),
        foreign=_foreign(pictures.files) if folder != table.parent else (),
        missing=tuple(sorted(missing)),
        repeated=tuple(sorted(repeated)),
        expected=frozenset(row.label for row in rows if row.label),
        place=folder,
    )


def list_classes(folder: Path) -> Listing:
    """List a folder with one subfolder a class; who sent a photo is not known.

    Raises:
        DataError: there is no subfolder.
    """
    classes = _class_names(folder)
    if not classes:
        raise DataError(
            f"{folder} holds neither a table such as {TABLE_NAME} nor one subfolder of photos a"
            " class: sort the photos into subfolders, or give the path of the table"
        )
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    for label in classes:
        pictures = list_pictures(folder / label, home=None)
        files |= {f"{label}/{name}": path for name, path in pictures.files.items()}
    listed = tuple(
        Listed(photo_id=name, path=path, label=name.partition("/")[0], sender=name)
        for name, path in files.items()
        if name.count("/") == 1 and is_picture(name)
    )
    return Listing(
        name=folder.resolve().name,
        listed=listed,
        leftover=_leftover(files, {photo.photo_id for photo in listed}),
        foreign=_foreign(name for name in files if "/" in name),
        missing=(),
        repeated=(),
        expected=frozenset(classes),
        place=folder,
    )


def _class_names(folder: Path) -> list[str]:
    return sorted(
        child.name
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith((".", "__"))
    )


def _listed(row: Row, path: Path) -> Listed:
    sender = row.sender or row.image
    return Listed(photo_id=row.image, path=path, label=row.label, sender=sender)


def _leftover(files: Mapping[str, Path], used: Container[str]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if is_picture(name) and name not in used}


def _foreign(names: Iterable[str]) -> tuple[str, ...]:
    hidden = (".", "__")
    return tuple(
        sorted(
            name
            for name in names
            if not is_picture(name) and not name.rpartition("/")[2].startswith(hidden)
        )
    )
