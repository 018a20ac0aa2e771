"""How long work tells of itself without printing: the door decides what is shown."""

from typing import Protocol


class Progress(Protocol):
    """What a stage reports to."""

    def begin(self, what: str, total: int) -> None:
        """Start a bar of ``total`` units; the one before it is done."""

    def advance(self, amount: int = 1) -> None:
        """Move the bar."""

    def say(self, line: str) -> None:
        """Tell one finished thing in a line of plain text."""


class Silent:
    """Reports nothing."""

    def begin(self, what: str, total: int) -> None:
        """Ignore it."""

    def advance(self, amount: int = 1) -> None:
        """Ignore it."""

    def say(self, line: str) -> None:
        """Ignore it."""
