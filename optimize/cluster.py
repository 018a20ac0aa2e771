"""Weight sharing: each kernel holds a few distinct numbers, so that its file compresses well.

The file itself stays as large, and every weight is still multiplied: it buys gzip bytes alone.
Normalizations are folded into their convolutions first, for the converter would do so afterwards
and leave each channel numbers of its own. Which weights share a number is settled before the
fine-tuning; a shared number then moves by the mean of what its weights would. Zeros of a pruned
network stay zeros. (The optimization toolkit's wrapping layers are not used: their indices have no
place in a moving average of weights.)
Source: Han et al. 2016, arXiv:1510.00149, section 3 (linear initialization, shared updates).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune
from optimize.finetune_artifact import require_new, write_tuned
from optimize.prune import prunable_kernels
from optimize.rewrite_fold import fold_batch_norm
from optimize.rewrite_graph import build_model, read_graph
from train.artifact import Artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError

PRUNED_SHARE = 0.01  # from so many zeros on, they are somebody's work
_ROUNDS = 100
_Values = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(TuningConfig):
    """How many numbers a kernel keeps.

    Attributes:
        centroids: distinct numbers in each kernel, in [2, 256]; zero is one of them where the
            kernel was pruned.
        fold: whether normalizations are folded into their convolutions first.
    """

    epochs: int = 4
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    centroids: int = 32
    fold: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.centroids <= 256:
            raise ConfigError(f"centroids must be in [2, 256], got {self.centroids}")


def find_centroids(values: npt.NDArray[Any], count: int) -> _Values:
    """Return at most ``count`` numbers that ``values`` are near to, in rising order.

    They begin evenly spaced from the least to the greatest value, and each then moves to the mean
    of the values that are nearest to it, until none moves (Lloyd's algorithm). Those that no
    value is nearest to are left out.
    """
    ordered = np.sort(values.reshape(-1).astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(_ROUNDS):
        middles = (centroids[1:] + centroids[:-1]) / 2
        cuts = np.concatenate([[0], np.searchsorted(ordered, middles), [len(ordered)]])
        counts = np.diff(cuts)
        means = (sums[cuts[1:]] - sums[cuts[:-1]]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids[counts > 0]


def share_weights(kernel: npt.NDArray[Any], count: int) -> tuple[_Places, bool]:
    """Return which shared number each weight takes, of its own shape, and whether 0 is zero.

    Args:
        kernel: of any shape.
        count: distinct numbers at most.
    """
    zero = kernel == 0
    if zero.all():
        return np.zeros(kernel.shape, np.int32), True
    pruned = bool(zero.mean() >= PRUNED_SHARE)
    taken = kernel[~zero] if pruned else kernel
    centroids = find_centroids(taken, count - pruned)
    middles = (centroids[1:] + centroids[:-1]) / 2
    places = np.searchsorted(middles, kernel.astype(np.float64)).astype(np.int32)
    return (np.where(zero, 0, places + 1).astype(np.int32), True) if pruned else (places, False)


class SharedWeights:
    """Numbers that training holds together; see ``optimize.finetune.Constraint``."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._live: list[Any] = []
        self._averaged: list[Any] = []
        self._places: list[tuple[Any, int, bool]] = []

    @property
    def state(self) -> Sequence[Any]:
        """Nothing: what is shared follows from the network before its fine-tuning."""
        return ()

    def bind(self, live: Any, averaged: Any, *, steps_per_epoch: int) -> None:
        """Take both networks, and let their weights share."""
        del steps_per_epoch
        tf = tensorflow()
        self._live, self._averaged = prunable_kernels(live), prunable_kernels(averaged)
        for kernel in self._live:
            places, pruned = share_weights(kernel.numpy(), self._config.centroids)
            self._places.append((tf.constant(places), int(places.max()) + 1, pruned))
        self._share(self._live)
        self._share(self._averaged)

    def hold(self, step: Any) -> None:
        """Move each shared number by the mean of what its weights moved by."""
        del step
        self._share(self._live)

    def hold_average(self) -> None:
        """Keep the moving average shared, to the last bit."""
        self._share(self._averaged)

    def is_settled(self, epochs: int) -> bool:
        """Return that it is, from the start."""
        del epochs
        return True

    def _share(self, kernels: Sequence[Any]) -> None:
        tf = tensorflow()
        for kernel, (places, count, pruned) in zip(kernels, self._places, strict=True):
            means = tf.math.unsorted_segment_mean(kernel, places, count)
            if pruned:
                means = tf.concat([[0.0], means[1:]], axis=0)
            kernel.assign(tf.gather(means, places))


def cluster(parent: Artifact, folder: Path, config: ClusterConfig, workshop: Workshop) -> Artifact:
    """Write ``parent`` with shared weights, fine-tuned, as a Keras artifact.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the network cannot be fine-tuned.
        ConversionError: the parent is no Keras artifact, or has no kernel whose weights can share.
    """
    require_new(folder)
    model = load_keras(parent)
    if not prunable_kernels(model):
        raise ConversionError(
            f"{parent.manifest.variant}: no convolution or dense layer of it can share weights;"
            " train another approach"
        )
    if config.fold:
        model = build_model(fold_batch_norm(read_graph(model))[0])
    constraint = SharedWeights(config)
    if config.epochs == 0:
        constraint.bind(model, model, steps_per_epoch=0)
    log = fine_tune(model, parent, config, workshop, technique="cluster", constraint=constraint)
    return write_tuned(
        parent,
        folder,
        model,
        technique="cluster",
        word="clustered",
        config={**asdict(config), "most_distinct_weights": most_distinct(model)},
        log=log,
        checkpoints=workshop.checkpoints,
    )


def most_distinct(model: Any) -> int:
    """Return how many distinct numbers the kernel with the most of them holds."""
    return max(len(np.unique(kernel.numpy())) for kernel in prunable_kernels(model))
