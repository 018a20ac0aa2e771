"""Two photos in one view: blended (mixup), or a box of one pasted into the other (CutMix).

Partners are a random permutation of the batch, so a view may meet itself. A view's target is shared
with its partner's, by the weight or by the area that each has in the view. What is mixed may be
pixels or the maps of a frozen network.
Sources: Zhang et al. 2018, arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899, equations
1 and 2 (CutMix). Unlike theirs, every view draws a share and a box of its own.
"""

from typing import Any

from train.backend import tensorflow
from train.boxes import put_into_boxes, span

SEED_OF_MIXING = 2  # keeps these draws apart from those of crops, colours and erasing


def mix(views: Any, targets: Any, seed: Any, *, mixup: float, cutmix: float) -> tuple[Any, Any]:
    """Return the batch with every view mixed with another one, and the targets to match.

    Args:
        views: ``(batch, rows, columns, channels)``, floating point.
        targets: ``(batch, classes)`` one-hot, floating point.
        seed: int32 tensor of shape ``(2,)``; equal seeds mix equally.
        mixup: alpha of the Beta distribution of a blend's share; 0 blends nothing.
        cutmix: alpha of the Beta distribution of the area that is left; 0 pastes nothing.

    Returns:
        Views and targets of the shapes given. With both at 0 they are the very tensors given;
        with both above 0 either happens to the whole batch, with equal chance.
    """
    if mixup == 0 and cutmix == 0:
        return views, targets
    tf = tensorflow()
    seeds = tf.random.split(tf.random.fold_in(seed, SEED_OF_MIXING), 4)
    batch = tf.shape(views)[0]
    partners = tf.argsort(tf.random.stateless_uniform((batch,), seeds[0]))

    def blended() -> tuple[Any, Any]:
        return _blend(views, targets, partners, share_of(batch, seeds[1], mixup))

    def pasted() -> tuple[Any, Any]:
        return _paste(views, targets, partners, share_of(batch, seeds[1], cutmix), seeds[2])

    if cutmix == 0:
        return blended()
    if mixup == 0:
        return pasted()
    both: tuple[Any, Any] = tf.cond(
        tf.random.stateless_uniform((), seeds[3]) < 0.5, blended, pasted
    )
    return both


def share_of(batch: Any, seed: Any, alpha: float) -> Any:
    """Return ``(batch,)`` float32 in [0, 1] drawn from Beta(alpha, alpha).

    Drawn as G1 / (G1 + G2) of two gamma variates, in double precision: a small alpha makes them
    smaller than single precision holds.
    """
    tf = tensorflow()
    both = tf.random.stateless_gamma((2, batch), seed, alpha=alpha, dtype=tf.float64)
    return tf.cast(tf.math.divide_no_nan(both[0], both[0] + both[1]), tf.float32)


def boxes_to_paste(shares: Any, seed: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
    """Return the rows and the columns of the boxes: ``(batch, rows or columns)`` bool.

    A box's sides are ``sqrt(1 - share)`` of the view's; its centre may be anywhere in the view,
    and what sticks out is cut off.

    Args:
        shares: ``(batch,)``: share of the view that is left, before anything is cut off.
        seed: int32 tensor of shape ``(2,)``.
        rows: of the views.
        columns: of the views.
    """
    tf = tensorflow()
    side = tf.sqrt(1.0 - shares)
    centres = tf.random.stateless_uniform((2, tf.shape(shares)[0]), seed)

    def inside(centre: Any, length: Any) -> Any:
        whole = tf.cast(length, tf.float32)
        extent = tf.cast(whole * side, tf.int32)
        return span(tf.cast(centre * whole, tf.int32) - extent // 2, extent, length)

    return inside(centres[0], rows), inside(centres[1], columns)


def _blend(views: Any, targets: Any, partners: Any, shares: Any) -> tuple[Any, Any]:
    tf = tensorflow()
    share = tf.cast(shares, views.dtype)[:, None, None, None]
    mixed = share * views + (1 - share) * tf.gather(views, partners)
    return mixed, _shared(targets, partners, shares)


def _paste(views: Any, targets: Any, partners: Any, shares: Any, seed: Any) -> tuple[Any, Any]:
    tf = tensorflow()
    shape = tf.shape(views)
    down, across = boxes_to_paste(shares, seed, shape[1], shape[2])
    mixed = put_into_boxes(views, tf.gather(views, partners), down=down, across=across)
    covered = [tf.reduce_mean(tf.cast(side, tf.float32), axis=1) for side in (down, across)]
    return mixed, _shared(targets, partners, 1.0 - covered[0] * covered[1])


def _shared(targets: Any, partners: Any, shares: Any) -> Any:
    tf = tensorflow()
    share = tf.cast(shares, targets.dtype)[:, None]
    return share * targets + (1 - share) * tf.gather(targets, partners)
