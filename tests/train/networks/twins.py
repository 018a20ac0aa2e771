"""A network of Keras Applications with weights that leave no layer idle, and its comparison.

No weights are downloaded: the twin gets random ones, and the network under test the same ones
through the translation that files go through.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import keras
from train.networks import FROM_KERAS_APPLICATION, NETWORKS
from train.weights import named_variables

Floats = npt.NDArray[np.float32]


def entries_of(twin: Any) -> dict[str, Any]:
    """Draw weights for ``twin`` and return them as a file would hold them."""
    generator = np.random.default_rng(0)
    entries = {}
    for layer in _plain_layers(twin):
        for variable in layer.weights:
            name = variable.name.split(":")[0].rsplit("/", 1)[-1]
            if name in ("gamma", "moving_variance"):
                variable.assign(generator.uniform(0.5, 1.5, variable.shape))
            elif "kernel" not in name:
                variable.assign(generator.normal(0.0, 0.1, variable.shape))
            entries[f"{layer.name}/{name}"] = variable.numpy()
    return entries


def _plain_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras().Model):
            yield from _plain_layers(layer)
        else:
            yield layer


def assert_equal_features(
    network: str, twin: Any, prepare: Callable[[Floats], Floats], *, layers: int
) -> None:
    """Lay the twin's weights into ``network`` and compare features on random pixels.

    Args:
        network: key of ``NETWORKS``.
        twin: of Keras Applications, without its classifier, with pooling.
        prepare: its preprocessing of pixels in [0, 255].
        layers: how many convolutions follow one another.
    """
    entries = FROM_KERAS_APPLICATION[network](entries_of(twin))
    image_size = twin.input_shape[1]
    model = NETWORKS[network](image_size=image_size, classes=5)
    variables = named_variables(model)
    assert set(variables) - set(entries) == {"logits/kernel", "logits/bias"}
    assert set(entries) <= set(variables)
    for name, array in entries.items():
        variables[name].assign(array)
    pixels = np.random.default_rng(1).uniform(0, 255, (2, image_size, image_size, 3))
    pixels = pixels.astype(np.float32)
    wanted = twin(prepare(pixels.copy()), training=False).numpy()
    backbone = keras().Model(model.input, model.get_layer("features").output)
    # The same products summed in another order: some 6e-8 of the largest value a layer.
    largest = float(np.abs(wanted).max())
    assert wanted.std() > 0.01 * largest  # not a comparison of one figure
    found = backbone(pixels, training=False).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=2 * layers * 6e-8 * largest)
