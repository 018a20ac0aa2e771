"""Int8: full integer inside, camera pixels outside, calibration on record."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from optimize.quantize import (
    QuantizeConfig,
    choose_calibration,
    quantize_int8,
    with_both_extremes,
)
from optimize.quantize_litert import input_quantization, to_int8_tflite
from tests.tiny_models import TRAIN_IDS, pictures, tiny_network
from train.artifact import Artifact
from train.errors import ConfigError, ConversionError


def test_tflite_takes_camera_pixels_and_holds_no_float(variants: dict[str, Artifact]) -> None:
    model = Interpreter(model_path=str(variants["int8.tflite"].payload))
    (given,), (found,) = model.get_input_details(), model.get_output_details()
    assert given["dtype"] is np.uint8
    assert given["quantization"] == (1.0, 0)
    assert found["dtype"] is np.uint8
    assert {tensor["dtype"] for tensor in model.get_tensor_details()} <= {
        np.uint8,
        np.int8,
        np.int32,
    }


def test_weights_of_a_convolution_have_one_scale_a_channel(variants: dict[str, Artifact]) -> None:
    model = Interpreter(model_path=str(variants["int8.tflite"].payload))
    kernels = [t for t in model.get_tensor_details() if tuple(t["shape"]) == (8, 3, 3, 8)]
    assert len(kernels) == 2  # conv1 and conv2 see 8 channels and give 8
    for kernel in kernels:
        assert len(kernel["quantization_parameters"]["scales"]) == 8
        assert not kernel["quantization_parameters"]["zero_points"].any()


def test_onnx_is_qdq_with_uint8_activations_and_int8_weights(
    variants: dict[str, Artifact],
) -> None:
    graph = onnx.load(variants["int8.onnx"].payload).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert not {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"} & kinds
    kernels = [t for t in graph.initializer if len(t.dims) == 4]
    assert [t.data_type for t in kernels] == [onnx.TensorProto.INT8] * 4  # 3 full, 1 depthwise
    scales = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in {t.name for t in kernels}:
            assert list(scales[node.input[1]].dims) == [8]
    zero_points = {
        scales[node.input[2]].data_type for node in graph.node if node.op_type == "QuantizeLinear"
    }
    assert zero_points == {onnx.TensorProto.UINT8}


def test_the_manifest_says_which_photos_calibrated(
    parent: Artifact, variants: dict[str, Artifact]
) -> None:
    found = variants["int8.tflite"].manifest
    assert found.variant == "tiny.int8.tflite"
    step = found.steps[1]
    assert (step.technique, step.parent_sha256) == ("int8", parent.manifest.payload_sha256)
    assert step.config["calibration_ids"] == list(TRAIN_IDS)
    assert step.config["calibration_values_set"] == 2  # the blotches reach from 20 to 230
    assert step.config["method"] == "min-max"
    other = variants["int8.onnx"].manifest.steps[1].config
    assert (other["method"], other["percentile"]) == ("percentile", 99.999)
    assert other["calibration_values_set"] == 0  # the range of the pixels is known


def test_missing_extremes_are_set_in_the_first_corner_alone() -> None:
    inner = np.full((2, 2, 2, 3), 100, np.uint8)
    inner.setflags(write=False)  # the pixel cache is read-only
    reaching, changed = with_both_extremes(inner)
    assert changed == 2
    assert reaching[0, 0, 0].tolist() == [0, 255, 100]
    assert (reaching != inner).sum() == 2
    dark = np.zeros((1, 1, 1, 3), np.uint8)
    reaching, changed = with_both_extremes(dark)
    assert (changed, reaching.reshape(-1).tolist()) == (1, [255, 0, 0])


def test_photos_that_reach_both_ends_are_used_as_they_are() -> None:
    full = np.array([0, 7, 255], np.uint8).reshape(1, 1, 1, 3)
    reaching, changed = with_both_extremes(full)
    assert changed == 0
    assert reaching is full


def test_an_input_scale_other_than_one_is_refused() -> None:
    narrow = np.full((8, 32, 32, 3), 51, np.uint8)  # the range becomes [0, 51]: scale 0.2
    with pytest.raises(ConversionError, match=r"the input got scale 0\.2.* must be 1 and 0"):
        to_int8_tflite(tiny_network(), narrow)


def test_float_models_have_no_input_quantization(variants: dict[str, Artifact]) -> None:
    assert input_quantization(variants["float.tflite"].payload.read_bytes()) == (0.0, 0)
    assert input_quantization(variants["int8.tflite"].payload.read_bytes()) == (1.0, 0)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_calibration_photos_must_be_training_photos_that_fit(
    parent: Artifact, tmp_path: Path, target: str
) -> None:
    good = pictures(8)
    for photos, ids, message in (
        (good, (*TRAIN_IDS[:7], "t"), r"1 calibration photos are not on the training side"),
        (good, TRAIN_IDS[:7], r"must be uint8 \(7, 32, 32, 3\)"),
        (good.astype(np.float32), TRAIN_IDS[:8], "are float32"),
        (good[:0], (), "with at least one photo"),
    ):
        with pytest.raises(ConversionError, match=message):
            quantize_int8(parent, target, photos, ids, tmp_path / "out")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_choice_of_photos_repeats_and_follows_the_seed() -> None:
    ids = [f"p{number:03}" for number in range(300)]
    first = choose_calibration(ids, QuantizeConfig(photos=50))
    assert first == choose_calibration(ids[::-1], QuantizeConfig(photos=50))
    assert len(set(first)) == 50
    assert set(first) <= set(ids)
    assert first != choose_calibration(ids, QuantizeConfig(photos=50, seed=1))
    assert choose_calibration(ids[:20]) == tuple(ids[:20])  # fewer than asked for: all


def test_settings_check_themselves() -> None:
    with pytest.raises(ConfigError, match="photos must be at least 8 for calibration, got 7"):
        QuantizeConfig(photos=7)
    with pytest.raises(ConfigError, match="onnx_activations must be uint8 or int8, got 'int4'"):
        QuantizeConfig(onnx_activations="int4")  # type: ignore[arg-type]


def test_signed_activations_can_be_asked_for(parent: Artifact, tmp_path: Path) -> None:
    config = QuantizeConfig(onnx_activations="int8")
    made = quantize_int8(parent, "onnx", pictures(8), TRAIN_IDS[:8], tmp_path / "signed", config)
    kinds = {t.data_type for t in onnx.load(made.payload).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    assert onnx.TensorProto.UINT8 not in kinds
