"""Cross-validations: what the record holds, and mean, spread and pooled scores by hand."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.crossval import crossval_record, fold_f1s, fold_scores
from bench.record import CrossvalRecord
from train.artifact import WeightsOrigin
from train.dataset import Photo
from train.errors import DataError, RuntimeFailure

LABELS = ("a", "b")


def photos(labels: str) -> list[Photo]:
    """Return photos p0, p1, ... of senders z and s, one a letter."""
    return [
        Photo(photo_id=f"p{i}", path=Path(f"{i}.jpg"), label=label, sender="zs"[i % 2], sha256="0")
        for i, label in enumerate(labels)
    ]


def crossval(truths: str, predictions: str, folds: tuple[int, ...], **changes: Any) -> Any:
    """Return a record in which every prediction is given 0.75."""
    rows = [[0.75, 0.25] if letter == "a" else [0.25, 0.75] for letter in predictions]
    fields: dict[str, Any] = {
        "approach": "custom-cnn",
        "network": "custom-cnn",
        "recipe": {"epochs": 2},
        "dataset": "mine",
        "dataset_fingerprint": "0" * 64,
        "labels": LABELS,
        "split_method": "stratified",
        "seed": 3,
        "weights": WeightsOrigin(source="random", loaded_parameters=1, total_parameters=4),
        "photos": photos(truths),
        "photo_folds": folds,
        "probabilities": np.array(rows, np.float32),
        "fold_seconds": (1.0, 2.0),
        "environment": "e",
        "feature_seconds": 4.0,
        "views": 2,
    }
    return crossval_record(**{**fields, **changes})


def test_the_record_holds_every_photo_once() -> None:
    assert crossval("aabb", "abbb", (0, 1, 0, 1)) == CrossvalRecord(
        variant="custom-cnn",
        approach="custom-cnn",
        network="custom-cnn",
        recipe={"epochs": 2},
        dataset="mine",
        dataset_fingerprint="0" * 64,
        labels=LABELS,
        split_method="stratified",
        folds=2,
        seed=3,
        weights_source="random",
        weights_coverage=0.25,
        sender_names=("s", "z"),
        senders=(1, 0, 1, 0),
        photo_ids=("p0", "p1", "p2", "p3"),
        photo_folds=(0, 1, 0, 1),
        truths=(0, 0, 1, 1),
        predictions=(0, 1, 1, 1),
        top_classes=((0, 1), (1, 0), (1, 0), (1, 0)),
        confidences=(0.75, 0.75, 0.75, 0.75),
        fold_seconds=(1.0, 2.0),
        feature_seconds=4.0,
        views=2,
        environment="e",
    )


def test_mean_spread_and_pooled_by_hand() -> None:
    # Fold 0 holds p0 a -> a and p2 b -> b: F1 1. Fold 1 holds p1 a -> b and p3 b -> b: class a has
    # F1 0, class b precision 1/2 and recall 1, F1 2/3; weighted (0 + 2/3) / 2 = 1/3.
    record = crossval("aabb", "abbb", (0, 1, 0, 1))
    assert fold_f1s(record) == pytest.approx((1.0, 1 / 3))
    found = fold_scores(record)
    assert found.mean == pytest.approx(2 / 3)
    assert found.deviation == pytest.approx(statistics.stdev([1.0, 1 / 3]))
    # All four: a has precision 1 and recall 1/2, F1 2/3; b precision 2/3 and recall 1, F1 4/5.
    assert found.pooled.weighted_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found.pooled.accuracy == 0.75
    assert found.pooled.calibration_error == pytest.approx(0.0)  # sure by 0.75, right by 0.75
    assert found.pooled.low < found.pooled.weighted_f1 < found.pooled.high


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photo_folds": (0, 1, 0)}, "4 photos, 3 folds and 4 rows"),
        ({"photos": [], "photo_folds": ()}, "at least one photo, got 0 photos"),
        ({"photo_folds": (0, 0, 0, 0)}, "got 1 of 2; lower --folds"),
        ({"fold_seconds": (1.0,), "photo_folds": (0, 0, 0, 0)}, "at least 2 folds"),
        ({"photos": photos("aabz")}, "label 'z' is none of its 2 classes"),
    ],
    ids=["lengths", "none", "empty fold", "one fold", "unknown label"],
)
def test_what_does_not_match_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        crossval("aabb", "abbb", (0, 1, 0, 1), **changes)


def test_broken_probabilities_are_refused() -> None:
    broken = np.full((4, 2), np.nan, np.float32)
    with pytest.raises(RuntimeFailure, match="custom-cnn: probabilities of 4 of 4"):
        crossval("aabb", "abbb", (0, 1, 0, 1), probabilities=broken)
