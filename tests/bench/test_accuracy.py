"""Accuracy: what is recorded, what is refused, and paired comparison by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import accuracy as accuracy_module
from bench.accuracy import Flips, count_flips, measure_accuracy, paired_difference, score
from bench.record import AccuracyRecord
from train.artifact import Artifact
from train.dataset import Photo
from train.errors import DataError, RuntimeFailure
from train.metrics import bootstrap_interval

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


# --- scores and differences ----------------------------------------------------------------------


def _record(truths: str, predictions: str, **changes: Any) -> AccuracyRecord:
    count = len(truths)
    fields: dict[str, Any] = {
        "variant": "net.float.tflite",
        "split_method": "grouped",
        "environment": ENVIRONMENT,
        "runtime": "fake 1.0",
        "side": "test",
        "labels": LABELS,
        "photo_ids": tuple(f"p{number}" for number in range(count)),
        "senders": tuple(f"s{number // 2}" for number in range(count)),
        "truths": tuple(LABELS.index(letter) for letter in truths),
        "predictions": tuple(LABELS.index(letter) for letter in predictions),
    }
    return AccuracyRecord(**{**fields, **changes})


def test_score_by_hand() -> None:
    # a: 2 of 2 found, 1 too many: F1 = 4/5. b: 1 of 2: F1 = 2/3. Weights 2 and 2.
    record = _record("aabb", "aaab")
    scores = score(record)
    assert scores.weighted_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores.accuracy == 0.75
    interval = bootstrap_interval(record.truths, record.predictions, record.senders, 3)
    assert (scores.low, scores.high) == interval


def test_difference_by_hand() -> None:
    # One sender: every resample is the whole set, so the interval has no width.
    one = ("s",) * 4
    parent, variant = _record("aabb", "aabb", senders=one), _record("aabb", "aaab", senders=one)
    expected = (4 / 5 + 2 / 3) / 2 - 1.0
    difference = paired_difference(variant, parent=parent)
    assert (difference.value, difference.low, difference.high) == pytest.approx((expected,) * 3)
    assert paired_difference(parent, parent=variant).value == pytest.approx(-expected)


def test_a_record_does_not_differ_from_itself() -> None:
    record = _record("abcabcabc", "abbabaabc")
    difference = paired_difference(record, parent=record)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_pairing_narrows_the_interval() -> None:
    # 200 senders of two photos; the variant flips four right photos of 400 to wrong.
    generator = np.random.default_rng(0)
    truths = generator.integers(0, 3, 400)
    predicted = np.where(generator.random(400) < 0.8, truths, (truths + 1) % 3)
    flipped = predicted.copy()
    right = np.flatnonzero(predicted == truths)[::70][:4]  # of four senders
    flipped[right] = (truths[right] + 1) % 3
    letters = ["".join(LABELS[i] for i in side) for side in (truths, predicted, flipped)]
    parent, variant = _record(letters[0], letters[1]), _record(letters[0], letters[2])
    difference = paired_difference(variant, parent=parent)
    assert difference.low < difference.value < difference.high <= 0.0
    # About 1 % of the photos changed: sd of the share is sqrt(4) / 400 = 0.5 %, so 95 % of the
    # draws lie within 2 points; the two scores alone are each known to about 8.
    assert difference.high - difference.low < 0.025
    alone = score(parent)
    assert alone.high - alone.low > 0.06


def test_photos_in_another_order_are_paired_by_name() -> None:
    parent, variant = _record("aabbcc", "aabbca"), _record("aabbcc", "abbbcc")
    turned = _record(
        "ccbbaa", "acbbaa", photo_ids=("p5", "p4", "p3", "p2", "p1", "p0"),
        senders=("s2", "s2", "s1", "s1", "s0", "s0"),
    )  # fmt: skip
    assert paired_difference(variant, parent=turned) == paired_difference(variant, parent=parent)
    assert count_flips(variant, parent=turned) == count_flips(variant, parent=parent)


def test_flips_by_hand() -> None:
    # truth    a a b b c c
    # parent   a b b a c a     right wrong right wrong right wrong
    # variant  a a c b c b     kept, mended, broken, mended, kept, wrong another way
    flips = count_flips(_record("aabbcc", "aacbcb"), parent=_record("aabbcc", "abbaca"))
    assert flips == Flips(photos=6, right_to_wrong=1, wrong_to_right=2, wrong_to_wrong=1)
    assert flips.changed == 4


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_record("aab", "aab"), "not measured on the same photos"),
        (_record("aaba", "aabb"), "not measured on the same photos"),  # another truth
        (_record("aabb", "aabb", labels=("a", "b", "z")), "other classes"),
    ],
    ids=["photos", "truths", "classes"],
)
@pytest.mark.parametrize("compare", [paired_difference, count_flips])
def test_records_of_other_photos_are_not_compared(
    compare: Any, other: AccuracyRecord, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        compare(_record("aabb", "aabb"), parent=other)
