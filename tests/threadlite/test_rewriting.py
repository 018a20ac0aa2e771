"""``optimize rewrite --for``: what pays is kept and told, what does not is undone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.record_layers import OperatorTimes
from optimize.rewrite_search import Trial
from tests.optimize.colours import write_small
from tests.threadlite.pictures import write_table
from threadlite import rewriting
from threadlite.cli import main
from threadlite.rewriting import RaceConfig, profile_lines, trial_lines
from train.artifact import Artifact, open_artifact
from train.dataset import SourceOptions
from train.errors import ConfigError
from train.sources import open_dataset


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "photos", photos=45)


@pytest.fixture(scope="module")
def net(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    options = SourceOptions(dropped_labels=(), empty_classes=True)
    folder = tmp_path_factory.mktemp("net") / "net"
    return write_small(folder, open_dataset(str(table), options))


def words(table: Path, net: Artifact, out: Path, *more: str) -> list[str]:
    given = ["optimize", "rewrite", str(net.folder), "--data", str(table), "--out", str(out)]
    return [*given, "--set", "photos=4", *more]


def fake_race(monkeypatch: pytest.MonkeyPatch, with_ms: float, without_ms: float) -> None:
    """Let every race end alike: the first file is the one with the rewrite in question."""

    def race(files: Sequence[Path], runtime: str, **settings: Any) -> Any:
        assert all(file.is_file() for file in files) and settings["rounds"] == 10
        return (with_ms,), (without_ms,)

    monkeypatch.setattr(rewriting, "race_files", race)


def fake_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    row = times("only", "CONV_2D", 2000.0).model_dump(mode="json")
    monkeypatch.setattr(rewriting, "profile_model", lambda *a, **k: {"operators": [row]})


@pytest.mark.parametrize(("word", "file"), [("litert", "tflite"), ("ort", "onnx")])
def test_what_pays_is_written_and_told(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    word: str,
    file: str,
) -> None:
    fake_race(monkeypatch, 1.0, 2.0)
    fake_profile(monkeypatch)
    assert main(words(table, net, tmp_path / "out", "--for", word)) == 0
    told = capsys.readouterr().out
    made = open_artifact(tmp_path / "out").manifest
    assert made.variant == f"small.rewritten.float.{file}"
    config = made.steps[-1].config
    assert config["undone"] == []
    assert isinstance(config["kept"], list) and "fold-batch-norm" in config["kept"]
    assert all(str(name) in told for name in config["kept"])
    assert "50.0 %  kept" in told
    assert "the same best class on 100.0%" in told
    # Photos of the validation side, which a race is not judged by and answers are compared on.
    assert f"answers on {len(net.split().validation[:4])} photos" in told
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_where_nothing_pays_nothing_is_written(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_race(monkeypatch, 2.0, 2.0)
    assert main(words(table, net, tmp_path / "out", "--for", "litert")) == 1
    assert "no rewrite makes it faster on litert; the plain" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_is_named_for_rewrites_alone(
    table: Path, net: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(table, net, tmp_path / "out", "--for", "ort")
    given[1] = "int8"
    assert main(given) == 2
    assert "--for is a word of rewrite, not of int8" in capsys.readouterr().err


def test_what_changes_answers_is_tried_only_where_it_is_allowed() -> None:
    exact = RaceConfig().names("litert")
    assert "split-depthwise" in exact
    assert not {"int8-products", "tanh-gelu", "convolution-to-dense"} & set(exact)
    both = RaceConfig(allow="int8-products+tanh-gelu").names("litert")
    assert set(both) - set(exact) == {"int8-products", "tanh-gelu"}
    assert both[-1] == "int8-products"  # applied to the file, after all of the network
    assert RaceConfig(rewrites="fuse-gelu+fold-batch-norm").names("onnxruntime") == (
        "fold-batch-norm",
        "fuse-gelu",
    )
    with pytest.raises(ConfigError, match="int8-products changes answers; allow it with --set"):
        RaceConfig(rewrites="int8-products").names("litert")
    with pytest.raises(ConfigError, match="'fuse-gelu' is not one of"):
        RaceConfig(rewrites="fuse-gelu").names("litert")
    with pytest.raises(ConfigError, match="rounds must be at least 1, got 0"):
        RaceConfig(rounds=0)


def test_trials_stand_in_a_table() -> None:
    trials = (
        Trial(rewrite="split-depthwise", layers=("a", "b"), with_ms=5.0, without_ms=8.0, kept=True),
        Trial(rewrite="fuse-gelu", layers=("c",), with_ms=8.1, without_ms=8.0, kept=False),
        Trial(rewrite="needed", layers=("d",), with_ms=None, without_ms=None, kept=True),
    )
    assert trial_lines(trials) == [
        "rewrite          places  without, ms  with, ms  bought",
        "split-depthwise       2         8.00      5.00  37.5 %    kept",
        "fuse-gelu             1         8.00      8.10  -1.2 %  undone",
        "needed                1            -         -  needed    kept",
    ]


def times(name: str, operator: str, microseconds: float) -> OperatorTimes:
    return OperatorTimes(
        name=name,
        operator=operator,
        engine="e",
        kernels=("k",),
        sources=(),
        times_us=(microseconds, microseconds),
    )


def test_profiles_stand_side_by_side_the_costliest_first() -> None:
    before = [times("a", "CONV", 1000.0), times("b", "CONV", 500.0), times("c", "ADD", 4000.0)]
    after = [times("a", "CONV", 1200.0), times("m", "MATMUL", 250.0)]
    assert profile_lines(before, after) == [
        "operator  before    ms  after    ms",
        "ADD            1  4.00      0  0.00",
        "CONV           2  1.50      1  1.20",
        "MATMUL         0  0.00      1  0.25",
        "all            3  5.50      2  1.45",
    ]
