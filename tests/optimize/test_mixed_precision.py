"""Mixed precision: int8 weights where asked for, float elsewhere, near the same answers."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.runtime import open_runtime
from optimize.convert import load_keras, to_tflite
from optimize.mixed_precision import (
    MixedPrecisionConfig,
    quantize_mixed,
    to_mixed_dynamic_onnx,
    to_mixed_dynamic_tflite,
)
from tests.optimize.rewrite_cases import network
from tests.tiny_models import pictures, tiny_network, write_parent
from train.artifact import Artifact, open_artifact
from train.backend import keras
from train.errors import ConfigError, ConversionError


def weight_types(content: bytes) -> dict[str, set[str]]:
    """Return the types of the weights of each kind of operator."""
    from ai_edge_litert import schema_py_generated as schema

    types = {value: name for name, value in vars(schema.TensorType).items()}
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    found: dict[str, set[str]] = {}
    for operator in graph.operators:
        kind = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            found.setdefault(kind, set()).add(types[graph.tensors[operator.inputs[1]].type])
    return found


@pytest.fixture(scope="module")
def mixed(parent: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("mixed") / "child"
    quantize_mixed(parent, "tflite", pictures(1), (), folder)
    return open_artifact(folder)


def test_only_the_chosen_operators_are_in_int8(mixed: Artifact) -> None:
    assert weight_types(mixed.payload.read_bytes()) == {
        "CONV_2D": {"INT8"},
        "DEPTHWISE_CONV_2D": {"FLOAT32"},
        "FULLY_CONNECTED": {"FLOAT32"},  # what Softmax is fed
    }
    manifest = mixed.manifest
    assert manifest.variant == "tiny.mixed.int8-dynamic.tflite"
    assert manifest.steps[-1].config == {
        "format": "tflite",
        "operators": ["CONV_2D", "FULLY_CONNECTED"],
        "largest_gelu_error": 0.0,
    }


def test_answers_stay_near_the_parents(parent: Artifact, mixed: Artifact) -> None:
    fed = pictures(16, seed=5)
    with open_runtime(mixed.payload, "litert", threads=1) as runtime:
        now = runtime.predict(fed)
    was = np.asarray(load_keras(parent)(fed.astype(np.float32)))
    # Each of four layers rounds its activations to 1/255 of their range: a few hundredths at most
    # on probabilities, and not zero, or nothing was quantized.
    assert 0.0 < np.abs(now - was).max() < 0.05


def test_operators_that_are_asked_for_are_taken() -> None:
    content = to_mixed_dynamic_tflite(to_tflite(tiny_network()), ["FULLY_CONNECTED"])
    assert weight_types(content) == {
        "CONV_2D": {"FLOAT32"},
        "DEPTHWISE_CONV_2D": {"FLOAT32"},
        "FULLY_CONNECTED": {"INT8"},
    }


def test_a_graph_without_the_operators_is_refused() -> None:
    model = network(lambda layers, maps: layers.ReLU(name="relu")(maps))
    with pytest.raises(ConversionError, match=r"small to mixed \.tflite: it holds no CONV_2D; it"):
        to_mixed_dynamic_tflite(to_tflite(model), ["CONV_2D"], subject="small")


def test_onnx_takes_its_products_of_matrices(parent: Artifact, tmp_path: Path) -> None:
    import onnx

    child = quantize_mixed(parent, "onnx", pictures(1), (), tmp_path / "child")
    assert child.manifest.variant == "tiny.mixed.int8-dynamic.onnx"
    assert child.manifest.steps[-1].config["operators"] == ["MatMul"]
    found = Counter(node.op_type for node in onnx.load(child.payload).graph.node)
    # Three convolutions of 3 x 3 and a depthwise one stay; the classifier is the one product.
    assert (found["Conv"], found["MatMulInteger"], found["ConvInteger"]) == (4, 1, 0)
    fed = pictures(16, seed=5)
    with open_runtime(child.payload, "onnxruntime", threads=1) as runtime:
        now = runtime.predict(fed)
    was = np.asarray(load_keras(parent)(fed.astype(np.float32)))
    assert 0.0 < np.abs(now - was).max() < 0.05  # as above


def test_in_onnx_the_product_that_softmax_is_fed_stays_in_float() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Dense(32, activation="relu", name="wide")(maps)
        scores = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="pool")(maps))
        return layers.Softmax(name="answers")(scores)

    nodes = to_mixed_dynamic_onnx(network(body)).graph.node
    integer = [node.name for node in nodes if node.op_type == "MatMulInteger"]
    assert len(integer) == 1 and "wide" in integer[0]
    assert any(node.op_type in ("MatMul", "Gemm") and "logits" in node.name for node in nodes)


def test_onnx_without_products_is_refused() -> None:
    model = network(lambda layers, maps: layers.Conv2D(4, 3, name="only")(maps))
    with pytest.raises(ConversionError, match=r"small to mixed \.onnx: it holds no product of"):
        to_mixed_dynamic_onnx(model)


@pytest.fixture(scope="module")
def gelu_parent(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model = tiny_network()
    k = keras()
    scores = k.layers.Activation("gelu", name="gelu")(model.get_layer("logits").output)
    answers = k.layers.Activation("softmax", name="answers")(scores)
    return write_parent(tmp_path_factory.mktemp("gelu") / "parent", k.Model(model.input, answers))


def test_tanh_gelu_is_measured(gelu_parent: Artifact, tmp_path: Path) -> None:
    config = MixedPrecisionConfig(largest_gelu_error=0.01)
    child = quantize_mixed(gelu_parent, "tflite", pictures(8), (), tmp_path / "child", config)
    error = child.manifest.steps[-1].config["gelu_error"]
    assert isinstance(error, float)
    # Scores move by at most 4.74e-4, a probability by half the spread of what scores move by.
    assert 0.0 < error <= 4.74e-4


def test_tanh_gelu_is_refused_where_it_moves_too_much(
    gelu_parent: Artifact, tmp_path: Path
) -> None:
    config = MixedPrecisionConfig(largest_gelu_error=1e-9)
    with pytest.raises(ConversionError, match="with tanh GELU: rewritten, a probability of"):
        quantize_mixed(gelu_parent, "tflite", pictures(8), (), tmp_path / "child", config)
    assert not (tmp_path / "child").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operators": "CONV_2D+MUL"}, "operator 'MUL' is not one of CONV_2D, DEPTHWISE_CONV_2D"),
        ({"largest_gelu_error": 1.0}, r"largest_gelu_error must be in \[0, 1\), got 1.0"),
    ],
)
def test_settings_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixedPrecisionConfig(**settings)
