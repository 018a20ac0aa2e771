"""Int8 by other backends, methods of calibration and types, and what each is called."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper

from deploy.litert import open_litert
from optimize.convert import to_onnx, to_tflite
from optimize.litert_quantizer import find_ranges, litert_layers, to_mixed_tflite
from optimize.quantize import (
    QuantizeConfig,
    choose_calibration,
    named,
    quantize_int8,
)
from optimize.quantize_graph import operators_of
from optimize.quantize_litert import input_quantization
from optimize.quantize_onnx import to_int8_onnx
from tests.tiny_models import TRAIN_IDS, pictures, tiny_network, write_parent
from train.artifact import Artifact
from train.backend import keras
from train.errors import ConfigError


@pytest.fixture(scope="module")
def float_tflite() -> bytes:
    return to_tflite(tiny_network())


def test_the_other_backend_takes_camera_pixels_too(parent: Artifact, tmp_path: Path) -> None:
    config = QuantizeConfig(backend="ai-edge-quantizer")
    made = quantize_int8(parent, "tflite", pictures(24), TRAIN_IDS, tmp_path / "out", config)
    assert made.manifest.variant == "tiny.ai-edge.int8.tflite"
    assert made.manifest.steps[-1].config["backend"] == "ai-edge-quantizer"
    content = made.payload.read_bytes()
    assert input_quantization(content) == (1.0, 0)
    assert "CAST" not in operators_of(content)
    model = Interpreter(model_path=str(made.payload))
    kernels = [t for t in model.get_tensor_details() if tuple(t["shape"]) == (8, 3, 3, 8)]
    assert [kernel["dtype"] for kernel in kernels] == [np.int8, np.int8]
    assert model.get_output_details()[0]["dtype"] is np.float32  # softmax stays in float


def test_the_other_backend_answers_as_float_does(
    float_tflite: bytes, variants: dict[str, Artifact], tmp_path: Path
) -> None:
    ranges = find_ranges(float_tflite, pictures(8))
    path = tmp_path / "mixed.tflite"
    path.write_bytes(to_mixed_tflite(float_tflite, ranges))
    assert path.read_bytes() == to_mixed_tflite(float_tflite, ranges)
    shown = pictures(16)
    exact = open_litert(variants["float.tflite"].payload, threads=1).predict(shown)
    found = open_litert(path, threads=1).predict(shown)
    assert float(np.abs(found - exact).mean()) < 0.05
    assert float((found.argmax(1) == exact.argmax(1)).mean()) >= 0.8


def test_a_model_whose_weights_the_other_backend_lays_behind_it(tmp_path: Path) -> None:
    """It does from 256 KiB of weights on; here 512 x 600 in int8."""
    k = keras()
    pixels = k.Input((32, 32, 3), name="pixels")
    maps = k.layers.Conv2D(512, 3, strides=8, activation="relu", name="conv")(pixels)
    features = k.layers.GlobalAveragePooling2D(name="features")(maps)
    wide = k.layers.Dense(600, activation="relu", name="wide")(features)
    logits = k.layers.Dense(3, name="logits")(wide)
    model = k.Model(pixels, k.layers.Activation("softmax", name="probabilities")(logits))
    parent = write_parent(tmp_path / "parent", model)
    config = QuantizeConfig(backend="ai-edge-quantizer")
    made = quantize_int8(parent, "tflite", pictures(24), TRAIN_IDS, tmp_path / "out", config)
    shown = pictures(16)
    exact = model.predict(shown.astype(np.float32), verbose=0)
    found = open_litert(made.payload, threads=1).predict(shown)
    # 8 steps of the output (1/256) for roundings, and a part of what tells pictures apart.
    assert np.abs(found - exact).max() < 8 / 256 + 0.3 * float(np.ptp(exact, axis=0).max())


def test_ranges_are_of_the_pictures_and_the_camera(float_tflite: bytes) -> None:
    dark, bright = np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 32, 32, 3), 255, np.uint8)
    ranges = find_ranges(float_tflite, np.concatenate([dark, bright]))
    (scaled,) = [value for name, value in ranges.items() if name.endswith("rescale/add")]
    assert scaled["min"].item() == pytest.approx(-1.0)  # 0 / 127.5 - 1
    assert scaled["max"].item() == pytest.approx(1.0)
    (cast,) = [value for name, value in ranges.items() if name == "Cast"]
    assert (cast["min"].item(), cast["max"].item()) == (0.0, 255.0)
    moving = find_ranges(float_tflite, np.concatenate([dark, bright]), average=True)
    (scaled,) = [value for name, value in moving.items() if name.endswith("rescale/add")]
    assert scaled["max"].item() == pytest.approx(0.95 * -1.0 + 0.05 * 1.0)


def test_named_operators_stay_in_float(float_tflite: bytes) -> None:
    layers = litert_layers(float_tflite)
    assert {"CONV_2D", "FULLY_CONNECTED"} <= {layer.operator for layer in layers}
    assert "SOFTMAX" not in {layer.operator for layer in layers}
    ranges = find_ranges(float_tflite, pictures(4))
    head = next(layer for layer in layers if layer.operator == "FULLY_CONNECTED")
    whole = to_mixed_tflite(float_tflite, ranges)
    mixed = to_mixed_tflite(float_tflite, ranges, in_float=(head.name,))
    alone = to_mixed_tflite(float_tflite, ranges, only=(head.name,))
    assert head_type(whole) is head_type(alone) is np.int8
    assert head_type(mixed) is np.float32
    assert kernel_types(mixed) == {np.int8}
    assert kernel_types(alone) == {np.float32}


def head_type(content: bytes) -> type:
    return next(iter(types(content, (3, 8))))


def kernel_types(content: bytes) -> set[type]:
    return types(content, (8, 3, 3, 8))


def types(content: bytes, shape: tuple[int, ...]) -> set[type]:
    details = Interpreter(model_content=content).get_tensor_details()
    return {item["dtype"] for item in details if tuple(item["shape"]) == shape}


@pytest.fixture(scope="module")
def float_onnx() -> onnx.ModelProto:
    return to_onnx(tiny_network())


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_onnx_ranges_can_leave_out_the_outermost(float_onnx: onnx.ModelProto, method: str) -> None:
    settings = {"activations": "uint8", "reduce_range": False, "percentile": 90.0}
    shown = pictures(6)
    cut = scales(to_int8_onnx(float_onnx, shown, method=method, **settings))  # type: ignore[arg-type]
    whole = scales(to_int8_onnx(float_onnx, shown, method="min-max", **settings))  # type: ignore[arg-type]
    assert cut.keys() == whole.keys()
    assert sum(cut[name] < 0.999 * whole[name] for name in cut) >= 3
    assert all(cut[name] <= 1.01 * whole[name] for name in cut)


def scales(proto: onnx.ModelProto) -> dict[str, float]:
    """Return the scale of each activation."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    return {
        node.input[0]: float(numpy_helper.to_array(constants[node.input[1]]))
        for node in proto.graph.node
        if node.op_type == "QuantizeLinear"
    }


