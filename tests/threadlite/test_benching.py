"""``threadlite bench --layers`` on whole and damaged variants; the photos are drawn for it."""

import random
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
from PIL import Image

from bench.record import (
    AccuracyRecord,
    CostRecord,
    FailureRecord,
    LatencyRecord,
    LayerTimesRecord,
    PeakRecord,
    Record,
    of_kind,
    read_records,
)
from tests.bench.conftest import write_fake
from tests.bench.damage import flipped, truncated
from tests.tiny_models import LABELS, pictures, shared_variants
from threadlite import benching
from threadlite.benching import bench_artifacts
from threadlite.console import Display
from train.artifact import Artifact, open_artifact
from train.dataset import Dataset, Dirt, Photo
from train.refit import unseen_or_train

KEPT = Path(__file__).parents[2] / "models/efficientnet-lite0"


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    photos = []
    for name, pixels in zip(("t", "v", "v0"), pictures(3), strict=True):  # v0 is a fake's
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        photos.append(
            Photo(
                photo_id=name, path=path, label=LABELS[0], sender=name, sha256=name.ljust(64, "0")
            )
        )
    return Dataset(
        name="blotches", photos=tuple(photos), labels=LABELS, fingerprint="0" * 64, dirt=Dirt()
    )


def bench(
    folders: list[Path], out: Path, *, layers: bool, threads: int = 1, sweep: bool = False
) -> list[Record]:
    arguments = Namespace(
        **{"artifacts": folders, "out": out, "data": None, "rounds": 1},
        **{"threads": threads, "sweep": sweep, "layers": layers, "no_f1": not layers},
    )
    with Display() as display:
        count = bench_artifacts(arguments, display)
    records, warnings = read_records(out)
    assert len(records) == count and not warnings
    return records


def test_layers_of_all_variants_and_a_failure_for_each_damaged_one(
    variants: dict[str, Artifact],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benching, "reopen_dataset", lambda *_: dataset)
    whole = [variants[name] for name in ("float.tflite", "int8.tflite", "int8.onnx")]
    order, content = random.Random(0), variants["int8.tflite"].payload.read_bytes()
    cut = tmp_path / "cut"  # its manifest names another file
    shutil.copytree(variants["int8.onnx"].folder, cut)
    (cut / "model.onnx").write_bytes(truncated((cut / "model.onnx").read_bytes(), order))
    sealed = write_fake(tmp_path / "sealed", "sealed.int8.tflite", truncated(content, order))
    folders = [cut, variants["float.keras"].folder, sealed.folder, *(one.folder for one in whole)]
    records = bench(folders, tmp_path / "records.jsonl", layers=True)

    failures = [(one.variant, one.stage) for one in of_kind(records, FailureRecord)]
    assert failures == [("tiny.int8.onnx", "opening"), ("sealed.int8.tflite", "latency")]
    assert all(str(tmp_path) not in one.reason for one in of_kind(records, FailureRecord))
    said = capsys.readouterr().err
    assert "is damaged: sha256 is" in said and "sealed.int8.tflite: latency failed" in said
    names = [one.manifest.variant for one in whole]
    for kind in (LatencyRecord, CostRecord, LayerTimesRecord):
        assert [one.variant for one in of_kind(records, kind)] == names, kind
    assert len(of_kind(records, AccuracyRecord)) == 2 * len(whole)
    assert len(of_kind(records, PeakRecord)) == 3
    timed = of_kind(records, LayerTimesRecord)
    assert {one.counted_from for one in timed} == {"keras"}
    # The .onnx has no float variant beside it: one is exported from the network.
    assert [bool(one.float_sha256) for one in timed] == [False, True, True]
    assert timed[1].float_sha256 == whole[0].manifest.payload_sha256


