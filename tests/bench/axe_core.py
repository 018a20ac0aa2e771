"""axe-core, which finds faults of accessibility in a page: npm's package, by the lock in ``axe/``.

It is for tests alone and no part of what is installed.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.prepare_clients import FOLDER
from train.errors import RuntimeFailure
from train.storage import write_text

_NPM = Path(__file__).parent / "axe"
_SECONDS = 600


def axe_core(say: Callable[[str], None]) -> Path:
    """Return the script, brought by npm if it is not there.

    Raises:
        RuntimeFailure: there is no npm, or it fails, such as without a network.
    """
    path = axe_file()
    if not path.exists():
        say(f"npm brings axe-core into {path}")
        write_text(path, _brought())
    return path


def axe_script() -> str:
    """Return the script as ``make clients`` left it; skip, or on CI fail, without."""
    path = axe_file()
    if path.exists():
        return path.read_text(encoding="utf-8")
    reason = "axe-core is not there; `make clients` brings it"
    if os.environ.get("THREADLITE_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


def axe_file() -> Path:
    """Return where ``axe_core`` keeps the script of this lock, whether it is there or not."""
    digest = hashlib.sha256((_NPM / "package-lock.json").read_bytes()).hexdigest()
    return FOLDER / "axe" / f"axe-{digest[:12]}.js"


def _brought() -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFailure("axe-core comes from npm, and there is no npm on the PATH")
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        for path in _NPM.iterdir():
            shutil.copy(path, scratch)
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(words, cwd=scratch, capture_output=True, check=True, timeout=_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise RuntimeFailure(f"npm cannot bring axe-core: {error}") from error
        script = Path(scratch) / "node_modules" / "axe-core" / "axe.min.js"
        return script.read_text(encoding="utf-8")
