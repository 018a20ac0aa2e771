"""Selective precision on real files of both formats: the ruined layer is found and spared."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deploy.litert import open_litert
from deploy.onnxrt import open_onnxruntime
from optimize.quantize_graph import operators_of
from optimize.selective import SelectiveConfig, quantize_selective
from optimize.selective_onnx import onnx_layers
from optimize.selective_report import sentences
from tests.tiny_models import TRAIN_IDS, pictures, tiny_network, write_parent
from train.artifact import Artifact
from train.errors import ArtifactError, ConfigError

SHOWN = pictures(24)


def ruined_network() -> Any:
    """Return the tiny network with one channel of its depthwise layer far out of line.

    The next layer divides it away again, so that in float nothing changes; in 8 bits the other
    channels of that layer's output share a scale that is hundreds of times too coarse.
    """
    model = tiny_network()
    kernel, bias = model.get_layer("depthwise").get_weights()
    head, offset = model.get_layer("logits").get_weights()
    kernel[:, :, 0], bias[0], head[0] = kernel[:, :, 0] * 500, bias[0] * 500, head[0] / 500
    model.get_layer("depthwise").set_weights([kernel, bias])
    model.get_layer("logits").set_weights([head, offset])
    return model


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_parent(tmp_path_factory.mktemp("ruined") / "parent", ruined_network())


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_the_ruined_layers_are_found_and_kept_in_float(
    ruined: Artifact, tmp_path: Path, target: Any
) -> None:
    open_model = open_litert if target == "tflite" else open_onnxruntime
    exact = ruined_network().predict(SHOWN.astype(np.float32), verbose=0)

    def agreement(path: Path) -> float:
        return float(1.0 - np.abs(open_model(path, threads=1).predict(SHOWN) - exact).mean())

    config = SelectiveConfig(max_f1_drop=0.02, ranking_photos=3)
    made = quantize_selective(
        ruined, target, pictures(24), TRAIN_IDS, tmp_path / "out", config, score=agreement
    )
    assert made.manifest.variant == f"tiny.selective.int8.{target}"
    report: dict[str, Any] = made.manifest.steps[-1].config
    assert report["scores"]["0"] < report["float_score"] - 0.02  # plain int8 would not do
    assert report["bound_met"]
    kept = report["kept_in_float"]
    assert 0 < len(kept) < report["layers"]
    assert [cost["sqnr_db"] for cost in kept] == sorted(cost["sqnr_db"] for cost in kept)
    assert agreement(made.payload) == report["score"]
    assert all(cost["score_in_int8"] < report["float_score"] - 0.02 for cost in kept)
    told = sentences(report)
    assert told[0].startswith(f"{len(kept)} of {report['layers']} layers stay in float: validation")
    assert [line.split()[0] for line in told[1:]] == [cost["name"] for cost in kept]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # the search is not kept
    assert weights_types(made) == {"integer", "float"}


def test_a_folder_in_the_way_is_refused_before_the_search(parent: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="exists; remove it or name another"):
        quantize_selective(
            parent,
            "onnx",
            pictures(24),
            TRAIN_IDS,
            tmp_path,
            score=lambda path: pytest.fail(f"{path} was scored"),
        )


def weights_types(made: Artifact) -> set[str]:
    """Return in what the network's layers compute."""
    if made.manifest.name.format == "tflite":
        assert operators_of(made.payload.read_bytes())["DEQUANTIZE"] > 0
    if made.manifest.name.format == "onnx":
        graph = onnx.load(made.payload).graph
        producers = {node.output[0]: node.op_type for node in graph.node}
        layers = [node for node in graph.node if node.op_type in ("Conv", "MatMul", "Mul")]
        found = {producers.get(node.input[1]) == "DequantizeLinear" for node in layers}
    else:
        from ai_edge_litert.interpreter import Interpreter

        details = Interpreter(model_path=str(made.payload)).get_tensor_details()
        shapes = {(8, 3, 3, 3), (8, 3, 3, 8), (1, 3, 3, 8), (3, 8)}
        found = {item["dtype"] is np.int8 for item in details if tuple(item["shape"]) in shapes}
    return {"integer" if integer else "float" for integer in found}


def test_an_activation_belongs_to_the_layer_before_it() -> None:
    helper = onnx.helper
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], "conv"),
        helper.make_node("Clip", ["a", "low", "high"], ["b"], "clip"),
        helper.make_node("Add", ["b", "x"], ["c"], "add"),
        helper.make_node("Relu", ["c"], ["d"], "relu"),
        helper.make_node("Mul", ["c", "d"], ["e"], "mul"),
        helper.make_node("Transpose", ["e"], ["f"], "turn"),
        helper.make_node("Softmax", ["f"], ["g"], "softmax"),
    ]
    found = onnx_layers(helper.make_model(helper.make_graph(nodes, "g", [], [])))
    assert [layer.nodes for layer in found] == [("conv", "clip"), ("add",), ("mul",)]
    assert [layer.output for layer in found] == ["b", "c", "e"]  # c is taken twice: relu stands


def test_ranges_must_be_findable_for_the_format() -> None:
    assert SelectiveConfig().fitted("tflite").backend == "ai-edge-quantizer"
    assert SelectiveConfig(calibration="entropy").fitted("onnx").backend == "converter"
    with pytest.raises(ConfigError, match="must be one of min-max, average, mse for"):
        SelectiveConfig(calibration="percentile").fitted("tflite")
