"""What the templates of a report lay out: a table of text."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: a row has one text a header; the first ``words`` columns are not numbers."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
