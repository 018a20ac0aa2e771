import numpy as np
import pytest

from train.sampling import epoch_order

TRUTHS = [0] * 80 + [1] * 16 + [2] * 4


def visits(balance: float, epochs: int = 200) -> np.ndarray:
    """How often each photo is visited, over many epochs."""
    orders = [epoch_order(TRUTHS, seed=0, epoch=e, balance=balance) for e in range(epochs)]
    return np.bincount(np.concatenate(orders), minlength=len(TRUTHS))


def test_unbalanced_order_is_the_plain_permutation() -> None:
    found = epoch_order(TRUTHS, seed=3, epoch=5, balance=0.0)
    assert np.array_equal(found, np.random.default_rng((3, 5)).permutation(100))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_orders_repeat_and_differ_between_epochs_and_seeds(balance: float) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(TRUTHS, seed=seed, epoch=epoch, balance=balance).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert len(order(1, 2)) == len(TRUTHS)


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        (1.0, (1 / 3, 1 / 3, 1 / 3)),
        # square roots of 80, 16 and 4 are 8.944, 4 and 2: shares of 14.944
        (0.5, (0.5985, 0.2677, 0.1338)),
    ],
)
def test_classes_are_drawn_by_their_share(balance: float, shares: tuple[float, ...]) -> None:
    counts = np.bincount(TRUTHS, weights=visits(balance))
    # 20,000 draws: a standard deviation of a share is at most sqrt(0.25 / 20,000) = 0.0035
    assert counts / 20_000 == pytest.approx(shares, abs=0.016)


def test_photos_of_a_class_come_equally_often_within_an_epoch() -> None:
    for epoch in range(20):
        order = epoch_order(TRUTHS, seed=0, epoch=epoch, balance=1.0)
        counts = np.bincount(order, minlength=100)
        for members in (slice(0, 80), slice(80, 96), slice(96, 100)):
            assert np.ptp(counts[members]) <= 1


def test_photos_come_again_only_after_all_others_of_their_class() -> None:
    order = epoch_order(TRUTHS, seed=0, epoch=0, balance=1.0)
    rare = order[order >= 96]
    whole_rounds = rare[: len(rare) // 4 * 4].reshape(-1, 4)
    assert len(whole_rounds) > 2
    assert (np.sort(whole_rounds, axis=1) == [96, 97, 98, 99]).all()


def test_classes_without_photos_and_single_classes_are_no_trouble() -> None:
    assert set(epoch_order([4, 9, 9], seed=0, epoch=0, balance=1.0).tolist()) <= {0, 1, 2}
    assert sorted(epoch_order([7] * 5, seed=0, epoch=0, balance=1.0).tolist()) == [0, 1, 2, 3, 4]
    assert epoch_order([], seed=0, epoch=0, balance=1.0).tolist() == []
