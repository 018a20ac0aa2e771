"""The whole way on a small table of photos: once, again, and killed on the way."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from bench.record import CostRecord, EnvironmentRecord, PeakRecord
from deploy.bundle import read_bundle
from tests.threadlite.pictures import LABELS, write_table
from threadlite.cli import main

PLAN = """
name = "small"
title = "Small"
[data]
source = "{source}"
splits = ["grouped"]
[[approaches]]
name = "custom-cnn"
[approaches.recipe]
image_size = 32
epochs = 4
batch_size = 16
average_weights = 0.8
[deploy]
parity_photos = 16
pixels = true
[goals]
under_ms = 10000
[bench]
rounds = 5
"""
TIMED = (
    "epoch_seconds", "feature_seconds", "fold_seconds", "step_seconds", "load_ms", "cold_start_ms",
    "copy_gbs", "base_rss_bytes", "peak_rss_bytes", "latencies_ms", "warmup_runs", "warnings",
)  # fmt: skip
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    source = write_table(folder / "photos", photos=150, senders=15)
    (folder / "small.toml").write_text(PLAN.format(source=source))
    return folder / "small.toml"


def start(plan: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "threadlite", "run", str(plan), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


def finish(plan: Path, out: Path) -> str:
    process = start(plan, out)
    said, complaints = process.communicate(timeout=500)
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints
    return said


def records_of_file(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def records_of(out: Path) -> list[dict[str, Any]]:
    """The records, without what is timed and the verdicts on times."""
    records = records_of_file(out / "records.jsonl")
    return [
        {key: value for key, value in record.items() if key not in TIMED}
        for record in records
        if record["kind"] != "verdict"
    ]


@pytest.fixture(scope="module")
def undisturbed(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    return out, finish(plan, out)


def test_every_variant_is_made_judged_and_timed(undisturbed: tuple[Path, str]) -> None:
    out, said = undisturbed
    records = records_of(out)
    assert not [record for record in records if record["kind"] == "failure"], records
    variants = {
        "custom-cnn.float.tflite", "custom-cnn.float.onnx",
        "custom-cnn.int8.tflite", "custom-cnn.int8.onnx",
    }  # fmt: skip
    for kind in ("parity", "accuracy", "latency", "cost"):
        named = {record["variant"] for record in records if record["kind"] == kind}
        assert named - {"custom-cnn.float.keras"} == variants, kind
    assert {record["side"] for record in records if record["kind"] == "accuracy"} == {
        "validation", "test"
    }  # fmt: skip
    assert said.splitlines()[-1].endswith("report.html")


def test_report_and_bundles_stand(undisturbed: tuple[Path, str]) -> None:
    out, _ = undisturbed
    report = (out / "report" / "report.md").read_text()
    assert "custom-cnn.int8.tflite" in report
    assert "most accurate variant with a median under 10000 ms" in report
    assert (out / "report" / "report.html").stat().st_size > 10_000
    for name in ("custom-cnn.float.grouped", "custom-cnn.int8.grouped"):
        bundle = read_bundle(out / "bundles" / name)
        assert bundle.manifest.labels == LABELS
        assert {model.file for model in bundle.manifest.models} == {"model.tflite", "model.onnx"}
        variant = name.rpartition(".")[0] + ".tflite"
        told = (bundle.folder / "README.md").read_text()
        assert f"{variant} under litert" in told and "| bilinear, not antialiased |" in told


def test_records_hold_no_path_of_this_machine(undisturbed: tuple[Path, str], plan: Path) -> None:
    text = (undisturbed[0] / "records.jsonl").read_text()
    assert str(plan.parent) not in text
    assert str(Path.home()) not in text


def test_rewrites_are_measured_in_the_place_of_the_plans_own_timing(
    undisturbed: tuple[Path, str], plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed[0], out)
    known = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    repeated = next(record for record in known if record["kind"] == "cost")
    asked: list[Namespace] = []

    def measured(arguments: Namespace, progress: Any, environment: EnvironmentRecord) -> list[Any]:
        asked.append(arguments)
        peak = PeakRecord(
            environment=environment.environment, runtime="litert 2", threads=2, precision="int8",
            maccs=1, kernels=("k",), times_us=(1.0,),
        )  # fmt: skip
        return [CostRecord.model_validate(repeated), peak]

    monkeypatch.setattr("threadlite.rewrites.measure_rewrites", measured)
    text = plan.read_text().replace("rounds = 5", "rounds = 5\nrewrites = 64")
    (tmp_path / "rewrites.toml").write_text(text)
    assert main(["run", str(tmp_path / "rewrites.toml"), "--out", str(out)]) == 0
    (arguments,) = asked
    assert (arguments.image_size, arguments.trained) == (64, None)  # no ConvNeXt was trained
    kinds = [record["kind"] for record in records_of(out)]
    assert "latency" not in kinds and kinds.count("peak") == 1
    assert kinds.count("cost") == sum(record["kind"] == "cost" for record in known)


def test_second_run_repeats_nothing(undisturbed: tuple[Path, str], plan: Path) -> None:
    out, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    begin = time.monotonic()
    said = finish(plan, out)
    seconds = time.monotonic() - begin
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert "0 steps done" in said
    before.pop(out / "records.jsonl")
    after.pop(out / "records.jsonl")
    assert before == after
    assert seconds < 20  # a few seconds on an idle machine; training alone takes longer than this


def test_commands_do_one_step_each(
    undisturbed: tuple[Path, str], plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = next(undisturbed[0].glob("artifacts/custom-cnn.grouped-*"))
    data = ("--data", str(plan.parent / "photos"))
    small = tmp_path / "small"
    steps = [
        ("optimize", "int8", str(net), "--out", str(small), "--set", "photos=20", *data),
        ("deploy", str(small), "--parent", str(net), "--out", str(tmp_path / "bundle"), *data),
        ("bench", str(net), str(small), "--out", str(tmp_path / "r.jsonl"), "--rounds", "2", *data),
        ("report", str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "report")),
    ]
    for words in steps:
        assert main(words) == 0, capsys.readouterr().err
    assert [model.file for model in read_bundle(tmp_path / "bundle").manifest.models] == [
        "model.tflite"
    ]
    assert {record["kind"] for record in records_of_file(tmp_path / "r.jsonl")} == {
        "environment", "training", "cost", "accuracy", "latency"
    }  # fmt: skip
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "report" / "learning-curves.png").is_file()


def test_runtimes_that_are_not_named_are_bundled_and_not_benched(
    undisturbed: tuple[Path, str], plan: Path, tmp_path: Path
) -> None:
    narrow = tmp_path / "small.toml"
    narrow.write_text(plan.read_text() + "runtimes = ['onnxruntime']\n")
    out = tmp_path / "run"
    shutil.copytree(undisturbed[0], out)
    finish(narrow, out)
    benched = {r["variant"] for r in records_of(out) if r["kind"] in ("accuracy", "latency")}
    assert benched == {"custom-cnn.float.onnx", "custom-cnn.int8.onnx"}
    assert (out / "bundles" / "custom-cnn.int8.grouped" / "model.tflite").is_file()


def test_photos_of_another_dataset_are_refused(
    undisturbed: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = next(undisturbed[0].glob("artifacts/custom-cnn.grouped-*"))
    other = write_table(tmp_path / "other", photos=30)
    words = ["optimize", "int8", str(net), "--out", str(tmp_path / "o"), "--data", str(other)]
    assert main(words) == 1
    assert "these are not the photos that" in capsys.readouterr().err


def test_layers_are_timed_where_the_plan_asks(
    undisturbed: tuple[Path, str], plan: Path, tmp_path: Path
) -> None:
    asking = tmp_path / "small.toml"
    asking.write_text(plan.read_text() + "runtimes = ['litert']\nlayers = true\n")
    out = tmp_path / "run"
    shutil.copytree(undisturbed[0], out)
    finish(asking, out)
    timed = [record for record in records_of(out) if record["kind"] == "layer_times"]
    assert {record["variant"] for record in timed} == {
        "custom-cnn.float.tflite", "custom-cnn.int8.tflite"
    }  # fmt: skip
    assert not [record for record in records_of(out) if record["kind"] == "failure"]
    assert "0 steps done" in finish(asking, out)


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx"])
def test_truncated_model_is_refused(
    undisturbed: tuple[Path, str], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = next(undisturbed[0].glob(f"artifacts/*.int8.*/{name}")).parent
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    content = (cut / name).read_bytes()
    (cut / name).write_bytes(content[: len(content) // 2])
    assert main(["bench", str(cut), "--out", str(tmp_path / "records.jsonl")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("threadlite: ")
    assert f"{name} is damaged" in said
    assert not (tmp_path / "records.jsonl").exists()


def kill_at(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill the process and all its children after ``seconds``; false if it was done before."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def killed_and_restarted(plan: Path, out: Path, *, kills: int, longest: float) -> int:
    """Kill the run at random moments, then let it finish; return how often it was killed."""
    moments = random.Random(7)
    done = 0
    for _ in range(kills):
        done += kill_at(start(plan, out), moments.uniform(3.0, longest))
        finals = out.rglob("*.keras")
        assert all(path.parent.joinpath("manifest.json").exists() for path in finals
                   if not any(part.startswith(".partial") for part in path.parts))  # fmt: skip
    finish(plan, out)
    return done


def test_killed_run_ends_with_the_same_records(
    undisturbed: tuple[Path, str], plan: Path, tmp_path: Path
) -> None:
    assert killed_and_restarted(plan, tmp_path / "run", kills=3, longest=25.0) >= 1
    assert records_of(tmp_path / "run") == records_of(undisturbed[0])


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_demo_killed_ten_times_ends_with_the_same_records(tmp_path: Path) -> None:
    demo = REPOSITORY / "plans" / "demo.toml"
    begin = time.monotonic()
    finish(demo, tmp_path / "whole")
    longest = time.monotonic() - begin
    kills = killed_and_restarted(demo, tmp_path / "cut", kills=10, longest=longest / 4)
    assert kills == 10
    assert records_of(tmp_path / "cut") == records_of(tmp_path / "whole")
