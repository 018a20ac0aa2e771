"""``make clients``: what the tests of clients that are not ours need, into ``build/clients``.

Each is made once and found again; what cannot be had is said, and its tests are skipped.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.browser import web_runtimes
from deploy.mediapipe import mediapipe_python
from train.errors import ThreadliteError

FOLDER = Path(__file__).resolve().parents[1] / "build" / "clients"
CLIENTS: dict[str, Callable[[Callable[[str], None]], Path]] = {
    "the page's runtimes": web_runtimes,
    "MediaPipe": mediapipe_python,
}


def main() -> int:
    """Make them all; return 1 if one cannot be had."""
    from tests.bench.axe_core import axe_core  # which keeps its file below FOLDER

    os.environ["THREADLITE_CACHE"] = str(FOLDER)
    missing = 0
    for name, make in (CLIENTS | {"axe-core": axe_core}).items():
        try:
            tell(f"{name}: {make(tell)}")
        except ThreadliteError as error:
            missing += 1
            tell(f"{name}: NOT MADE, its tests will be skipped: {error}")
    return 1 if missing else 0


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
