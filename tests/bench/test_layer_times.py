"""Operators timed for real on both runtimes, and children that crash, hang or refuse."""

import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import apart
from bench.layer_times import ProfilePlan, measure_layer_times, profile_model
from bench.record import FailureRecord
from bench.record_layers import LayerTimesRecord
from bench.roofline import PRECISIONS, SIDE, measure_peak, onnx_product, tflite_product
from deploy.runtime import open_runtime
from tests.tiny_models import shared_variants
from train.artifact import Artifact
from train.errors import ConfigError, RuntimeFailure

PLAN = ProfilePlan(warmup=2, rounds=2, calls=2, seconds=0)
RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime"}


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "p.png"
    Image.new("RGB", (32, 32), (200, 100, 50)).save(path)
    return path


@pytest.fixture(scope="module")
def records(variants: dict[str, Artifact], picture: Path) -> dict[str, LayerTimesRecord]:
    names = [name for name in variants if not name.endswith("keras")]
    pairs = [(variants[name], RUNTIMES[name.split(".")[1]]) for name in names]
    found = measure_layer_times(pairs, threads=1, environment="e" * 16, picture=picture, plan=PLAN)
    assert all(isinstance(one, LayerTimesRecord) for one in found), found
    return dict(zip(names, found, strict=True))  # type: ignore[arg-type]


def test_every_operator_of_the_file_is_there(records: dict[str, LayerTimesRecord]) -> None:
    for name, record in records.items():
        assert len(record.calls_us) == len(record.latencies_us) == 4, name
        assert {len(one.times_us) for one in record.operators} <= {0, 4}
        assert record.runtime.split()[0] in RUNTIMES.values()
        assert not [one for one in record.operators if not one.operator], name
    sources = [one for operator in records["float.tflite"].operators for one in operator.sources]
    for layer in ("conv0", "conv1", "conv2", "depthwise", "features", "logits"):
        assert any(f"/{layer}/" in source for source in sources), layer


def test_xnnpack_runs_the_convolutions(records: dict[str, LayerTimesRecord]) -> None:
    for name in ("float.tflite", "int8.tflite"):
        record = records[name]
        convolutions = [one for one in record.operators if "CONV_2D" in one.operator]
        assert len(convolutions) == 4
        assert {one.engine for one in convolutions} == {"xnnpack"}
        assert all(
            "Convolution" in one.kernels[0] or "GEMM" in one.kernels[0] for one in convolutions
        )
        assert record.partitions == 1
    assert records["int8.tflite"].inserted  # QUANTIZE at the doors


def test_onnx_runtime_tells_what_it_fused(records: dict[str, LayerTimesRecord]) -> None:
    assert records["float.onnx"].optimized["Conv"] == 4
    assert records["int8.onnx"].optimized["QLinearConv"] == 4
    assert records["int8.onnx"].fused["DequantizeLinear"] >= 4


def test_the_profiled_model_computes_what_the_interpreter_does(
    variants: dict[str, Artifact],
) -> None:
    # In a process of its own: the C library's INFO lines and its memory stay out of this one.
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from bench.litert_capi import ProfiledModel\n"
        "model = ProfiledModel(Path(sys.argv[1]), threads=1)\n"
        "model.feed(np.arange(32 * 32 * 3, dtype=np.uint8).tobytes()); model.run()\n"
        "print(model.output().hex())\n"
    )
    path = variants["float.tflite"].payload
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    pixels = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3)
    with open_runtime(path, "litert", threads=1) as runtime:
        expected = runtime.predict(pixels)[0]
    got = np.frombuffer(bytes.fromhex(told.stdout.strip()), np.float32)
    # The same kernels on the same numbers, but for the order of a sum: float32 has 24 bits.
    assert np.allclose(got, expected, atol=1e-5)


