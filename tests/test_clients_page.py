"""Bundles on every client: measured for real, and the page says what the records say."""

import contextlib
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from deploy.bundle import Bundle, write_bundle
from tests.bench.gate_records import machine
from tests.foreign import chromium, mediapipe_at_hand, page_runtimes
from tests.tiny_models import LABELS, pictures, shared_variants
from train.artifact import Artifact
from train.dataset import Dataset, Dirt, Photo
from train.errors import RuntimeFailure
from train.storage import digest_of_file

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results"
MACHINE = machine("0" * 16, cpu="Old Chip", cpu_features=("avx",), system="Linux 6")
BASE = {"network_sha256": "0" * 64, "split_method": "grouped", "environment": "0" * 16}
SAID = (
    "As it must be: same top class on 15 of 16 pictures under LiteRT.js, 2 threads,"
    " largest difference 1.2e-7 (at most 0.16)."
)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RESULTS))
    return importlib.import_module("publish_clients")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "tiny-variants"


@pytest.fixture(scope="module")
def variants(folder: Path) -> dict[str, Artifact]:
    return shared_variants(folder)


@pytest.fixture
def bundle(variants: dict[str, Artifact], tmp_path: Path) -> Bundle:
    return write_bundle([variants["int8.tflite"], variants["int8.onnx"]], tmp_path / "bundle")


def record(publish: ModuleType, **changes: Any) -> Any:
    fields = {**BASE, "variant": "tiny.int8.tflite", "client": "LiteRT", "version": "litert 2"}
    told = {"pictures": 16, "same_top": 16, "max_difference": 0.00312, "tolerance": 0.16}
    return publish.ClientRecord(**{**fields, **told, **changes})


def test_the_table_tells_answers_gaps_and_failures(publish: ModuleType) -> None:
    records = [
        record(publish),
        record(publish, client="MediaPipe", version="", failure="it is\nTuesday"),
        record(publish, variant="tiny.float.onnx", client="ONNX Runtime", tolerance=0.001),
    ]
    lines = publish.block([MACHINE], records).splitlines()
    assert lines[0].startswith("| bundle | split | precision | LiteRT | TensorFlow | MediaPipe |")
    assert lines[2].startswith("| tiny | grouped | int8 | 16 of 16, 0.003 | not run | failed [1] |")
    assert lines[3].startswith("| tiny | grouped | float | not run |")
    assert "[1] it is Tuesday" in lines
    assert any("(at most 0.001 in float, 0.16 in int8)" in line for line in lines)
    assert "Run on Old Chip with avx (Linux 6)." in lines


def test_where_no_client_answered_no_bound_is_told(publish: ModuleType) -> None:
    told = publish.block([MACHINE], [record(publish, version="", failure="no bundle")])
    assert "that made the bundle.\n" in told and "at most" not in told


