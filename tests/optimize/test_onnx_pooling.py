"""Means over whole maps, written as global average pooling."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from optimize.convert import to_onnx
from optimize.onnx_pooling import pool_whole_maps
from tests.tiny_models import SIDE, pictures, tiny_network

SHAPE = (1, 3, 4, 5)


def _mean(
    *,
    perm: tuple[int, ...] | None = (0, 2, 3, 1),
    axes: tuple[int, ...] = (1, 2),
    keepdims: int = 0,
    seen: bool = False,
) -> onnx.ModelProto:
    """Return a graph of a mean over ``axes`` behind a transpose, if there is one."""
    nodes, maps = [], "maps"
    if perm is not None:
        nodes.append(helper.make_node("Transpose", [maps], ["turned"], name="turn", perm=perm))
        maps = "turned"
    nodes.append(
        helper.make_node("ReduceMean", [maps, "axes"], ["mean"], name="features", keepdims=keepdims)
    )
    outputs = ["mean", *(["turned"] if seen else [])]
    graph = helper.make_graph(
        nodes,
        "pooling",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, SHAPE)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in zip(outputs, ((1, 3), (1, 4, 5, 3)), strict=False)
        ],
        [numpy_helper.from_array(np.array(axes), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


MAPS = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.mark.parametrize(
    ("perm", "axes"), [((0, 2, 3, 1), (1, 2)), ((0, 2, 3, 1), (2, 1)), (None, (2, 3))]
)
def test_a_mean_over_rows_and_columns_becomes_a_pooling(
    perm: tuple[int, ...] | None, axes: tuple[int, ...]
) -> None:
    model = _mean(perm=perm, axes=axes)
    assert pool_whole_maps(model) == ("mean",)
    onnx.checker.check_model(model, full_check=True)
    assert [(node.op_type, node.name) for node in model.graph.node] == [
        ("GlobalAveragePool", "features"), ("Flatten", "features/flat"),
    ]  # fmt: skip
    (found,) = ReferenceEvaluator(model).run(None, {"maps": MAPS})
    np.testing.assert_allclose(found, MAPS.mean(axis=(2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"axes": (1, 3)},  # over rows and channels
        {"perm": (0, 3, 2, 1)},  # columns before rows is as good, and no network's
        {"perm": None},  # channels and rows
        {"axes": (1,)},
        {"keepdims": 1},
        {"seen": True},  # the turned map is wanted itself
    ],
)
def test_any_other_mean_stays(change: dict[str, object]) -> None:
    model = _mean(**change)  # type: ignore[arg-type]  # cases of one field each
    before = model.SerializeToString()
    assert pool_whole_maps(model) == ()
    assert model.SerializeToString() == before


def test_a_transpose_that_names_no_order_turns_all_axes_and_stays() -> None:
    model = _mean(perm=(3, 2, 1, 0))
    del model.graph.node[0].attribute[:]
    assert pool_whole_maps(model) == ()


def test_a_networks_features_are_pooled() -> None:
    network = tiny_network()
    model = to_onnx(network)
    kinds = [node.op_type for node in model.graph.node]
    assert "GlobalAveragePool" in kinds and "ReduceMean" not in kinds
    evaluator = ReferenceEvaluator(model)
    photos = pictures(3)
    assert photos.shape[1:] == (SIDE, SIDE, 3)
    found = np.concatenate([evaluator.run(None, {"pixels": photo[None]})[0] for photo in photos])
    wanted = network(photos.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
