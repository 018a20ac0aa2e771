"""Models of TensorFlow Hub are brought whole or not at all, by one process at a time."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.train.hub_models import save_averages
from tests.train.test_keras_weights import Server, server
from train.errors import WeightsError
from train.hub import digest_of_model, open_hub
from train.hub_download import downloaded
from train.storage import only_process

__all__ = ["server"]


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_averages(tmp_path_factory.mktemp("hub") / "averages")


def key(address: str) -> str:
    return hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()


def packed(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def test_a_model_is_downloaded_once(server: Server, averages: Path) -> None:
    server.body = packed(averages)
    for _ in range(2):
        assert open_hub(f"{server.url}/averages/1").sha256 == digest_of_model(averages)
    assert server.requests == 1


def test_a_truncated_download_is_not_opened(server: Server, averages: Path) -> None:
    server.body, server.cut = packed(averages), 500
    with pytest.raises(WeightsError, match=r"the connection broke off; .*TFHUB_CACHE_DIR"):
        open_hub(f"{server.url}/averages/1")
    server.body, server.cut = server.body[:500], None  # cut off where the server does not know
    with pytest.raises(WeightsError, match="the archive is damaged"):
        open_hub(f"{server.url}/averages/2")


def test_an_unreachable_handle_is_told_with_three_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    monkeypatch.delenv("THREADLITE_OFFLINE", raising=False)
    with pytest.raises(WeightsError, match=r"no connection; give a folder .*--weights none"):
        open_hub("http://127.0.0.1:9/model/1")
    for word in ("no-such-folder", "/no/such/folder", "a/b/c/d"):
        with pytest.raises(WeightsError, match="neither a folder with a SavedModel"):
            open_hub(word)


def test_an_archive_that_climbs_out_of_its_folder_is_refused(
    server: Server, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    server.body = stream.getvalue()
    with pytest.raises(WeightsError, match="damaged"):
        open_hub(f"{server.url}/climbs/1")
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_without_a_model_leaves_nothing_and_the_next_one_counts(
    server: Server, averages: Path, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("readme"))
    server.body = stream.getvalue()
    address = f"{server.url}/empty/1"
    with pytest.raises(WeightsError, match=r"holds no saved_model\.pb, so it is no SavedModel"):
        downloaded(address)
    assert not (tmp_path / "cache" / "hub").exists()
    server.body = packed(averages)
    assert digest_of_model(downloaded(address)) == digest_of_model(averages)


def test_a_folder_without_a_model_in_our_cache_is_replaced(
    server: Server, averages: Path, tmp_path: Path
) -> None:
    address = f"{server.url}/half/1"
    folder = tmp_path / "cache" / "hub" / key(address)
    (folder / "variables").mkdir(parents=True)
    server.body = packed(averages)
    assert downloaded(address) == folder
    assert digest_of_model(folder) == digest_of_model(averages)


def test_a_damaged_archive_is_fetched_again_the_next_time(server: Server, averages: Path) -> None:
    whole = packed(averages)
    server.body = whole[:-8] + bytes(8)  # the checksum and length that end a gzip file
    with pytest.raises(WeightsError, match="the archive is damaged"):
        downloaded(f"{server.url}/sum/1")
    server.body = whole
    assert digest_of_model(downloaded(f"{server.url}/sum/1")) == digest_of_model(averages)


def test_two_processes_do_not_download_the_same_model(
    server: Server, averages: Path, tmp_path: Path
) -> None:
    server.body = packed(averages)
    address = f"{server.url}/busy/1"
    lock = tmp_path / "cache" / "hub" / f"{key(address)}.lock"
    with (
        only_process(lock, "held by this test"),
        pytest.raises(WeightsError, match=r"another process is downloading it; wait .* ended$"),
    ):
        downloaded(address)
    assert server.requests == 0
    assert digest_of_model(downloaded(address)) == digest_of_model(averages)
