"""How much each channel matters, and which of them stay.

Sources: Li et al. 2017, arXiv:1608.08710 (the L1 norm of a kernel); Liu et al. 2017,
arXiv:1708.06519 (the scale of a batch normalization); Molchanov et al. 2019, arXiv:1906.10771,
equation 8 (first-order Taylor: what the loss would change by).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.shrink_coupling import Coupling, Group, Kept, maccs_of
from train.errors import ConfigError

Scores = npt.NDArray[np.float64]


def l1_scores(model: Any, coupling: Coupling) -> Scores:
    """Return each channel's L1 norm in the kernels that make it, 1 on average in each of them."""
    found = _Tally(coupling.size)
    for layer in coupling.layers:
        if layer.kind in ("Conv2D", "Dense"):
            kernel = model.get_layer(layer.name).get_weights()[0]
            norms = np.abs(kernel, dtype=np.float64).reshape(-1, kernel.shape[-1]).sum(axis=0)
            found.add(layer.outputs, _over_mean(norms))
    return found.means()


def norm_scores(model: Any, coupling: Coupling) -> Scores:
    """Return each channel's batch normalization scale, 1 on average in each normalization.

    Channels that pass through none are scored by their kernels.
    """
    found = _Tally(coupling.size)
    for layer in coupling.layers:
        source = model.get_layer(layer.name)
        if layer.kind == "BatchNormalization" and source.scale:
            found.add(layer.outputs, _over_mean(np.abs(source.gamma.numpy().astype(np.float64))))
    return found.means(otherwise=l1_scores(model, coupling))


def taylor_scores(
    model: Any, coupling: Coupling, batches: Sequence[tuple[Any, Any]], backend: Any
) -> Scores:
    """Return by how much the loss would change, squared, were the channel zero; a mean of batches.

    A channel that several layers make, as along residual additions, has the sum of what each of
    them says: with it goes all of it.

    Args:
        model: from pixels to probabilities.
        coupling: of that network.
        batches: pixels ``(batch, rows, columns, 3)`` float32, and classes ``(batch,)``.
        backend: the ``tensorflow`` module.
    """
    tf = backend
    gates = {
        layer.name: model.get_layer(layer.name)
        for layer in coupling.layers
        if layer.kind in ("BatchNormalization", "Conv2D", "Dense")
    }
    for gate in gates.values():
        gate.trainable = True
    variables = [variable for gate in gates.values() for variable in gate.trainable_variables]
    totals: dict[str, Scores] = {name: np.zeros(()) for name in gates}
    for pixels, classes in batches:
        with tf.GradientTape() as tape:
            truths = tf.gather(model(pixels, training=False), classes, batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(truths + 1e-7))
        gradients = iter(tape.gradient(loss, variables))
        for name, gate in gates.items():
            parts = [
                (np.asarray(variable) * np.asarray(next(gradients))).astype(np.float64)
                for variable in gate.trainable_variables
            ]
            change = sum(part.reshape(-1, part.shape[-1]).sum(axis=0) for part in parts)
            totals[name] = totals[name] + np.square(change) / len(batches)
    normed, plain = _Tally(coupling.size), _Tally(coupling.size)
    for layer in coupling.layers:
        if layer.name in gates:
            (normed if layer.kind == "BatchNormalization" else plain).add(
                layer.outputs, totals[layer.name]
            )
    return normed.sums(otherwise=plain.sums())


def keep_uniform(coupling: Coupling, scores: Scores, *, ratio: float, multiple: int) -> Kept:
    """Return the choice that removes the share ``ratio`` of every group, the least first.

    What stays is rounded up to a multiple of ``multiple`` channels.
    """
    return _keep(
        coupling,
        scores,
        lambda group: rounded(len(group.channels), (1.0 - ratio) * len(group.channels), multiple),
    )


def keep_budget(
    coupling: Coupling, scores: Scores, *, share: float, least: float, multiple: int
) -> Kept:
    """Return the choice that removes the least channels of the whole network down to a budget.

    Args:
        coupling: the network's channels.
        scores: comparable between groups.
        share: of the network's MACCs that may stay.
        least: share of every group that stays at least.
        multiple: what stays of a group is rounded up to a multiple of it.

    Raises:
        ConfigError: the budget cannot be met with ``least`` and ``multiple``.
    """
    whole = maccs_of(coupling, coupling.all_kept())

    def choice(threshold: float) -> Kept:
        def count(group: Group) -> int:
            above = int((scores[group.channels] > threshold).sum())
            size = len(group.channels)
            return rounded(size, max(above, least * size), multiple)

        return _keep(coupling, scores, count)

    if share >= 1.0:
        return coupling.all_kept()
    levels = np.unique(np.concatenate([scores[group.channels] for group in coupling.groups]))
    low, high = 0, len(levels) - 1
    smallest = maccs_of(coupling, choice(levels[high])) / whole
    if smallest > share:
        raise ConfigError(
            f"maccs {share} cannot be reached: with least = {least} and multiple = {multiple}"
            f" {math.ceil(smallest * 1000) / 1000} of the MACCs stay; lower least or multiple, or"
            " ask for more maccs"
        )
    while low < high:
        middle = (low + high) // 2
        if maccs_of(coupling, choice(levels[middle])) <= share * whole:
            high = middle
        else:
            low = middle + 1
    return choice(levels[low])


def rounded(size: int, wanted: float, multiple: int) -> int:
    """Return ``wanted`` channels rounded up to a multiple, not 0 and at most ``size``."""
    steps = math.ceil(round(wanted / multiple, 9))  # 0.7 * 10 is a little more than 7
    return min(size, max(1, steps) * multiple)


def _keep(coupling: Coupling, scores: Scores, count: Callable[[Group], int]) -> Kept:
    kept = coupling.all_kept()
    for group in coupling.groups:
        order = np.argsort(-scores[group.channels], kind="stable")
        kept[group.channels[order[count(group) :]]] = False
    return kept


def _over_mean(norms: Scores) -> Scores:
    mean = norms.mean()
    return norms / mean if mean > 0 else norms


class _Tally:
    """What several layers say of each channel."""

    def __init__(self, size: int) -> None:
        self._sums: Scores = np.zeros(size)
        self._counts = np.zeros(size)

    def add(self, channels: npt.NDArray[np.int64], values: Scores) -> None:
        """Take what one layer says of its channels."""
        np.add.at(self._sums, channels, values)
        np.add.at(self._counts, channels, 1)

    def means(self, *, otherwise: Scores | None = None) -> Scores:
        """Return the means; of channels that no layer spoke of, ``otherwise`` or 0."""
        return self._or_else(self._sums / np.maximum(self._counts, 1), otherwise)

    def sums(self, *, otherwise: Scores | None = None) -> Scores:
        """Return the sums; of channels that no layer spoke of, ``otherwise`` or 0."""
        return self._or_else(self._sums, otherwise)

    def _or_else(self, found: Scores, otherwise: Scores | None) -> Scores:
        return found if otherwise is None else np.where(self._counts > 0, found, otherwise)
