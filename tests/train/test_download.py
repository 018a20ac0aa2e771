import fcntl
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.download import COMMIT, clothing_folder, download_clothing, read_receipt
from train.errors import ArtifactError, ConfigError, DataError
from train.fetch import FetchConfig, fetch
from train.sources import open_dataset

TOP = f"clothing-dataset-{COMMIT}"
QUICK = FetchConfig(connect_seconds=2.0, stall_seconds=0.4, attempts=3, pause_seconds=0.0)


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def archive(extra: dict[str, bytes] | None = None, comment: str = COMMIT) -> bytes:
    table = "image,sender_id,label,kids\n" + "".join(
        f"photo{n},{n},{'Hat' if n % 2 else 'Shoes'},False\n" for n in range(8)
    )
    members = {f"{TOP}/README.md": b"hello", f"{TOP}/images.csv": table.encode()}
    members |= {f"{TOP}/images/photo{n}.jpg": jpeg(n) for n in range(8)}
    members |= {f"{TOP}/images/notes.txt": b"not a photo"} | (extra or {})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, body in members.items():
            target.writestr(name, body)
        target.comment = comment.encode()
    return stream.getvalue()


@dataclass
class Site:
    """A server's file and its vices; ``cuts`` holds how many bytes each request may have."""

    body: bytes
    ranges: bool = True
    etag: str = ""
    cuts: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)  # as cuts, but silent instead of closing
    statuses: list[int] = field(default_factory=list)
    claimed: Callable[[int], int | None] = lambda length: length
    asked: list[tuple[str, str]] = field(default_factory=list)  # Range and If-Range of each
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range", "")
        site.asked.append((wanted, self.headers.get("If-Range", "")))
        if site.statuses and (status := site.statuses.pop(0)) != 200:
            return self._answer(status, 0, [])
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.ranges else 0
        if self.headers.get("If-Range", site.etag) != site.etag:
            start = 0
        if start >= len(site.body):
            return self._answer(416, 0, [("Content-Range", f"bytes */{len(site.body)}")])
        body = site.body[start:]
        extra = [("ETag", site.etag)] if site.etag else []
        if start:
            span = f"bytes {start}-{len(site.body) - 1}/{len(site.body)}"
            extra.append(("Content-Range", span))
        self._answer(206 if start else 200, site.claimed(len(body)), extra)
        if site.stalls:
            self.wfile.write(body[: site.stalls.pop(0)])
            self.wfile.flush()
            site.release.wait(5)
        else:
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)
        self.close_connection = True

    def _answer(self, status: int, length: int | None, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found = Site(body=archive())
    handler = type("SiteHandler", (Handler,), {"site": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/archive.zip"
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("THREADLITE_CLOTHING_URL", found.url)
    monkeypatch.delenv("THREADLITE_CLOTHING_SHA256", raising=False)
    monkeypatch.delenv("THREADLITE_CLOTHING", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield found
    found.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def bring(**settings: object) -> Path:
    return download_clothing(clothing_folder(), config=QUICK, **settings)  # type: ignore[arg-type]


def assert_nothing_left(*, part: bool = False) -> None:
    """Nothing under the final name, no half-unpacked folder, the part file as said."""
    home = clothing_folder().parent
    assert not clothing_folder().exists()
    assert not list(home.glob(".partial-*"))
    assert bool(list(home.glob("*.part"))) is part


def test_a_good_download_holds_the_dataset_and_a_receipt(site: Site) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = bring(received=lambda size, total: seen.append((size, total)))
    assert sorted(path.name for path in folder.iterdir()) == [
        "images",
        "images.csv",
        "receipt.json",
    ]
    assert sorted(path.name for path in (folder / "images").iterdir()) == [
        f"photo{n}.jpg" for n in range(8)
    ]
    assert seen[-1] == (len(site.body), len(site.body))
    receipt = read_receipt(folder)
    assert receipt is not None
    assert receipt.sha256 == hashlib.sha256(site.body).hexdigest()
    assert (receipt.photos, receipt.url) == (8, site.url)
    assert not list(folder.parent.glob("*.part"))


def test_clothing_is_downloaded_once(site: Site) -> None:
    first = open_dataset("clothing")
    assert (first.name, len(first.photos), first.labels) == ("clothing", 8, ("Hat", "Shoes"))
    assert open_dataset("clothing") == first
    assert len(site.asked) == 1


def test_a_cut_connection_goes_on_where_it_was(site: Site) -> None:
    site.etag = '"v1"'
    site.cuts = [1000, 500]
    bring()
    assert site.asked == [("", ""), ("bytes=1000-", '"v1"'), ("bytes=1500-", '"v1"')]


def test_many_cuts_are_survived_as_long_as_each_brings_bytes(site: Site) -> None:
    site.cuts = [500] * 8  # more than the three fruitless attempts allowed
    bring()
    assert len(site.asked) == 9


def test_a_server_without_ranges_is_begun_again(site: Site) -> None:
    site.ranges = False
    site.cuts = [1000]
    folder = bring()
    assert site.asked == [("", ""), ("bytes=1000-", "")]
    assert len(list((folder / "images").iterdir())) == 8


def test_a_file_that_changed_meanwhile_is_begun_again(site: Site) -> None:
    site.etag = '"v1"'
    site.cuts = [1000]

    def change(size: int, _total: int | None) -> None:
        site.etag = '"v2"'

    folder = bring(received=change)
    assert [wanted for wanted, _ in site.asked] == ["", "bytes=1000-"]
    assert len(list((folder / "images").iterdir())) == 8


def test_a_stalled_connection_is_dropped_and_resumed(site: Site) -> None:
    site.stalls = [1000]
    start = time.monotonic()
    bring()
    assert 0.3 < time.monotonic() - start < 4.0
    assert [wanted for wanted, _ in site.asked] == ["", "bytes=1000-"]


def test_a_trickle_counts_as_a_stall(site: Site) -> None:
    ticks = iter(range(0, 10_000_000, 1000))  # a thousand seconds pass with every chunk
    part = clothing_folder().with_name("x.part")
    part.parent.mkdir(parents=True)
    with pytest.raises(DataError, match=r"it stalled: \d+ bytes in 1000 s"):
        fetch(
            site.url,
            part,
            require_room=lambda coming: None,
            config=FetchConfig(attempts=1, least_bytes_per_second=1e6),
            clock=lambda: float(next(ticks)),
            sleep=lambda seconds: None,
        )


def test_a_killed_download_goes_on_in_the_next_run(site: Site) -> None:
    site.cuts = [1000, 0, 0, 0]
    with pytest.raises(DataError, match=r"it ended after 1,000 of|the connection broke off"):
        bring()
    assert_nothing_left(part=True)
    bring()
    assert site.asked[-1][0] == "bytes=1000-"


def test_a_length_that_promises_too_much_is_refused(site: Site) -> None:
    site.claimed = lambda length: length + 100
    site.ranges = False
    with pytest.raises(DataError, match=r"broke off|it ended after"):
        bring()
    assert len(site.asked) == 4  # one that brought bytes, three that brought no more


def test_a_length_that_promises_too_little_is_refused(site: Site) -> None:
    site.claimed = lambda length: length - 100
    with pytest.raises(DataError, match=r"is damaged .*three ways on"):
        bring()
    assert_nothing_left()


def test_a_server_that_says_no_length_is_believed_to_the_end(site: Site) -> None:
    site.claimed = lambda length: None
    bring()
    assert len(site.asked) == 1


def test_a_truncated_body_without_a_length_is_noticed(site: Site) -> None:
    site.claimed = lambda length: None
    site.cuts = [len(site.body) - 300]
    with pytest.raises(DataError, match="is damaged"):
        bring()
    assert_nothing_left()


def test_a_part_that_is_complete_already_is_not_asked_for_twice(site: Site) -> None:
    with pytest.raises(ArtifactError, match="there are 0 MB"):
        sizes = iter([10**12, 0])
        bring(free_bytes=lambda folder: next(sizes))
    assert_nothing_left(part=True)
    bring()
    assert [wanted for wanted, _ in site.asked] == ["", f"bytes={len(site.body)}-"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_repeated(status: int, site: Site) -> None:
    site.statuses = [status]
    with pytest.raises(DataError, match=rf"answered {status}; three ways on: .*--data garments"):
        bring()
    assert len(site.asked) == 1
    assert_nothing_left()


def test_a_failing_server_is_tried_again(site: Site) -> None:
    site.statuses = [500, 503]
    bring()
    assert len(site.asked) == 3


def test_a_server_that_only_fails_is_given_up(site: Site) -> None:
    site.statuses = [500] * 9
    with pytest.raises(DataError, match="the server answered 500"):
        bring()
    assert len(site.asked) == 3


def test_offline_names_three_ways_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CLOTHING_URL", "http://127.0.0.1:9/archive.zip")
    with pytest.raises(DataError) as caught:
        bring()
    message = str(caught.value)
    for way in ("no connection", "--data FOLDER", "THREADLITE_CLOTHING", "--data garments"):
        assert way in message
    assert_nothing_left()


def test_a_wrong_checksum_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CLOTHING_SHA256", "0" * 64)
    actual = hashlib.sha256(site.body).hexdigest()
    with pytest.raises(DataError, match=f"has sha256 {actual}, expected {'0' * 64}"):
        bring()
    assert_nothing_left()


def test_a_right_checksum_vouches_for_another_commit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.body = archive(comment="a mirror")
    with pytest.raises(DataError, match=f"is of commit 'a mirror', expected {COMMIT}"):
        bring()
    assert_nothing_left()
    digest = hashlib.sha256(site.body).hexdigest()
    monkeypatch.setenv("THREADLITE_CLOTHING_SHA256", digest.upper())
    receipt = read_receipt(bring())
    assert receipt is not None
    assert receipt.proof == "sha256"


def test_a_checksum_that_is_none_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CLOTHING_SHA256", "latest")
    with pytest.raises(ConfigError, match="must be 64 hex digits, got 'latest'"):
        bring()


@pytest.mark.parametrize(
    "name", [f"{TOP}/../../evil.jpg", "../evil", "/evil", f"{TOP}/images\\..\\evil.jpg", "C:/evil"]
)
def test_a_member_that_climbs_out_is_refused(name: str, site: Site, tmp_path: Path) -> None:
    site.body = archive({name: b"evil"})
    with pytest.raises(DataError, match="a path outside its folder"):
        bring()
    assert_nothing_left()
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_a_damaged_member_is_noticed_even_one_that_is_not_kept(site: Site) -> None:
    site.body = archive().replace(b"hello", b"jello")
    with pytest.raises(DataError, match=r"damaged \(Bad CRC-32 for file .*README.md"):
        bring()
    assert_nothing_left()


def test_another_archive_is_refused(site: Site) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        target.writestr("other/README.md", "hello")
        target.comment = COMMIT.encode()
    site.body = stream.getvalue()
    with pytest.raises(DataError, match=r"holds 0 photos and no images.csv"):
        bring()
    assert_nothing_left()


def test_disk_is_looked_at_before_anything_is_written(site: Site) -> None:
    with pytest.raises(ArtifactError, match="needs 50 MB of free disk, there are 1 MB"):
        bring(free_bytes=lambda folder: 1_000_000)
    assert_nothing_left()


def test_two_downloads_at_once_are_kept_apart(site: Site) -> None:
    site.cuts = [1000, 0, 0, 0]
    with pytest.raises(DataError):
        bring()
    lock = next(clothing_folder().parent.glob("*.lock"))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="another process is downloading"):
            bring()
    bring()
