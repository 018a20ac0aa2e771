"""Magnitude pruning: set the smallest weights of each kernel to zero, and train the others on.

Zeros shrink the compressed file alone: they are still stored and multiplied, so neither the file
nor the latency changes. For that, see ``shrink.py``, which removes whole channels. The pattern
``2:4`` (two zeros among any four input channels in a row) is the one that some accelerators skip.
Small kernels stay whole: they hold few of the bytes, and the network feels their zeros most.
The masks are those of the model optimization toolkit, which a slow test compares; its wrapping
layers are not used, since their counters have no place in a moving average of weights.
Sources: Zhu & Gupta 2017, arXiv:1710.01878, equation 1; Mishra et al. 2021, arXiv:2104.08378.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune, tuned_recipe
from optimize.finetune_artifact import require_new, write_tuned
from train.artifact import Artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError

COLOURS = 3  # a kernel on pixels has few weights, and every one of them counts
_BLOCK, _BLOCK_KEPT = 4, 2


@dataclass(frozen=True, kw_only=True)
class PruneConfig(TuningConfig):
    """How much to prune, and how fast.

    Attributes:
        pattern: ``unstructured``, or ``2:4`` for two zeros among four input channels.
        final_sparsity: share of zeros among the weights of all kernels that can be pruned, in
            [0, 1); 0.5 by nature of ``2:4``.
        least_share: kernels with less than this share of those weights stay whole, in [0, 1); the
            others lose as much more. With ``2:4`` all are pruned.
        only_trained: whether layers that the training left frozen stay whole and frozen; the
            others lose as much more. An epoch is then as short as one of the training, for
            their maps are not computed anew.
        ramp_epochs: epochs from no zeros to ``final_sparsity``; the network that is kept comes
            from a later epoch.
        every: optimizer steps between two choices of what is zero.
    """

    pattern: Literal["unstructured", "2:4"] = "unstructured"
    final_sparsity: float = 0.6
    least_share: float = 0.006
    only_trained: bool = False
    ramp_epochs: int = 4
    every: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern not in ("unstructured", "2:4"):
            raise ConfigError(f"pattern must be unstructured or 2:4, got {self.pattern!r}")
        if not 0.0 <= self.final_sparsity < 1.0:
            raise ConfigError(f"final_sparsity must be in [0, 1), got {self.final_sparsity}")
        if not 0.0 <= self.least_share < 1.0:
            raise ConfigError(f"least_share must be in [0, 1), got {self.least_share}")
        if self.every < 1:
            raise ConfigError(f"every must be 1 or more, got {self.every}")
        if self.ramp_epochs < 0 or (self.epochs and self.ramp_epochs > self.epochs):
            raise ConfigError(
                f"ramp_epochs must be from 0 to epochs ({self.epochs}), got {self.ramp_epochs}"
            )


def sparsity_at(step: Any, *, ramp_steps: int, final_sparsity: float) -> Any:
    """Return the sparsity due after ``step`` steps: a cubic ramp, flat after ``ramp_steps``.

    Args:
        step: a number, or a float tensor.
        ramp_steps: steps of the ramp; with 0 the final sparsity is due at once.
        final_sparsity: at its end.
    """
    if ramp_steps == 0:
        return final_sparsity
    left = 1.0 - step / ramp_steps
    left = max(left, 0.0) if isinstance(left, float) else tensorflow().maximum(left, 0.0)
    return final_sparsity * (1.0 - left**3)


def magnitude_mask(kernel: Any, sparsity: Any) -> Any:
    """Return 1 for the weights that stay and 0 for the share ``sparsity`` that is least.

    Args:
        kernel: a tensor of any shape.
        sparsity: in [0, 1); what is as small as the largest that goes, goes too.
    """
    tf = tensorflow()
    size = tf.cast(tf.abs(kernel), tf.float32)
    ordered = tf.sort(tf.reshape(size, [-1]))
    count = tf.cast(tf.round(tf.cast(sparsity, tf.float32) * ordered.shape[0]), tf.int32)
    largest = tf.where(count > 0, ordered[tf.maximum(count, 1) - 1], -1.0)
    return tf.cast(size > largest, kernel.dtype)


def two_of_four_mask(kernel: Any) -> Any:
    """Return 1 for the two largest of any four input channels in a row, else 0.

    Args:
        kernel: ``(..., inputs, outputs)``; where the inputs are no multiple of four, the last
            block is what is left, and two of it stay.
    """
    tf = tensorflow()
    size = tf.linalg.matrix_transpose(tf.abs(kernel))
    short = -size.shape[-1] % _BLOCK
    padded = tf.pad(size, [[0, 0]] * (len(size.shape) - 1) + [[0, short]], constant_values=-1.0)
    blocks = tf.reshape(padded, [-1, _BLOCK])
    places = tf.math.top_k(blocks, k=_BLOCK_KEPT).indices
    mask = tf.reduce_sum(tf.one_hot(places, _BLOCK, dtype=kernel.dtype), axis=1)
    mask = tf.reshape(mask, padded.shape)[..., : size.shape[-1]]
    return tf.linalg.matrix_transpose(mask)


class Masks:
    """Zeros that training holds; see ``optimize.finetune.Constraint``."""

    def __init__(self, config: PruneConfig, sparsities: Mapping[str, float]) -> None:
        """Take what each layer comes to, see ``layer_sparsities``; others stay whole."""
        self._config = config
        self._ramp_steps = 0
        self._sparsities = sparsities
        self._targets: list[float] = []
        self._live: list[Any] = []
        self._averaged: list[Any] = []
        self._masks: list[Any] = []

    @property
    def state(self) -> Sequence[Any]:
        """The masks."""
        return self._masks

    def bind(self, live: Any, averaged: Any, *, steps_per_epoch: int) -> None:
        """Take both networks, with the zeros that are due before the first step."""
        tf = tensorflow()
        self._ramp_steps = self._config.ramp_epochs * steps_per_epoch
        self._live, self._averaged = prunable_kernels(live), prunable_kernels(averaged)
        self._targets = [self._sparsities.get(layer.name, 0.0) for layer in prunable_layers(live)]
        self._masks = [
            tf.Variable(self._mask(kernel, target, 0.0), trainable=False)
            for kernel, target in zip(self._live, self._targets, strict=True)
        ]
        self._apply(self._live)
        self._apply(self._averaged)

    def hold(self, step: Any) -> None:
        """Choose the zeros anew where that is due after ``step``, and set them."""
        tf = tensorflow()
        done = tf.cast(step, tf.int64) + 1
        on_time = tf.logical_or(done % self._config.every == 0, done == self._ramp_steps)
        due = tf.logical_and(on_time, done <= self._ramp_steps)
        tf.cond(due, lambda: self._choose(done), lambda: 0)
        self._apply(self._live)

    def hold_average(self) -> None:
        """Set the zeros of the moving average."""
        self._apply(self._averaged)

    def is_settled(self, epochs: int) -> bool:
        """Return whether the ramp is over."""
        return epochs >= self._config.ramp_epochs

    def _choose(self, done: Any) -> int:
        step = tensorflow().cast(done, tensorflow().float32)
        for mask, kernel, target in zip(self._masks, self._live, self._targets, strict=True):
            mask.assign(self._mask(kernel, target, step))
        return 0

    def _mask(self, kernel: Any, target: float, step: Any) -> Any:
        if not target:
            return tensorflow().ones_like(kernel)
        if self._config.pattern == "2:4":
            return two_of_four_mask(kernel)
        due = sparsity_at(step, ramp_steps=self._ramp_steps, final_sparsity=target)
        return magnitude_mask(kernel, due)

    def _apply(self, kernels: Sequence[Any]) -> None:
        for mask, kernel in zip(self._masks, kernels, strict=True):
            kernel.assign(kernel * mask)


def prune(parent: Artifact, folder: Path, config: PruneConfig, workshop: Workshop) -> Artifact:
    """Write ``parent`` with zeros in its kernels, fine-tuned, as a Keras artifact.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the network cannot be fine-tuned.
        ConversionError: the parent is no Keras artifact, or has no kernel to prune.
    """
    require_new(folder)
    model = load_keras(parent)
    if not prunable_kernels(model):
        raise ConversionError(
            f"{parent.manifest.variant}: no convolution or dense layer of it can be pruned; train"
            " another approach"
        )
    frozen = tuned_recipe(parent, config, keep_frozen=True).frozen if config.only_trained else ()
    sparsities = layer_sparsities(model, config, frozen)
    if config.epochs == 0:
        at_once = PruneConfig(**{**asdict(config), "ramp_epochs": 0})
        Masks(at_once, sparsities).bind(model, model, steps_per_epoch=0)
    log = fine_tune(
        model,
        parent,
        config,
        workshop,
        technique="prune",
        constraint=Masks(config, sparsities),
        keep_frozen=config.only_trained,
    )
    zeros, weights = count_zeros(model)
    workshop.progress.say(
        f"{parent.manifest.name.network}: {zeros:,} of {weights:,} kernel weights are zero; they"
        " are still stored and multiplied"
    )
    return write_tuned(
        parent,
        folder,
        model,
        technique="prune",
        word="pruned",
        config={**asdict(config), "zeros": zeros, "kernel_weights": weights},
        log=log,
        checkpoints=workshop.checkpoints,
    )


def prunable_layers(model: Any) -> list[Any]:
    """Return the convolutions and dense layers that are not on pixels, in order.

    Depthwise kernels are left alone: they hold few weights, and each of those is all that its
    channel has.
    """
    return [
        layer
        for layer in model.layers
        if type(layer).__name__ in ("Conv2D", "Dense") and layer.kernel.shape[-2] > COLOURS
    ]


def prunable_kernels(model: Any) -> list[Any]:
    """Return the kernels of those layers."""
    return [layer.kernel for layer in prunable_layers(model)]


def layer_sparsities(
    model: Any, config: PruneConfig, frozen: tuple[str, ...] = ()
) -> dict[str, float]:
    """Return the share of zeros that the kernel of each layer comes to: none where it is small.

    Args:
        model: whose layers.
        config: how many of all its weights.
        frozen: prefixes of layers that stay whole.

    Raises:
        ConfigError: so many zeros do not fit into the others.
    """
    sizes = {layer.name: int(np.prod(layer.kernel.shape)) for layer in prunable_layers(model)}
    least = 0.0 if config.pattern == "2:4" else config.least_share * sum(sizes.values())
    large = [name for name in sizes if sizes[name] >= least and not name.startswith(frozen)]
    held = sum(sizes[name] for name in large)
    share = config.final_sparsity * sum(sizes.values()) / max(1, held)
    if config.pattern == "2:4":
        share = 1.0 - _BLOCK_KEPT / _BLOCK
    if share >= 1.0 or not large:
        raise ConfigError(
            f"final_sparsity = {config.final_sparsity} of {sum(sizes.values()):,} weights is no"
            f" less than the {held:,} in the {len(large)} kernels that may lose some (least_share"
            f" = {config.least_share}, only_trained = {config.only_trained}); lower either, or set"
            " only_trained = false"
        )
    return dict.fromkeys(large, share)


def count_zeros(model: Any) -> tuple[int, int]:
    """Return the zeros and all the weights of the kernels that can be pruned."""
    kernels = [kernel.numpy() for kernel in prunable_kernels(model)]
    return (
        sum(int(np.count_nonzero(kernel == 0)) for kernel in kernels),
        sum(kernel.size for kernel in kernels),
    )
