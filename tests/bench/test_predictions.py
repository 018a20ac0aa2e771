import numpy as np
import pytest

from bench.predictions import predictions_of
from train.errors import RuntimeFailure


def test_the_three_most_probable_come_best_first_and_ties_in_order() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]], np.float32)
    assert predictions_of(probabilities, subject="net", classes=4) == {
        "predictions": (3, 0),
        "top_classes": ((3, 2, 1), (0, 1, 2)),
        "confidences": (0.4, 0.25),
    }


def test_two_classes_have_a_top_two() -> None:
    found = predictions_of(np.array([[0.4, 0.6]], np.float32), subject="net", classes=2)
    assert found["top_classes"] == ((1, 0),)


def test_a_quantized_step_above_one_counts_as_one() -> None:
    found = predictions_of(np.array([[1.004, 0.0]], np.float32), subject="net", classes=2)
    assert found["confidences"] == (1.0,)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([0.5, 0.5, 0.0], "net: gives 3 classes, its manifest names 2"),
        ([0.5, np.nan], "probabilities of 1 of 1 photos are not finite"),
        ([-3.0, 7.5], r"must be in \[0, 1\], got -3 to 7.5; end the network with a softmax"),
    ],
    ids=["classes", "not a number", "logits"],
)
def test_what_is_no_probability_is_refused(row: list[float], words: str) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        predictions_of(np.array([row], np.float32), subject="net", classes=2)
