"""``threadlite bench --device``: its words, and the records that it writes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.record import LatencyRecord, of_kind, read_records
from tests.bench.conftest import fake_artifact
from tests.bench.fake_adb import FakePhone, phone, timings
from threadlite.devices import add_device, bench_on_device
from train.artifact import Artifact
from train.errors import UsageError

__all__ = ["fake_artifact", "phone"]


def bench(*words: Any) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--layers", action="store_true")
    add_device(parser)
    quiet: Any = SimpleNamespace(begin=lambda *_: None, advance=lambda _: None, say=lambda _: None)
    return bench_on_device(parser.parse_args([str(word) for word in words]), quiet)


def test_records_of_a_phone_are_written(
    phone: FakePhone, tmp_path: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    phone.answers = {"num_runs=2": (0, [timings(5000, 5010)])}
    phone.save()
    for name in ("net.float.keras", "net.float.tflite"):
        fake_artifact(tmp_path / name, name)
    tool = tmp_path / "tool"
    tool.touch()
    out = tmp_path / "records.jsonl"
    count = bench(
        tmp_path / "net.float.keras", tmp_path / "net.float.tflite",
        "--out", out, "--device", "adb:PIXEL", "--benchmark-model", tool,
    )  # fmt: skip
    records, _ = read_records(out)
    assert count == len(records) == 2  # the phone, and the one variant's times
    (timed,) = of_kind(records, LatencyRecord)
    assert timed.latencies_ms == (5.0, 5.01, 5.0, 5.01)


def test_a_sweep_times_each_number_of_threads_and_names_the_phone_once(
    phone: FakePhone, tmp_path: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    phone.answers = {"num_runs=2": (0, [timings(5000, 5010)])}
    phone.save()
    fake_artifact(tmp_path / "net", "net.float.tflite")
    tool = tmp_path / "tool"
    tool.touch()
    out = tmp_path / "records.jsonl"
    bench(
        tmp_path / "net", "--out", out, "--device", "adb:PIXEL", "--benchmark-model", tool,
        "--threads", 3, "--sweep",
    )  # fmt: skip
    records, _ = read_records(out)
    assert [one.threads for one in of_kind(records, LatencyRecord)] == [1, 2, 3]
    assert len(records) == 4


def test_words_that_do_not_fit(
    phone: FakePhone, tmp_path: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    fake_artifact(tmp_path / "net", "net.float.keras")
    tool = tmp_path / "tool"
    with pytest.raises(UsageError, match="needs --benchmark-model FILE"):
        bench(tmp_path / "net", "--device", "adb", "--benchmark-model", tool)
    tool.touch()
    with pytest.raises(UsageError, match="adb or adb:SERIAL"):
        bench(tmp_path / "net", "--device", "ios", "--benchmark-model", tool)
    with pytest.raises(UsageError, match=r"needs a \.tflite artifact"):
        bench(tmp_path / "net", "--device", "adb", "--benchmark-model", tool)
    with pytest.raises(UsageError, match="1 or more"):
        bench(tmp_path / "net", "--device", "adb", "--benchmark-model", tool, "--rounds", 0)
