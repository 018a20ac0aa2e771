import numpy as np
import pytest

from train.metrics import (
    accuracy,
    bootstrap_interval,
    resampled_f1,
    sender_confusions,
    weighted_f1,
    weighted_f1_of,
)


def test_weighted_f1_by_hand() -> None:
    # class 0: 2 true, 1 hit, 1 predicted -> P 1, R 1/2, F 2/3; class 1: 1 true, 1 hit, 2 predicted
    # -> P 1/2, R 1, F 2/3; class 2: never true, never predicted. Weighted: 2/3.
    assert weighted_f1([0, 0, 1], [0, 1, 1], 3) == pytest.approx(2 / 3)


def test_accuracy_by_hand() -> None:
    assert accuracy([0, 1, 1, 0], [0, 1, 0, 0]) == 0.75


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


def test_interval_of_a_perfect_classifier_is_one() -> None:
    truths = [0, 1, 2] * 10
    assert bootstrap_interval(truths, truths, [str(i % 5) for i in range(30)], 3) == (1.0, 1.0)


def test_whole_senders_are_drawn() -> None:
    # Sender a is all right, b all wrong: a resample holds a 0, 1 or 2 times out of 2, so with one
    # class its F1 can only be that of 0, half or all hits: 0, 2*(1/2)/(1+1/2) = 2/3, or 1.
    confusions = sender_confusions([0] * 6, [0, 0, 0, 1, 1, 1], list("aaabbb"), 2)
    values = set(np.round(resampled_f1(confusions, resamples=200, seed=0), 9).tolist())
    assert values == {0.0, round(2 / 3, 9), 1.0}


def test_fewer_senders_give_a_wider_interval() -> None:
    generator = np.random.default_rng(0)
    truths = generator.integers(0, 4, 400)
    wrong_senders = generator.integers(0, 40, 400)
    predictions = np.where(wrong_senders % 4 == 0, (truths + 1) % 4, truths)
    many = bootstrap_interval(truths.tolist(), predictions.tolist(), list(map(str, range(400))), 4)
    few = bootstrap_interval(
        truths.tolist(), predictions.tolist(), list(map(str, wrong_senders)), 4
    )
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


def test_interval_repeats_from_its_seed() -> None:
    arguments = ([0, 1, 0, 1], [0, 1, 1, 1], ["a", "b", "c", "d"], 2)
    assert bootstrap_interval(*arguments, seed=4) == bootstrap_interval(*arguments, seed=4)
