"""ONNX files on their own: arithmetic written out for each kind of node."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.cost import (
    LayerCost,
    count_layers,
    receptive_field,
    total_maccs,
    total_parameters,
    uncounted_kinds,
)
from bench.count_onnx import COUNTED, ZERO_MACCS, count_onnx
from tests.tiny_models import shared_variants
from train.artifact import Artifact
from train.errors import ArtifactError
from train.keras_file import load_keras


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


def _file(
    path: Path,
    nodes: list[Any],
    constants: dict[str, Any] | None = None,
    *,
    shape: tuple[int | str, ...] = (1, 4, 9, 9),
    kind: int = TensorProto.FLOAT,
    domains: tuple[str, ...] = (),
) -> Path:
    """Write a graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), *opsets])
    onnx.save(model, path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def _zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_file_has_the_maccs_and_the_field_of_its_network(
    variants: dict[str, Artifact], kind: str
) -> None:
    network = count_layers(load_keras(variants["float.keras"].payload))
    file = count_onnx(variants[f"{kind}.onnx"].payload)
    assert total_maccs(file) == total_maccs(network)
    assert receptive_field(file) == receptive_field(network)
    assert uncounted_kinds(file) == {}
    # Three convolutions with folded biases, a depthwise one and a dense one: kernel, then bias.
    weights = (9 * 3 * 8 + 8) + 2 * (9 * 8 * 8 + 8) + (9 * 8 + 8) + (8 * 3 + 3)
    assert total_parameters(file) == weights


def test_grouped_convolution(path: Path) -> None:
    node = helper.make_node(
        "Conv", ["x", "w", "b"], ["y"], name="conv", group=2, strides=[2, 2], pads=[1, 1, 1, 1]
    )
    (cost,) = count_onnx(_file(path, [node], {"w": _zeros(8, 2, 3, 3), "b": _zeros(8)}))
    assert cost == LayerCost(
        name="conv",
        kind="Conv",
        output_shape=(1, 8, 5, 5),
        maccs=8 * 5 * 5 * (2 * 9),
        parameters=8 * 2 * 9 + 8,
        activation_bytes=8 * 5 * 5 * 4,
        field=cost.field,
    )
    assert [(span.size, span.jump, span.start) for span in cost.field] == [(3, 2.0, 0.5)] * 2


@pytest.mark.parametrize(("automatic", "start"), [("SAME_UPPER", 1.5), ("SAME_LOWER", 0.5)])
def test_automatic_padding(path: Path, automatic: str, start: float) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], auto_pad=automatic)
    # 4 windows of 3 at stride 2 cover 9 of 8: the odd one lies after, or before.
    (cost,) = count_onnx(_file(path, [node], {"w": _zeros(2, 4, 3, 3)}, shape=(1, 4, 8, 8)))
    assert cost.field[0].start == start


def test_transposed_convolution(path: Path) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    (cost,) = count_onnx(_file(path, [node], {"w": _zeros(4, 5, 2, 2)}))
    assert (cost.output_shape, cost.maccs) == ((1, 5, 18, 18), (4 * 9 * 9) * (5 * 2 * 2))
    assert (cost.field[0].size, cost.field[0].jump, cost.field[0].start) == (1, 0.5, 0.25)


def test_dense_layers(path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["hidden"], transB=1),
        helper.make_node("MatMul", ["hidden", "v"], ["y"]),
    ]
    constants = {"w": _zeros(7, 324), "b": _zeros(7), "v": _zeros(7, 3)}
    costs = count_onnx(_file(path, nodes, constants))
    assert [cost.maccs for cost in costs] == [0, 324 * 7, 7 * 3]
    assert [cost.parameters for cost in costs] == [0, 324 * 7 + 7, 7 * 3]
    assert receptive_field(costs) is None  # every value sees the whole picture


