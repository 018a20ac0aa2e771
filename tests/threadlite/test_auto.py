"""``optimize auto``: what it tries is kept, cut off by its time it goes on, and it recommends."""

import itertools
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.record import (
    AccuracyRecord,
    FailureRecord,
    LatencyRecord,
    Record,
    of_kind,
    read_records,
)
from bench.subject import subject_of
from optimize import techniques
from tests.optimize.colours import write_small
from tests.threadlite.pictures import write_table
from threadlite import auto
from threadlite.auto import Deadline, OutOfTime, optimize_automatically
from threadlite.auto_choice import Rung
from threadlite.cli import main
from threadlite.console import Display
from threadlite.steps import Steps
from train.artifact import Artifact, open_artifact
from train.dataset import SourceOptions
from train.errors import ConversionError
from train.progress import Silent
from train.refit import with_validation_trained
from train.sources import open_dataset

LADDERS = ((Rung(name="shrink", settings={"maccs": 0.6}),),)
SETTINGS = ("int8.photos=8", "shrink.epochs=1", "shrink.multiple=2")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "photos", photos=45)


@pytest.fixture(scope="module")
def net(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    options = SourceOptions(dropped_labels=(), empty_classes=True)
    return write_small(tmp_path_factory.mktemp("net") / "net", open_dataset(str(table), options))


@pytest.fixture(autouse=True)
def times_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every variant take a millisecond a thousand bytes: no clock of a busy machine."""

    def time_variants(steps: Steps, variants: Sequence[Artifact]) -> list[Record]:
        return [
            LatencyRecord(
                **subject_of(one.manifest, steps.environment.environment),
                runtime="litert 0",
                threads=2,
                warmup_runs=0,
                load_ms=0.0,
                latencies_ms=(one.payload.stat().st_size / 1e3,),
                warnings=("other work ran",),
            )
            for one in variants
        ]

    monkeypatch.setattr(auto, "time_variants", time_variants)
    monkeypatch.setattr(auto, "ladders", lambda goal, size: LADDERS)


def words(table: Path, net: Artifact, out: Path, *more: str) -> list[str]:
    pairs = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["optimize", "auto", str(net.folder), "--data", str(table), "--out", str(out)]
    return [*command, *pairs, "--max-f1-drop", "0.9", *more]


def arguments(table: Path, net: Artifact, out: Path, **more: Any) -> Namespace:
    columns = {"image_column": "image", "label_column": "label", "sender_column": "sender_id"}
    return Namespace(
        **{
            "artifact": net.folder, "format": "tflite", "goal": None, "max_f1_drop": 0.9,
            "minutes": 1.0, "set": list(SETTINGS), "out": out, "data": str(table),
            **columns, **more,
        }
    )  # fmt: skip


def ticking(step: float) -> Callable[[], float]:
    """Return a clock that goes on by ``step`` seconds whenever it is read."""
    return itertools.count(0.0, step).__next__  # type: ignore[return-value]


def test_what_its_time_cuts_off_goes_on_and_ends_with_a_recommendation(
    table: Path, net: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "auto"
    with Display() as display:  # twenty ticks, each a photo decoded: it is in the fine-tuning
        cut = optimize_automatically(arguments(table, net, out), display, clock=ticking(3.0))
    assert cut[-1].startswith("not all was tried in the time; the same command goes on")
    assert [line.split()[-1] for line in cut[1:3]] == ["int8", "float"]
    assert cut[3].startswith("recommended: int8, the fastest of all that lose at most 0.9 of F1:")
    assert "  doubtful times: other work ran" in cut
    monkeypatch.setitem(
        techniques.TECHNIQUES,
        "int8",
        techniques.TECHNIQUES["int8"]._replace(apply=refusing_again()),
    )
    with Display() as display:
        lines = optimize_automatically(arguments(table, net, out), display, clock=ticking(0.0))
    labels = {line[2:].split("  ")[-1] for line in lines[1:4]}
    assert labels == {"float", "int8", "shrink (maccs 0.6) + int8"}
    (place,) = (Path(line.partition(" in ")[2]) for line in lines if line[:8] == "  it is ")
    assert open_artifact(place).manifest.name.precision == "int8"
    assert (out / "summary.txt").read_text().splitlines() == lines
    records, _ = read_records(out / "records.jsonl")
    judged = of_kind(records, AccuracyRecord)
    assert [record.side for record in judged] == ["validation"] * 3
    assert len(of_kind(records, LatencyRecord)) == 3
    assert not (out / "checkpoints").exists()


def refusing_again() -> Any:
    """Return int8 that refuses the network itself, which is quantized already."""
    real = techniques.TECHNIQUES["int8"].apply

    def apply(parent: Artifact, *rest: Any) -> Artifact:
        assert parent.manifest.name.techniques == ("shrunk",), "int8 is done already"
        made: Artifact = real(parent, *rest)
        return made

    apply.__module__ = real.__module__
    return apply


def test_a_technique_that_fails_is_a_record_and_the_search_goes_on(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*rest: object, **more: object) -> Artifact:
        raise ConversionError("no")

    for name in ("int8", "selective", "shrink"):
        broken = techniques.TECHNIQUES[name]._replace(apply=fail)
        monkeypatch.setitem(techniques.TECHNIQUES, name, broken)
    out = tmp_path / "auto"
    assert main(words(table, net, out, "--goal", "size", "--minutes", "5")) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("nothing better was found: no variant loses at most 0.9 of")
    failures = of_kind(read_records(out / "records.jsonl")[0], FailureRecord)
    assert [failure.variant for failure in failures] == [
        "small: int8",
        "small: selective (max_f1_drop 0.9)",
        "small: shrink (maccs 0.6) + int8",
    ]


def test_words_that_cannot_be_are_refused_before_any_work(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*command: str) -> str:
        assert main(list(command)) in (1, 2)
        return capsys.readouterr().err

    out = tmp_path / "auto"
    assert "--minutes above 0, got" in said(*words(table, net, out, "--minutes", "0"))
    assert "is an artifact; name a folder" in said(*words(table, net, net.folder))
    assert "must read TECHNIQUE.KEY=VALUE" in said(*words(table, net, out, "--set", "shrink=3"))
    assert "has no setting 'mac'" in said(*words(table, net, out, "--set", "shrink.mac=0.5"))
    plain = ["optimize", "int8", str(net.folder), "--out", str(out)]
    assert "--goal and --minutes are words of optimize auto" in said(*plain, "--goal", "size")
    refit = with_validation_trained(net.split())
    monkeypatch.setattr(Artifact, "split", lambda self: refit)
    assert "nothing else may choose" in said(*words(table, net, out))
    assert not out.exists()


def test_a_deadline_ends_the_work_at_the_next_tick() -> None:
    deadline = Deadline(Silent(), until=10.0, clock=iter([9.0, 9.9, 10.0]).__next__)
    deadline.begin("epoch", 3)
    deadline.advance()
    with pytest.raises(OutOfTime):
        deadline.say("epoch done")
