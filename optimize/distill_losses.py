"""What a student loses by answering, or by seeing, otherwise than its teacher.

Sources: Hinton et al. 2015, arXiv:1503.02531 (temperature, and its square before the loss);
Tung & Mori 2019, arXiv:1907.09682 (features compared by which photos of a batch they hold to be
alike).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import tensorflow

SMALLEST = 1e-6  # of a probability before its logarithm: answers are kept as float16


def unit_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the rows scaled to length 1, ``(photo, features)``; rows of zeros stay."""
    plain = values.astype(np.float32)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    return np.asarray(plain / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def distillation_loss(told: Any, logits: Any, *, temperature: float) -> Any:
    """Return the mean cross-entropy to the teacher's softened answers, times temperature squared.

    Args:
        told: the teacher's probabilities, ``(batch, classes)``; a ``p`` at temperature ``t`` is
            ``p ** (1 / t)``, scaled to sum to 1.
        logits: the student's scores, ``(batch, classes)``.
        temperature: at least 1. Gradients shrink by its square, which the factor makes up for.
    """
    tf = tensorflow()
    softened = tf.nn.softmax(tf.math.log(tf.maximum(told, SMALLEST)) / temperature)
    losses = tf.nn.softmax_cross_entropy_with_logits(softened, logits / temperature)
    return temperature**2 * tf.reduce_mean(losses)


def similarity_loss(theirs: Any, features: Any) -> Any:
    """Return how differently teacher and student hold the photos of a batch to be alike.

    Of each, the ``(batch, batch)`` products of its features, every row scaled to length 1; of both,
    the mean square of the difference: Tung & Mori's equations 2 to 4.

    Args:
        theirs: the teacher's features, ``(batch, features)``.
        features: the student's, ``(batch, other features)``.
    """
    tf = tensorflow()

    def alike(rows: Any) -> Any:
        products = tf.linalg.matmul(rows, rows, transpose_b=True)
        return tf.math.l2_normalize(products, axis=1)

    batch = tf.cast(tf.shape(features)[0], tf.float32)
    return tf.reduce_sum((alike(theirs) - alike(features)) ** 2) / batch**2


def taught_loss(by_labels: Any, told: Any, logits: Any, *, share: float, temperature: float) -> Any:
    """Return the loss of a batch that learns from labels and from a teacher.

    Args:
        by_labels: the mean loss by labels.
        told: see ``distillation_loss``.
        logits: likewise.
        share: of the teacher, in [0, 1]; the labels have the rest.
        temperature: likewise.
    """
    by_teacher = distillation_loss(told, logits, temperature=temperature)
    return (1.0 - share) * by_labels + share * by_teacher
