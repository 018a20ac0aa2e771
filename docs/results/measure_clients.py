"""One bundle on every client: what runs its golden pictures, and what each says of them.

``publish_clients.py`` is the command. A client that refuses a bundle is a record with its reason.
"""

import contextlib
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.record_base import MeasurementRecord
from bench.subject import without_paths
from deploy import browser
from deploy.bundle import Bundle
from deploy.golden import FOLDER_NAME, read_golden
from deploy.verify import verify_bundle
from threadlite import serve
from train.errors import RuntimeFailure, ThreadliteError

# What a client is called on the page: how ``verify`` or the page knows it, and the format it runs.
VERIFIED = {
    "LiteRT": ("litert", "tflite"),
    "TensorFlow": ("tensorflow", "tflite"),
    "MediaPipe": ("mediapipe", "tflite"),
    "ONNX Runtime": ("onnxruntime", "onnx"),
}
ENGINES = {
    "LiteRT.js": ("@litertjs/core", "tflite"),
    "ONNX Runtime Web": ("onnxruntime-web", "onnx"),
}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PAGE_MS = 300_000  # a float network of 100 MB on a busy machine
CHECKED = re.compile(
    r"As it must be: same top class on (\d+) of (\d+) pictures under (.+),"
    r" largest difference (\S+) \(at most (\S+)\)\."
)


class ClientRecord(MeasurementRecord):
    """How one client did on a bundle's golden pictures, or why it could not.

    Attributes:
        client: a name in ``VERIFIED`` or ``ENGINES``.
        version: of the client: ``litert 2.3.0``; empty where it failed before it told.
        pictures: golden pictures.
        decisive: those on which every client within the tolerance must agree.
        same_top: those with the same top class.
        max_difference: greatest difference of a probability; the page tells two digits of it.
        tolerance: bound on it.
        failure: why the client, or the bundle, failed; empty where neither did.
    """

    kind: Literal["client"] = "client"
    client: str
    version: str = ""
    pictures: int = Field(default=0, ge=0)
    decisive: int = Field(default=0, ge=0)
    same_top: int = Field(default=0, ge=0)
    max_difference: float = Field(default=0.0, ge=0)
    tolerance: float = Field(default=0.0, ge=0)
    failure: str = ""


def verified(
    bundle: Bundle, base: dict[str, Any], clients: Sequence[str] = tuple(VERIFIED)
) -> list[ClientRecord]:
    """Return what ``threadlite deploy verify`` says under each of its clients.

    Args:
        bundle: of both formats.
        base: fields of every record: network, split and machine.
        clients: names in ``VERIFIED``.
    """
    found = []
    for client in clients:
        name, target = VERIFIED[client]
        told = {**base, **_model(bundle, target), "client": client}
        try:
            (result,) = verify_bundle(bundle.folder, clients=[name])
        except ThreadliteError as error:
            found.append(ClientRecord(**told, failure=without_paths(str(error))))
            continue
        told |= {"version": result.client, "pictures": result.pictures}
        told |= {"same_top": result.same_top, "max_difference": result.max_difference}
        found.append(ClientRecord(**told, tolerance=result.tolerance))
    return found


def in_browser(
    program: Any, runtimes: Path, bundle: Bundle, base: dict[str, Any]
) -> list[ClientRecord]:
    """Return what the page says under each of its engines, once "Check them all" is pressed.

    Args:
        program: as ``chromium`` gives it.
        runtimes: as ``deploy.browser.web_runtimes`` gives it.
        bundle: of both formats, without the page.
        base: fields of every record: network, split and machine.
    """
    from playwright.sync_api import Error

    found = []
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        site = browser.with_page(bundle, Path(scratch) / "site", runtimes)
        with _served(site) as address:
            for engine, (_, target) in ENGINES.items():
                told = {**base, **_model(bundle, target), "client": engine}
                try:
                    told |= _checked(program, address, engine)
                except (ThreadliteError, Error) as error:
                    told["failure"] = without_paths(str(error).splitlines()[0])
                found.append(ClientRecord(**told))
    return found


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium of the system.

    Raises:
        RuntimeFailure: there is none.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise RuntimeFailure(f"none of {', '.join(CHROMIUM)} is installed, and two clients need it")
    with sync_playwright() as playwright:
        # It refuses its sandbox to root; it opens nothing but the page served here.
        options = {"executable_path": program, "args": ["--no-sandbox"]}
        with contextlib.closing(playwright.chromium.launch(**options)) as opened:
            yield opened


def _model(bundle: Bundle, target: str) -> dict[str, Any]:
    """Return name and digest of a bundle's model, and how many golden pictures decide for it."""
    file = f"model.{target}"
    model = next(model for model in bundle.manifest.models if model.file == file)
    index, _ = read_golden(bundle.folder / FOLDER_NAME, bundle.manifest.pixels)
    decisive = sum(picture.outputs[file].decisive for picture in index.pictures)
    return {"variant": model.variant, "variant_sha256": model.artifact_sha256, "decisive": decisive}


@contextlib.contextmanager
def _served(bundle: Bundle) -> Iterator[str]:
    with serve.open_server(bundle) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield serve.address_of(server)
        finally:
            server.shutdown()
            thread.join()


def _checked(program: Any, address: str, engine: str) -> dict[str, Any]:
    """Press "Check them all" under one engine; return what the page then says, as fields."""
    with contextlib.closing(program.new_context()) as context:
        context.set_default_timeout(PAGE_MS)
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("body:not([aria-busy])")
        page.get_by_label(engine).click()
        page.wait_for_selector("body:not([aria-busy])")
        if page.locator("#status.fault").count():
            raise RuntimeFailure(page.locator("#status").inner_text())
        page.get_by_role("button", name="Check them all").click()
        page.wait_for_selector("body:not([aria-busy])")
        said = page.locator("#checked").inner_text()
    return fields_of(said, engine, f"Chromium {program.version}")


def fields_of(said: str, engine: str, program: str) -> dict[str, Any]:
    """Return what the page's sentence tells, as fields of a record.

    Raises:
        RuntimeFailure: it tells of a difference, or of another engine.
    """
    match = CHECKED.fullmatch(said)
    if match is None or not match[3].startswith(f"{engine}, "):
        raise RuntimeFailure(said)
    lock = Path(browser.__file__).parent / "web" / "package-lock.json"
    package = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    version = package[f"node_modules/{ENGINES[engine][0]}"]["version"]
    return {
        "version": f"{engine} {version} in {program}{match[3].removeprefix(engine)}",
        "same_top": int(match[1]),
        "pictures": int(match[2]),
        "max_difference": float(match[4]),
        "tolerance": float(match[5]),
    }
