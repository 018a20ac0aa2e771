"""Zeros and distinct numbers of one network, counted in each of its files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.weight_counts import WeightCounts, count_weights
from optimize.convert import to_onnx, to_tflite
from optimize.quantize_litert import to_int8_tflite
from optimize.quantize_onnx import to_int8_onnx
from tests.tiny_models import pictures, tiny_network
from train.errors import ArtifactError
from train.keras_file import save_keras

# Kernels of the tiny network: 3x3x3x8, twice 3x3x8x8, depthwise 3x3x8, dense 8x3.
WEIGHTS = 216 + 576 + 576 + 72 + 24


def sparse_network() -> Any:
    """Return the tiny network with few numbers in a kernel, a quarter of the others zero."""
    model = tiny_network()
    norm = model.get_layer("norm1")
    norm.set_weights([np.ones(8), np.zeros(8), np.zeros(8), np.full(8, 1.0 - norm.epsilon)])
    for name in ("conv0", "conv1", "conv2"):
        (kernel,) = model.get_layer(name).get_weights()
        kernel[:, :, : kernel.shape[2] // 4 or 1] = 0.0
        if name == "conv1":
            kernel = np.sign(kernel)
        model.get_layer(name).set_weights([kernel])
    head = model.get_layer("logits")
    head.set_weights([np.arange(1.0, 25.0).reshape(8, 3), np.zeros(3)])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, model, shown = tmp_path_factory.mktemp("files"), sparse_network(), pictures(8)
    shown[0, 0, 0, 0], shown[0, 0, 0, 1] = 0, 255
    names = ("float.keras", "float.tflite", "int8.tflite", "float.onnx", "int8.onnx")
    found = {name: folder / name for name in names}
    save_keras(model, found["float.keras"])
    found["float.tflite"].write_bytes(to_tflite(model))
    found["int8.tflite"].write_bytes(to_int8_tflite(model, shown))
    proto = to_onnx(model)
    integer = to_int8_onnx(proto, shown, activations="uint8", reduce_range=False)
    found["float.onnx"].write_bytes(proto.SerializeToString())
    found["int8.onnx"].write_bytes(integer.SerializeToString())
    return found


@pytest.mark.parametrize("name", ["float.keras", "float.tflite", "float.onnx"])
def test_every_file_holds_the_same_weights_and_zeros(files: dict[str, Path], name: str) -> None:
    # conv0: 1 of 3 input channels is zero, 72 weights; conv1 and conv2: 2 of 8, 144 each.
    found = count_weights(files[name])
    assert (found.weights, found.zeros) == (WEIGHTS, 72 + 144 + 144)
    assert 400 < found.most_distinct <= 433  # conv2: 432 weights that are not zero, and zero


@pytest.mark.parametrize("name", ["int8.tflite", "int8.onnx"])
def test_in_8_bits_small_weights_become_zero_too(files: dict[str, Path], name: str) -> None:
    found = count_weights(files[name])
    assert found.weights == WEIGHTS
    assert 72 + 144 + 144 <= found.zeros < 0.5 * WEIGHTS
    assert found.most_distinct <= 255


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"weights are counted of .keras, .tflite, .onnx files"):
        count_weights(tmp_path / "net.pb")
    broken = tmp_path / "net.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match="its weights cannot be read"):
        count_weights(broken)
    assert WeightCounts(weights=1, zeros=0, most_distinct=1).zeros == 0
