"""16-bit activations: camera pixels in, float out, and layers without kernels refused first."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from deploy.litert import open_litert
from optimize import quantize_int16
from optimize.quantize_int16 import Int16Config, quantize_int16x8
from tests.tiny_models import SIDE, TRAIN_IDS, pictures, write_parent
from train.artifact import Artifact
from train.backend import keras
from train.errors import ConfigError, ConversionError


def test_activations_have_16_bits_and_pixels_come_in(
    parent: Artifact, variants: dict[str, Artifact], tmp_path: Path
) -> None:
    made = quantize_int16x8(parent, "tflite", pictures(24), TRAIN_IDS, tmp_path / "out")
    assert made.manifest.variant == "tiny.int16x8.tflite"
    assert made.manifest.steps[-1].config["calibration_ids"] == list(TRAIN_IDS)
    model = Interpreter(model_path=str(made.payload))
    (given,), (found,) = model.get_input_details(), model.get_output_details()
    assert (given["dtype"], found["dtype"]) == (np.uint8, np.float32)
    details = model.get_tensor_details()
    maps = {item["dtype"] for item in details if tuple(item["shape"]) == (1, 16, 16, 8)}
    assert maps == {np.int16}  # what the convolutions give
    kernels = {item["dtype"] for item in details if tuple(item["shape"]) == (8, 3, 3, 8)}
    assert kernels == {np.int8}
    shown = pictures(16)
    exact = open_litert(variants["float.tflite"].payload, threads=1).predict(shown)
    answers = open_litert(made.payload, threads=1).predict(shown)
    coarse = open_litert(variants["int8.tflite"].payload, threads=1).predict(shown)
    assert float(np.abs(answers - exact).mean()) < float(np.abs(coarse - exact).mean())


def test_onnx_is_refused(parent: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot be written as \.onnx: ONNX Runtime has no"):
        quantize_int16x8(parent, "onnx", pictures(24), TRAIN_IDS, tmp_path / "out")


def test_a_layer_without_16_bit_kernels_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_int16, "to_int16x8_tflite", lambda *_: pytest.fail("it began"))
    k = keras()
    pixels = k.Input((SIDE, SIDE, 3))
    x = k.layers.LayerNormalization()(k.layers.Conv2D(4, 3, 2)(pixels))
    x = k.layers.GlobalAveragePooling2D()(x)
    model = k.Model(pixels, k.layers.Dense(3, activation="softmax")(x), name="normed")
    parent = write_parent(tmp_path / "parent", model)
    with pytest.raises(ConversionError, match=r"no sound 16-bit kernel for .*SQUARED_DIFFERENCE"):
        quantize_int16x8(parent, "tflite", pictures(24), TRAIN_IDS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_check_themselves() -> None:
    with pytest.raises(ConfigError, match="photos must be at least 8"):
        Int16Config(photos=7)
