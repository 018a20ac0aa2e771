"""A loss that is no longer a number: what can be the cause, and where the good weights are."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small_network import build_small
from train.approaches import Recipe
from train.backend import make_repeatable
from train.checkpoint import best_of, read_log, weights_of
from train.crossval import CrossValidation, cross_validate
from train.divergence import divergence, write_weights
from train.errors import ConfigError
from train.fit import train_approach
from train.loop import Trainer
from train.networks import NETWORKS
from train.progress import Progress, Silent
from train.training import Training
from train.weights import load_weights, named_variables, network_with_weights

pytestmark = pytest.mark.usefixtures("small_network")
Make = Callable[..., Training]
CACHED = {"frozen": ("stem", "block1"), "cached_views": 2}


@pytest.fixture
def third_epoch_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs are run as they are, and the weights of the third become no numbers."""
    run_epoch = Trainer.run_epoch

    def broken(trainer: Trainer, epoch: int, progress: Progress) -> float:
        loss = run_epoch(trainer, epoch, progress)
        if epoch < 2:
            return loss
        trainer.averaged.set_weights([w + math.nan for w in trainer.averaged.get_weights()])
        return math.nan

    monkeypatch.setattr(Trainer, "run_epoch", broken)


def failure(training: Training, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        train_approach(training, folder / "net", checkpoints=folder / "ck")
    return str(caught.value)


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "learning_rate (now 0.004)"),
        ({"head_rate": 1e30}, "learning_rate (now 0.004) or head_rate (now 1e+30)"),
        ({"weight_decay": 1e30}, "learning_rate (now 0.004) or weight_decay (now 1e+30)"),
        (
            {"head_rate": 4.0, "weight_decay": 0.5},
            "learning_rate (now 0.004), head_rate (now 4.0) or weight_decay (now 0.5)",
        ),
    ],
)
def test_every_setting_that_can_be_the_cause_is_named(
    changes: dict[str, float], wanted: str
) -> None:
    settings = {"image_size": 32, "learning_rate": 0.004, "weight_decay": 0.0, **changes}
    said = divergence("net", Recipe.model_validate(settings), epoch=2, loss=math.nan)
    assert said == (
        "net: the loss or the weights are no longer numbers in epoch 2 (mean loss nan); lower"
        f" {wanted}: a changed setting begins anew"
    )


def test_the_rate_of_a_training_from_scratch_has_a_name_of_its_own() -> None:
    recipe = Recipe(image_size=32, head_first=True, scratch_rate=0.5).from_scratch()
    said = divergence("net", recipe, epoch=1, loss=math.inf)
    assert "lower learning_rate, or scratch_rate from scratch, (now 0.5) or weight_decay" in said


@pytest.mark.parametrize("setting", ["learning_rate", "head_rate", "weight_decay"])
def test_nothing_is_kept_of_a_first_epoch(
    shapes_training: Make, tmp_path: Path, setting: str
) -> None:
    said = failure(shapes_training(**{setting: 1e30}), tmp_path)
    assert f"{setting} (now 1e+30)" in said
    assert "no longer numbers in epoch 1" in said
    assert said.endswith(": a changed setting begins anew")
    assert list((tmp_path / "ck").iterdir()) == []


@pytest.mark.parametrize("changes", [{}, CACHED], ids=["whole", "stored maps"])
def test_the_best_weights_are_left_for_another_training(
    shapes_training: Make, tmp_path: Path, third_epoch_breaks: None, changes: dict[str, Any]
) -> None:
    training = shapes_training(**changes)
    said = failure(training, tmp_path)
    log = read_log(tmp_path / "ck", key=training.key)
    assert len(log) == 2
    best = log.index(best_of(log)) + 1
    told = re.search(r"or, with --weights (\S+), from epoch (\d), the best before it", said)
    assert told and told.groups() == (str(tmp_path / "ck" / f"epoch-00{best}.npz"), str(best))

    model, origin = network_with_weights("custom-cnn", image_size=32, classes=3, source=told[1])
    assert (origin.random_variables, origin.unused_entries) == ((), ())
    assert all(np.isfinite(values).all() for values in model.get_weights())
    found = {name: variable.numpy() for name, variable in named_variables(model).items()}
    if not changes:  # of the whole network Keras' own file holds the same
        kept = build_small(image_size=32, classes=3)
        kept.load_weights(weights_of(tmp_path / "ck", log[best - 1]))
        for ours, theirs in zip(model.get_weights(), kept.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    else:  # what was frozen is in it too
        make_repeatable(0)
        begun = named_variables(build_small(image_size=32, classes=3))
        moved = {name for name in found if not np.array_equal(found[name], begun[name].numpy())}
        assert {name.partition("_")[0] for name in moved} == {
            "block2a",
            "logits/kernel",
            "logits/bias",
        }

    again = failure(training, tmp_path)  # goes on after epoch 2, into the same
    assert again == said
    assert arrays(Path(told[1])).keys() == found.keys()
    shorter = replace(
        training,
        weights=told[1],
        approach=replace(
            training.approach, recipe=training.recipe.model_copy(update={"epochs": 1})
        ),
    )
    made = train_approach(shorter, tmp_path / "new", checkpoints=tmp_path / "ck2")
    assert made.manifest.weights.source == f"file epoch-00{best}.npz"
    assert made.manifest.weights.loaded_parameters == model.count_params()


def test_a_training_that_fell_back_to_scratch_leaves_no_weights_to_freeze(
    shapes_training: Make,
    tmp_path: Path,
    third_epoch_breaks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("train.fitting.has_published_weights", lambda network: True)
    said = failure(shapes_training(**CACHED, scratch_epochs=3), tmp_path)
    assert "lower learning_rate, or scratch_rate from scratch, (now 0.002)" in said
    assert "--weights" not in said


def test_a_fold_names_no_weights_that_have_seen_what_judges_others(
    shapes_training: Make, tmp_path: Path, third_epoch_breaks: None
) -> None:
    training = shapes_training()
    task = CrossValidation(
        name="small", approach=training.approach, dataset=training.dataset, method="grouped",
        folds=2,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"numbers in epoch 3 .*: a changed setting begins anew$"):
        cross_validate(task, tmp_path, progress=Silent())
    assert (tmp_path / "fold-1" / "epoch-002.weights.h5").exists()


@pytest.mark.parametrize("network", ["mobilenet-v2-0.5", "lite-trio", "convnext-tiny"])
def test_a_file_of_weights_holds_a_network_whole(network: str, tmp_path: Path) -> None:
    one, other = (NETWORKS[network](image_size=32, classes=3) for _ in range(2))
    write_weights(one, tmp_path / "one.npz")
    origin = load_weights(other, network=network, source=str(tmp_path / "one.npz"))
    assert (origin.random_variables, origin.unused_entries) == ((), ())
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
