"""Zeros and distinct numbers among the kernels that a model file holds; nothing is run.

Kernels are what convolutions and products of matrices multiply by. Biases, normalizations and
scales are left out: no technique prunes them or lets them share. A number stored in 8 bits is
counted as stored: channels have scales of their own, and what compresses is the stored number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from train.errors import ArtifactError

Kernel = npt.NDArray[Any]
_TFLITE = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
_ONNX = {
    "Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "ConvInteger": 1, "MatMulInteger": 1,
    "QLinearConv": 3, "QLinearMatMul": 3,
}  # fmt: skip
_THROUGH = ("DEQUANTIZE", "DequantizeLinear", "Cast", "Transpose", "Reshape")


@dataclass(frozen=True, kw_only=True)
class WeightCounts:
    """What a file's kernels hold.

    Attributes:
        weights: numbers in all kernels.
        zeros: those of them that are zero.
        most_distinct: distinct numbers in the kernel that has the most of them.
    """

    weights: int
    zeros: int
    most_distinct: int


def count_weights(path: Path) -> WeightCounts:
    """Return what the kernels of a ``.keras``, ``.tflite`` or ``.onnx`` file hold.

    Raises:
        ArtifactError: the file is of another kind or damaged.
    """
    readers = {".keras": _keras_kernels, ".tflite": _tflite_kernels, ".onnx": _onnx_kernels}
    if path.suffix not in readers:
        raise ArtifactError(f"{path}: weights are counted of {', '.join(readers)} files")
    try:
        kernels = list(readers[path.suffix](path))
    except ArtifactError:
        raise
    except Exception as error:  # readers of damaged files raise kinds of their own
        raise ArtifactError(f"{path}: its weights cannot be read: {error}") from error
    return WeightCounts(
        weights=sum(kernel.size for kernel in kernels),
        zeros=sum(int(np.count_nonzero(kernel == 0)) for kernel in kernels),
        most_distinct=max((len(np.unique(kernel)) for kernel in kernels), default=0),
    )


def _keras_kernels(path: Path) -> Iterator[Kernel]:
    from train.keras_file import load_keras

    for layer in load_keras(path).layers:
        for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            found = getattr(layer, name, None)
            if found is not None:
                yield np.asarray(found)


def _tflite_kernels(path: Path) -> Iterator[Kernel]:
    """Yield each kernel once, also where a DEQUANTIZE stands before it."""
    from ai_edge_litert import schema_py_generated as schema

    from optimize.quantize_graph import operator_name

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    makers = {operator.outputs[0]: operator for operator in graph.operators}
    kinds = {
        schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16,
        schema.TensorType.INT8: np.int8, schema.TensorType.UINT8: np.uint8,
    }  # fmt: skip
    seen: set[int] = set()
    for operator in graph.operators:
        place = _TFLITE.get(operator_name(model, operator))
        if place is None:
            continue
        index = operator.inputs[place]
        while index in makers and operator_name(model, makers[index]) in _THROUGH:
            index = makers[index].inputs[0]
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        if index not in seen and data is not None and tensor.type in kinds:
            seen.add(index)
            yield np.frombuffer(bytes(bytearray(data)), kinds[tensor.type])


def _onnx_kernels(path: Path) -> Iterator[Kernel]:
    """Yield each kernel once, also where it is dequantized or turned before it is used."""
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    seen: set[str] = set()
    for node in graph.node:
        place = _ONNX.get(node.op_type)
        if place is None or place >= len(node.input):
            continue
        name = node.input[place]
        while name in makers and makers[name].op_type in _THROUGH:
            name = makers[name].input[0]
        if name in constants and name not in seen:
            seen.add(name)
            yield onnx.numpy_helper.to_array(constants[name])
