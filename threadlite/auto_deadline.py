"""The time that a search has: progress that ends the work once it is over."""

from collections.abc import Callable

from train.progress import Progress


class OutOfTime(Exception):
    """The time is over; what was begun goes on when the command is run again."""


class Deadline:
    """Progress that ends the work once its time is over: killed work goes on where it was."""

    def __init__(self, inner: Progress, until: float, clock: Callable[[], float]) -> None:
        self._inner, self._until, self._clock = inner, until, clock

    def check(self) -> None:
        """End the work if the time is over.

        Raises:
            OutOfTime: it is.
        """
        if self._clock() >= self._until:
            raise OutOfTime

    def begin(self, what: str, total: int) -> None:
        """Pass it on, in time."""
        self.check()
        self._inner.begin(what, total)

    def advance(self, amount: int = 1) -> None:
        """Pass it on, in time."""
        self.check()
        self._inner.advance(amount)

    def say(self, line: str) -> None:
        """Pass it on, in time."""
        self.check()
        self._inner.say(line)
