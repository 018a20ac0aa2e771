"""The flip ledger by hand, and which variants it lays side by side."""

import pytest

from bench.flips import ClassFlips, Flip, flip_ledger, flip_ledgers, float_names
from tests.bench.gate_records import FLOAT, INT8, judged, timed
from train.errors import DataError, UsageError


def test_every_flip_by_hand() -> None:
    # truth    a a b b c c
    # parent   a b b a c a     right wrong right wrong right wrong
    # variant  a a c b c b     kept, mended, broken, mended, kept, wrong another way
    ledger = flip_ledger(judged("aabbcc", "aacbcb"), parent=judged("aabbcc", "abbaca", FLOAT))
    assert ledger.flips == (
        Flip(photo_id="p1", truth="a", before="b", after="a", way="wrong to right"),
        Flip(photo_id="p2", truth="b", before="b", after="c", way="right to wrong"),
        Flip(photo_id="p3", truth="b", before="a", after="b", way="wrong to right"),
        Flip(photo_id="p5", truth="c", before="a", after="b", way="wrong to wrong"),
    )
    assert (ledger.variant, ledger.parent, ledger.photos) == (INT8, FLOAT, 6)
    assert ledger.agreement == pytest.approx(2 / 6)
    assert [ledger.count("right to wrong"), ledger.count("wrong to right")] == [1, 2]


def test_classes_by_hand_the_greatest_loss_first() -> None:
    # Before: a is predicted 3 times, right once: F1 = 2/(2+3). b twice, once: 2/4. c once, once:
    # 2/(2+1). After: a twice, both: 1. b twice, once: 2/4. c twice, once: 2/4.
    ledger = flip_ledger(judged("aabbcc", "aacbcb"), parent=judged("aabbcc", "abbaca", FLOAT))
    assert [one.label for one in ledger.classes] == ["c", "b", "a"]
    assert [one.f1_loss for one in ledger.classes] == pytest.approx([2 / 3 - 0.5, 0, 0.4 - 1])
    assert ledger.classes[1] == ClassFlips(
        label="b", photos=2, f1_before=0.5, f1_after=0.5, right_to_wrong=1, wrong_to_right=1
    )


def test_photos_in_another_order_are_paired_by_name() -> None:
    parent = judged(
        "ba", "bb", FLOAT, photo_ids=("p1", "p0"), senders=("s1", "s0"),
    )  # fmt: skip
    ledger = flip_ledger(judged("ab", "ab"), parent=parent)
    assert [(flip.photo_id, flip.way) for flip in ledger.flips] == [("p0", "wrong to right")]


def test_other_photos_are_not_compared() -> None:
    with pytest.raises(DataError, match="not measured on the same photos"):
        flip_ledger(judged("aab", "aab"), parent=judged("aabb", "aabb", FLOAT))


def test_a_variant_is_held_against_the_plain_network_first() -> None:
    assert float_names("net.int8.onnx") == ("net.float.onnx",)
    assert float_names("net.pruned.int8.tflite") == (FLOAT, "net.pruned.float.tflite")
    assert float_names("net.pruned.float.tflite") == (FLOAT,)
    assert float_names(FLOAT) == ()
    with pytest.raises(UsageError, match="must read network"):
        float_names("net")


def test_ledgers_pair_one_runtime_one_network_and_test_photos() -> None:
    records = [
        judged("ab", "ab", FLOAT),
        judged("ab", "bb"),
        judged("ab", "aa", side="validation"),
        judged("ab", "aa", split_method="stratified"),
        judged("ab", "aa", runtime="onnxruntime 1.32.0"),
        judged("ab", "aa", network_sha256="m" * 64),
        judged("ab", "aa", "odd name"),
        timed([1.0]),
    ]
    (ledger,) = flip_ledgers(records)
    assert [flip.way for flip in ledger.flips] == ["right to wrong"]
    assert (ledger.variant, ledger.parent) == (INT8, FLOAT)


def test_other_photos_give_no_ledger_and_the_latest_record_counts() -> None:
    assert flip_ledgers([judged("abc", "abc", FLOAT), judged("ab", "aa")]) == []
    records = [judged("ab", "ab", FLOAT), judged("ab", "bb"), judged("ab", "ab")]
    assert [ledger.flips for ledger in flip_ledgers(records)] == [()]
