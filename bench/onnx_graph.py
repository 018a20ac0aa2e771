"""The nodes and tensors of an ``.onnx``, shapes inferred; nothing is run.

An unknown batch is taken as 1. Every other size of the input must be fixed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.receptive import Shape
from train.errors import ArtifactError, first_line

_SMALL = 64  # figures; a shape, axes or paddings never have more
_MAIN_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A tensor whose values the file holds.

    Attributes:
        shape: its shape.
        kind: number type, such as ``FLOAT`` or ``INT64``.
        figures: the values of a small integer constant; else ``None``.
    """

    shape: Shape
    kind: str
    figures: tuple[int, ...] | None

    @property
    def values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node; left-out inputs have an empty name.

    Attributes:
        name: its own; that of its first output where it has none.
        kind: its operator, behind the domain where that is not ONNX's own.
        attributes: settings by name.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The main graph of a file, nodes in order of execution.

    Attributes:
        inputs: names of what the graph is fed.
        constants: by name.
        shapes: of all tensors that could be inferred, by name.
        item_bytes: of their number types, by name.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    constants: Mapping[str, Constant]
    shapes: Mapping[str, Shape]
    item_bytes: Mapping[str, int]


def read_graph(path: Path) -> Graph:
    """Return the main graph of an ``.onnx``.

    Raises:
        ArtifactError: the file cannot be read as such, or a size of its input is not fixed.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        if not model.graph.node:
            raise ArtifactError("its graph is empty")
        _fix_batch(model.graph)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        return _graph(inferred.graph)
    except Exception as error:  # protobuf and the inference raise many kinds on broken files
        first = first_line(error)
        raise ArtifactError(
            f"{path}: its layers cannot be read ({first}); make the artifact again"
        ) from error


def _fix_batch(graph: Any) -> None:
    """Give an unknown batch the size of 1, in place."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in (value for value in graph.input if value.name not in constants):
        dims = value.type.tensor_type.shape.dim
        for index, dim in enumerate(dims):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            if index:
                raise ArtifactError(
                    f"size {index} of input {value.name!r} is not fixed; export it with fixed"
                    " height and width"
                )
            dim.dim_value = 1
            del graph.value_info[:]  # what was inferred for an unknown batch
            for output in graph.output:
                output.type.tensor_type.ClearField("shape")


def _graph(graph: Any) -> Graph:
    constants = {tensor.name: _constant(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in _MAIN_DOMAINS:
            constants[node.output[0]] = _constant_of(node)
        else:
            nodes.append(_node(node))
    known = [*graph.input, *graph.value_info, *graph.output]
    tensors = {value.name: value.type.tensor_type for value in known}
    shapes = {name: shape for name in tensors if (shape := _shape(tensors[name])) is not None}
    shapes.update({name: constant.shape for name, constant in constants.items()})
    return Graph(
        nodes=tuple(nodes),
        inputs=tuple(value.name for value in graph.input if value.name not in constants),
        constants=constants,
        shapes=shapes,
        item_bytes={name: _item_bytes(tensors[name].elem_type) for name in tensors},
    )


def _node(node: Any) -> Node:
    from onnx import helper

    if not node.output:
        raise ArtifactError(f"{node.op_type} {node.name!r} makes nothing")
    kind = node.op_type
    return Node(
        name=node.name or node.output[0],
        kind=kind if node.domain in _MAIN_DOMAINS else f"{node.domain}.{kind}",
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={item.name: helper.get_attribute_value(item) for item in node.attribute},
    )


def _constant(tensor: Any) -> Constant:
    from onnx import TensorProto, numpy_helper

    shape = tuple(int(size) for size in tensor.dims)
    kind = TensorProto.DataType.Name(tensor.data_type)
    inside = tensor.data_location != TensorProto.EXTERNAL
    figures = None
    if inside and kind in ("INT32", "INT64") and math.prod(shape) <= _SMALL:
        figures = tuple(int(value) for value in numpy_helper.to_array(tensor).reshape(-1))
    return Constant(shape=shape, kind=kind, figures=figures)


def _constant_of(node: Any) -> Constant:
    """Return what a ``Constant`` node holds, in whichever of its forms."""
    from onnx import helper, numpy_helper

    if len(node.attribute) != 1:
        raise ArtifactError(f"Constant {node.output[0]!r} must hold one value")
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return _constant(value)
    if attribute.name == "sparse_value":
        return Constant(shape=tuple(value.dims), kind="SPARSE", figures=None)
    return _constant(numpy_helper.from_array(np.asarray(value)))


def _shape(tensor: Any) -> Shape | None:
    if not tensor.HasField("shape"):
        return None
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    return None if any(size < 0 for size in sizes) else tuple(int(size) for size in sizes)


def _item_bytes(kind: int) -> int:
    from onnx import helper

    return int(helper.tensor_dtype_to_np_dtype(kind).itemsize) if kind else 0