def test_a_reduced_range_uses_seven_bits(float_onnx: onnx.ModelProto) -> None:
    made = to_int8_onnx(float_onnx, pictures(4), activations="uint8", reduce_range=True)
    kernels = [numpy_helper.to_array(t) for t in made.graph.initializer if len(t.dims) == 4]
    assert kernels
    assert max(int(np.abs(kernel.astype(np.int32)).max()) for kernel in kernels) == 64


@pytest.mark.parametrize(
    ("settings", "target", "message"),
    [
        ({"calibration": "entropy"}, "tflite", r"must be one of min-max for \.tflite by converter"),
        ({"calibration": "mse"}, "onnx", "must be one of percentile, min-max, entropy"),
        ({"backend": "ai-edge-quantizer"}, "onnx", r"writes no \.onnx; use 'converter'"),
        (
            {"backend": "ai-edge-quantizer", "calibration": "percentile"},
            "tflite",
            "must be one of min-max, average, mse",
        ),
    ],
)
def test_a_method_that_a_backend_lacks_is_refused_before_work(
    parent: Artifact, tmp_path: Path, settings: dict[str, str], target: str, message: str
) -> None:
    config = QuantizeConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        config.fitted(target)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):  # before the photos are looked at
        quantize_int8(parent, target, pictures(8)[:0], (), tmp_path / "out", config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "magic"}, "backend must be converter or ai-edge-quantizer, got 'magic'"),
        ({"calibration": "max"}, "calibration must be auto, average, entropy, .* got 'max'"),
        ({"onnx_reduce_range": "maybe"}, "must be auto, yes or no, got 'maybe'"),
        ({"percentile": 50.0}, r"percentile must be in \(50, 100\], got 50.0"),
    ],
)
def test_settings_check_themselves(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        QuantizeConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "target", "name"),
    [
        (QuantizeConfig(), "onnx", "tiny.int8.onnx"),
        (QuantizeConfig(onnx_activations="int8"), "onnx", "tiny.s8s8.int8.onnx"),
        (QuantizeConfig(onnx_activations="int8"), "tflite", "tiny.int8.tflite"),
        (
            QuantizeConfig(calibration="min-max", onnx_reduce_range="yes"),
            "onnx",
            "tiny.min-max.7-bit.int8.onnx",
        ),
        (
            QuantizeConfig(backend="ai-edge-quantizer", calibration="mse"),
            "tflite",
            "tiny.ai-edge.mse.int8.tflite",
        ),
    ],
)
def test_unusual_settings_are_words_of_the_name(
    parent: Artifact, config: QuantizeConfig, target: str, name: str
) -> None:
    assert str(named(parent, config, target)) == name  # type: ignore[arg-type]


def test_what_calibrates_on_nothing_gets_one_photo() -> None:
    assert len(choose_calibration(TRAIN_IDS, object())) == 1