def test_bundles_that_landed_before_keep_their_rows(
    publish: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{publish.BEGIN}\n{publish.END}\n")
    for name, value in (("REPOSITORY", tmp_path), ("TARGET", tmp_path / "out"), ("PAGE", page)):
        monkeypatch.setattr(publish, name, value)
    other = record(publish, variant="other.int8.tflite")
    publish.land([MACHINE], [record(publish, failure="it was ill"), other])
    new = MACHINE.model_copy(update={"environment": "1" * 16, "cpu": "New Chip"})
    again = record(publish, environment="1" * 16, variant="tiny.int8.tflite")
    publish.land([new], [again])
    machines, records = publish.read_lines(tmp_path / "out" / publish.RECORDS)
    assert records == [other, again] and machines == [MACHINE, new]
    assert "Run on Old Chip with avx (Linux 6), and on New Chip with avx" in page.read_text()
    publish.land([new], [record(publish, environment="1" * 16, variant="other.int8.tflite")])
    assert publish.read_lines(tmp_path / "out" / publish.RECORDS)[0] == [new]


def test_the_page_is_written_anew_between_its_marks(publish: ModuleType) -> None:
    text = publish.PAGE.read_text(encoding="utf-8")
    records = [record(publish)]
    once = publish.with_results(text, [MACHINE], records)
    assert (
        publish.block([MACHINE], records) in once
        and publish.with_results(once, [MACHINE], records) == once
    )
    with pytest.raises(SystemExit, match="has no block"):
        publish.with_results("# nothing here\n", [MACHINE], records)
    kept = publish.TARGET / publish.RECORDS
    if kept.exists():
        assert publish.with_results(text, *publish.read_lines(kept)) == text


def test_the_pages_sentence_is_read_and_a_difference_is_none(publish: ModuleType) -> None:
    measure = importlib.import_module("measure_clients")
    found = measure.fields_of(SAID, "LiteRT.js", "Chromium 150")
    assert (found["same_top"], found["pictures"], found["max_difference"]) == (15, 16, 1.2e-7)
    assert found["version"].startswith("LiteRT.js 2.") and found["version"].endswith("2 threads")
    for said in (SAID.replace("As it must be", "Not as it must be: 01.png"), ""):
        with pytest.raises(RuntimeFailure):
            measure.fields_of(said, "LiteRT.js", "Chromium 150")
    with pytest.raises(RuntimeFailure):  # the page went on with another engine
        measure.fields_of(SAID, "ONNX Runtime Web", "Chromium 150")


def test_a_client_that_differs_is_a_record_with_its_reason(
    publish: ModuleType, bundle: Bundle
) -> None:
    base = {**BASE, "variant": "tiny.int8.tflite"}
    clients = ["LiteRT", "ONNX Runtime"]
    sound = publish.verified(bundle, base, clients)
    assert [one.failure for one in sound] == ["", ""]
    assert [one.variant for one in sound] == ["tiny.int8.tflite", "tiny.int8.onnx"]
    assert all(one.same_top == one.pictures == 16 for one in sound)
    path = bundle.folder / "labels.txt"
    path.write_text("Hat\nShoes\nShirt\n")
    for one in publish.verified(bundle, base, clients):
        assert "labels.txt is damaged" in one.failure and str(bundle.folder) not in one.failure


def photo_of(folder: Path) -> Photo:
    path = folder / "v.png"
    Image.fromarray(pictures(1)[0]).save(path)
    return Photo(photo_id="v", path=path, label=LABELS[0], sender="v", sha256=digest_of_file(path))


def test_every_client_is_asked_and_what_is_done_is_not_done_again(
    publish: ModuleType,
    variants: dict[str, Artifact],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtimes = page_runtimes()
    dataset = Dataset(
        name="blotches",
        photos=(photo_of(tmp_path),),
        labels=LABELS,
        fingerprint="0" * 64,
        dirt=Dirt(),
    )
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{publish.BEGIN}\nold\n{publish.END}\n")
    for name, value in (("REPOSITORY", tmp_path), ("TARGET", tmp_path / "out"), ("PAGE", page)):
        monkeypatch.setattr(publish, name, value)
    monkeypatch.setattr(publish, "reopen_dataset", lambda network, words, display: dataset)
    monkeypatch.setattr(publish, "web_runtimes", lambda say: runtimes)
    words = [str(folder), "--data", "blotches", "--work", str(tmp_path / "work")]
    with mediapipe_at_hand(), chromium() as program:
        monkeypatch.setattr(publish, "chromium", lambda: contextlib.nullcontext(program))
        publish.main(words)
        lines = (tmp_path / "out" / publish.RECORDS).read_text().splitlines()
        assert [json.loads(line)["kind"] for line in lines] == ["environment"] + ["client"] * 12
        machines, records = publish.read_lines(tmp_path / "out" / publish.RECORDS)
        assert [one.failure for one in records] == [""] * 12
        assert {one.client for one in records} == set(publish.CLIENTS)
        assert all(one.same_top == one.pictures == 16 for one in records)
        assert publish.block(machines, records) in page.read_text()
        monkeypatch.setattr(publish, "measured", None)  # which would fail if it were called
        publish.main(words)
    assert (tmp_path / "out" / publish.RECORDS).read_text().splitlines() == lines
