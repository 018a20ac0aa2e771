"""Chains of techniques: named by the command line and by plans, cut off, and gone on with."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deploy.parity import check_parity
from optimize import techniques
from optimize.cluster import ClusterConfig
from optimize.convert import export_float
from optimize.prune import PruneConfig
from optimize.quantize import QuantizeConfig
from optimize.quantize_aware import QuantizeAwareConfig
from optimize.resolution import ResolutionConfig
from optimize.shrink import ShrinkConfig
from optimize.techniques import parse_chain
from optimize.tune import TuneConfig
from tests.optimize.colours import write_dataset, write_small
from tests.threadlite.pictures import write_table
from tests.train.small_network import CutAfter
from threadlite import variants
from threadlite.cli import main
from threadlite.optimizing import configs_of, with_bound
from threadlite.plan import read_plan
from threadlite.run import _Run
from threadlite.variants import optimize_by_chain, validation_scorer
from threadlite.workspace import Workspace
from train.artifact import Artifact, open_artifact
from train.dataset import Dataset, SourceOptions
from train.errors import ConversionError, UsageError
from train.keras_file import load_keras
from train.metrics import weighted_f1
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Silent
from train.refit import with_validation_trained
from train.sources import open_dataset
from train.splits import select
from train.storage import digest_of
from train.variant import Format

PLANS = Path(__file__).resolve().parents[2] / "plans"
OPTIONS = SourceOptions(dropped_labels=(), empty_classes=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "photos", photos=45)


@pytest.fixture(scope="module")
def net(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_small(tmp_path_factory.mktemp("net") / "net", open_dataset(str(table), OPTIONS))


def words(table: Path, net: Artifact, out: Path, chain: str, *settings: str) -> list[str]:
    pairs = [word for setting in settings for word in ("--set", setting)]
    return ["optimize", chain, str(net.folder), "--data", str(table), "--out", str(out), *pairs]


SETTINGS = ("shrink.epochs=1", "shrink.maccs=0.6", "shrink.multiple=2", "prune.epochs=0")


def test_a_chain_that_fails_goes_on_where_it_was(
    table: Path, net: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*rest: object) -> Artifact:
        raise ConversionError("int8: no")

    out = tmp_path / "made"
    command = words(table, net, out, "shrink+prune+int8", *SETTINGS, "int8.photos=8")
    with monkeypatch.context() as patch:
        broken = techniques.TECHNIQUES["int8"]._replace(apply=fail)
        patch.setitem(techniques.TECHNIQUES, "int8", broken)
        assert main(command) == 1
    assert not out.exists()
    kept = sorted((tmp_path / ".optimizing-made" / "artifacts").iterdir())
    assert [path.name.rsplit("-", 1)[0] for path in kept] == [
        "small.shrunk.grouped", "small.shrunk.pruned.grouped"
    ]  # fmt: skip
    before = {path.name: open_artifact(path).manifest.payload_sha256 for path in kept}
    with monkeypatch.context() as patch:  # nothing is trained a second time
        for name in ("shrink", "prune"):
            broken = techniques.TECHNIQUES[name]._replace(apply=_same_module(name))
            patch.setitem(techniques.TECHNIQUES, name, broken)
        assert main(command) == 0
    made = open_artifact(out)
    assert made.manifest.variant == "small.shrunk.pruned.int8.tflite"
    steps = made.manifest.steps
    assert [step.technique for step in steps] == ["train", "shrink", "prune", "int8"]
    parents = [net.manifest.payload_sha256, *before.values()]
    assert [step.parent_sha256 for step in steps] == [None, *parents]
    assert steps[1].config["epochs"] == 1
    assert not (tmp_path / ".optimizing-made").exists()


def _same_module(name: str) -> Any:
    """Return what fails when it is called, under the key of the technique itself."""

    def refuse(*rest: object) -> Artifact:
        raise AssertionError(f"{name} is done already")

    refuse.__module__ = techniques.TECHNIQUES[name].apply.__module__
    return refuse


def test_a_chain_of_networks_ends_in_a_network(table: Path, net: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "made"
    assert main(words(table, net, out, "cluster", "epochs=0", "centroids=16")) == 0
    made = open_artifact(out)
    assert made.manifest.variant == "small.clustered.float.keras"
    assert made.manifest.steps[1].config["centroids"] == 16
    assert load_keras(made.payload).output_shape == (None, 3)


def test_the_student_of_the_plan_is_small_and_differs_by_its_teacher_alone() -> None:
    plan = read_plan(PLANS / "optimize.toml")
    teacher = next(one for one in plan.approaches if one.name == "efficientnet-lite0")
    chains = ["shrink@48+resolution@160+int8", "shrink+resolution+int8"]
    assert set(chains) <= set(teacher.techniques or ())
    taught, alone = (
        [plan.optimize.config_of(name) for name in parse_chain(chain).networks] for chain in chains
    )
    assert [one.parent_share for one in taught] == [0.8, 0.8]
    for one, other in zip(taught, alone, strict=True):
        same = {} if isinstance(one, ResolutionConfig) else {"percent": 0}
        assert replace(one, parent_share=0.0, **same) == other
    side = teacher.resolve().recipe.image_size
    assert taught[0].share == alone[0].share
    assert alone[0].share * (alone[1].size / side) ** 2 <= 1 / 4


def test_settings_of_one_technique_and_of_several() -> None:
    one = configs_of(parse_chain("int8"), {"photos": 9})
    assert one == {"int8": QuantizeConfig(photos=9)}
    assert configs_of(parse_chain("int8"), {"int8": {"photos": 9}}) == one
    both = configs_of(parse_chain("prune+int8"), {"prune": {"epochs": 9}})
    assert both == {"prune": PruneConfig(epochs=9), "int8": QuantizeConfig()}
    for settings in ({"photos": 9}, {"shrink": {"maccs": 0.5}}, {"prune": 3}):
        with pytest.raises(UsageError, match="must begin with one of the techniques, prune, int8"):
            configs_of(parse_chain("prune+int8"), settings)


SELECTIVE = ("evaluations=6", "photos=8", "ranking_photos=1")


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_selective_by_command_goes_on_where_it_was_killed_and_names_what_it_kept(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    """Of the variants scored only those with the stem in float do."""
    scored: list[Path] = []

    def score(model: Path) -> float:
        if len(scored) == 2:
            scored.append(model)
            raise KeyboardInterrupt
        scored.append(model)
        return 0.5 if len(scored) == 2 else 0.875  # float, wholly in int8, then one in float

    monkeypatch.setattr(variants, "validation_scorer", lambda *rest: score)
    out = tmp_path / "made"
    command = [*words(table, net, out, "selective", *SELECTIVE), "--format", target]
    command += ["--max-f1-drop", "0.02"]
    assert main(command) == 130
    assert [path.name for path in tmp_path.rglob("search.json")] == ["search.json"]
    assert main(command) == 0
    assert len(scored) == 4  # float and int8, which were not scored again, the cut one, and one
    made = open_artifact(out)
    assert made.manifest.variant == f"small.selective.int8.{target}"
    config: Any = made.manifest.steps[-1].config
    assert (config["max_f1_drop"], config["evaluations"], config["score"]) == (0.02, 6, 0.875)
    (kept,) = config["kept_in_float"]
    assert kept["score_in_int8"] == 0.5
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("1 of ")
    assert "validation F1 0.875, in float 0.875, wholly in int8 0.500; that is within" in told[0]
    assert told[1].startswith(f"  {kept['name']} (")
    assert not (tmp_path / ".optimizing-made").exists()


def test_swept_by_command_goes_on_where_it_was_killed_and_tells_what_it_chose(
    table: Path,
    net: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of four methods the last one scores most, and no better on fewer photos."""
    scores = [0.5, 0.6, None, 0.6, 0.7, 0.7]
    scored: list[float | None] = []

    def score(model: Path) -> float:
        scored.append(scores[len(scored)])
        if scored[-1] is None:
            raise KeyboardInterrupt
        return scored[-1]

    monkeypatch.setattr(variants, "validation_scorer", lambda *rest: score)
    out = tmp_path / "made"
    command = words(table, net, out, "swept", "photos=16", "sizes=8")
    assert main(command) == 130
    assert main(command) == 0
    assert scored == scores  # the two before the cut were not scored again
    made = open_artifact(out)
    assert made.manifest.variant == "small.swept.int8.tflite"
    config: Any = made.manifest.steps[-1].config
    assert (config["calibration"], config["backend"]) == ("mse", "ai-edge-quantizer")
    assert (config["photos"], config["score"]) == (16, 0.7)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "mse by ai-edge-quantizer on 16 photos: validation F1 0.700, chosen"
    assert not (tmp_path / ".optimizing-made").exists()