def test_a_matrix_product_at_each_place(path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    costs = count_onnx(_file(path, [node], {"w": _zeros(3, 5)}, shape=(1, 6, 7, 3)))
    assert costs[0].maccs == 6 * 7 * 5 * 3
    assert not any(span.whole for span in costs[0].field)  # 3 channels, and they are last


def test_integer_convolution_and_its_weights(path: Path) -> None:
    names = ["x", "s", "z", "w", "s", "z8", "s", "z", "b"]
    constants = {
        "s": np.float32(0.5), "z": np.uint8(0), "z8": np.int8(0),
        "w": np.zeros((2, 4, 3, 3), np.int8), "b": np.zeros(2, np.int32),
    }  # fmt: skip
    node = helper.make_node("QLinearConv", names, ["y"])
    (cost,) = count_onnx(_file(path, [node], constants, kind=TensorProto.UINT8))
    assert (cost.maccs, cost.parameters) == (2 * 7 * 7 * (4 * 9), 2 * 4 * 9 + 2)
    assert cost.activation_bytes == 2 * 7 * 7


def test_settings_are_no_parameters_and_constant_nodes_have_no_line(path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["six"], value_float=6.0),
        helper.make_node("Identity", ["kept"], ["factors"]),
        helper.make_node("Clip", ["x", "zero", "six"], ["clipped"]),
        helper.make_node("Mul", ["clipped", "factors"], ["scaled"]),
        helper.make_node("Pad", ["scaled", "pads"], ["padded"]),
        helper.make_node("ReduceMean", ["padded", "axes"], ["y"], keepdims=0),
    ]
    constants = {
        "zero": np.float32(0), "kept": _zeros(1, 4, 1, 1), "axes": np.array([2, 3]),
        "pads": np.array([0, 0, 2, 0, 0, 0, 2, 0]),
    }  # fmt: skip
    costs = count_onnx(_file(path, nodes, constants))
    assert [(cost.kind, cost.parameters) for cost in costs] == [
        ("Clip", 0), ("Mul", 4), ("Pad", 0), ("ReduceMean", 0),
    ]  # fmt: skip
    assert [span.start for span in costs[2].field] == [-1.5, 0.5]  # two rows before the picture
    assert [(span.size, span.jump) for span in costs[3].field] == [(9, 0.0)] * 2


def test_slices_and_resizes_are_followed(path: Path) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["part"]),
        helper.make_node("Resize", ["part", "", "scales"], ["y"], mode="linear"),
    ]
    constants = {
        "starts": np.array([-8]), "ends": np.array([9]), "axes": np.array([3]),
        "steps": np.array([2]), "scales": np.array([1, 1, 1, 2], np.float32),
    }  # fmt: skip
    part, resized = count_onnx(_file(path, nodes, constants))
    assert (part.output_shape, part.field[1].start, part.field[1].jump) == ((1, 4, 9, 4), 1.5, 2.0)
    assert (resized.field[0].size, resized.field[1].size) == (1, 3)  # between pixels 2 apart


def test_an_unknown_batch_is_one(path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    constants = {"w": _zeros(2, 4, 3, 3)}
    (cost,) = count_onnx(_file(path, [node], constants, shape=("batch", 4, 9, 9)))
    assert cost.output_shape == (1, 2, 7, 7)


def test_nodes_that_are_not_counted_are_listed(path: Path) -> None:
    nodes = [
        helper.make_node("Odd", ["x"], ["odd"], domain="elsewhere"),
        helper.make_node("Conv", ["odd", "w"], ["y"]),  # after it, no shape is known
    ]
    costs = count_onnx(_file(path, nodes, {"w": _zeros(2, 4, 3, 3)}, domains=("elsewhere",)))
    assert uncounted_kinds(costs) == {"Conv": 1, "elsewhere.Odd": 1}
    assert all(span.whole for cost in costs for span in cost.field)
    assert (costs[1].output_shape, costs[1].parameters) == ((), 2 * 4 * 9)


def test_a_size_that_is_not_fixed_is_refused(path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(ArtifactError, match="size 2 of input 'x' is not fixed; export it with"):
        count_onnx(_file(path, [node], shape=(1, 4, "height", 9)))


@pytest.mark.parametrize("content", [b"", b"not a model at all"])
def test_what_is_no_model_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="make the artifact again"):
        count_onnx(path)


def test_every_kind_stands_in_one_table_and_in_onnx() -> None:
    free = [kind for kinds in ZERO_MACCS.values() for kind in kinds]
    assert len(free) == len(set(free)) and not set(free) & set(COUNTED)
    assert all(onnx.defs.has(kind) for kind in (*free, *COUNTED))
