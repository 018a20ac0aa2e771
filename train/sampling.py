"""The order in which an epoch visits the training photos.

As they come, every photo is visited once. With ``balance`` above 0 the classes are drawn first, so
that a rare class is met more often than it is owed and a frequent one less; an epoch stays as long
as it was. A class of n photos is drawn with probability proportional to ``n ** (1 - balance)``.
Sources: Mahajan et al. 2018, arXiv:1805.00932 (square-root sampling, balance 0.5);
Kang et al. 2020, arXiv:1910.09217, equation 1.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.int64]


def epoch_order(truths: Sequence[int], *, seed: int, epoch: int, balance: float) -> Order:
    """Return the photos' indices in the order in which ``epoch`` visits them.

    Args:
        truths: class index of each photo.
        seed: of the training.
        epoch: equal seed and epoch give an equal order.
        balance: in [0, 1]: 0 visits every photo once, 1 every class equally often.

    Returns:
        ``(photo,)`` indices. With ``balance`` above 0, a photo comes again only after all others
        of its class have come as often.
    """
    generator = np.random.default_rng((seed, epoch))
    if balance == 0 or len(truths) == 0:
        return generator.permutation(len(truths))
    classes, members, counts = np.unique(
        np.asarray(truths), return_inverse=True, return_counts=True
    )
    shares = counts ** (1.0 - balance)
    drawn = generator.choice(len(classes), size=len(truths), p=shares / shares.sum())
    order = np.empty(len(truths), dtype=np.int64)
    for number, count in enumerate(counts):
        places = np.flatnonzero(drawn == number)
        photos = np.flatnonzero(members == number)
        rounds = -(-len(places) // int(count))
        visits = [generator.permutation(photos) for _ in range(rounds)]
        order[places] = np.concatenate([*visits, photos[:0]])[: len(places)]
    return order
