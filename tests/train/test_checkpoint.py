"""Damaged checkpoints: found before an epoch is run, told with a cure, left as they are."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.train.small_network import Cut, CutAfter, Heard
from train.checkpoint import LOG_NAME
from train.crossval import CrossValidation, cross_validate
from train.errors import ArtifactError
from train.fit import train_approach
from train.storage import digest_of_file
from train.training import Training

pytestmark = pytest.mark.usefixtures("small_network")
Make = Callable[..., Training]
DATA, INDEX, WEIGHTS = "epoch-002.data-*", "epoch-002.index", "epoch-001.weights.h5"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_junk(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def turn_bits(path: Path) -> None:
    """Change some bytes in the middle, where the numbers are."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + 8):
        content[place] ^= 0xFF
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def training(shapes_training: Make) -> Training:
    """Nothing moves in it, so that no epoch is better than the first."""
    return shapes_training(learning_rate=1e-12, freeze_batch_norm=True)


@pytest.fixture(scope="module")
def killed(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a training that was killed after its second epoch of three."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Cut):
        train_approach(training, folder / "net", checkpoints=folder / "ck", progress=CutAfter(2))
    return folder / "ck"


@pytest.fixture
def checkpoints(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "ck"))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: digest_of_file(path) for path in folder.iterdir()}


def go_on(training: Training, checkpoints: Path) -> Heard:
    heard = Heard()
    train_approach(training, checkpoints.with_name("net"), checkpoints=checkpoints, progress=heard)
    return heard


def test_a_killed_training_keeps_its_last_and_its_best_epoch(killed: Path) -> None:
    assert {path.name for path in killed.iterdir()} == {
        LOG_NAME, "epoch-001.index", "epoch-001.data-00000-of-00001", WEIGHTS,
        "epoch-002.index", "epoch-002.data-00000-of-00001",
    }  # fmt: skip


@pytest.mark.parametrize("damage", [cut, empty, fill_with_junk, turn_bits, remove])
@pytest.mark.parametrize("pattern", [DATA, INDEX, WEIGHTS])
def test_damage_is_told_before_an_epoch_is_run(
    training: Training, checkpoints: Path, pattern: str, damage: Callable[[Path], None]
) -> None:
    (path,) = checkpoints.glob(pattern)
    damage(path)
    before, heard = contents(checkpoints), Heard()
    with pytest.raises(ArtifactError) as caught:
        train_approach(
            training, checkpoints.with_name("net"), checkpoints=checkpoints, progress=heard
        )
    said, name = str(caught.value), path.name.replace(".data-00000-of-00001", "")
    assert said.startswith(f"{checkpoints / name.removesuffix('.index')}: this checkpoint is dam")
    assert said.endswith(f"; remove {checkpoints} to train anew")
    assert not [begun for begun in heard.begun if begun.startswith("epoch")]
    assert contents(checkpoints) == before


def test_files_that_nothing_is_read_of_may_be_damaged(
    training: Training, checkpoints: Path
) -> None:
    empty(checkpoints / "epoch-001.index")
    assert "going on after epoch 2" in go_on(training, checkpoints).lines


def test_a_log_without_a_digest_goes_on_and_its_weights_are_read_first(
    training: Training, checkpoints: Path, tmp_path: Path
) -> None:
    log = json.loads((checkpoints / LOG_NAME).read_text())
    assert log.pop("weights_sha256") == digest_of_file(checkpoints / WEIGHTS)
    (checkpoints / LOG_NAME).write_text(json.dumps(log))
    damaged = Path(shutil.copytree(checkpoints, tmp_path / "damaged"))
    cut(damaged / WEIGHTS)
    with pytest.raises(ArtifactError, match=r"epoch-001\.weights\.h5: this checkpoint is damaged"):
        go_on(training, damaged)
    assert "going on after epoch 2" in go_on(training, checkpoints).lines


def test_weights_that_vanish_while_a_training_runs_are_told(
    training: Training, checkpoints: Path
) -> None:
    class Vanishing(Heard):
        def say(self, line: str) -> None:
            if line.startswith("epoch 3"):
                (checkpoints / WEIGHTS).unlink()

    with pytest.raises(ArtifactError, match=rf"{WEIGHTS}: this checkpoint is .* to train anew"):
        train_approach(
            training, checkpoints.with_name("net"), checkpoints=checkpoints, progress=Vanishing()
        )


def test_damage_in_a_fold_is_told_too(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(epochs=2)
    task = CrossValidation(
        name="small", approach=training.approach, dataset=training.dataset, method="grouped",
        folds=2,
    )  # fmt: skip
    with pytest.raises(Cut):
        cross_validate(task, tmp_path, progress=CutAfter(1))
    (data,) = (tmp_path / "fold-1").glob("epoch-001.data-*")
    cut(data)
    cure = re.escape(f"remove {tmp_path / 'fold-1'} to train anew")
    with pytest.raises(ArtifactError, match=rf"fold-1/epoch-001: this checkpoint .*; {cure}"):
        cross_validate(task, tmp_path, progress=Heard())
    shutil.rmtree(tmp_path / "fold-1")
    assert len(cross_validate(task, tmp_path, progress=Heard()).fold_seconds) == 2
