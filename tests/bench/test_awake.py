"""Cores kept awake: asked of the system for as long as the block runs, where it may be asked."""

import os
from pathlib import Path

import pytest

from bench import awake
from bench.awake import cores_awake, may_keep_awake
from bench.latency import measure_latencies
from bench.steadiness import Conditions


def is_open(path: Path) -> bool:
    """Return whether this process holds the file open."""
    links = Path("/proc/self/fd")
    return any(os.path.realpath(link) == str(path) for link in links.iterdir())


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cpu_dma_latency"
    path.write_bytes(b"")
    monkeypatch.setattr(awake, "DEVICE", path)
    return path


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")


@needs_proc
def test_no_latency_is_asked_for_until_the_block_ends(device: Path) -> None:
    assert may_keep_awake()
    with cores_awake():
        assert device.read_bytes() == bytes(4)  # an int32 of microseconds
        assert is_open(device)  # the kernel forgets it when the file is closed
    assert not is_open(device)
    with pytest.raises(ValueError, match="broken"), cores_awake():
        raise ValueError("broken")
    assert not is_open(device)


def test_a_system_without_it_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awake, "DEVICE", tmp_path / "none")
    assert not may_keep_awake()
    with cores_awake():
        assert not (tmp_path / "none").exists()


def test_a_system_that_refuses_it_after_all_is_left_too(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError("no")

    monkeypatch.setattr(awake.os, "open", refuse)
    with cores_awake():
        assert device.read_bytes() == b""


@needs_proc
def test_latencies_are_measured_with_the_cores_awake(device: Path, tmp_path: Path) -> None:
    seen = []

    def watch() -> Conditions:
        seen.append(is_open(device))
        return Conditions()

    measure_latencies(
        [], threads=1, rounds=1, environment="e", picture=tmp_path / "none", watch=watch
    )
    assert seen == [True, True]
    assert not is_open(device)
