"""The page goes into a bundle whole and sealed; npm's absence and failures are said plainly."""

import json
import re
import shutil
from pathlib import Path

import pytest

from deploy import browser
from deploy.browser import PAGE, RUNTIME_FILES, runtimes_folder, web_runtimes, with_page
from deploy.bundle import Bundle, read_bundle, write_bundle
from deploy.verify import verify_bundle
from train.artifact import Artifact
from train.errors import ArtifactError, RuntimeFailure, UsageError

WEB = Path(browser.__file__).parent / "web"


@pytest.fixture(scope="module")
def plain(variants: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle([variants["float.tflite"]], tmp_path_factory.mktemp("plain") / "bundle")


def write_runtimes(folder: Path) -> Path:
    """Write stand-ins for npm's files: what is copied is not run here."""
    for name in RUNTIME_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"// {name}\n" * 50)
    return folder


def fake_npm(folder: Path, script: str) -> str:
    """Write an ``npm`` that runs ``script`` where it is called; return a PATH with it first."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_the_lock_pins_by_digest_and_names_no_host() -> None:
    text = (WEB / "package-lock.json").read_text()
    assert "http" not in text and "resolved" not in text
    lock = json.loads(text)["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in lock.items() if name)
    wanted = json.loads((WEB / "package.json").read_text())["dependencies"]
    assert lock[""]["dependencies"] == wanted
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


def test_the_page_asks_for_files_that_are_there() -> None:
    kept = set(PAGE) | {f"runtimes/{name}" for name in RUNTIME_FILES}
    for name in PAGE:
        text = (WEB / name).read_text()
        for asked in re.findall(r'(?:src|href|from|import)[=(\s]+"(?:\./)?([\w./-]+\.\w+)"', text):
            assert asked in kept
        assert not re.findall(r"https?://", text)
    mapped = re.findall(r'": "\./(runtimes/[^"]+)"', (WEB / "index.html").read_text())
    assert len(mapped) == 3 and set(mapped) <= kept
    worker = (WEB / "service-worker.js").read_text()
    listed = re.search(r"PAGE = \[([^]]*)]", worker)
    assert listed is not None
    names = set(re.findall(r'"([^"]+)"', listed[1]))
    assert names == {"./", *PAGE} - {"index.html", "service-worker.js"}


def test_a_bundle_gets_the_page_and_stays_sound(plain: Bundle, tmp_path: Path) -> None:
    site = with_page(plain, tmp_path / "site", write_runtimes(tmp_path / "runtimes"))
    added = set(site.manifest.files) - set(plain.manifest.files)
    assert added == {f"web/{name}" for name in PAGE} | {
        f"web/runtimes/{name}" for name in RUNTIME_FILES
    }
    assert read_bundle(site.folder).manifest == site.manifest
    assert verify_bundle(site.folder)[0].same_top == 16
    readme = (site.folder / "README.md").read_text()
    assert readme.startswith((plain.folder / "README.md").read_text())
    assert re.search(r"\| LiteRT\.js \| 0\.0\d \| 0\.0\d \| 0\.0\d \|", readme)
    assert "`onnxruntime-web` 1." in readme and "(MIT)." in readme
    with pytest.raises(UsageError, match="has the page already"):
        with_page(site, tmp_path / "again", tmp_path / "runtimes")
    path = site.folder / "web" / "app.js"
    path.write_text(path.read_text() + "// altered\n")
    with pytest.raises(Exception, match=r"web/app\.js is damaged"):
        read_bundle(site.folder)


def test_without_npm_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeFailure, match=r"no npm on the PATH; install Node\.js"):
        web_runtimes()
    assert not runtimes_folder().exists()


def test_npm_is_asked_once_and_its_files_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "made"
    for place in RUNTIME_FILES.values():
        (made / place).parent.mkdir(parents=True, exist_ok=True)
        (made / place).write_text(place)
    script = f'test "$1" = ci && test -f package-lock.json && cp -r {made} node_modules'
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", script))
    said: list[str] = []
    folder = web_runtimes(said.append)
    assert len(said) == 1 and "once" in said[0]
    for name, place in RUNTIME_FILES.items():
        assert (folder / name).read_text() == place
    shutil.rmtree(tmp_path / "bin")
    assert web_runtimes(said.append) == folder and len(said) == 1


def test_what_npm_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    script = "echo 'npm warn old' >&2; echo 'npm error code EINTEGRITY' >&2; exit 1"
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", script))
    with pytest.raises(RuntimeFailure, match=r"cannot bring .*: npm error code EINTEGRITY"):
        web_runtimes()
    assert not runtimes_folder().exists()


def test_a_flipped_byte_of_the_page_or_a_runtime_is_found(plain: Bundle, tmp_path: Path) -> None:
    site = with_page(plain, tmp_path / "site", write_runtimes(tmp_path / "runtimes"))
    for name in (f"web/{PAGE[0]}", *(f"web/runtimes/{name}" for name in RUNTIME_FILES)):
        path = site.folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x80]))
        with pytest.raises(ArtifactError, match=f"{re.escape(name)} is damaged"):
            verify_bundle(site.folder)
        path.write_bytes(whole)
    assert verify_bundle(site.folder)
