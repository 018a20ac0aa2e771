import numpy as np
import pytest

from train.metrics import (
    ClassScore,
    accuracy,
    accuracy_of,
    bootstrap_intervals,
    calibration_error,
    class_scores,
    confusion_matrix,
    macro_f1,
    resampled_confusions,
    sender_confusions,
    top_accuracy,
    weighted_f1,
    weighted_f1_of,
)


def test_weighted_f1_by_hand() -> None:
    # class 0: 2 true, 1 hit, 1 predicted -> P 1, R 1/2, F 2/3; class 1: 1 true, 1 hit, 2 predicted
    # -> P 1/2, R 1, F 2/3; class 2: never true, never predicted. Weighted: 2/3.
    assert weighted_f1([0, 0, 1], [0, 1, 1], 3) == pytest.approx(2 / 3)


def test_accuracy_by_hand() -> None:
    assert accuracy([0, 1, 1, 0], [0, 1, 0, 0]) == 0.75


def test_macro_f1_weighs_classes_alike_and_leaves_out_what_never_occurs() -> None:
    # class 0: 3 true, 3 hits, 4 predicted -> F 6/7; class 1: 1 true, no hit, none predicted -> 0;
    # class 2: neither true nor predicted: left out; class 3: none true, 1 predicted -> 0.
    truths, predictions = [0, 0, 0, 1, 1], [0, 0, 0, 0, 3]
    assert macro_f1(truths, predictions, 4) == pytest.approx((6 / 7 + 0 + 0) / 3)


def test_class_scores_by_hand() -> None:
    assert class_scores([0, 0, 1], [0, 1, 1], 3) == (
        ClassScore(photos=2, precision=1.0, recall=0.5, f1=pytest.approx(2 / 3)),
        ClassScore(photos=1, precision=0.5, recall=1.0, f1=pytest.approx(2 / 3)),
        ClassScore(photos=0, precision=0.0, recall=0.0, f1=0.0),
    )


def test_confusion_matrix_has_a_row_a_true_class() -> None:
    assert confusion_matrix([0, 0, 1], [0, 1, 1], 3) == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


def test_top_accuracy_by_hand() -> None:
    assert top_accuracy([0, 1, 2, 2], [(0, 1), (0, 1), (0, 1), (2, 0)]) == 0.75


def test_calibration_error_by_hand() -> None:
    # 5 bins. (0.4, 0.6]: 0.5 and 0.6, one right -> accuracy 0.5, confidence 0.55, gap 0.05;
    # (0.8, 1.0]: 0.9 and 1.0, both right -> gap 0.05. Half the photos each: 0.05.
    found = calibration_error([0, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.6, 0.9, 1.0], bins=5)
    assert found == pytest.approx(0.05)


def test_gaps_of_one_bin_cancel_and_of_two_do_not() -> None:
    # Right by 0.2 too little, wrong by 0.2 too much: nothing in one bin, 0.2 in two bins.
    truths, predictions = [0, 0], [0, 1]
    assert calibration_error(truths, predictions, [0.8, 0.2], bins=1) == pytest.approx(0.0)
    assert calibration_error(truths, predictions, [0.8, 0.2], bins=2) == pytest.approx(0.2)


def test_a_sure_and_right_classifier_is_calibrated() -> None:
    assert calibration_error([0, 1], [0, 1], [1.0, 1.0]) == 0.0
    assert calibration_error([0, 1], [1, 0], [1.0, 1.0]) == 1.0
    assert calibration_error([0], [1], [0.0]) == 0.0  # the first bin holds 0 too


def test_f1_of_confusions_equals_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    truths = generator.integers(0, 5, 200).tolist()
    predictions = generator.integers(0, 5, 200).tolist()
    confusions = sender_confusions(truths, predictions, ["a"] * 200, 5)
    assert confusions.shape == (1, 5, 5)
    expected = weighted_f1(truths, predictions, 5)
    assert weighted_f1_of(confusions)[0] == pytest.approx(expected, abs=1e-12)


def test_confusions_are_kept_by_sender() -> None:
    confusions = sender_confusions([0, 1, 1], [0, 0, 1], ["b", "a", "b"], 2)
    assert confusions.tolist() == [[[0, 0], [1, 0]], [[1, 0], [0, 1]]]


def test_accuracy_of_confusions_by_hand() -> None:
    confusions = sender_confusions([0, 1, 1], [0, 0, 1], ["b", "a", "b"], 2)
    assert accuracy_of(confusions).tolist() == [0.0, 1.0]
    assert accuracy_of(confusions.sum(axis=0)) == pytest.approx(2 / 3)


def test_intervals_of_a_perfect_classifier_are_one() -> None:
    truths = [0, 1, 2] * 10
    found = bootstrap_intervals(truths, truths, [str(i % 5) for i in range(30)], 3)
    assert found.weighted_f1 == found.accuracy == (1.0, 1.0)


def test_whole_senders_are_drawn() -> None:
    # Sender a is all right, b all wrong: a resample holds a 0, 1 or 2 times out of 2, so with one
    # class its F1 can only be that of 0, half or all hits: 0, 2*(1/2)/(1+1/2) = 2/3, or 1.
    confusions = sender_confusions([0] * 6, [0, 0, 0, 1, 1, 1], list("aaabbb"), 2)
    drawn = resampled_confusions(confusions, resamples=200, seed=0)
    assert set(np.round(weighted_f1_of(drawn), 9).tolist()) == {0.0, round(2 / 3, 9), 1.0}
    assert set(accuracy_of(drawn).tolist()) == {0.0, 0.5, 1.0}


def test_matrices_side_by_side_are_drawn_alike() -> None:
    confusions = sender_confusions([0, 0, 1, 1], [0, 1, 1, 0], list("abcd"), 2)
    pair = resampled_confusions(np.stack([confusions, confusions]), resamples=20, seed=0)
    assert pair.shape == (2, 20, 2, 2)
    assert (pair[0] == pair[1]).all()
    assert (pair[0] == resampled_confusions(confusions, resamples=20, seed=0)).all()


def test_fewer_senders_give_wider_intervals() -> None:
    generator = np.random.default_rng(0)
    truths = generator.integers(0, 4, 400)
    wrong_senders = generator.integers(0, 40, 400)
    predictions = np.where(wrong_senders % 4 == 0, (truths + 1) % 4, truths)
    many, few = (
        bootstrap_intervals(truths.tolist(), predictions.tolist(), senders, 4)
        for senders in (list(map(str, range(400))), list(map(str, wrong_senders)))
    )
    for (low, high), (wide_low, wide_high) in (
        (many.weighted_f1, few.weighted_f1),
        (many.accuracy, few.accuracy),
    ):
        assert wide_high - wide_low > 1.5 * (high - low)


def test_intervals_repeat_from_their_seed() -> None:
    arguments = ([0, 1, 0, 1], [0, 1, 1, 1], ["a", "b", "c", "d"], 2)
    assert bootstrap_intervals(*arguments, seed=4) == bootstrap_intervals(*arguments, seed=4)