def test_variants_are_scored_on_validation_photos_by_their_own_runtime(
    table: Path, net: Artifact, tmp_path: Path
) -> None:
    dataset = open_dataset(str(table), OPTIONS)
    photos = select(dataset.photos, net.split().validation)
    answers = predict(load_keras(net.payload), load_pixels(photos, net.manifest.pixels))
    truths = [net.manifest.labels.index(photo.label) for photo in photos]
    said = Said()
    for target in ("tflite", "onnx"):
        made = export_float(net, target, tmp_path / target)  # type: ignore[arg-type]
        score = validation_scorer(net, "selective", target, dataset, said)  # type: ignore[arg-type]
        expected = weighted_f1(truths, answers.argmax(axis=1).tolist(), 3)
        assert score(made.payload) == pytest.approx(expected)
        assert said.lines[-1].startswith(f"selective: a variant of validation F1 {expected:.3f}")


class Said(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_refit_has_no_photos_to_choose_by(
    table: Path, net: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    refit = with_validation_trained(net.split())
    monkeypatch.setattr(Artifact, "split", lambda self: refit)
    with pytest.raises(ConversionError, match="selective chooses by validation photos, and this"):
        validation_scorer(net, "selective", "tflite", open_dataset(str(table), OPTIONS), Said())


def test_a_bound_in_words_of_its_own() -> None:
    one, two = parse_chain("selective"), parse_chain("shrink+selective")
    assert with_bound(one, {"photos": 9}, 0.5) == {"photos": 9, "max_f1_drop": 0.5}
    found = with_bound(two, {"selective": {"photos": 9}, "shrink": {"epochs": 1}}, 0.5)
    assert found == {"selective": {"photos": 9, "max_f1_drop": 0.5}, "shrink": {"epochs": 1}}
    assert with_bound(parse_chain("int8"), {"photos": 9}, None) == {"photos": 9}
    with pytest.raises(UsageError, match="is a bound of selective and of auto; leave it out"):
        with_bound(parse_chain("int8"), {}, 0.5)
    with pytest.raises(UsageError, match="max_f1_drop is given twice"):
        with_bound(one, {"max_f1_drop": 0.1}, 0.5)


def test_a_technique_with_its_value_has_settings_by_its_name() -> None:
    chain = parse_chain("resolution@64+int8")
    found = configs_of(chain, {"resolution": {"epochs": 0}})
    assert found["resolution@64"] == ResolutionConfig(size=64, epochs=0)
    alone = configs_of(parse_chain("resolution@64"), {"epochs": 0})
    assert alone == {"resolution@64": ResolutionConfig(size=64, epochs=0)}


def fake_run(chains: tuple[str, ...], *, broken: str = "") -> tuple[_Run, list[str]]:
    """Return a run whose steps only write down what was asked of them; one of them fails."""
    asked: list[str] = []

    def artifact(name: str) -> Any:
        split = SimpleNamespace(method="grouped")
        called = SimpleNamespace(network="net")
        manifest = SimpleNamespace(name=called, split=split, payload_sha256=digest_of(name))
        return SimpleNamespace(manifest=manifest, path=name)

    def step(word: str, parent: Any) -> Any:
        if word == broken:
            raise ConversionError(f"{word}: no")
        asked.append(f"{parent.path} {word}")
        return artifact(f"{parent.path}.{word}")

    steps = SimpleNamespace(
        plan=SimpleNamespace(
            deploy=SimpleNamespace(formats=("tflite",)),
            bench=SimpleNamespace(runtimes=()),
        ),
        change=step,
        optimize=lambda technique, parent, target: step(technique, parent),
        export=lambda parent, target: step("float", parent),
        parity=lambda variant, parent: [],
        cost=lambda variant, parent: [],
        failure=lambda error, name, method, network: (str(error), name, network),
    )
    run = _Run(steps=steps, records=[])  # type: ignore[arg-type]
    run.make_variants(artifact("net"), [parse_chain(text) for text in chains])
    return run, asked


def test_a_run_makes_files_of_every_chain() -> None:
    run, asked = fake_run(("int8", "shrink+int8", "shrink+prune"))
    assert asked == [
        "net float", "net int8",
        "net shrink", "net.shrink int8",
        "net shrink", "net.shrink prune", "net.shrink.prune float",
    ]  # fmt: skip
    assert list(run.sound) == [
        "net.float.grouped", "net.int8.grouped",
        "net.shrunk.int8.grouped", "net.shrunk.pruned.float.grouped",
    ]  # fmt: skip


def test_a_network_that_cannot_be_made_is_a_failure_and_the_run_goes_on() -> None:
    run, asked = fake_run(("shrink+int8", "prune+int8"), broken="shrink")
    assert asked == ["net float", "net prune", "net.prune int8"]
    failed: Any = run.records
    assert failed == [("shrink: no", "net.shrunk.int8.keras", digest_of("net"))]


PAIRS = [
    *("+".join(pair) for pair in pairwise(("shrink", "resolution@48", "prune", "cluster"))),
    *("shrink+prune", "shrink+cluster", "resolution@48+cluster"),
    *("shrink+quantize-aware", "resolution@48+quantize-aware", "tune+prune", "shrink+tune"),
]
CONFIGS = {
    "shrink": ShrinkConfig(epochs=6, learning_rate=0.02, maccs=0.6, multiple=2),
    "prune": PruneConfig(epochs=6, learning_rate=0.02, ramp_epochs=2, every=2),
    "tune": TuneConfig(epochs=2, learning_rate=0.01),
    "cluster": ClusterConfig(epochs=2, learning_rate=0.002, centroids=16),
    "resolution@48": ResolutionConfig(size=48, epochs=4, learning_rate=0.02),
    "quantize-aware": QuantizeAwareConfig(epochs=2, learning_rate=0.01),
    "int8": QuantizeConfig(photos=16),
}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite", "onnx"])
@pytest.mark.parametrize("chain", PAIRS)
def test_every_pair_of_techniques_runs_in_int8(chain: str, target: Format, tmp_path: Path) -> None:
    dataset: Dataset = write_dataset(tmp_path / "photos")
    parent = write_small(tmp_path / "parent", dataset)
    workspace = Workspace(folder=tmp_path / "work", done=lambda name, there: None)

    def make(text: str, folder: Path) -> Artifact:
        return optimize_by_chain(
            parent,
            parse_chain(text),
            CONFIGS,
            target=target,
            dataset=dataset,
            folder=folder,
            workspace=workspace,
            progress=CutAfter(-1),
        )

    made = make(f"{chain}+int8", tmp_path / "int8")
    network = make(chain, tmp_path / "keras")
    steps = [step.technique for step in made.manifest.steps]
    assert steps == ["train", *map(techniques.base_of, chain.split("+")), "int8"]
    pixels = load_pixels(select(dataset.photos, parent.split().train), network.manifest.pixels)
    probabilities = predict(load_keras(network.payload), pixels)
    spread = float(np.ptp(probabilities, axis=0).max())
    # 8 steps of the output (1/256) for roundings, and a part of what tells photos apart.
    assert check_parity(made, probabilities, pixels).max_difference < 8 / 256 + 0.3 * spread
