"""Keeps what native libraries write to standard error off the user's terminal.

TensorFlow's converters and LiteRT write progress and banners from C++, past every Python
logger; the file descriptor itself has to be turned aside.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

_TURN = threading.RLock()  # two threads turning aside at once would restore each other's file


@contextlib.contextmanager
def native_chatter_hidden() -> Iterator[None]:
    """Send what this process writes to standard error into a scratch file for a while."""
    with _TURN, tempfile.TemporaryFile() as scratch:
        kept = os.dup(2)
        try:
            os.dup2(scratch.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
