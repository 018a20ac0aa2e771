"""``threadlite serve``: a bundle's page on this computer, for this computer alone.

Every answer has the headers that threaded WebAssembly needs, and only files that the bundle's
manifest names are given out.
"""

import argparse
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from deploy.bundle import Bundle

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8765
HEADERS = {
    # A page is given memory that its threads share only if nothing foreign can be in it.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked again each time, by the digest below
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}


def add_parser(commands: _Commands) -> None:
    """Add ``serve`` and its words."""
    parser = commands.add_parser(
        "serve", help="open a bundle's page on this computer (deploy --web puts it in)"
    )
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="its folder, or a zip archive of it"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help=f"where to listen; 0 for any that is free (default: {DEFAULT_PORT})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        ArtifactError: the bundle is damaged.
        UsageError: it has no page, or the port cannot be had.
    """
    from deploy.bundle import read_bundle
    from deploy.bundle_zip import bundle_folder

    with (
        bundle_folder(arguments.bundle) as folder,
        open_server(read_bundle(folder), arguments.port) as server,
    ):
        sys.stdout.write(f"{arguments.bundle} is at {address_of(server)}; Ctrl-C ends it\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return 0


def open_server(bundle: "Bundle", port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the bundle's files on the loopback address, not yet serving.

    Args:
        bundle: with the page in it.
        port: 0 for any that is free.

    Raises:
        UsageError: the bundle has no page, or the port cannot be had.
    """
    from deploy.browser import INDEX
    from train.artifact import MANIFEST_NAME
    from train.errors import UsageError

    if INDEX not in bundle.manifest.files:
        raise UsageError(
            f"{bundle.folder} has no page; make one with"
            f" `threadlite deploy {bundle.folder} --web --out NEW`"
        )
    digests = {name: entry.sha256 for name, entry in bundle.manifest.files.items()}
    digests[MANIFEST_NAME] = bundle.manifest.seal
    handler = type("BundleHandler", (_Handler,), {"folder": bundle.folder, "digests": digests})
    try:
        return ThreadingHTTPServer((LOOPBACK, port), handler)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--port {port} cannot be had ({error}); name another, or 0 for any that is free"
        ) from error


def address_of(server: ThreadingHTTPServer) -> str:
    """Return the address of the page."""
    return f"http://{LOOPBACK}:{server.server_port}/web/"


class _Handler(BaseHTTPRequestHandler):
    """Gives out the files that the manifest names, and nothing else.

    Attributes:
        folder: of the bundle.
        digests: by the file's path in it.
    """

    protocol_version = "HTTP/1.1"
    folder: Path
    digests: dict[str, str]

    def do_GET(self) -> None:
        """Answer with a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with a file's headers."""
        self._answer(with_body=False)

    def end_headers(self) -> None:
        """Add what every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line a request would bury the address."""

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        if name in ("", "web"):
            self._bare(HTTPStatus.FOUND, {"Location": "/web/"})
            return
        name = f"{name}index.html" if name == "web/" else name
        if name not in self.digests:
            self._bare(HTTPStatus.NOT_FOUND, {})
            return
        tag = f'"{self.digests[name]}"'
        if self.headers.get("If-None-Match") == tag:
            self._bare(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
            return
        content = (self.folder / name).read_bytes()
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", tag)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _bare(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
