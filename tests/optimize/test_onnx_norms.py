"""Batch normalizations that stand alone, written as convolutions of one pixel."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from optimize.onnx_norms import norms_as_convolutions
from optimize.quantize_onnx import to_int8_onnx
from tests.tiny_models import SIDE, pictures

MAPS = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
NUMBERS = {
    "scale": np.array([0.5, -2.0, 1.0], np.float32),
    "bias": np.array([1.0, 0.0, -3.0], np.float32),
    "mean": np.array([0.25, 4.0, 0.0], np.float32),
    "variance": np.array([0.75, 3.0, 0.25], np.float32),
}
TAKEN = ["maps", *NUMBERS]


def _normed(
    shape: tuple[int, ...] = MAPS.shape, *, fed: str = "", **settings: float
) -> onnx.ModelProto:
    """Return a normalization and what bounds it; one of its numbers may be ``fed`` from outside."""
    nodes = [
        helper.make_node("BatchNormalization", TAKEN, ["normed"], name="norm", **settings),
        helper.make_node("Relu", ["normed"], ["kept"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "normed",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
            for name, size in (("maps", shape), (fed, (3,)))
            if name
        ],
        [helper.make_tensor_value_info("kept", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in NUMBERS.items() if name != fed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


@pytest.mark.parametrize("settings", [{}, {"epsilon": 0.25}])
def test_a_normalization_is_a_product_and_a_sum_of_each_channel(
    settings: dict[str, float],
) -> None:
    model = _normed(**settings)
    assert norms_as_convolutions(model) == ("normed",)
    onnx.checker.check_model(model, full_check=True)
    assert [(node.op_type, node.name) for node in model.graph.node] == [
        ("Conv", "norm"), ("Relu", "relu"),
    ]  # fmt: skip
    assert [list(item.dims) for item in model.graph.initializer] == [[3, 1, 1, 1], [3]]
    by_hand = [
        NUMBERS["scale"][channel]
        * (MAPS[0, channel] - NUMBERS["mean"][channel])
        / np.sqrt(NUMBERS["variance"][channel] + settings.get("epsilon", 1e-5))
        + NUMBERS["bias"][channel]
        for channel in range(3)
    ]
    (found,) = ReferenceEvaluator(model).run(None, {"maps": MAPS})
    np.testing.assert_allclose(found[0], np.maximum(by_hand, 0.0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(_normed((4, 3)), id="behind a dense layer"),
        pytest.param(_normed(fed="mean"), id="numbers that are no constants"),
    ],
)
def test_others_stay(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    assert norms_as_convolutions(model) == ()
    assert model.SerializeToString() == before


def test_a_network_that_normalizes_first_runs_in_integers_throughout() -> None:
    """Pre-activation, as in ResNet50V2: a sum, its normalization and activation, a convolution."""
    generator, sides = np.random.default_rng(1), (1, SIDE, SIDE, 3)
    kernels = {
        name: generator.normal(size=(3, 3, 1, 1)).astype(np.float32) for name in ("first", "second")
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["maps"], name="turn", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["maps", "first"], ["made"], name="conv1"),
        helper.make_node("Relu", ["made"], ["kept"], name="relu1"),
        helper.make_node("Add", ["made", "kept"], ["sum"], name="add"),
        helper.make_node("BatchNormalization", ["sum", *NUMBERS], ["normed"], name="norm"),
        helper.make_node("Relu", ["normed"], ["rest"], name="relu2"),
        helper.make_node("Conv", ["rest", "second"], ["last"], name="conv2"),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, sides)],
        [helper.make_tensor_value_info("last", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [numpy_helper.from_array(value, name) for name, value in {**NUMBERS, **kernels}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    made = to_int8_onnx(model, pictures(8), activations="uint8", reduce_range=False)
    kinds = [node.op_type for node in made.graph.node]
    assert "BatchNormalization" not in kinds and kinds.count("Conv") == 3
    exact, found = (
        onnxruntime.InferenceSession(
            one.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"pixels": pictures(1)})[0]
        for one in (model, made)
    )
    assert np.abs(found - exact).max() < 0.03 * np.abs(exact).max()
