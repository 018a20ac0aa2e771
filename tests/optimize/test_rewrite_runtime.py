"""What is rewritten for a runtime: the file of each, its answers, and the artifact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deploy.runtime import open_runtime
from optimize.convert import load_keras
from optimize.rewrite import REWRITES
from optimize.rewrite_dense import convolution_to_dense
from optimize.rewrite_runtime import (
    CALIBRATED,
    INT8,
    RUNTIME_REWRITES,
    Built,
    build_file,
    write_rewritten,
)
from tests.optimize.rewrite_cases import kinds, network, rewritten
from tests.optimize.test_rewrite import small_convnext
from tests.tiny_models import pictures, write_parent
from train.artifact import Artifact, open_artifact
from train.errors import ConfigError, ConversionError


@pytest.fixture(scope="module")
def convnext(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_parent(tmp_path_factory.mktemp("runtime") / "parent", small_convnext())


def files_of(convnext: Artifact, runtime: str, folder: Path, *, products: bool) -> Artifact:
    rewrites = RUNTIME_REWRITES[runtime]
    wanted = {*rewrites.exact, INT8} if products else rewrites.exact
    names = tuple(name for name in rewrites.names if name in wanted)
    if not products:
        assert INT8 not in names
    built = build_file(load_keras(convnext), runtime, names)
    return write_rewritten(convnext, runtime, built, folder, {"kept": list(names)})


@pytest.mark.parametrize("runtime", sorted(RUNTIME_REWRITES))
def test_exact_rewrites_keep_the_answers_of_the_file(
    convnext: Artifact, runtime: str, tmp_path: Path
) -> None:
    made = files_of(convnext, runtime, tmp_path / "made", products=False)
    fed = pictures(8, seed=4)
    with open_runtime(made.payload, runtime, threads=1) as opened:
        now = opened.predict(fed)
    was = np.asarray(load_keras(convnext)(fed.astype(np.float32)))
    assert was.std() > 0.01
    assert np.abs(now - was).max() < 1e-4  # float32 sums in another order
    assert (now.argmax(1) == was.argmax(1)).all()
    manifest = open_artifact(tmp_path / "made").manifest
    assert manifest.variant == f"tiny.rewritten.float.{RUNTIME_REWRITES[runtime].format}"
    config = manifest.steps[-1].config
    assert config["runtime"] == runtime
    applied = config["applied"]
    assert isinstance(applied, dict)
    wanted = "split-depthwise" if runtime == "litert" else "fuse-layer-norm"
    assert wanted in applied


@pytest.mark.parametrize("runtime", sorted(RUNTIME_REWRITES))
def test_products_in_8_bits_are_one_more_rewrite(
    convnext: Artifact, runtime: str, tmp_path: Path
) -> None:
    made = files_of(convnext, runtime, tmp_path / "made", products=True)
    file = RUNTIME_REWRITES[runtime].format
    assert made.manifest.variant == f"tiny.rewritten.mixed.int8-dynamic.{file}"
    fed = pictures(8, seed=4)
    with open_runtime(made.payload, runtime, threads=1) as opened:
        now = opened.predict(fed)
    was = np.asarray(load_keras(convnext)(fed.astype(np.float32)))
    # Weights and activations of 8 bits, the last product in float: a few hundredths at most, and
    # more than the rounding of float32 probabilities, 6e-8.
    assert 1e-6 < np.abs(now - was).max() < 0.1


def test_what_is_calibrated_is_one_more_rewrite_of_onnx(convnext: Artifact, tmp_path: Path) -> None:
    names = (*RUNTIME_REWRITES["onnxruntime"].exact, CALIBRATED)
    model = load_keras(convnext)
    built = build_file(model, "onnxruntime", names, pictures=pictures(8, seed=3))
    made = write_rewritten(convnext, "onnxruntime", built, tmp_path / "made", {})
    assert made.manifest.variant == "tiny.rewritten.mixed.int8.onnx"
    kinds_now = [node.op_type for node in onnx.load(made.payload).graph.node]
    assert "QuantizeLinear" in kinds_now and "MatMulInteger" not in kinds_now
    assert "LayerNormalization" in kinds_now  # it stays in float
    fed = pictures(8, seed=4)
    with open_runtime(made.payload, "onnxruntime", threads=1) as opened:
        now = opened.predict(fed)
    was = np.asarray(model(fed.astype(np.float32)))
    assert 1e-4 < np.abs(now - was).max() < 0.1
    both = build_file(model, "onnxruntime", (*names, INT8), pictures=pictures(8, seed=3))
    kinds_now = [node.op_type for node in both.content.graph.node]
    assert "MatMulInteger" in kinds_now and "QuantizeLinear" in kinds_now


def test_what_calibrates_wants_pictures(convnext: Artifact) -> None:
    with pytest.raises(ConfigError, match=r"'int8-calibrated' calibrates on pictures, and none"):
        build_file(load_keras(convnext), "onnxruntime", [CALIBRATED])


def test_a_pointwise_convolution_is_a_dense_layer() -> None:
    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Conv2D(6, 1, activation="relu", name="point")(maps)
        maps = layers.Conv2D(4, 1, strides=2, name="strided")(maps)
        maps = layers.Conv2D(4, 1, groups=2, use_bias=False, name="grouped")(maps)
        return layers.Conv2D(5, 3, name="wide")(maps)

    graph, where, moved = rewritten(network(body), convolution_to_dense)
    assert where == ("point",)
    assert kinds(graph) == ["InputLayer", "Dense", "Conv2D", "Conv2D", "Conv2D"]
    assert moved < 1e-6


def test_the_way_back_is_taken_only_where_it_is_asked_for() -> None:
    assert REWRITES["convolution-to-dense"].asked
    assert "convolution-to-dense" not in RUNTIME_REWRITES["litert"].names


def test_an_unknown_rewrite_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'fuse-gelu' is not one of .* for \.tflite"):
        build_file(None, "litert", ["fuse-gelu"])


def test_a_file_that_is_not_rewritten_is_not_written(convnext: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no rewrite makes it faster on litert; the plain"):
        write_rewritten(convnext, "litert", Built(b"", ()), tmp_path / "made", {})
    assert not (tmp_path / "made").exists()
