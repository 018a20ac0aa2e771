"""Dynamic-range int8: where it helps, and where it is refused before work starts."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import helper, numpy_helper

from deploy.litert import open_litert
from deploy.onnxrt import open_onnxruntime
from optimize.convert import to_onnx
from optimize.quantize_dynamic import (
    DynamicConfig,
    matrix_share,
    quantize_int8_dynamic,
    to_dynamic_onnx,
)
from optimize.quantize_processor import products_overflow_here
from tests.tiny_models import SIDE, pictures, tiny_network, write_parent
from train.artifact import Artifact
from train.backend import keras
from train.errors import ConfigError, ConversionError


def test_the_share_of_matrix_products_counts_weights() -> None:
    constants = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in (("kernel", (8, 3, 3, 3)), ("bias", (8,)), ("head", (8, 4)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["y"]),
        helper.make_node("MatMul", ["z", "head"], ["out"]),
        helper.make_node("Add", ["out", "bias"], ["end"]),  # no product: not counted
    ]
    graph = helper.make_graph(nodes, "g", [], [], constants)
    # 8 * 27 + 8 in the convolution, 32 in the product of matrices
    assert matrix_share(helper.make_model(graph)) == pytest.approx(32 / 256)
    assert matrix_share(helper.make_model(helper.make_graph([], "g", [], []))) == 0.0


def test_convolutions_are_refused_for_onnx_and_nothing_is_written(
    parent: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=r"as ConvInteger: no faster than float, .*use int8"):
        quantize_int8_dynamic(parent, "onnx", pictures(1)[:0], (), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_onnx_matrix_products_become_integers_and_convolutions_stay(tmp_path: Path) -> None:
    proto = to_onnx(tiny_network())
    narrow = products_overflow_here()  # there 8-bit weights give wrong sums, 7-bit ones do not
    made = to_dynamic_onnx(proto, reduce_range=narrow)
    kinds = {node.op_type for node in made.graph.node}
    assert {"MatMulInteger", "Conv"} <= kinds
    assert "ConvInteger" not in kinds
    assert made == to_dynamic_onnx(proto, reduce_range=narrow)
    exact, found = tmp_path / "exact.onnx", tmp_path / "found.onnx"
    onnx.save(proto, exact)
    onnx.save(made, found)
    shown = pictures(8)
    difference = open_onnxruntime(found, threads=1).predict(shown) - open_onnxruntime(
        exact, threads=1
    ).predict(shown)
    # One layer of 8 inputs: each of its factors is off by at most 1/255 of its range, or its
    # weights by 1/127.
    assert 0.0 < float(np.abs(difference).max()) < 0.05


def test_tflite_weights_are_int8_and_pixels_come_in(tmp_path: Path) -> None:
    k = keras()
    pixels = k.Input((SIDE, SIDE, 3))
    x = k.layers.Conv2D(16, 3, 2)(k.layers.Rescaling(1 / 127.5, -1.0)(pixels))
    x = k.layers.Conv2D(16, 3, 2)(x)  # 2304 weights; the converter leaves those under 1024
    x = k.layers.GlobalAveragePooling2D()(x)
    model = k.Model(pixels, k.layers.Dense(3, activation="softmax")(x), name="wide")
    parent = write_parent(tmp_path / "parent", model)
    made = quantize_int8_dynamic(parent, "tflite", pictures(1)[:0], (), tmp_path / "out")
    assert made.manifest.variant == "tiny.int8-dynamic.tflite"
    interpreter = Interpreter(model_path=str(made.payload))
    assert interpreter.get_input_details()[0]["dtype"] is np.uint8
    details = interpreter.get_tensor_details()
    kernels = {item["dtype"] for item in details if tuple(item["shape"]) == (16, 3, 3, 16)}
    assert kernels == {np.int8}
    shown = pictures(16)
    exact = model.predict(shown.astype(np.float32), verbose=0)
    found = open_litert(made.payload, threads=1).predict(shown)
    assert 0.0 < float(np.abs(found - exact).max()) < 0.05


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_settings_check_themselves(share: float) -> None:
    with pytest.raises(ConfigError, match=r"onnx_least_share must be in \(0, 1\]"):
        DynamicConfig(onnx_least_share=share)
