"""The loop of a fine-tuning: weights held to a pattern, and a parent that teaches.

The parent answers to the very views that its child is shown, mixed photos included, scaled to the
size that it takes itself; where the maps of frozen layers were computed once, both go on from
those. It only runs forward, by LiteRT where that agrees with Keras.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from optimize.distill_losses import taught_loss
from train.approaches import Recipe
from train.backend import tensorflow
from train.feeds import Feed, Indices
from train.forward import forward_of
from train.loop import Trainer

_SAMPLES = 8  # pictures on which the parent under LiteRT is held against Keras
_THREADS = 2


class Constraint(Protocol):
    """A pattern that weights are held to while they train."""

    @property
    def state(self) -> Sequence[Any]:
        """TensorFlow variables that belong into a checkpoint."""

    def bind(self, live: Any, averaged: Any, *, steps_per_epoch: int) -> None:
        """Take the network in training and its moving average, and hold both from the start on."""

    def hold(self, step: Any) -> None:
        """Bring the live weights back to the pattern after ``step``; runs inside a graph."""

    def hold_average(self) -> None:
        """Bring the moving average to the pattern; runs inside a graph."""

    def is_settled(self, epochs: int) -> bool:
        """Return whether the pattern is the final one after so many epochs."""


class ParentFeed:
    """The views or maps of another feed, each with its label and what the parent answers to it."""

    def __init__(self, feed: Feed, parent: Any) -> None:
        """Take a feed of views, or of maps, and the network that answers to those.

        Args:
            feed: of photos, or of the maps at a layer that the parent has been cut after.
            parent: from ``(batch, rows, columns, channels)`` to probabilities.
        """
        self.rows, self._feed = feed.rows, feed
        _, *self._size, _ = parent.input_shape
        samples = self._scaled(feed.inputs_of(feed.rows.train[:_SAMPLES]).astype(np.float32))
        self._answer = forward_of(parent, np.asarray(samples), threads=_THREADS).run

    def _scaled(self, views: Any) -> Any:
        return tensorflow().image.resize(views, self._size)

    def inputs_of(self, rows: Indices) -> npt.NDArray[Any]:
        """Return the inputs of these photos themselves, as the other feed gives them."""
        return self._feed.inputs_of(rows)

    def batches(self, epoch: int) -> Any:
        """Return the epoch's batches; targets are ``(batch, 2 * classes)``: label, answer."""
        tf = tensorflow()

        def told(views: Any, targets: Any, seed: Any) -> tuple[Any, ...]:
            answers = tf.numpy_function(self._answer, [self._scaled(views)], tf.float32)
            answers = tf.ensure_shape(answers, (None, self.rows.classes))
            return views, tf.concat([targets, answers], axis=1), seed

        return self._feed.batches(epoch).map(told).prefetch(2)


class TuningTrainer(Trainer):
    """A trainer that holds its weights to a pattern, and learns from a parent, where it is asked.

    Its feed is a ``ParentFeed`` where ``parent_share``, that of the parent's answers in the loss,
    is above 0.
    """

    def __init__(
        self,
        model: Any,
        feed: Feed,
        recipe: Recipe,
        *,
        seed: int,
        constraint: Constraint | None = None,
        parent_share: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        self._constraint = constraint
        self._parent_share, self._temperature = parent_share, temperature
        super().__init__(model, feed, recipe, seed=seed)
        self._steps_per_epoch = len(feed.rows.train) // recipe.batch_size
        if constraint is not None:
            constraint.bind(self.model, self.averaged, steps_per_epoch=self._steps_per_epoch)
            self.state.held = list(constraint.state)

    def loss(self, targets: Any, logits: Any, features: Any) -> Any:
        """Return the mean loss of a batch, by labels and as far as it is asked by the parent."""
        classes, share = self.feed.rows.classes, self._parent_share
        by_labels = super().loss(targets[:, :classes], logits, features)
        if not share:
            return by_labels
        told = targets[:, classes:]
        return taught_loss(by_labels, told, logits, share=share, temperature=self._temperature)

    def _average(self) -> None:
        if self._constraint is None:
            super()._average()
            return
        self._constraint.hold(self.step)
        super()._average()
        self._constraint.hold_average()

    def validation_f1(self) -> float | None:
        """Return the validation F1; none before the pattern is final: no epoch wins then."""
        held = self._constraint
        if held is not None and not held.is_settled(int(self.step) // self._steps_per_epoch):
            return None
        return super().validation_f1()
