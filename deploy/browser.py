"""The page that runs a bundle in a browser: page, runtime files and models in one folder.

The runtimes come from npm into the user's cache, once, by ``web/package-lock.json``, whose digests
npm checks.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.bundle import Bundle
from deploy.bundle_manifest import files_below
from deploy.bundle_readme import README_NAME
from deploy.bundle_templates import filled_in
from deploy.sizes import Sizes, sizes_of
from train.artifact import MANIFEST_NAME
from train.errors import RuntimeFailure, UsageError
from train.storage import cache_folder, only_process, whole_folder

FOLDER_NAME = "web"
INDEX = f"{FOLDER_NAME}/index.html"
PAGE = (
    "index.html",
    "style.css",
    "app.js",
    "bundle.js",
    "engines.js",
    "pixels.js",
    "service-worker.js",
)
_LITERT = "@litertjs/core/wasm/litert_wasm"
# Where each runtime file stands beside the page, and where npm lays it.
RUNTIME_FILES = {
    "litertjs/core.js": "@litertjs/core/dist/index.js",
    "litertjs/wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
    "litertjs/litert_wasm_threaded_internal.js": f"{_LITERT}_threaded_internal.js",
    "litertjs/litert_wasm_threaded_internal.wasm": f"{_LITERT}_threaded_internal.wasm",
    "litertjs/litert_wasm_compat_internal.js": f"{_LITERT}_compat_internal.js",
    "litertjs/litert_wasm_compat_internal.wasm": f"{_LITERT}_compat_internal.wasm",
    "onnxruntime-web/ort.wasm.min.mjs": "onnxruntime-web/dist/ort.wasm.min.mjs",
    "onnxruntime-web/ort-wasm-simd-threaded.mjs": "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "onnxruntime-web/ort-wasm-simd-threaded.wasm": (
        "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"
    ),
}
_WEB = Path(__file__).parent / FOLDER_NAME
_NPM_FILES = ("package.json", "package-lock.json")
_NPM_SECONDS = 1_800


def web_runtimes(say: Callable[[str], None] = lambda line: None) -> Path:
    """Return a folder with every file of ``RUNTIME_FILES``, made by npm if it is not there.

    Args:
        say: told, once, that npm is at work.

    Raises:
        RuntimeFailure: there is no npm, or it fails, such as without a network.
        ArtifactError: another process is making the folder.
    """
    folder = runtimes_folder()
    busy = f"{folder}: another threadlite is making it; wait for it to end"
    with only_process(folder.with_name(f"{folder.name}.lock"), busy):
        if not folder.exists():
            say(f"npm brings the page's runtimes into {folder}, once: some 55 MB are downloaded")
            _install(folder)
    return folder


def runtimes_folder() -> Path:
    """Return where ``web_runtimes`` keeps the files of this lock, whether it is there or not."""
    lock = (_WEB / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock + repr(RUNTIME_FILES).encode()).hexdigest()
    return cache_folder().resolve() / "web" / f"runtimes-{digest[:12]}"


def with_page(bundle: Bundle, folder: Path, runtimes: Path) -> Bundle:
    """Write a bundle again, with the page in it; it appears whole or not at all.

    Args:
        bundle: as it was read; without a page.
        folder: where the new one goes; must not exist.
        runtimes: as ``web_runtimes`` gives it.

    Raises:
        UsageError: the bundle has a page already.
        ArtifactError: ``folder`` cannot be written.
    """
    if INDEX in bundle.manifest.files:
        raise UsageError(f"{bundle.folder} has the page already; serve it, or deploy again")
    with whole_folder(folder) as draft:
        for name in bundle.manifest.files:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.folder / name, draft / name)
        for name in PAGE:
            _copy(_WEB / name, draft / FOLDER_NAME / name)
        for name in RUNTIME_FILES:
            _copy(runtimes / name, draft / FOLDER_NAME / "runtimes" / name)
        with (draft / README_NAME).open("a", encoding="utf-8", newline="\n") as readme:
            readme.write("\n" + _section(draft, bundle))
        manifest = bundle.manifest.model_copy(update={"files": files_below(draft)}).sealed()
        (draft / MANIFEST_NAME).write_text(manifest.text(), encoding="utf-8", newline="\n")
    return Bundle(folder=folder, manifest=manifest)


def _section(draft: Path, bundle: Bundle) -> str:
    """Return what the README says of the page: how to serve it and what a visitor loads."""
    runtimes = draft / FOLDER_NAME / "runtimes"
    engines = {"LiteRT.js": "litertjs", "ONNX Runtime Web": "onnxruntime-web"}
    loads: dict[str, Sizes] = {"page": sizes_of(draft / FOLDER_NAME / name for name in PAGE)}
    for title, place in engines.items():
        files = sorted((runtimes / place).iterdir())
        loads[title] = sizes_of(path for path in files if "compat" not in path.name)  # one of two
    packages = json.loads((_WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    versions = [
        {"name": name, **packages[f"node_modules/{name}"]} for name in packages[""]["dependencies"]
    ]
    values: dict[str, Any] = {"loads": loads, "packages": versions, "name": bundle.manifest.name}
    return filled_in("README_web.md.jinja", values)


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFailure(
            "the page's runtimes come from npm, and there is no npm on the PATH; install Node.js"
            " 18 or later, or deploy without --web"
        )
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        for name in _NPM_FILES:
            shutil.copyfile(_WEB / name, Path(scratch) / name)
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            finished = subprocess.run(
                words, cwd=scratch, capture_output=True, text=True, timeout=_NPM_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailure(f"npm gave no answer in {_NPM_SECONDS} s; try again") from error
        if finished.returncode:
            lines = [line for line in finished.stderr.splitlines() if "error" in line.lower()]
            reason = lines[0] if lines else f"it ended with status {finished.returncode}"
            raise RuntimeFailure(f"npm cannot bring the page's runtimes: {reason}")
        with whole_folder(folder) as draft:
            for name, place in RUNTIME_FILES.items():
                _copy(Path(scratch) / "node_modules" / place, draft / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)  # without npm's executable bits