def test_the_ready_made_model_damaged_anywhere_is_a_record_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = open_artifact(KEPT)
    path = tmp_path / "photo.png"
    Image.fromarray(pictures(1)[0]).save(path)
    photo = Photo(
        photo_id=unseen_or_train(kept.split())[0],
        **{"path": path, "label": kept.manifest.labels[0], "sender": "s", "sha256": "0" * 64},
    )
    dataset = Dataset(
        **{"name": "clothing", "photos": (photo,), "labels": kept.manifest.labels},
        **{"fingerprint": kept.manifest.dataset.fingerprint, "dirt": Dirt()},
    )
    monkeypatch.setattr(benching, "reopen_dataset", lambda *_: dataset)
    order, content = random.Random(0), kept.payload.read_bytes()
    folders = []
    for number, change in enumerate([truncated] * 50 + [flipped] * 10):
        folder = tmp_path / f"broken{number}"
        shutil.copytree(KEPT, folder)
        (folder / kept.payload.name).write_bytes(change(content, order))
        folders.append(folder)
    records = bench([*folders, KEPT], tmp_path / "records.jsonl", layers=False)
    failures = of_kind(records, FailureRecord)
    assert [one.stage for one in failures] == ["opening"] * 60
    assert all("is damaged: sha256 is" in one.reason for one in failures)
    (timed,) = of_kind(records, LatencyRecord)  # the whole one
    assert timed.variant == kept.manifest.variant


def test_layers_and_f1_can_be_left_out(
    variants: dict[str, Artifact],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benching, "reopen_dataset", lambda *_: dataset)
    folders = [variants["float.tflite"].folder]
    records = bench(folders, tmp_path / "records.jsonl", layers=False, threads=2)
    assert [one.threads for one in of_kind(records, LatencyRecord)] == [2]
    assert not of_kind(records, LayerTimesRecord)
    assert not of_kind(records, CostRecord)
    assert not of_kind(records, AccuracyRecord)
    assert of_kind(records, LatencyRecord)
    assert "name its trained network too" in capsys.readouterr().err


def test_a_sweep_times_every_number_of_threads(
    variants: dict[str, Artifact],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benching, "reopen_dataset", lambda *_: dataset)
    content = truncated(variants["int8.tflite"].payload.read_bytes(), random.Random(0))
    broken = write_fake(tmp_path / "broken", "broken.int8.tflite", content)
    folders = [broken.folder, *(variants[name].folder for name in ("float.tflite", "int8.onnx"))]
    out = tmp_path / "records.jsonl"
    records = bench(folders, out, layers=False, threads=2, sweep=True)
    timed = [(one.variant, one.threads) for one in of_kind(records, LatencyRecord)]
    assert timed == [
        *(("tiny.float.tflite", 1), ("tiny.int8.onnx", 1)),
        *(("tiny.float.tflite", 2), ("tiny.int8.onnx", 2)),
    ]
    assert len(of_kind(records, FailureRecord)) == 1  # what cannot be run is tried once
    assert "tiny.int8.onnx, threads 2: median" in capsys.readouterr().err


def test_the_times_of_a_variant_in_words() -> None:
    # Turns of 2: medians 2, 4, 6, 8, 10 and 12, of which six no rank can be left out.
    record = LatencyRecord(
        variant="net.int8.tflite",
        split_method="grouped",
        environment="e" * 16,
        runtime="litert 2.3.0",
        threads=2,
        warmup_runs=20,
        calls_per_turn=2,
        load_ms=3.4,
        cold_start_ms=56.7,
        base_rss_bytes=40_000_000,
        peak_rss_bytes=52_000_000,
        latencies_ms=(1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13),
        warnings=("noisy",),
    )
    # Of 12 calls p90 lies at 0.9 x 11 = 9.9, between the 10th, 11, and the 11th, 11; p99 at 10.89.
    assert benching.timing_lines(record) == [
        "net.int8.tflite, threads 2: median 7.00 ms [2.00, 12.00]; p90 11.00, p99 12.78; load 3 ms;"
        " cold start 57 ms; at most 12 MB for runtime and model",
        "  doubtful: noisy",
    ]


def test_a_manifest_that_tells_nothing_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    found = benching.damaged(tmp_path, benching.ArtifactError(f"{tmp_path}/x: broken"), "e" * 16)
    assert (found.variant, found.stage, found.reason) == (tmp_path.name, "opening", "x: broken")
