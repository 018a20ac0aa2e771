"""Timing on a phone, against a fake ``adb`` that plays the tool's documented output."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.adb import Adb
from bench.device import FOLDER, PROFILE_STARTS, measure_on_device
from bench.record import EnvironmentRecord, FailureRecord, LatencyRecord
from bench.record_layers import LayerTimesRecord
from tests.bench.fake_adb import PHONE, PROFILE, FakePhone, phone, timings
from train.artifact import Artifact
from train.errors import ConfigError, RuntimeFailure

__all__ = ["phone"]
TURN = r"0\.tflite.*num_runs=2"
OTHER = r"1\.tflite.*num_runs=2"
PROFILING = "enable_op_profiling"


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "benchmark_model"
    path.write_bytes(b"the tool")
    return path


@pytest.fixture
def variants(tmp_path: Path, fake_artifact: Callable[..., Artifact]) -> list[Artifact]:
    names = ("net.float.tflite", "net.int8.tflite")
    return [fake_artifact(tmp_path / name, name, name.encode()) for name in names]


def test_every_call_of_every_turn_is_kept(
    phone: FakePhone, tool: Path, variants: list[Artifact]
) -> None:
    phone.answers = {
        TURN: (0, [timings(5000, 5010, warmup=99), timings(5020, 5020), timings(4990, 5000)]),
        OTHER: (0, [timings(2000, 2001)]),
    }
    phone.save()
    turns: list[int] = []
    found = measure_on_device(
        variants, Adb(), tool, threads=4, rounds=3, advance=lambda n: turns.append(n)
    )
    machine, first, second = found
    assert isinstance(machine, EnvironmentRecord)
    assert isinstance(first, LatencyRecord) and isinstance(second, LatencyRecord)
    assert first.latencies_ms == (5.0, 5.01, 5.02, 5.02, 4.99, 5.0)
    assert (first.calls_per_turn, first.warmup_runs, first.load_ms) == (2, 10, 12.5)
    assert (first.threads, first.variant) == (4, "net.float.tflite")
    assert second.latencies_ms == (2.0, 2.001) * 3
    assert first.warnings == ()
    assert first.environment == machine.environment
    digest = machine.packages["benchmark_model"].removeprefix("sha256 ")
    assert first.runtime == (
        f"litert benchmark_model {digest} on Google Pixel 8 (Tensor G3, arm64-v8a)"
    )
    assert turns == [1] * 6


def test_what_is_pushed_is_run_and_then_removed(
    phone: FakePhone, tool: Path, variants: list[Artifact]
) -> None:
    phone.answers = {"num_runs=2": (0, [timings(5000, 5010)])}
    phone.save()
    measure_on_device(variants, Adb(), tool, threads=4, rounds=2)
    assert phone.pushed("benchmark_model") == b"the tool"
    assert phone.pushed("1.tflite") == b"net.int8.tflite"
    runs = phone.shell_log("--graph")
    assert len(runs) == 4
    assert sorted("0.tflite" in run for run in runs[:2]) == [False, True]  # one turn each a round
    assert all(f"{FOLDER}/benchmark_model --graph={FOLDER}/" in run for run in runs)
    assert all("--num_threads=4" in run for run in runs)
    assert phone.log[-1][3].startswith(f"rm -rf {FOLDER} ")


def test_a_variant_that_the_tool_refuses_is_a_failure_and_the_other_goes_on(
    phone: FakePhone, tool: Path, variants: list[Artifact]
) -> None:
    phone.answers = {
        TURN: (1, [f"ERROR: Failed to load model {FOLDER}/0.tflite\n"]),
        OTHER: (0, [timings(2000, 2001)]),
    }
    phone.save()
    _, first, second = measure_on_device(variants, Adb(), tool, threads=1, rounds=2, layers=False)
    assert isinstance(first, FailureRecord)
    assert first.stage == "latency"
    assert "ended with code 1: ERROR: Failed to load model 0.tflite" in first.reason
    assert FOLDER not in first.reason
    assert isinstance(second, LatencyRecord)
    assert len(phone.shell_log("0.tflite --num")) == 1  # it is not tried again


def test_operators_of_several_profiled_calls(
    phone: FakePhone, tool: Path, variants: list[Artifact]
) -> None:
    slower = PROFILE.replace("3.000", "3.100")
    phone.answers = {
        PROFILING: (0, [PROFILE, slower]),
        "num_runs=2": (0, [timings(5000, 5010)]),
    }
    phone.save()
    found = measure_on_device(variants[:1], Adb(), tool, threads=1, rounds=1, layers=True)
    layers = found[-1]
    assert isinstance(layers, LayerTimesRecord)
    assert len(phone.shell_log(PROFILING)) == PROFILE_STARTS
    assert layers.calls_us == (5000.0,) * PROFILE_STARTS
    assert layers.latencies_us == (5000.0, 5010.0)
    assert layers.partitions == 1
    first, second, third, last = layers.operators
    assert (first.name, first.operator, first.engine) == ("images", "QUANTIZE", "interpreter")
    assert (second.operator, second.engine) == ("", "xnnpack")
    assert second.kernels == ("Convolution (NHWC, QC8) IGEMM",)
    assert second.times_us == (3000.0, 3100.0, 3000.0, 3100.0, 3000.0)
    assert third.median_us == 750.0
    assert last.sources == ("out", "spare")


@pytest.mark.parametrize(
    ("profiles", "words"),
    [
        ([timings(5000)], "no table of operators"),
        ([PROFILE, PROFILE.replace("QUANTIZE", "CAST")], "ran different operators"),
    ],
)
def test_a_profile_that_does_not_come_is_a_failure(
    phone: FakePhone, tool: Path, variants: list[Artifact], profiles: list[str], words: str
) -> None:
    phone.answers = {PROFILING: (0, profiles), "num_runs=2": (0, [timings(5000, 5010)])}
    phone.save()
    *_, timed, failed = measure_on_device(
        variants[:1], Adb(), tool, threads=1, rounds=1, layers=True
    )
    assert isinstance(timed, LatencyRecord)
    assert isinstance(failed, FailureRecord)
    assert failed.stage == "layers"
    assert words in failed.reason


def test_a_hot_phone_and_unsteady_times_are_told(
    phone: FakePhone, tool: Path, variants: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PHONE, "dumpsys thermalservice", "Thermal Status: 2\n")
    monkeypatch.setitem(PHONE, "settings get global low_power", "1\n")
    phone.answers = {"num_runs=2": (0, [timings(5000, 5000), timings(7000, 7000)])}
    phone.save()
    found = measure_on_device(variants[:1], Adb(), tool, threads=1, rounds=2)
    timed = found[1]
    assert isinstance(timed, LatencyRecord)
    # Turns of 5 and 7 ms: the median is 6, half the interval 1: 16.7 %; the second half 40 % up.
    assert timed.warnings == (
        "the phone throttles (thermal status 2); let it cool down and measure again",
        "the phone saves its battery, which slows it down; charge it",
        "the median is only known to within 16.7% (95 %, 2 rounds); close the phone's other apps"
        " or raise the rounds",
        "calls became 40% slower from the first half of the rounds to the second; let the phone"
        " cool down and measure again",
    )


def test_a_phone_that_refuses_files(phone: FakePhone, tool: Path, variants: list[Artifact]) -> None:
    phone.play["refuses_push"] = True
    phone.save()
    with pytest.raises(RuntimeFailure, match="remote couldn't create file"):
        measure_on_device(variants, Adb(), tool, threads=1, rounds=1)
    assert phone.log[-1][3].startswith("rm -rf")


def test_only_tflite_files_and_whole_numbers(
    phone: FakePhone, tool: Path, tmp_path: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    other = fake_artifact(tmp_path / "onnx", "net.int8.onnx")
    with pytest.raises(ConfigError, match=r"net\.int8\.onnx: benchmark_model runs \.tflite"):
        measure_on_device([other], Adb(), tool, threads=1, rounds=1)
    with pytest.raises(ConfigError, match="at least 1, got 0 and 1"):
        measure_on_device([], Adb(), tool, threads=0, rounds=1)
