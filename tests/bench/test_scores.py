"""Scores of records, and paired comparison, by hand."""

from typing import Any

import numpy as np
import pytest

from bench.record import AccuracyRecord
from bench.scores import (
    Flips,
    confusion_of,
    count_flips,
    paired_difference,
    score,
    score_classes,
)
from train.errors import DataError
from train.metrics import bootstrap_intervals

LABELS = ("a", "b", "c")


def _record(truths: str, predictions: str, **changes: Any) -> AccuracyRecord:
    count = len(truths)
    fields: dict[str, Any] = {
        "variant": "net.float.tflite",
        "split_method": "grouped",
        "environment": "e" * 16,
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
    found = bootstrap_intervals(record.truths, record.predictions, record.senders, 3)
    assert (scores.low, scores.high) == found.weighted_f1
    assert (scores.accuracy_low, scores.accuracy_high) == found.accuracy
    assert scores.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)  # c is neither true nor predicted


def test_old_records_have_no_top_3_and_no_calibration() -> None:
    scores = score(_record("aabb", "aaab"))
    assert scores.top3_accuracy is None
    assert scores.calibration_error is None


def test_top_3_and_calibration_by_hand() -> None:
    # Top two here: the third photo, a b, is second in its list; the fourth is in neither.
    record = _record(
        "aabb", "aaaa", top_classes=((0, 1), (0, 1), (0, 1), (0, 2)),
        confidences=(0.9, 0.9, 0.9, 0.9),
    )  # fmt: skip
    scores = score(record)
    assert scores.top3_accuracy == 0.75
    assert scores.calibration_error == pytest.approx(0.4)  # one bin: sure by 0.9, right by 0.5


def test_classes_and_confusions_by_hand() -> None:
    record = _record("aabb", "aaab")
    first, second, third = score_classes(record)
    assert (first.photos, first.precision, first.recall) == (2, pytest.approx(2 / 3), 1.0)
    assert (second.photos, second.precision, second.recall) == (2, 1.0, 0.5)
    assert (third.photos, third.precision, third.recall, third.f1) == (0, 0.0, 0.0, 0.0)
    assert confusion_of(record) == ((2, 0, 0), (1, 1, 0), (0, 0, 0))


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
