"""Inner folds: photos dealt out so that a head is judged on groups that it was not fitted to."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from train.errors import DataError

Folds = npt.NDArray[np.int64]


def inner_fold_of(truths: Sequence[int], groups: Sequence[str], *, folds: int, seed: int) -> Folds:
    """Return the fold of each photo: classes in equal shares, groups kept whole.

    Where all photos are of one group, they are dealt out singly.

    Args:
        truths: class of each photo.
        groups: group of each photo.
        folds: wanted; fewer where the largest class or the groups are fewer.
        seed: of the shuffle.

    Raises:
        DataError: no class has two photos.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    classes = np.asarray(truths)
    largest = int(np.bincount(classes).max())
    if largest < 2:
        raise DataError(
            f"no class of {len(classes)} photos has two of them, so no head can be judged;"
            " bring more photos"
        )
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    apart = min(folds, largest, int(members.max()) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a class that is smaller than the folds
        if apart >= 2:
            grouped = StratifiedGroupKFold(apart, shuffle=True, random_state=seed)
            found = _numbered(grouped.split(classes, classes, members), len(classes))
            if found.max() >= 1:
                return found
        single = StratifiedKFold(min(folds, largest), shuffle=True, random_state=seed)
        return _numbered(single.split(classes, classes), len(classes))


def _numbered(splits: object, photos: int) -> Folds:
    """Return the number of the fold that each photo is held out in; empty folds are dropped."""
    numbers = np.zeros(photos, dtype=np.int64)
    held_out = [test for _, test in splits if len(test)]  # type: ignore[attr-defined]
    for number, test in enumerate(held_out):
        numbers[test] = number
    return numbers
