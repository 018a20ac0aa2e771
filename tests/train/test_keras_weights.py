"""What Keras publishes: brought once, checked, and never a reason for a training to fail."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from train import keras_weights
from train.errors import WeightsError
from train.keras_weights import KERAS_FILES, KerasFile, obtain
from train.networks import NETWORKS
from train.weights import describe_origin, load_weights, named_variables, weights_identity


class Server:
    """Sends one body; ``cut`` bytes of it at most; counts the requests."""

    def __init__(self) -> None:
        self.body, self.cut, self.requests = b"", None, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body[: outer.cut])

            def log_message(self, *words: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()
    monkeypatch.setenv("THREADLITE_WEIGHTS_URL", served.url)
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("THREADLITE_OFFLINE", raising=False)
    yield served
    served.http.shutdown()
    served.http.server_close()


def legacy_h5(path: Path, entries: dict[str, Any]) -> bytes:
    """Write arrays as Keras Applications' files hold them: a group a layer, names in attributes."""
    with h5py.File(path, "w") as file:
        layers = list(dict.fromkeys(name.split("/")[0] for name in entries))
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer)
            names = [name for name in entries if name.split("/")[0] == layer]
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                group[f"{name}:0"] = entries[name]
    return path.read_bytes()


def pinned(monkeypatch: pytest.MonkeyPatch, body: bytes, digest: str | None = None) -> KerasFile:
    """Let ``mobilenet-v2-0.5`` be a file of these bytes, with their MD5 where none is given."""
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    file = KerasFile(
        path="small/weights.h5", digest=md5 if digest is None else digest, licence="MIT"
    )
    monkeypatch.setitem(KERAS_FILES, "mobilenet-v2-0.5", file)
    return file


def network() -> Any:
    return NETWORKS["mobilenet-v2-0.5"](image_size=32, classes=3)


STEM = np.full((3, 3, 3, 16), 0.25, np.float32)


def test_a_published_file_is_brought_once_and_checked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = legacy_h5(tmp_path / "made.h5", {"Conv1/kernel": STEM})
    file = pinned(monkeypatch, server.body)
    assert weights_identity("mobilenet-v2-0.5", "auto") == f"weights.h5 {file.digest}"
    model = network()
    origin = load_weights(model, network="mobilenet-v2-0.5")
    assert origin.source == "Keras Applications weights.h5"
    assert (origin.licence, origin.loaded_parameters) == ("MIT", 3 * 3 * 3 * 16)
    assert origin.sha256 == hashlib.sha256(server.body).hexdigest()
    np.testing.assert_array_equal(named_variables(model)["stem_conv/kernel"].numpy(), STEM)
    assert server.requests == 1
    assert [path.name for path in (tmp_path / "cache" / "weights").glob("*.h5*")] == [
        "weights.h5",
        "weights.h5.part.lock",
    ]


def test_a_damaged_file_in_the_cache_is_brought_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = legacy_h5(tmp_path / "made.h5", {"Conv1/kernel": STEM})
    file = pinned(monkeypatch, server.body)
    kept = tmp_path / "cache" / "weights" / "weights.h5"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(server.body[:-1])
    assert obtain(file) == kept
    assert kept.read_bytes() == server.body


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("truncated", "the connection broke off"),
        ("another digest", "has not the digest 0123"),
        ("another network", "none of its 1 entries fits mobilenet-v2"),
        ("not finite", "something other than finite numbers"),
        ("offline", "THREADLITE_OFFLINE is set"),
    ],
)
def test_weights_that_cannot_be_had_leave_the_network_random_and_say_why(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, reason: str
) -> None:
    entries = {"Conv1/kernel": STEM * np.nan if case == "not finite" else STEM}
    if case == "another network":
        entries = {"layer1/kernel": STEM}
    server.body = legacy_h5(tmp_path / "made.h5", entries)
    pinned(monkeypatch, server.body, "0123" if case == "another digest" else None)
    server.cut = 100 if case == "truncated" else None
    if case == "offline":
        monkeypatch.setenv("THREADLITE_OFFLINE", "1")
    origin = load_weights(network(), network="mobilenet-v2-0.5")
    assert origin.source.startswith("random (")
    assert reason in origin.source
    assert str(tmp_path) not in origin.source  # no path of this machine
    assert (origin.loaded_parameters, origin.sha256) == (0, None)
    assert "parameters are random" in describe_origin(origin)[0]


def test_a_server_that_is_not_there_costs_one_short_attempt(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pinned(monkeypatch, b"anything")
    monkeypatch.setenv("THREADLITE_WEIGHTS_URL", "http://127.0.0.1:9")  # discard: nobody listens
    attempts: list[str] = []
    really = keras_weights.fetch

    def counted(url: str, *words: Any, **more: Any) -> None:
        attempts.append(url)
        really(url, *words, **more)

    monkeypatch.setattr(keras_weights, "fetch", counted)
    for _ in range(3):
        with pytest.raises(WeightsError, match=r"download of weights\.h5 failed: .*no connection"):
            obtain(file)
    assert attempts == ["http://127.0.0.1:9/small/weights.h5"]
    assert keras_weights._IMPATIENT.attempts == 1
    assert keras_weights._IMPATIENT.connect_seconds <= 5
    assert weights_identity("mobilenet-v2-0.5", "auto") == "random without weights.h5"


def test_files_and_digests_are_those_of_keras_own_source() -> None:
    from train.backend import keras

    keras()
    from tf_keras.src.applications import convnext, mobilenet_v2, resnet

    assert KERAS_FILES["resnet50"].digest == resnet.WEIGHTS_HASHES["resnet50"][1]
    assert KERAS_FILES["resnet50-v2"].digest == resnet.WEIGHTS_HASHES["resnet50v2"][1]
    assert KERAS_FILES["convnext-tiny"].digest == convnext.WEIGHTS_HASHES["convnext_tiny"][1]
    for name, folder in (
        ("resnet50", resnet.BASE_WEIGHTS_PATH),
        ("convnext-tiny", convnext.BASE_WEIGHTS_PATH),
        ("mobilenet-v2", mobilenet_v2.BASE_WEIGHT_PATH),
    ):
        assert KERAS_FILES[name].url == folder + KERAS_FILES[name].name
