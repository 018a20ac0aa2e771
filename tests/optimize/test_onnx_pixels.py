"""Pixels that an integer graph takes as they are: fewer nodes, and the same answers to the bit."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize.convert import to_onnx
from optimize.onnx_pixels import rescaled_ranges, take_pixels_as_they_are
from optimize.quantize_onnx import to_int8_onnx
from tests.tiny_models import pictures, tiny_network

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
MIDDLE = np.uint8(127)


def _rescaled(
    *,
    factor: float = 1 / 128,
    offset: float = -127 / 128,
    scale: float = 1 / 128,
    zero: np.generic = MIDDLE,
    turned: bool = False,
    seen: bool = False,
) -> onnx.ModelProto:
    """Return pixels rescaled by a product and a sum, in QDQ, and a sum of squares of them.

    The factor is a constant in 8 bits. ``turned`` puts the constants first, and ``seen`` gives the
    rescaled pixels to a second taker.
    """
    values = {
        "factor": np.uint8(255), "factor_scale": np.float32(factor / 255), "none": np.uint8(0),
        "offset": np.float32(offset), "one": np.float32(1.0),
        "middle_scale": np.float32(factor), "scale": np.float32(scale), "zero": zero,
    }  # fmt: skip
    product, total = ["half", "by"], ["middle", "offset"]
    if turned:
        product, total = product[::-1], total[::-1]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["cast", "one", "none"], ["q_cast"]),
        helper.make_node("DequantizeLinear", ["q_cast", "one", "none"], ["half"]),
        helper.make_node("DequantizeLinear", ["factor", "factor_scale", "none"], ["by"]),
        helper.make_node("Mul", product, ["scaled"]),
        helper.make_node("QuantizeLinear", ["scaled", "middle_scale", "none"], ["q_scaled"]),
        helper.make_node("DequantizeLinear", ["q_scaled", "middle_scale", "none"], ["middle"]),
        helper.make_node("Add", total, ["ready"]),
        helper.make_node("QuantizeLinear", ["ready", "scale", "zero"], ["q_ready"]),
        helper.make_node("DequantizeLinear", ["q_ready", "scale", "zero"], ["maps"]),
        helper.make_node("Mul", ["maps", "ready" if seen else "maps"], ["squares"]),
    ]
    graph = helper.make_graph(
        nodes,
        "rescaled",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, LEVELS.shape)],
        [helper.make_tensor_value_info("squares", TensorProto.FLOAT, LEVELS.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def _answers(model: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"pixels": pixels})[0])


@pytest.mark.parametrize("turned", [False, True])
def test_a_rescaling_that_gives_the_pixel_back_goes(turned: bool) -> None:
    model = _rescaled(turned=turned)
    before = _answers(model, LEVELS)
    assert before[0, 0, 0, 0] == (127 / 128) ** 2
    take_pixels_as_they_are(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear", "Mul"]
    assert list(model.graph.node[0].input) == ["pixels", "scale", "zero"]
    assert sorted(item.name for item in model.graph.initializer) == ["scale", "zero"]
    np.testing.assert_array_equal(_answers(model, LEVELS), before)


def test_half_a_step_is_what_rounding_may_take() -> None:
    # x / 127.5 - 1 with the zero point 128 stands for (x - 128) / 127.5: half a step beside it.
    model = _rescaled(factor=1 / 127.5, offset=-1.0, scale=1 / 127.5, zero=np.uint8(128))
    take_pixels_as_they_are(model)
    assert len(model.graph.node) == 2
    squares = _answers(model, LEVELS).ravel()
    np.testing.assert_allclose(squares, ((np.arange(256) - 128) / 127.5) ** 2, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 1 / 100},  # the calibration met no white: an integer is not the pixel
        {"zero": np.uint8(125)},  # two steps beside it
        {"zero": np.int8(-1)},  # integers from -128
        {"seen": True},  # rescaled pixels are wanted themselves
    ],
)
def test_any_other_rescaling_stays(change: dict[str, object]) -> None:
    model = _rescaled(**change)  # type: ignore[arg-type]  # cases of one field each
    before = _answers(model, LEVELS)
    take_pixels_as_they_are(model)
    # The product is the pixel in all of them, with its factor as the scale.
    pixels, *kept = [(node.op_type, node.output[0]) for node in model.graph.node]
    assert pixels == ("DequantizeLinear", "middle")
    assert kept == [
        ("Add", "ready"), ("QuantizeLinear", "q_ready"), ("DequantizeLinear", "maps"),
        ("Mul", "squares"),
    ]  # fmt: skip
    np.testing.assert_array_equal(_answers(model, LEVELS), before)


def test_a_float_input_is_left_alone() -> None:
    model = _rescaled()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    before = model.SerializeToString()
    take_pixels_as_they_are(model)
    assert model.SerializeToString() == before


def test_ranges_on_the_way_of_the_pixels_are_those_of_0_and_255() -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["minus", "cast"], ["turned"]),
        helper.make_node("Add", ["turned", "half"], ["ready"]),
        helper.make_node("Relu", ["ready"], ["maps"]),
    ]
    constants = {"minus": np.float32(-1 / 255), "half": np.float32(0.5)}
    graph = helper.make_graph(
        nodes,
        "turned",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, LEVELS.shape)],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, LEVELS.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    found = rescaled_ranges(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert found["cast"] == (0.0, 255.0)
    assert found["turned"] == pytest.approx((-1.0, 0.0))
    assert found["ready"] == pytest.approx((-0.5, 0.5))
    assert found.keys() == {"cast", "turned", "ready"}


def test_onnx_runtime_reads_pixels_in_its_first_convolution(tmp_path: Path) -> None:
    photos = pictures(16)
    assert photos.min() > 0
    assert photos.max() < 255  # the ranges on the pixels' way are known, not met
    model = to_int8_onnx(to_onnx(tiny_network()), photos, activations="uint8", reduce_range=False)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    takers = {node.op_type for node in nodes if "pixels" in node.input}
    kinds = Counter(node.op_type for node in nodes)
    assert takers <= {"QLinearConv", "Transpose"}  # a transpose where few channels make it pay
    assert kinds["QLinearAdd"] == 1  # the network's own
    assert kinds["QLinearGlobalAveragePool"] == 1
    assert not {"Cast", "QLinearMul", "ReduceMean"} & set(kinds)
