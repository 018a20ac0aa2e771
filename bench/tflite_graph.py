"""The operators and tensors of a ``.tflite``, read from its flatbuffer; nothing is run.

Source: the schema that comes with LiteRT (``ai_edge_litert.schema_py_generated``).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.receptive import Shape
from train.errors import ArtifactError

_MARK = b"TFL3"  # file identifier of the schema, bytes 4 to 8
_SMALL = 64  # figures; a shape, axes or paddings never have more
_INTEGERS = {"INT32": np.int32, "INT64": np.int64}
_ITEM_BITS = {
    "FLOAT64": 64, "INT64": 64, "UINT64": 64, "COMPLEX64": 64, "COMPLEX128": 128,
    "FLOAT16": 16, "BFLOAT16": 16, "INT16": 16, "UINT16": 16,
    "INT8": 8, "UINT8": 8, "BOOL": 8, "INT4": 4, "UINT4": 4, "INT2": 2,
    "FLOAT8_E4M3FN": 8, "FLOAT8_E5M2": 8,
}  # fmt: skip
_OTHER_BITS = 32  # float32, int32, uint32


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of the file.

    Attributes:
        name: as the converter wrote it.
        shape: with the batch.
        kind: number type, such as ``FLOAT32``.
        constant: whether the file holds its values.
        scaled: whether it has a quantization scale.
        figures: the values of a small integer constant; else ``None``.
    """

    name: str
    shape: Shape
    kind: str
    constant: bool
    scaled: bool
    figures: tuple[int, ...] | None

    @property
    def values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of its values in memory."""
        return math.ceil(self.values * _ITEM_BITS.get(self.kind, _OTHER_BITS) / 8)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator; tensors by number, left-out inputs as -1.

    Attributes:
        kind: its name; a custom one's as ``CUSTOM:name``.
        options: the schema's own object of its settings; ``None`` where it has none.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The main graph of a file, operators in order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]


def read_graph(path: Path) -> Graph:
    """Return the main graph of a ``.tflite``.

    Raises:
        ArtifactError: the file cannot be read as such, or a size in it is not fixed.
    """
    try:
        data = path.read_bytes()
        if data[4:8] != _MARK:
            raise ArtifactError("it does not begin as a .tflite file does")
        return _graph(data)
    except Exception as error:  # flatbuffers raises many kinds on broken files
        raise ArtifactError(
            f"{path}: its layers cannot be read ({error}); make the artifact again"
        ) from error


def _graph(data: bytes) -> Graph:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data)
    if model.SubgraphsLength() < 1:
        raise ArtifactError("it holds no graph")
    graph = model.Subgraphs(0)
    tensors = tuple(_tensor(model, graph.Tensors(index)) for index in range(graph.TensorsLength()))
    operators = tuple(
        _operator(model, graph.Operators(index), len(tensors))
        for index in range(graph.OperatorsLength())
    )
    if not operators:
        raise ArtifactError("its graph is empty")
    inputs = _indices(graph.InputsLength(), graph.Inputs, len(tensors))
    return Graph(tensors=tensors, operators=operators, inputs=inputs)


def _tensor(model: Any, raw: Any) -> Tensor:
    name = (raw.Name() or b"").decode()
    shape = tuple(int(raw.Shape(index)) for index in range(raw.ShapeLength()))
    signature = [int(raw.ShapeSignature(index)) for index in range(raw.ShapeSignatureLength())]
    if any(size < 0 for size in (*shape, *signature[1:])):
        raise ArtifactError(f"tensor {name!r} has no fixed size; convert with static shapes")
    if not 0 <= raw.Buffer() < model.BuffersLength():
        raise ArtifactError(f"tensor {name!r} has no buffer")
    buffer, quantization = model.Buffers(raw.Buffer()), raw.Quantization()
    kind = _names("TensorType").get(raw.Type(), f"TYPE_{raw.Type()}")
    values = math.prod(shape)
    figures = None
    if kind in _INTEGERS and buffer.DataLength() > 0 and values <= _SMALL:
        content = np.frombuffer(buffer.DataAsNumpy(), dtype=_INTEGERS[kind])
        figures = tuple(int(value) for value in content)
    return Tensor(
        name=name,
        shape=shape,
        kind=kind,
        # Data of files above 2 GB lie behind the flatbuffer, at an offset above 1.
        constant=buffer.DataLength() > 0 or buffer.Offset() > 1,
        scaled=quantization is not None and quantization.ScaleLength() > 0,
        figures=figures,
    )


def _operator(model: Any, raw: Any, tensors: int) -> Operator:
    if not 0 <= raw.OpcodeIndex() < model.OperatorCodesLength():
        raise ArtifactError("an operator has no code")
    code = model.OperatorCodes(raw.OpcodeIndex())
    # Codes up to 127 stand in the older, one-byte field.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = _names("BuiltinOperator").get(number, f"OPERATOR_{number}")
    if kind == "CUSTOM":
        kind = f"CUSTOM:{(code.CustomCode() or b'').decode()}"
    return Operator(
        kind=kind,
        inputs=_indices(raw.InputsLength(), raw.Inputs, tensors),
        outputs=_indices(raw.OutputsLength(), raw.Outputs, tensors),
        options=_options(raw),
    )


def _options(raw: Any) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    name, table = _names("BuiltinOptions").get(raw.BuiltinOptionsType()), raw.BuiltinOptions()
    if name is None or name == "NONE" or table is None:
        return None
    found = getattr(schema, name)()
    found.Init(table.Bytes, table.Pos)
    return found


def _indices(count: int, read: Any, tensors: int) -> tuple[int, ...]:
    def checked() -> Iterator[int]:
        for index in range(count):
            number = int(read(index))
            if not -1 <= number < tensors:
                raise ArtifactError(f"tensor {number} of {tensors} is named")
            yield number

    return tuple(checked())


@cache
def _names(enumeration: str) -> dict[int, str]:
    """Return the names of one of the schema's enumerations by number."""
    from ai_edge_litert import schema_py_generated as schema

    numbers = vars(getattr(schema, enumeration))
    return {number: name for name, number in numbers.items() if isinstance(number, int)}
