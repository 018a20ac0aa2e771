"""Equal scales and zero points in ``.onnx``: fewer of them, and the same answers to the bit."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from optimize.onnx_constants import share_scales

CHANNELS = 8


def _quantized(*, kernel_point: int) -> onnx.ModelProto:
    """Return two convolutions in QDQ, each with constants of its own."""
    generator = np.random.default_rng(0)
    constants, nodes, last = [], [], "pixels"

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def scale_and_point(name: str, scale: np.ndarray, point: np.ndarray) -> list[str]:
        return [constant(f"{name}_scale", scale), constant(f"{name}_point", point)]

    for number in range(2):
        about = scale_and_point(f"in{number}", np.float32(0.1), np.uint8(0))
        nodes.append(helper.make_node("QuantizeLinear", [last, *about], [f"q{number}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{number}", *about], [f"d{number}"]))
        weights = generator.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1)).astype(np.int8)
        each = generator.uniform(0.01, 0.02, CHANNELS).astype(np.float32)
        points = np.full(CHANNELS, kernel_point, np.int8)
        kernel = [constant(f"w{number}", weights), *scale_and_point(f"w{number}", each, points)]
        bias = [
            constant(f"b{number}", np.arange(CHANNELS, dtype=np.int32)),
            *scale_and_point(f"b{number}", each * np.float32(0.1), np.zeros(CHANNELS, np.int32)),
        ]
        for name, inputs in (("kernel", kernel), ("bias", bias)):
            nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}{number}"], axis=0))
        inputs = [f"d{number}", f"kernel{number}", f"bias{number}"]
        last = f"c{number}"
        nodes.append(helper.make_node("Conv", inputs, [last]))
    shape = (1, CHANNELS, 4, 4)
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def _answers(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    shape = (1, CHANNELS, 4, 4)
    pixels = np.random.default_rng(1).uniform(0, 25, shape).astype(np.float32)
    return np.asarray(session.run(None, {"pixels": pixels})[0])


def _points_read(model: onnx.ModelProto) -> list[list[str]]:
    return [list(node.input[2:]) for node in model.graph.node if "Linear" in node.op_type]


def test_zero_points_of_constants_go_and_those_of_maps_are_shared() -> None:
    model = _quantized(kernel_point=0)
    before = _answers(model)
    share_scales(model)
    onnx.checker.check_model(model)
    assert _points_read(model) == [["in0_point"], ["in0_point"], [], []] * 2
    names = sorted(item.name for item in model.graph.initializer)
    own = [f"{part}{number}{end}" for part in "bw" for number in (0, 1) for end in ("", "_scale")]
    # Both biases hold the same, and are no scales: nothing is made of that.
    assert names == sorted(["in0_point", "in0_scale", *own])
    np.testing.assert_array_equal(_answers(model), before)


def test_a_zero_point_that_is_not_zero_stays() -> None:
    model = _quantized(kernel_point=3)
    before = _answers(model)
    share_scales(model)
    assert _points_read(model) == [["in0_point"], ["in0_point"], ["w0_point"], []] * 2
    np.testing.assert_array_equal(_answers(model), before)


def test_a_constant_that_another_node_reads_too_stays() -> None:
    model = _quantized(kernel_point=0)
    model.graph.node.append(helper.make_node("Abs", ["in1_scale"], ["seen"]))
    share_scales(model)
    assert "in1_scale" in {item.name for item in model.graph.initializer}
    onnx.checker.check_model(model)
