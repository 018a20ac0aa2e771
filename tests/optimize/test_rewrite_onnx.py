"""Rewrites of a finished .onnx: one operator for a pattern, and the same answers."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optimize.convert import to_onnx
from optimize.rewrite_onnx import fuse_gelu, fuse_layer_norm
from tests.optimize.rewrite_cases import network
from train.backend import keras


def operators(proto: Any) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def run(proto: Any, fed: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"pixels": fed})[0], np.float64)


def fused(
    body: Callable[[Any, Any], Any], fuse: Callable[[Any], tuple[str, ...]]
) -> tuple[Counter[str], tuple[str, ...]]:
    """Return the operators after ``fuse`` and where it applied; the answers are held to rounding.

    The file is checked whole: opset, types and order of its nodes.
    """
    import onnx

    proto = to_onnx(network(body))
    fed = np.random.default_rng(1).integers(0, 256, (1, 9, 9, 3)).astype(np.uint8)
    was = run(proto, fed)
    where = fuse(proto)
    onnx.checker.check_model(proto, full_check=True)
    now = run(proto, fed)
    assert was.std() > 0.01
    # A few float32 operators in another order: some units of 2^-24 of the greatest value.
    assert np.abs(was - now).max() < 2e-6 * np.abs(was).max()
    return operators(proto), where


def between(layer: Any) -> Callable[[Any, Any], Any]:
    """Return a network with ``layer`` between two convolutions, as its converter transposes."""

    def body(layers: Any, maps: Any) -> Any:
        maps = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(maps)
        maps = layers.Conv2D(5, 3, name="first")(maps)
        return layers.Conv2D(4, 3, name="last")(layer(layers)(maps))

    return body


@pytest.mark.parametrize("gamma", [True, False])
@pytest.mark.parametrize("beta", [True, False])
def test_a_layer_norm_becomes_one_operator(gamma: bool, beta: bool) -> None:
    def norm(layers: Any) -> Any:
        return layers.LayerNormalization(scale=gamma, center=beta, epsilon=1e-6, name="norm")

    found, where = fused(between(norm), fuse_layer_norm)
    assert len(where) == 1
    assert found["LayerNormalization"] == 1
    assert not found["Reciprocal"] and not found["Sqrt"]


def test_a_layer_norm_of_features_needs_no_transpose() -> None:
    def body(layers: Any, maps: Any) -> Any:
        pooled = layers.GlobalAveragePooling2D(name="pool")(maps)
        dense = layers.Dense(6, name="dense")(pooled)
        return layers.LayerNormalization(epsilon=1e-6, name="norm")(dense)

    found, where = fused(body, fuse_layer_norm)
    assert (len(where), found["LayerNormalization"], found["Transpose"]) == (1, 1, 0)


def test_a_mean_that_others_see_leaves_the_pattern_whole() -> None:
    import onnx

    def norm(layers: Any) -> Any:
        return layers.LayerNormalization(epsilon=1e-6, name="norm")

    assert len(fuse_layer_norm(to_onnx(network(between(norm))))) == 1
    proto = to_onnx(network(between(norm)))
    mean = next(node for node in proto.graph.node if node.op_type == "ReduceMean")
    proto.graph.output.append(onnx.ValueInfoProto(name=mean.output[0]))
    before = operators(proto)
    assert fuse_layer_norm(proto) == ()
    assert operators(proto) == before


def test_gelu_is_written_as_onnx_runtime_knows_it() -> None:
    import onnxruntime

    def gelu(layers: Any) -> Any:
        return layers.Activation("gelu", name="gelu")

    found, where = fused(between(gelu), fuse_gelu)
    assert len(where) == 1
    assert (found["Erf"], found["Div"]) == (1, 1)

    def optimized(fuse: bool) -> Counter[str]:
        import tempfile
        from pathlib import Path

        import onnx

        proto = to_onnx(network(between(gelu)))
        if fuse:
            fuse_gelu(proto)
        with tempfile.TemporaryDirectory() as scratch:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.optimized_model_filepath = str(Path(scratch) / "optimized.onnx")
            onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return operators(onnx.load(options.optimized_model_filepath))

    assert optimized(fuse=False)["Gelu"] == 0
    assert optimized(fuse=True)["Gelu"] == 1


def test_tanh_gelu_is_left_alone() -> None:
    def by_tanh(layers: Any) -> Any:
        return layers.Lambda(lambda x: keras().activations.gelu(x, approximate=True), name="gelu")

    proto = to_onnx(network(between(by_tanh)))
    assert fuse_gelu(proto) == ()
