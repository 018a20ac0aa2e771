"""What a step adds up, with losses worked out by hand; whole trainings are in test_fit.py."""

import math
from typing import Any

import numpy as np
import pytest

from train.approaches import Recipe
from train.backend import keras
from train.feeds import MapsFeed, Rows
from train.loop import Trainer
from train.progress import Silent


def pooled_classifier() -> Any:
    """No body, and logits (ln 3, 0) whatever it is shown: probabilities 3/4 and 1/4."""
    layers = keras().layers
    maps = layers.Input((2, 2, 3), name="maps")
    features = layers.GlobalAveragePooling2D(name="features")(maps)
    logits = layers.Dense(2, name="logits")(features)
    model = keras().Model(maps, layers.Activation("softmax", name="probabilities")(logits))
    model.get_layer("logits").set_weights([np.zeros((3, 2)), np.array([math.log(3.0), 0.0])])
    return model


def first_loss(**changes: object) -> float:
    """Return the loss of the first step on 8 photos of class 0 and 2 of class 1."""
    settings = {
        "image_size": 32, "epochs": 1, "batch_size": 10, "dropout": 0.0, "label_smoothing": 0.0,
        "learning_rate": 1e-6, "warmup_epochs": 0, **changes,
    }  # fmt: skip
    rows = Rows(
        train=np.arange(10),
        validation=np.arange(0),
        truths=np.array([0] * 8 + [1] * 2, dtype=np.int32),
        classes=2,
    )
    views = [np.ones((10, 2, 2, 3), np.float16)]
    recipe = Recipe.model_validate(settings)
    trainer = Trainer(
        pooled_classifier(), MapsFeed(rows, views=views, recipe=recipe, seed=0), recipe, seed=0
    )
    assert trainer.validation_f1() is None
    return trainer.run_epoch(0, Silent())


RIGHT, WRONG = math.log(4 / 3), math.log(4.0)  # surprise at class 0 and at class 1
# 1/sqrt(8) and 1/sqrt(2), scaled to a mean of 1 over the ten photos, are 5/6 and 5/3.
WEIGHTED = (8 * 5 / 6 * RIGHT + 2 * 5 / 3 * WRONG) / 10


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, (8 * RIGHT + 2 * WRONG) / 10),
        ({"class_weights": True}, WEIGHTED),
        # 0.8 of the true class and 0.2 shared by both: 0.9 and 0.1.
        (
            {"label_smoothing": 0.2},
            (8 * (0.9 * RIGHT + 0.1 * WRONG) + 2 * (0.1 * RIGHT + 0.9 * WRONG)) / 10,
        ),
    ],
)
def test_loss_is_what_the_recipe_says(changes: dict[str, object], wanted: float) -> None:
    # Means of ten float32 numbers of about 1: a few times 6e-8.
    assert first_loss(**changes) == pytest.approx(wanted, abs=1e-5)


def test_mixed_targets_reach_the_loss() -> None:
    # Every view looks alike here, so a blend moves the loss by what it moves the targets; shares of
    # ten pairs that cancel out to 1e-4 would be a rare accident, and seed 0 has none.
    assert first_loss(mixup=1.0) != pytest.approx(first_loss(), abs=1e-4)
