"""The root as an activation: its figures, its slope at zero, and its way through a Keras file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.backend import keras, tensorflow
from train.errors import ArtifactError
from train.keras_file import load_keras, save_keras
from train.networks.square_root import AS_WRITTEN, square_root


def network() -> Any:
    layers = keras().layers
    pixels = layers.Input((4, 4, 3), name="pixels")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(pixels)
    roots = layers.Activation(square_root(), name="features")(pooled)
    return keras().Model(pixels, roots, name="roots")


def test_it_is_the_root_and_zero_below_zero() -> None:
    found = square_root()(np.array([4.0, 0.25, 0.0, -3.0], np.float32)).numpy()
    # sqrt(x + 1e-6): 1e-3 at zero, and 1e-6 / (2 sqrt(x)) above the root elsewhere.
    np.testing.assert_allclose(found, [2.0, 0.5, 1e-3, 1e-3], rtol=0, atol=1.1e-6)


def test_its_slope_is_finite_at_zero() -> None:
    tf = tensorflow()
    values = tf.constant([0.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        roots = square_root()(values)
    slopes = tape.gradient(roots, values).numpy()
    assert np.isfinite(slopes).all() and slopes[1] == pytest.approx(0.5, rel=1e-5)


def test_a_keras_file_names_it(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "roots.keras"
    save_keras(model, path)
    pictures = np.full((1, 4, 4, 3), 9.0, np.float32)
    np.testing.assert_array_equal(load_keras(path)(pictures), model(pictures))
    with zipfile.ZipFile(path) as archive:
        assert json.dumps(dict(AS_WRITTEN)) in archive.read("config.json").decode()


def test_another_function_in_its_place_is_refused(tmp_path: Path) -> None:
    path, forged = tmp_path / "roots.keras", tmp_path / "forged.keras"
    save_keras(network(), path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(forged, "w") as copy:
        for name in archive.namelist():
            text = archive.read(name)
            copy.writestr(name, text.replace(b"threadlite>square_root", b"threadlite>other"))
    with pytest.raises(ArtifactError, match="layer 'features' has the activation a dict"):
        load_keras(forged)
