"""``serve``: loopback alone, headers for threads, and no file that the manifest does not name."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.browser import INDEX
from deploy.bundle import Bundle, read_bundle, write_bundle
from tests.deploy.sealing import seal_again
from tests.tiny_models import shared_variants
from threadlite import serve
from threadlite.cli import main
from train.errors import UsageError


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    variants = shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")
    return write_bundle([variants["float.tflite"]], tmp_path_factory.mktemp("serve") / "bundle")


@pytest.fixture(scope="module")
def server(plain: Bundle) -> Iterator[ThreadingHTTPServer]:
    page = plain.folder / INDEX
    page.parent.mkdir()
    page.write_text("<!doctype html>")
    seal_again(plain.folder)
    (plain.folder.parent / "secret.txt").write_text("secret")
    with serve.open_server(read_bundle(plain.folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: ThreadingHTTPServer, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(serve.LOOPBACK, server.server_port, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_listens_on_loopback_alone(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert serve.address_of(server) == f"http://127.0.0.1:{server.server_port}/web/"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/web/", "text/html; charset=utf-8"),
        ("/web/index.html?x=1", "text/html; charset=utf-8"),
        ("/model.tflite", "application/octet-stream"),
        ("/golden/01.png", "image/png"),
        ("/manifest.json", "application/json"),
    ],
)
def test_files_of_the_bundle_come_with_the_headers_of_threads(
    server: ThreadingHTTPServer, plain: Bundle, path: str, kind: str
) -> None:
    answer, body = ask(server, path)
    name = path.partition("?")[0].strip("/")
    file = plain.folder / ("web/index.html" if name == "web" else name)
    assert (answer.status, body) == (200, file.read_bytes())
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    head, nothing = ask(server, path, "HEAD")
    assert (head.status, nothing) == (200, b"")
    assert head.headers["Content-Length"] == str(len(body))
    tag = answer.headers["ETag"]
    unchanged, nothing = ask(server, path, If_None_Match=tag)
    assert (unchanged.status, nothing) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/web/../../secret.txt",
        "/web/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/web\\..\\..\\secret.txt",
        "/golden/",
        "/web/missing.js",
        "/%00",
    ],
)
def test_nothing_else_is_given_out(server: ThreadingHTTPServer, path: str) -> None:
    answer, body = ask(server, path)
    assert (answer.status, body) == (404, b"")


def test_the_root_leads_to_the_page_and_nothing_is_taken(server: ThreadingHTTPServer) -> None:
    for path in ("/", "/web"):
        answer, _ = ask(server, path)
        assert (answer.status, answer.headers["Location"]) == (302, "/web/")
    answer, _ = ask(server, "/web/", "POST")
    assert answer.status == 501


def test_a_bundle_without_the_page_is_refused_and_told_how(
    plain: Bundle, server: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: entry for name, entry in plain.manifest.files.items() if name != INDEX}
    bare = Bundle(folder=plain.folder, manifest=plain.manifest.model_copy(update={"files": files}))
    with pytest.raises(UsageError, match=r"has no page; make one with `threadlite deploy .* --web"):
        serve.open_server(bare)
    with pytest.raises(UsageError, match=r"--port \d+ cannot be had"):
        serve.open_server(read_bundle(plain.folder), server.server_port)
    assert main(["serve", str(tmp_path / "ghost")]) == 1
    assert "no such bundle" in capsys.readouterr().err


def test_a_damaged_bundle_is_not_served(
    plain: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((plain.folder / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert main(["serve", str(tmp_path)]) == 1
    assert "damaged" in capsys.readouterr().err