def test_damaged_files_are_records_and_the_run_goes_on(
    variants: dict[str, Artifact],
    fake_artifact: Callable[..., Artifact],
    tmp_path: Path,
    picture: Path,
) -> None:
    order = random.Random(0)
    pairs = []
    for suffix, runtime in RUNTIMES.items():
        whole = variants[f"float.{suffix}"].payload.read_bytes()
        cut = whole[: order.randrange(1, len(whole))]
        flipped = bytearray(whole)
        for place in order.sample(range(len(whole)), 200):
            flipped[place] ^= 0xFF
        for name, content in (("cut", cut), ("flipped", bytes(flipped))):
            variant = f"{name}.float.{suffix}"
            folder = tmp_path / variant
            pairs.append((fake_artifact(folder, variant, content, size=32), runtime))
    steps: list[int] = []
    found = measure_layer_times(
        pairs, threads=1, environment="e" * 16, picture=picture, plan=PLAN, advance=steps.append
    )
    assert steps == [1] * 4
    assert all(isinstance(found[number], FailureRecord) for number in (0, 2))  # those cut short
    for one in found:
        if isinstance(one, FailureRecord):
            assert one.stage == "layers"
            assert one.reason
            assert str(tmp_path) not in one.reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        ("import sys; print('bad', file=sys.stderr); sys.exit(3)", "ended with code 3: bad"),
        ("import time; time.sleep(60)", "no answer within 1 s and was ended"),
        ('print(\'{"error": "m.tflite is cut short"}\')', "^m.tflite is cut short$"),
    ],
    ids=["crash", "exit", "hang", "refusal"],
)
def test_a_child_that_fails_gives_its_reason(
    code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "worker_command", lambda module: [sys.executable, "-c", code])
    tensor = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(RuntimeFailure, match=reason):
        profile_model(Path("m.tflite"), "litert", tensor, threads=1, plan=PLAN, answer_seconds=1.0)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"warmup": 0}, "at least 1, got 0, 6 and 5"),
        ({"rounds": 0}, "at least 1, got 10, 0 and 5"),
        ({"calls": 0}, "at least 1, got 10, 6 and 0"),
        ({"seconds": -1}, "seconds must be at least 0 .*, got -1, 18 and 6"),
        ({"seconds": math.nan}, "seconds must be at least 0 .*, got nan, 18 and 6"),
        ({"most_rounds": 5}, "most_rounds at least rounds, got 1.5, 5 and 6"),
    ],
)
def test_a_plan_without_calls_is_refused(broken: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        ProfilePlan(**broken)


def test_a_short_model_goes_on_for_some_time_but_not_for_ever(
    variants: dict[str, Artifact], picture: Path
) -> None:
    pairs = [(variants["float.tflite"], "litert")]
    calls = []
    for seconds in (0, 600):
        plan = ProfilePlan(warmup=1, rounds=2, calls=2, seconds=seconds, most_rounds=5)
        (record,) = measure_layer_times(
            pairs, threads=1, environment="e" * 16, picture=picture, plan=plan
        )
        assert isinstance(record, LayerTimesRecord)
        calls.append((len(record.calls_us), len(record.latencies_us)))
    assert calls == [(4, 4), (10, 10)]


def test_no_threads_are_refused(picture: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        measure_layer_times([], threads=0, environment="e", picture=picture)


# --- the roofline --------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES.values())
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_peak_is_measured_on_each_runtime(runtime: str, precision: Any) -> None:
    peak = measure_peak(runtime, precision, threads=1, environment="e", side=64, plan=PLAN)
    assert peak.maccs == 64**3
    assert len(peak.times_us) == 4
    assert len(peak.kernels) == 1
    kernel = peak.kernels[0]
    assert "GEMM" in kernel or "MatMul" in kernel
    assert ("Q" in kernel) == (precision == "int8")


def test_probes_hold_the_product_they_are_named_for() -> None:
    assert SIDE**3 == 134_217_728  # the MACCs that the docstring tells
    for precision, item_bytes in (("float", 4), ("int8", 1)):
        for build in (tflite_product, onnx_product):
            size = len(build(64, precision))  # type: ignore[arg-type]
            assert 64 * 64 * item_bytes < size < 64 * 64 * item_bytes + 4096


@pytest.mark.parametrize(("runtime", "side"), [("tensorrt", 64), ("litert", 0)])
def test_no_probe_is_said(runtime: str, side: int) -> None:
    with pytest.raises(ConfigError, match="no probe for"):
        measure_peak(runtime, "float", threads=1, environment="e", side=side)
