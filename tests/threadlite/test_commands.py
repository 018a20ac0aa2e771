"""What the door answers to bad input: one clear message, the right exit code, nothing left."""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.threadlite.pictures import write_table
from threadlite.cli import EPILOG, build_parser, main
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from train.approaches import APPROACHES, Approach, Recipe
from train.artifact import Artifact, DatasetReference, Step, WeightsOrigin, write_artifact
from train.dataset import Dataset, SourceOptions, restrict
from train.errors import ConfigError
from train.pixels import PixelContract
from train.sources import open_dataset
from train.splits import Split, split_photos
from train.variant import Variant


def run(*words: str) -> int:
    return main(list(words))


def message(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    lines = [line for line in said.err.splitlines() if line.startswith("threadlite: ")]
    assert len(lines) == 1, said.err
    return lines[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table"), photos=60)


def train_words(data: Path, out: Path, *more: str) -> tuple[str, ...]:
    return ("train", "custom-cnn", "--data", str(data), "--out", str(out), *more)


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", str(tmp_path / "ghost")) == 1
    assert "ghost" in message(capsys)


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", str(tmp_path)) == 1
    assert str(tmp_path) in message(capsys)


def test_one_class_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Hat").mkdir()
    for number in range(5):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / "Hat" / f"{number}.png")
    assert run("data", str(tmp_path)) == 1
    assert "Hat" in message(capsys)


def test_table_without_the_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images.csv").write_text("file,class\na,b\n")
    (tmp_path / "images").mkdir()
    assert run("data", str(tmp_path)) == 1
    said = message(capsys)
    assert "image" in said
    assert "--image-column" in said


def test_label_with_no_images(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", str(table), "--classes", "disc,Sock") == 1
    assert "Sock" in message(capsys)


def test_image_bomb_is_reported_and_not_opened(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bombed"
    shutil.copytree(table, folder)
    victim = next((folder / "images").iterdir())
    Image.new("1", (12_000, 12_000)).save(victim, "PNG")
    assert run("data", str(folder)) == 0
    assert victim.stem in capsys.readouterr().out


def test_path_that_leaves_the_folder(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "evil"
    shutil.copytree(table, folder)
    with (folder / "images.csv").open("a") as stream:
        stream.write("../../etc/passwd,s1,disc,False\n")
    assert run("data", str(folder)) == 1
    assert "../../etc/passwd" in message(capsys)


def test_unknown_approach(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "resnet5000", "--data", str(table), "--out", str(tmp_path / "net"))
    assert run(*words) == 2
    assert "'resnet5000' is not known; choose from custom-cnn" in message(capsys)


def test_unknown_technique(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("optimize", "int3", str(tmp_path), "--out", str(tmp_path / "o")) == 2
    assert "technique 'int3' is not one of cluster, " in message(capsys)


def test_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("trian")
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_plan_with_a_misspelt_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('name = "a"\ntitle = "A"\nsede = 1\n[data]\nsource = "garments"\n')
    assert run("run", str(plan), "--out", str(tmp_path / "run")) == 1
    assert "sede: no such key" in message(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [("--set", "epochs"), ("--set", "=3"), ("--set", "epoch=3")])
def test_settings_that_cannot_be(
    words: tuple[str, ...], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*train_words(table, tmp_path / "net", *words)) == 2
    assert "--set" in message(capsys)


def test_output_in_the_way(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net").mkdir()
    assert run(*train_words(table, tmp_path / "net")) == 2
    assert "exists already" in message(capsys)


def artifact_folder(folder: Path, **changes: object) -> Path:
    """A folder that looks like an artifact, with some fields of its manifest changed."""
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"TFL3")
    manifest = {"schema_version": 1, "variant": "custom-cnn.int8.tflite", **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_manifest_of_another_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = artifact_folder(tmp_path / "old", schema_version=7)
    assert run("bench", str(folder), "--out", str(tmp_path / "r.jsonl")) == 1
    assert "schema version 7 is not 1" in message(capsys)


def test_folder_that_is_no_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", str(tmp_path), "--out", str(tmp_path / "r.jsonl")) == 1
    assert "is not an artifact" in message(capsys)


def test_report_of_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", str(tmp_path / "ghost.jsonl"), "--out", str(tmp_path / "r")) == 1
    assert "ghost.jsonl" in message(capsys)


def in_a_process(*words: str, limit_bytes: int | None = None, **extra: str) -> tuple[int, str]:
    """Run the command as a user would; a limit on the size of files stands for a full disk."""

    def limit() -> None:
        if limit_bytes is not None:
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(
        [sys.executable, "-m", "threadlite", *words],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, **extra},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_disk_that_is_full(table: Path, tmp_path: Path) -> None:
    """Files may grow to 64 KiB: too small for the decoded photos and for the network."""
    code, said = in_a_process(
        *train_words(table, tmp_path / "net", "--set", "image_size=32", "--set", "epochs=1"),
        limit_bytes=65_536,
        THREADLITE_CACHE=str(tmp_path / "cache"),
    )
    assert code == 1
    assert "cannot be written: File too large" in said
    assert not (tmp_path / "net").exists()
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_output_folder_that_cannot_be_written(table: Path) -> None:
    """``/proc`` takes no new folders, not even from root."""
    code, said = in_a_process(*train_words(table, Path("/proc/net-of-mine"), "--set", "epochs=1",
                                           "--set", "image_size=32"))  # fmt: skip
    assert code == 1
    assert "/proc/net-of-mine" in said
    assert "cannot be written" in said


def test_run_into_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    plan = Path(__file__).resolve().parents[2] / "plans" / "demo.toml"
    code, said = in_a_process("run", str(plan), "--out", "/proc/run-of-mine")
    assert code == 1
    assert "/proc/run-of-mine" in said
    assert "cannot be written" in said


def test_run_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("kept")
    plan = Path(__file__).resolve().parents[2] / "plans" / "demo.toml"
    assert run("run", str(plan), "--out", str(tmp_path / "file")) == 1
    assert "cannot be written" in message(capsys)
    assert (tmp_path / "file").read_text() == "kept"


def test_examples_of_the_help_are_commands() -> None:
    examples = [line.split("  ")[1] for line in EPILOG.splitlines() if line.startswith("  ")]
    assert len(examples) >= 7
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "threadlite"
        assert build_parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("seed", ["-1", "16384", "x"])
def test_seed_out_of_range_is_wrong_usage(
    seed: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("data", str(table), f"--seed={seed}")
    assert caught.value.code == 2
    assert "from 0 to 16383" in capsys.readouterr().err


def test_dropped_labels_may_have_spaces_around_them(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", str(table), "--drop", "Skip , disc ") == 0
    said = capsys.readouterr().out
    assert "disc (20)" in said


def test_help_shows_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--help")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for command in ("data", "train", "optimize", "deploy", "bench", "report", "run", "doctor"):
        assert f"\n    {command} " in said or f"threadlite {command}" in said


def test_data_prints_classes_and_dirt(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", str(table)) == 0
    said = capsys.readouterr().out
    for label in ("disc", "frame", "stripe"):
        assert label in said


@pytest.fixture
def two_shapes(monkeypatch: pytest.MonkeyPatch) -> Approach:
    """An approach, ``two-shapes``, that knows the two most frequent classes alone."""
    approach = Approach(
        network="custom-cnn", recipe=Recipe(image_size=32), about="two shapes", classes="top2"
    )
    monkeypatch.setitem(APPROACHES, "two-shapes", approach)
    return approach


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take the place of training; hold what would have been trained."""
    taken: list[Any] = []

    def take(training: Any, folder: Path, **rest: object) -> SimpleNamespace:
        taken.append(training)
        return SimpleNamespace(manifest=SimpleNamespace(variant="taken"))

    monkeypatch.setattr("threadlite.training.train_approach", take)
    return taken


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ((), ("disc", "frame")),  # 20 photos of each shape: the first two names
        (("--classes", "all"), ("disc", "frame", "stripe")),
        (("--classes", "stripe,disc"), ("disc", "stripe")),
    ],
)
def test_an_approach_of_some_classes_trains_on_their_side_of_the_split(
    words: tuple[str, ...],
    labels: tuple[str, ...],
    table: Path,
    tmp_path: Path,
    two_shapes: Approach,
    trained: list[Any],
) -> None:
    out = tmp_path / "net"
    assert run("train", "two-shapes", "--data", str(table), "--out", str(out), *words) == 0
    dataset, split = trained[0].dataset, trained[0].split
    assert dataset.labels == labels
    ids = [*split.train, *split.validation, *split.test]
    assert sorted(ids) == [photo.photo_id for photo in dataset.photos]
    if not words:  # every photo is where a training on all classes has it
        whole = split_photos(open_dataset(str(table)).photos, method="grouped", seed=0)
        assert set(split.test) <= set(whole.test) and set(split.train) <= set(whole.train)


def test_settings_of_distillation_need_a_teacher(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(table, tmp_path / "net", "--distill", "share=0.5")
    assert run(*words) == 2
    assert "name one with --teacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [("share=2.0", "share must be in (0, 1], got 2.0"), ("heat=2.0", "no setting 'heat'")],
)
def test_teachers_and_how_to_learn_from_them_reach_the_training(
    setting: str,
    message: str,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken: list[Any] = []

    def take(training: Any, teachers: Any, config: Any, folder: Path, **rest: Any) -> Any:
        taken.append((teachers[0].manifest.variant, config.share, rest["refit"]))
        return SimpleNamespace(manifest=SimpleNamespace(variant="taken"))

    monkeypatch.setattr("threadlite.training.distill", take)
    teacher = write_trained(tmp_path / "teacher", open_dataset(str(table)))
    words = train_words(table, tmp_path / "net", "--teacher", str(teacher.folder))
    assert run(*words, "--distill", "share=0.5", "--refit") == 0
    assert taken == [("two-shapes.float.keras", 0.5, True)]
    assert run(*words, "--distill", setting) != 0
    assert message in capsys.readouterr().err


def write_trained(folder: Path, dataset: Dataset) -> Artifact:
    """Write an artifact that says it was trained on ``dataset``."""
    ids = [photo.photo_id for photo in dataset.photos]
    split = Split(method="grouped", seed=0, train=ids[:8], validation=ids[8:9], test=ids[9:])
    return write_artifact(
        folder,
        fill=lambda path: path.write_bytes(b"x") and None,
        split=split,
        variant=Variant(network="two-shapes"),
        details={
            "approach": "two-shapes",
            "steps": (Step(technique="train", config={}),),
            "labels": dataset.labels,
            "pixels": PixelContract(height=32, width=32),
            "dataset": DatasetReference(
                name=dataset.name, fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": 0,
            "weights": WeightsOrigin(source="random", loaded_parameters=0, total_parameters=1),
        },
    )


def reopen(artifact: Artifact, source: Path) -> Dataset:
    columns = SourceOptions()
    words = Namespace(
        data=str(source),
        image_column=columns.image_column,
        label_column=columns.label_column,
        sender_column=columns.sender_column,
    )
    with Display() as display:
        return reopen_dataset(artifact, words, display)


def test_the_photos_of_some_classes_are_found_again(table: Path, tmp_path: Path) -> None:
    dataset = restrict(open_dataset(str(table)), "top2")
    found = reopen(write_trained(tmp_path / "net", dataset), table)
    assert (found.photos, found.labels) == (dataset.photos, ("disc", "frame"))
    assert found.fingerprint == dataset.fingerprint


def test_a_class_that_has_lost_its_photos_is_in_nobodys_way(table: Path, tmp_path: Path) -> None:
    home = tmp_path / "shapes"
    shutil.copytree(table, home)
    dataset = restrict(open_dataset(str(home)), "disc,frame")
    artifact = write_trained(tmp_path / "net", dataset)
    for photo in open_dataset(str(home)).photos:
        if photo.label == "stripe":
            photo.path.unlink()
    assert reopen(artifact, home).fingerprint == dataset.fingerprint
    dataset.photos[0].path.unlink()
    with pytest.raises(ConfigError, match="these are not the photos that"):
        reopen(artifact, home)


@pytest.mark.parametrize(
    ("split", "methods"),
    [("both", ("stratified", "grouped")), ("grouped", ("grouped",))],
)
def test_crossval_hands_over_its_words(
    split: str,
    methods: tuple[str, ...],
    table: Path,
    tmp_path: Path,
    two_shapes: Approach,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: dict[str, Any] = {}

    def run_crossval(**words: Any) -> tuple[str, ...]:
        given.update(words)
        return ("first line", "second line")

    module = ModuleType("threadlite.crossval")
    module.run_crossval = run_crossval  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "threadlite.crossval", module)
    words = ("--folds", "3", "--seed", "5", "--set", "epochs=2", "--split", split)
    out = tmp_path / "folds"
    code = run("crossval", "two-shapes", "--data", str(table), "--out", str(out), *words)
    assert (code, capsys.readouterr().out) == (0, "first line\nsecond line\n")
    assert (given["name"], given["folder"]) == ("two-shapes", out)
    assert (given["methods"], given["folds"], given["seed"]) == (methods, 3, 5)
    assert (given["weights"], given["approach"].recipe.epochs) == ("auto", 2)
    assert given["dataset"].labels == ("disc", "frame")


def test_one_fold_is_wrong_usage(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", str(table), "--out", str(tmp_path / "folds"), "--folds", "1")
    assert run("crossval", "custom-cnn", *words) == 2
    assert "--folds must be 2 or more, got 1" in message(capsys)


def test_a_reader_that_leaves_early_sees_no_fault(table: Path) -> None:
    words = [sys.executable, "-m", "threadlite", "data", str(table)]
    reader, writer = os.pipe()
    os.close(reader)  # as ``head`` does after its last line
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
