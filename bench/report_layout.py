"""What the templates of a report lay out: a table of text."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: a row has one text a header; the first ``words`` columns are not numbers.

    Where there are ``tags``, one a row, they are what the page filters rows by. A ``note`` is what
    a reader must know of the columns.
    """

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    tags: tuple[tuple[str, ...], ...] = ()
    note: str = ""

    def noted(self, note: str) -> "Table":
        """Return the table with ``note`` after its own."""
        return replace(self, note=" ".join(filter(None, (self.note, note))))
