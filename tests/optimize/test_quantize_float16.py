"""Float16: weights halve, arithmetic stays."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deploy.litert import open_litert
from deploy.onnxrt import open_onnxruntime
from optimize.quantize_float16 import (
    Float16Config,
    quantize_float16,
    require_small_weights,
    with_float16_weights,
)
from optimize.quantize_graph import operators_of
from tests.tiny_models import pictures
from train.artifact import Artifact
from train.errors import ConfigError, ConversionError


def product_graph(*values: float) -> onnx.ModelProto:
    """Return a graph that multiplies ``x`` by the constants ``w`` and ``one``."""
    constants = [
        numpy_helper.from_array(np.array(values, np.float32), "w"),
        numpy_helper.from_array(np.array([1.0], np.float32), "one"),
    ]
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["y"], "first"),
        helper.make_node("Mul", ["y", "one"], ["z"], "second"),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [len(values)]) for name in "xz"
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_onnx_constants_are_stored_in_16_bits_and_cast_back() -> None:
    proto = product_graph(1.0, 0.1)
    found = with_float16_weights(proto, 2)
    onnx.checker.check_model(found, full_check=True)
    stored = {tensor.name: tensor.data_type for tensor in found.graph.initializer}
    assert stored == {"w/float16": onnx.TensorProto.FLOAT16, "one": onnx.TensorProto.FLOAT}
    assert [node.op_type for node in found.graph.node] == ["Cast", "Mul", "Mul"]
    assert list(found.graph.node[0].output) == ["w"]
    values = numpy_helper.to_array(found.graph.initializer[0])
    assert values.tolist() == [1.0, 0.0999755859375]  # 1638 * 2**-14: 11 bits of 0.1
    assert proto == product_graph(1.0, 0.1)  # the one given is left as it was


def test_onnx_constants_beyond_the_range_stay() -> None:
    assert with_float16_weights(product_graph(1.0, 70_000.0), 2) == product_graph(1.0, 70_000.0)


@pytest.mark.parametrize("value", [65_505.0, -1e9, np.inf, np.nan])
def test_a_weight_that_float16_cannot_hold_is_refused(value: float) -> None:
    def weight(name: str, number: float) -> Any:
        return SimpleNamespace(name=name, numpy=lambda: np.array([0.0, number], np.float32))

    require_small_weights(SimpleNamespace(name="net", weights=[weight("a", -65_504.0)]))
    bad = SimpleNamespace(name="net", weights=[weight("a", 1.0), weight("gamma", value)])
    with pytest.raises(ConversionError, match=r"net to float16: a weight of gamma is .* use int8"):
        require_small_weights(bad)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_answers_hardly_move(
    parent: Artifact, variants: dict[str, Artifact], tmp_path: Path, target: Any
) -> None:
    none = pictures(1)[:0]
    made = quantize_float16(parent, target, none, (), tmp_path / "out")
    assert made.manifest.variant == f"tiny.float16.{target}"
    assert made.manifest.steps[-1].technique == "float16"
    open_model = open_litert if target == "tflite" else open_onnxruntime
    shown = pictures(8)
    exact = open_model(variants[f"float.{target}"].payload, threads=1).predict(shown)
    found = open_model(made.payload, threads=1).predict(shown)
    # Weights move by 2**-11 of themselves; five layers deep that is well under a hundredth.
    assert 0.0 < float(np.abs(found - exact).max()) < 0.01
    if target == "tflite":
        assert operators_of(made.payload.read_bytes())["DEQUANTIZE"] >= 5


def test_settings_check_themselves() -> None:
    with pytest.raises(ConfigError, match="smallest_tensor must be at least 1, got 0"):
        Float16Config(smallest_tensor=0)
