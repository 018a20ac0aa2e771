"""``threadlite crossval`` and a plan's cross-validations on a small table of shapes."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.record import CrossvalRecord, of_kind, read_records
from tests.threadlite.pictures import LABELS, write_table
from tests.train.small_network import build_small
from threadlite.cli import main
from threadlite.crossval import told
from threadlite.plan import read_plan
from threadlite.run import run_plan
from train.networks import NETWORKS
from train.progress import Silent

QUICK = ("--set", "image_size=32", "--set", "epochs=0", "--set", "head_first=true")
PHOTOS, SENDERS = 60, 10
PLAN = """
name = "folds"
title = "Folds"
folds = 2
[data]
source = "{source}"
[[approaches]]
name = "custom-cnn"
label = "small"
splits = []
crossval = ["grouped"]
recipe = {{image_size = 32, epochs = 0, head_first = true}}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "photos", photos=PHOTOS, senders=SENDERS)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "custom-cnn", build_small)


def run(table: Path, out: Path, *words: str) -> int:
    both = ("--data", str(table), "--out", str(out))
    return main(["crossval", "custom-cnn", *both, *QUICK, *words])


@pytest.fixture(scope="module")
def finished(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of both kinds, done."""
    out = tmp_path_factory.mktemp("crossval") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "custom-cnn", build_small)
        assert run(table, out, "--folds", "3", "--split", "both") == 0
    return out


def records_of(out: Path) -> Sequence[CrossvalRecord]:
    return of_kind(read_records(out / "records.jsonl")[0], CrossvalRecord)


def test_records_hold_every_photo(finished: Path) -> None:
    records = records_of(finished)
    assert [record.split_method for record in records] == ["stratified", "grouped"]
    for record in records:
        assert (record.approach, record.folds, record.labels) == ("custom-cnn", 3, LABELS)
        assert len(set(record.photo_ids)) == PHOTOS
        assert set(record.photo_folds) == {0, 1, 2}
        assert record.recipe["image_size"] == 32
        assert record.weights_source == "random"
        assert record.views == 1
        assert record.feature_seconds > 0
    grouped = records[1]
    fold_of_sender = set(zip(grouped.senders, grouped.photo_folds, strict=True))
    assert len(fold_of_sender) == SENDERS


def test_records_hold_no_path_of_this_machine(finished: Path, table: Path) -> None:
    text = (finished / "records.jsonl").read_text()
    assert str(table.parent) not in text
    assert str(Path.home()) not in text


def test_report_says_what_came_out(finished: Path) -> None:
    page = (finished / "report" / "report.md").read_text()
    assert "Cross-validation of custom-cnn" in page
    assert (finished / "report" / "report.html").stat().st_size > 5_000


def test_second_run_says_the_same_and_trains_nothing(
    finished: Path,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from train import crossval

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished fold is trained again")

    monkeypatch.setattr(crossval, "fit_network", never)
    before = records_of(finished)
    assert run(table, finished, "--folds", "3", "--split", "both") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [told(record) for record in before]
    assert said[0].startswith("custom-cnn, 3 stratified folds: weighted F1 0.")
    assert said[2:] == [
        f"records: {finished / 'records.jsonl'}",
        f"report:  {finished / 'report' / 'report.html'}",
    ]
    assert records_of(finished) == before


def test_too_many_folds_are_refused_before_anything_is_trained(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    # 12 folds suit 20 photos a class, and not 10 senders.
    assert run(table, out, "--folds", "12", "--split", "both") == 1
    assert "bring photos of more senders" in capsys.readouterr().err
    assert not (out / "folds").exists()


@pytest.mark.skipif(os.name == "nt", reason="two processes are not kept apart on Windows")
def test_folder_in_use_is_left_alone(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.storage import only_process

    out = tmp_path / "out"
    with only_process(out / ".lock", "busy"):
        assert run(table, out, "--folds", "2") == 1
    assert "another threadlite works here" in capsys.readouterr().err
    assert not (out / "records.jsonl").exists()


def test_work_is_done_while_the_folder_is_held(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threadlite import crossval
    from train.errors import ArtifactError, DataError
    from train.storage import only_process

    out = tmp_path / "out"

    def held(*_: object, **__: object) -> None:
        with pytest.raises(ArtifactError, match="busy"), only_process(out / ".lock", "busy"):
            pass
        raise DataError("held")

    monkeypatch.setattr(crossval, "cross_validate", held)
    assert run(table, out, "--folds", "2") == 1


def test_plan_cross_validates_and_trains_nothing_besides(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "folds.toml"
    path.write_text(PLAN.format(source=table))
    out = tmp_path / "run"
    outcome = run_plan(read_plan(path), out, progress=Silent(), command="threadlite run")
    (record,) = records_of(out)
    assert (record.approach, record.network) == ("small", "custom-cnn")
    assert (record.folds, record.split_method) == (2, "grouped")
    assert not outcome.failures
    assert not (out / "artifacts").exists()
    assert outcome.report.is_file()
    again = run_plan(read_plan(path), out, progress=Silent(), command="threadlite run")
    assert again.tally.made == []


def test_second_method_keeps_the_first(table: Path, tmp_path: Path) -> None:
    for method in ("grouped", "stratified", "grouped"):
        assert run(table, tmp_path / "out", "--folds", "2", "--split", method) == 0
    methods = [record.split_method for record in records_of(tmp_path / "out")]
    assert sorted(methods) == ["grouped", "stratified"]


def test_approach_whose_weights_cannot_serve_is_recorded_and_the_run_goes_on(
    table: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "other.npz", **{"elsewhere/kernel": np.zeros(3)})
    broken = PLAN[PLAN.index("[[approaches]]") :].replace(
        'label = "small"', f'label = "broken"\nweights = "{tmp_path / "other.npz"}"'
    )
    path = tmp_path / "plan.toml"
    path.write_text((PLAN + broken).format(source=table))
    outcome = run_plan(read_plan(path), tmp_path / "out", progress=Silent(), command="threadlite")
    (failure,) = outcome.failures
    assert (failure.variant, failure.stage) == ("broken", "WeightsError")
    assert str(tmp_path) not in failure.reason
    assert [record.approach for record in records_of(tmp_path / "out")] == ["small"]
