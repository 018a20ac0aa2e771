"""What a person sees while long work goes on."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_DOWNLOAD = "downloading, bytes"


class Display:
    """Progress bars on a terminal; plain lines where the output is a file or a pipe."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._begin = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()
        sys.stderr.flush()

    def begin(self, what: str, total: int) -> None:
        """Start a bar of ``total`` units (0: unknown); the one before it goes."""
        if self._bar is not None:
            self._bars.remove_task(self._bar)
        self._bar = self._bars.add_task(what, total=total or None)

    def advance(self, amount: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bars.advance(self._bar, amount)

    def received(self, so_far: int, total: int | None) -> None:
        """Show a download: bytes so far and, where the server tells, bytes in all."""
        if self._bar is None or self._bars.tasks[-1].description != _DOWNLOAD:
            self.begin(_DOWNLOAD, total or 0)
        if self._bar is not None:
            self._bars.update(self._bar, completed=so_far, total=total)

    def say(self, line: str) -> None:
        """Print one line, with the minutes since the start before it."""
        seconds = int(time.monotonic() - self._begin)
        self.console.print(f"[{seconds // 60:02d}:{seconds % 60:02d}] {line}", markup=False)
