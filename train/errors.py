"""The one family of errors that a user may meet.

The command line prints their message bare and exits with ``exit_code``; anything else is a
defect of ours and keeps its traceback. A message names the subject, the rule, the value that
was met and, where there is one, the cure.
"""


class ThreadliteError(Exception):
    """Base of every error that is the user's to mend; printed without a traceback."""

    exit_code = 1


class UsageError(ThreadliteError):
    """The words of the command are off: an unknown name, an option that does not fit."""

    exit_code = 2


class ConfigError(ThreadliteError):
    """A setting breaks its own rule: a plan's key, a technique's number."""


class DataError(ThreadliteError):
    """The dataset cannot serve: nothing there, one class only, a column missing."""


class ArtifactError(ThreadliteError):
    """An artifact cannot be read or written: truncated, another schema, folder in the way."""


class WeightsError(ThreadliteError):
    """Pretrained weights cannot be had, read or matched."""


class ConversionError(ThreadliteError):
    """A graph cannot be turned into the format asked for."""


class RuntimeFailure(ThreadliteError):
    """A runtime refuses to load or run a model."""


class ParityError(ThreadliteError):
    """A variant does not compute what its parent computes."""


def first_line(error: Exception) -> str:
    """Return the first line of a foreign error's message, or its class where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
