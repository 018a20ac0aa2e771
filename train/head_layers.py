"""The weights of a head: one linear layer, or a hidden layer before it.

Whatever fits a head hands over its scores through ``spread``, so that every head looks alike:
the scores of the classes that it knows sum to zero, which changes no probability and leaves int8
a narrow range, and a class that it never saw always loses to one of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import keras
from train.errors import DataError
from train.networks.blocks import HEAD_LAYER

Features = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
HIDDEN_LAYER = "hidden"
_UNSEEN_BIAS = -10.0  # the best of the classes that were seen scores 0 or more


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Weights from features to scores.

    Attributes:
        kernel: ``(features or hidden units, classes)`` float32.
        bias: ``(classes,)`` float32.
        hidden: kernel ``(features, hidden units)`` and bias ``(hidden units,)``, both float32, of
            the ReLU layer before, if any.
    """

    kernel: Features
    bias: Features
    hidden: tuple[Features, Features] | None = None

    def scores(self, features: Features) -> Scores:
        """Return the scores, whose softmax is the probabilities, ``(samples, classes)``."""
        inner = np.asarray(features)
        if self.hidden is not None:
            inner = np.maximum(inner @ self.hidden[0] + self.hidden[1], 0.0)
        return np.asarray(inner @ self.kernel + self.bias, dtype=np.float64)

    def predict_proba(self, features: Features) -> Scores:
        """Return the probabilities, ``(samples, classes)``."""
        from scipy.special import softmax

        return np.asarray(softmax(self.scores(features), axis=1))

    def scaled(self, scale: float, *, known: npt.NDArray[np.int64]) -> "Layers":
        """Return layers whose scores of the ``known`` classes are ``scale`` times these."""
        return spread(
            scale * self.kernel[:, known].astype(np.float64),
            scale * self.bias[known].astype(np.float64),
            known=known,
            classes=len(self.bias),
            hidden=self.hidden,
        )

    def put_into(self, model: Any) -> Any:
        """Return a network with this head.

        Args:
            model: a Keras network whose ``logits`` follow ``features``; its weights are set.

        Returns:
            ``model`` itself, or, where a hidden layer is to stand before ``logits`` and does not
            yet, a new network of the same layers with ``hidden`` between.

        Raises:
            DataError: the network has other features or classes than the head.
        """
        first = self.kernel if self.hidden is None else self.hidden[0]
        fits = (len(first), self.kernel.shape[1])
        width = model.get_layer("features").output.shape[-1], model.output_shape[-1]
        if fits != width:
            raise DataError(
                f"a head from {fits[0]} features to {fits[1]} classes does not fit {model.name},"
                f" which has {width[0]} and {width[1]}; fit it to features of this network"
            )
        model = self._with_hidden(model)
        if self.hidden is not None:
            model.get_layer(HIDDEN_LAYER).set_weights(self.hidden)
        model.get_layer(HEAD_LAYER).set_weights([self.kernel, self.bias])
        return model

    def _with_hidden(self, model: Any) -> Any:
        """Return ``model`` with a hidden layer of the right width, or with none."""
        old = [layer.units for layer in model.layers if layer.name == HIDDEN_LAYER]
        wanted = [] if self.hidden is None else [len(self.hidden[1])]
        if old == wanted:
            return model
        layers = keras().layers
        inner = model.get_layer("features").output
        for units in wanted:
            inner = layers.Dense(units, activation="relu", name=HIDDEN_LAYER)(inner)
        logits = layers.Dense(self.kernel.shape[1], name=HEAD_LAYER)(inner)
        probabilities = layers.Activation("softmax", name="probabilities")(logits)
        return keras().Model(model.input, probabilities, name=model.name)


def spread(
    kernel: Scores,
    bias: Scores,
    *,
    known: npt.NDArray[np.int64],
    classes: int,
    hidden: tuple[Features, Features] | None = None,
) -> Layers:
    """Return layers with a score for every class out of scores for the known ones.

    Args:
        kernel: ``(features or hidden units, known classes)``.
        bias: ``(known classes,)``.
        known: index of each known class.
        classes: of the result; a class that is not known gets a constant that never wins.
        hidden: kernel and bias of the ReLU layer before, if any.
    """
    wide = np.zeros((len(kernel), classes))
    wide[:, known] = kernel - kernel.mean(axis=1, keepdims=True)
    constants = np.full(classes, _UNSEEN_BIAS)
    constants[known] = bias - bias.mean()
    return Layers(
        kernel=wide.astype(np.float32),
        bias=constants.astype(np.float32),
        hidden=hidden,
    )
