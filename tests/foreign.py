"""Programs that are not ours and may be missing: a browser, npm's runtimes, MediaPipe.

A test that lacks one is skipped and says why; where ``THREADLITE_REQUIRE_BROWSER`` is set, as CI
does once it has installed them, a missing browser or runtime is a failure.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from deploy.browser import runtimes_folder
from deploy.mediapipe import environment_folder, is_ready
from tests.prepare_clients import FOLDER

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # which Chromium needs where it is run by root
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium of the system; skip or fail where there is none."""
    try:
        from playwright import sync_api as api
    except ImportError:
        _lacking("playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        _lacking(f"none of {', '.join(BROWSERS)} is installed")
    with contextlib.ExitStack() as stack:
        try:
            playwright = stack.enter_context(api.sync_playwright())
            browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        except api.Error as error:
            _lacking(f"{program} cannot be started: {str(error).splitlines()[0]}")
        stack.callback(browser.close)
        yield browser


def page_runtimes() -> Path:
    """Return the page's runtimes as ``make clients`` left them; skip or fail without."""
    with _prepared():
        folder = runtimes_folder()
    if not folder.exists():
        _lacking("npm's runtimes of the page are not there; `make clients` brings them")
    return folder


@contextlib.contextmanager
def mediapipe_at_hand() -> Iterator[None]:
    """Let MediaPipe's environment be found where ``make clients`` left it; skip without."""
    with _prepared():
        if not is_ready(environment_folder()):
            pytest.skip("MediaPipe's environment is not there; `make clients` makes it")
        yield


@contextlib.contextmanager
def _prepared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THREADLITE_CACHE", str(FOLDER))
        yield


def _lacking(reason: str) -> NoReturn:
    if os.environ.get("THREADLITE_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)
