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
from tests.bench.damage import truncated
from tests.tiny_models import LABELS, pictures, shared_variants
from threadlite import benching
from threadlite.benching import bench_artifacts
from threadlite.console import Display
from train.artifact import Artifact
from train.dataset import Dataset, Dirt, Photo


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


def bench(folders: list[Path], out: Path, *, layers: bool) -> list[Record]:
    arguments = Namespace(
        artifacts=folders, out=out, data=None, threads=1, rounds=1, layers=layers, no_f1=not layers
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


def test_layers_and_f1_can_be_left_out(
    variants: dict[str, Artifact],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benching, "reopen_dataset", lambda *_: dataset)
    folders = [variants["float.tflite"].folder]
    records = bench(folders, tmp_path / "records.jsonl", layers=False)
    assert not of_kind(records, LayerTimesRecord)
    assert not of_kind(records, CostRecord)
    assert not of_kind(records, AccuracyRecord)
    assert of_kind(records, LatencyRecord)
    assert "name its trained network too" in capsys.readouterr().err


def test_a_manifest_that_tells_nothing_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    found = benching.damaged(tmp_path, benching.ArtifactError(f"{tmp_path}/x: broken"), "e" * 16)
    assert (found.variant, found.stage, found.reason) == (tmp_path.name, "opening", "x: broken")
