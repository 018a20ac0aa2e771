"""Accuracy: what is recorded, what is refused, and paired comparison by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import accuracy as accuracy_module
from bench.accuracy import measure_accuracy
from bench.record import AccuracyRecord
from train.artifact import Artifact
from train.dataset import Photo
from train.errors import DataError, RuntimeFailure

LABELS = ("a", "b", "c")
SIZE = 16
ENVIRONMENT = "e" * 16


def _photos(labels: str, first: int = 0) -> list[Photo]:
    """Return photos p0, p1, ... of two senders, one a letter."""
    return [
        Photo(
            photo_id=f"p{number}",
            path=Path(f"p{number}.jpg"),
            label=label,
            sender=f"s{number % 2}",
            sha256=f"{number:064d}",
        )
        for number, label in enumerate(labels, start=first)
    ]


def _pixels(count: int, size: int = SIZE) -> Any:
    """Return pictures whose every value is their own number."""
    numbers = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return np.broadcast_to(numbers, (count, size, size, 3))


class Scripted:
    """A runtime that predicts, for the picture with number n, the class ``answers[n]``."""

    def __init__(self, answers: str, classes: int = 3, broken: int = -1) -> None:
        self.name, self.input_shape, self.classes = "fake 1.0", (1, SIZE, SIZE, 3), classes
        self.answers, self.broken = answers, broken
        self.batches: list[int] = []
        self.closed = False

    def predict(self, pixels: Any) -> Any:
        self.batches.append(len(pixels))
        out = np.zeros((len(pixels), self.classes), np.float32)
        for row, number in enumerate(pixels[:, 0, 0, 0]):
            out[row, LABELS.index(self.answers[number])] = 0.5
            if number == self.broken:
                out[row] = np.nan
        return out

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.fixture
def measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_artifact: Callable[..., Artifact]
) -> Callable[..., AccuracyRecord]:
    """Return what measures an int8 variant under a scripted runtime."""
    artifact = fake_artifact(tmp_path / "net", "net.int8.tflite", labels=LABELS, size=SIZE)

    def run(runtime: Any, photos: list[Photo], pixels: Any, side: Any = "test") -> AccuracyRecord:
        def opened(model: Path, name: str, *, threads: int) -> Any:
            assert (model, name, threads) == (artifact.payload, "litert", 2)
            return runtime

        monkeypatch.setattr(accuracy_module, "open_runtime", opened)
        return measure_accuracy(
            artifact, "litert", photos, pixels, side=side, environment=ENVIRONMENT, threads=2
        )

    return run


def test_the_record_holds_every_prediction_beside_its_photo(measure: Any) -> None:
    runtime = Scripted("abca")
    record = measure(runtime, _photos("abcc"), _pixels(4))
    assert record == AccuracyRecord(
        variant="net.int8.tflite",
        variant_sha256=record.variant_sha256,
        network_sha256=record.variant_sha256,
        split_method="grouped",
        environment=ENVIRONMENT,
        runtime="fake 1.0",
        side="test",
        labels=LABELS,
        photo_ids=("p0", "p1", "p2", "p3"),
        senders=("s0", "s1", "s0", "s1"),
        truths=(0, 1, 2, 2),
        predictions=(0, 1, 2, 0),
        # 0.5 for the class predicted and 0 for the others, of which the first comes first
        top_classes=((0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 1, 2)),
        confidences=(0.5, 0.5, 0.5, 0.5),
    )
    assert runtime.closed


def test_pictures_are_handed_over_in_batches_and_keep_their_order(
    measure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy_module, "_BATCH", 3)
    runtime = Scripted("cbac")
    assert measure(runtime, _photos("abca"), _pixels(4)).predictions == (2, 1, 0, 2)
    assert runtime.batches == [3, 1]


@pytest.mark.parametrize(
    ("photos", "pixels", "words"),
    [
        (_photos("abc"), _pixels(4), "3 photos and 4 pictures"),
        ([], _pixels(0), "at least one, got 0 photos"),
        (_photos("ab", first=3), _pixels(2), r"1 of 2 photos are not on the test side.*p4"),
        (_photos("abz"), _pixels(3), "label 'z' is none of the model's 3 classes"),
    ],
    ids=["lengths", "none", "other side", "unknown label"],
)
def test_photos_that_do_not_fit_are_refused(
    measure: Any, photos: list[Photo], pixels: Any, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        measure(Scripted("abca"), photos, pixels)


def test_the_test_side_is_not_the_validation_side(measure: Any) -> None:
    with pytest.raises(DataError, match="not on the validation side"):
        measure(Scripted("abca"), _photos("abca"), _pixels(4), side="validation")


@pytest.mark.parametrize(
    ("runtime", "pixels", "words"),
    [
        (Scripted("abca"), _pixels(4, size=20), r"takes \(16, 16, 3\), the pixels are \(20"),
        (Scripted("abca", classes=4), _pixels(4), "gives 4 classes, its manifest names 3"),
        (Scripted("abca", broken=2), _pixels(4), "probabilities of 1 of 4 photos are not finite"),
    ],
    ids=["input", "classes", "not a number"],
)
def test_models_that_do_not_fit_are_refused(
    measure: Any, runtime: Any, pixels: Any, words: str
) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        measure(runtime, _photos("abca"), pixels)
    assert runtime.closed
