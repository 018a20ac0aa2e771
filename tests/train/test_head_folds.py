import numpy as np
import pytest

from train.errors import DataError
from train.head_folds import inner_fold_of


def test_groups_stay_whole_and_classes_are_dealt_evenly() -> None:
    truths = [number % 3 for number in range(90)]
    groups = [f"sender-{number // 6}" for number in range(90)]  # two photos of each class in each
    folds = inner_fold_of(truths, groups, folds=3, seed=0)
    for group in set(groups):
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    counts = np.array(
        [[((folds == f) & (np.array(truths) == c)).sum() for c in range(3)] for f in range(3)]
    )
    assert (counts == 10).all()  # 15 groups in 3 folds: 5 groups of 2 photos a class


def test_one_group_is_dealt_out_by_photo() -> None:
    folds = inner_fold_of([0, 1] * 6, ["only"] * 12, folds=3, seed=0)
    assert np.bincount(folds).tolist() == [4, 4, 4]


@pytest.mark.parametrize("truths", [[0, 0, 1], [0, 0, 0, 0, 1, 2, 3]])
def test_small_classes_get_the_folds_that_they_allow(truths: list[int]) -> None:
    groups = [str(number) for number in range(len(truths))]
    folds = inner_fold_of(truths, groups, folds=5, seed=0)
    assert sorted(set(folds.tolist())) == list(range(truths.count(0)))


def test_other_seed_deals_otherwise() -> None:
    truths, groups = [0, 1] * 30, [str(number) for number in range(60)]
    one, same, other = (inner_fold_of(truths, groups, folds=3, seed=s) for s in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


def test_single_photos_cannot_be_dealt() -> None:
    with pytest.raises(DataError, match="no class of 3 photos has two"):
        inner_fold_of([0, 1, 2], ["a", "b", "c"], folds=3, seed=0)
