"""Rows of a report as comma-separated values: figures unrounded, text safe in a spreadsheet."""

import csv
import dataclasses
import functools
import io
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints


def as_csv(kind: type[Any], rows: Sequence[Any], *, leave_out: Sequence[str] = ()) -> str:
    """Return a header and one line a row.

    Args:
        kind: the rows' dataclass.
        rows: may be empty.
        leave_out: fields that make no columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_headers(kind, leave_out))
    writer.writerows(_cells(kind, row, leave_out) for row in rows)
    return stream.getvalue()


def _headers(kind: Any, leave_out: Sequence[str] = ()) -> list[str]:
    headers: list[str] = []
    for name, nested in _fields(kind, tuple(leave_out)):
        headers += [f"{name}.{inner}" for inner in _headers(nested)] if nested else [name]
    return headers


def _cells(kind: Any, row: Any, leave_out: Sequence[str] = ()) -> list[object]:
    cells: list[object] = []
    for name, nested in _fields(kind, tuple(leave_out)):
        value = getattr(row, name, None)
        cells += _cells(nested, value) if nested else [_cell(value)]
    return cells


@functools.cache
def _fields(kind: type[Any], leave_out: tuple[str, ...]) -> list[tuple[str, type[Any] | None]]:
    """Return each field with the dataclass that it holds, whose figures stand side by side."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in leave_out]
    return [(name, _dataclass_of(hints[name])) for name in names]


def _dataclass_of(hint: Any) -> type[Any] | None:
    """Return the dataclass in a type such as ``Scores | None``; ``None`` where it has none."""
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and dataclasses.is_dataclass(one):
            return one
    return None


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return _safe(" ".join(str(part) for part in value))
    return _safe(value) if isinstance(value, str) else value


def _safe(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
