"""What operators a ``.tflite`` or ``.onnx`` file holds, and which of them compute in float."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.errors import ArtifactError

_TFLITE_MARK = b"TFL3"  # file identifier of the schema, bytes 4 to 8
_KEEPS_KIND = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool"})
_FUSES = frozenset({"Relu", "Clip", "Add"})  # runtimes fold them into the operator before
_INTEGER_TYPES = frozenset({2, 3, 4, 5, 6, 7})  # TensorProto's UINT8 to INT64


@dataclass(frozen=True, kw_only=True)
class OperatorCounts:
    """How many operators of each kind a file holds.

    Attributes:
        total: every operator, by name; custom ones as ``CUSTOM:name``.
        floating: those that compute in float, converting ones (Q/DQ) left out.
    """

    total: dict[str, int]
    floating: dict[str, int]


def count_operators(path: Path) -> dict[str, int]:
    """Return how many operators of each kind a model file holds, all subgraphs included.

    Raises:
        ArtifactError: the file is neither ``.tflite`` nor ``.onnx``, or cannot be read as such.
    """
    return read_operators(path).total


def read_operators(path: Path) -> OperatorCounts:
    """Return all operators of a model file, and those of them that compute in float.

    An ONNX node counts as int8 where its data comes out of a DequantizeLinear, since runtimes
    fuse that pair into it; whether one did shows only in its own optimized graph.

    Raises:
        ArtifactError: the file is neither ``.tflite`` nor ``.onnx``, or cannot be read as such.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise ArtifactError(f"{path}: operators are read from .tflite and .onnx files only")
    try:
        pairs = list(reader(path))
    except Exception as error:  # flatbuffers and protobuf raise many kinds on broken files
        raise ArtifactError(
            f"{path}: not a readable {path.suffix} model ({error}); make the artifact again"
        ) from error
    return OperatorCounts(
        total=dict(sorted(Counter(name for name, _ in pairs).items())),
        floating=dict(sorted(Counter(name for name, floating in pairs if floating).items())),
    )


def _tflite_operators(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each operator's name and whether one of its outputs is float32."""
    from ai_edge_litert import schema_py_generated as schema

    data = path.read_bytes()
    if data[4:8] != _TFLITE_MARK:
        raise ArtifactError("it does not begin as a .tflite file does")
    numbers = vars(schema.BuiltinOperator)
    names = {number: name for name, number in numbers.items() if isinstance(number, int)}
    model = schema.Model.GetRootAs(data)
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            # Codes up to 127 stand in the older, one-byte field.
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = names.get(number, f"OPERATOR_{number}")
            if name == "CUSTOM":
                name = f"CUSTOM:{code.CustomCode().decode()}"
            outputs = [operator.Outputs(index) for index in range(operator.OutputsLength())]
            kinds = {graph.Tensors(index).Type() for index in outputs if index >= 0}
            yield name, schema.TensorType.FLOAT32 in kinds and name != "DEQUANTIZE"


def _onnx_operators(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each node's operator and whether it computes in float."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    if not model.graph.node:
        raise ArtifactError("its graph is empty")
    yield from _graph_operators(model.graph)


def _graph_operators(graph: Any) -> Iterator[tuple[str, bool]]:
    """Follow from node to node what kind of numbers every tensor holds."""
    kinds = {value.name: "constant" for value in graph.initializer}
    for value in graph.input:
        integer = value.type.tensor_type.elem_type in _INTEGER_TYPES
        kinds.setdefault(value.name, "integer" if integer else "float")
    for node in graph.node:
        kind = _output_kind(node, {kinds.get(name, "float") for name in node.input if name})
        kinds.update(dict.fromkeys(node.output, kind))
        yield node.op_type, kind == "float"
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.g.node else []), *attribute.graphs):
                yield from _graph_operators(inner)


def _output_kind(node: Any, inputs: set[str]) -> str:
    """Return what a node makes: constant, integer, restored (from int8), fused or float."""
    data = inputs - {"constant"}
    if not data:
        return "constant"
    if node.op_type == "QuantizeLinear":
        return "integer"
    if node.op_type == "DequantizeLinear":
        return "restored"
    if node.op_type in _KEEPS_KIND and len(data) == 1:
        return data.pop()
    if "restored" in data or ("fused" in data and node.op_type in _FUSES):
        return "fused"
    return "integer" if data == {"integer"} and node.op_type != "Cast" else "float"


READERS: dict[str, Callable[[Path], Iterator[tuple[str, bool]]]] = {
    ".tflite": _tflite_operators,
    ".onnx": _onnx_operators,
}
