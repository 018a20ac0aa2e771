"""``optimize auto``: what it tries is kept, cut off by its time it goes on, and it recommends."""

import itertools
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
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
from tests.train.small_network import build_small
from threadlite import auto
from threadlite.auto import optimize_automatically
from threadlite.auto_choice import Rung
from threadlite.auto_deadline import Deadline, OutOfTime
from threadlite.auto_students import student_config, student_rung, student_training
from threadlite.cli import main
from threadlite.console import Display
from threadlite.steps import Steps
from train.approaches import APPROACHES, Approach, Recipe
from train.artifact import Artifact, open_artifact
from train.dataset import SourceOptions
from train.errors import ConfigError, ConversionError
from train.networks import NETWORKS
from train.pixels import PixelContract
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


def small_student(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Let custom-cnn be the small network, trained in a moment; return settings of a student."""
    recipe = Recipe(image_size=32, epochs=1, batch_size=8, average_weights=0.5)
    row = Approach(network="custom-cnn", recipe=recipe, about="small")
    monkeypatch.setitem(NETWORKS, "custom-cnn", build_small)
    monkeypatch.setitem(APPROACHES, "custom-cnn", row)
    return ("distill.approach=custom-cnn", "distill.image_size=64", "distill.views=2")


def test_a_student_learns_from_the_parent_and_ladders_are_climbed_on_it(
    table: Path, net: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "auto"
    given = [*SETTINGS, *small_student(monkeypatch)]
    with Display() as display:
        lines = optimize_automatically(
            arguments(table, net, out, set=given), display, clock=ticking(0.0)
        )
    student = "distill (approach custom-cnn, image_size 64)"
    tried = [line[2:].split("  ")[-1] for line in lines if line[:3] in (" * ", "   ")]
    assert {label for label in tried if label.startswith("distill")} == {
        f"{student} + int8", f"{student} + shrink (maccs 0.6) + int8"
    }  # fmt: skip
    made = {path.name: path for path in (out / "artifacts").iterdir()}
    (shrunk,) = [
        path
        for name, path in made.items()
        if name.startswith("custom-cnn-student-64.shrunk") and ".int8." in name
    ]
    manifest = open_artifact(shrunk).manifest
    assert [step.technique for step in manifest.steps] == ["distill", "shrink", "int8"]
    teachers: Any = manifest.steps[0].config["teachers"]
    assert teachers == [f"{net.manifest.variant} {net.manifest.payload_sha256}"]
    assert (manifest.pixels.height, manifest.split.sha256) == (64, net.manifest.split.sha256)


@pytest.mark.parametrize(
    ("approach", "goal", "settings", "expected"),
    [
        ("custom-cnn", "latency", {}, ("custom-cnn", 128)),  # 300 / 2, whole places of 32
        ("custom-cnn", "size", {}, None),  # as large a file
        ("custom-cnn", "size", {"approach": "mobilenet-v2-half"}, ("mobilenet-v2-half", 300)),
        ("some-label", "latency", {}, None),  # what it was trained by is not known
        ("some-label", "latency", {"approach": "custom-cnn", "image_size": 96}, ("custom-cnn", 96)),
    ],
)
def test_a_student_serves_the_goal(
    approach: str, goal: Any, settings: dict[str, Any], expected: tuple[str, int] | None
) -> None:
    pixels = PixelContract(height=300, width=300)
    manifest: Any = SimpleNamespace(approach=approach, pixels=pixels)
    parent: Any = SimpleNamespace(manifest=manifest)
    rung = student_rung(parent, goal, settings)
    found = rung and (rung.settings["approach"], rung.settings["image_size"])
    assert found == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"approach": "mobilnet"}, "approach must be one of .*got 'mobilnet'"),
        ({"image_size": -1}, "image_size and epochs must be 0 or more, got -1 and 0"),
        ({"share": 2.0}, r"share must be in \(0, 1\]"),
        ({"heat": 1.0}, "distill has no setting 'heat'"),
    ],
)
def test_settings_of_a_student_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        student_config(settings)


def test_a_student_has_the_photos_and_the_split_of_its_teacher(table: Path, net: Artifact) -> None:
    options = SourceOptions(dropped_labels=(), empty_classes=True)
    config = student_config({"approach": "custom-cnn", "image_size": 96, "epochs": 3})
    training = student_training(net, config, open_dataset(str(table), options))
    assert training.name == "custom-cnn-student-96"
    assert (training.recipe.image_size, training.recipe.epochs) == (96, 3)
    assert training.split == net.split()
    assert training.dataset.labels == net.manifest.labels
    assert training.recipe.learning_rate == APPROACHES["custom-cnn"].recipe.learning_rate


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
