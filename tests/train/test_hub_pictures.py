"""What a hub's model and our graph are compared on: photos of the run, where there are any."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train import weights
from train.fitting import fit_network
from train.pixels import PixelContract, Pixels, decode
from train.progress import Silent
from train.training import Training
from train.weights import network_with_weights


class Compared(Exception):
    """Ends a training once it is known what it compares on."""


def test_a_training_compares_on_its_first_photos(
    shapes_training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = shapes_training()
    seen: list[Pixels] = []

    def compare(*words: Any, pictures: Pixels, **more: Any) -> Any:
        seen.append(pictures)
        raise Compared

    monkeypatch.setattr(weights, "network_from_hub", compare)
    with pytest.raises(Compared):
        fit_network(replace(training, weights="hub:any"), checkpoints=tmp_path, progress=Silent())
    by_name = {photo.photo_id: photo for photo in training.dataset.photos}
    contract = PixelContract(height=32, width=32)
    wanted = [decode(by_name[name].path, contract) for name in training.split.train[:8]]
    np.testing.assert_array_equal(seen[0], np.stack(wanted))


def test_no_photo_is_decoded_for_weights_of_another_kind() -> None:
    def never() -> Pixels:
        raise AssertionError("decoded for nothing")

    _, origin = network_with_weights(
        "custom-cnn", image_size=32, classes=2, source="none", pictures=never
    )
    assert origin.source == "random"
