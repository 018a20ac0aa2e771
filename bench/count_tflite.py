"""What every operator of a ``.tflite`` costs, counted from the file; nothing is run.

Operators known to have no MACCs are in ``ZERO_MACCS``; any other that is not in ``COUNTED`` is
*uncounted*: custom ones, recurrent ones, those that hold a graph of their own. Parameters are the
constants that operators compute with: kernels, biases, factors. Those that only say a shape, axes
or a bound are left out, and operators on constants alone, which run once when the model is
loaded, have no line.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from types import MappingProxyType

from bench.count_tflite_effects import effect_of
from bench.layer_cost import LayerCost, Operation, with_fields
from bench.receptive_views import View, picture_view
from bench.tflite_graph import Graph, Operator, Tensor, read_graph
from train.errors import ArtifactError


def _convolution(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each output value sums a kernel ``(out, ..., in of its group)``."""
    return output.values * math.prod(inputs[1].shape[1:])


def _depthwise(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each output value sums the positions of a kernel ``(1, rows, columns, out)``."""
    return output.values * math.prod(inputs[1].shape[1:-1])


def _transposed(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each input value is spread over a kernel ``(out, rows, columns, in)``; the shape is first.

    Products that fall outside the output are counted: kernels form them.
    """
    del output
    return inputs[2].values * math.prod(inputs[1].shape[:-1])


def _volume(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each output value sums a kernel ``(depth, rows, columns, in, out)``."""
    return output.values * math.prod(inputs[1].shape[:-1])


def _transposed_volume(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each input value is spread over a kernel ``(depth, rows, columns, out, in)``."""
    del output
    return inputs[2].values * math.prod(inputs[1].shape[:-1])


def _dense(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Each output value sums a row of the kernel ``(out, in)``."""
    return output.values * inputs[1].shape[-1]


def _product(inputs: Sequence[Tensor], output: Tensor) -> int:
    """A product of ``(..., n, k)`` and ``(..., k, m)``: each value sums ``k``."""
    return inputs[0].values * output.shape[-1]


COUNTED: MappingProxyType[str, Callable[[Sequence[Tensor], Tensor], int]] = MappingProxyType(
    {
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "TRANSPOSE_CONV": _transposed,
        "CONV_3D": _volume,
        "CONV_3D_TRANSPOSE": _transposed_volume,
        "FULLY_CONNECTED": _dense,
        "BATCH_MATMUL": _product,
    }
)

ZERO_MACCS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "works value by value: no products are summed": (
            "ABS", "ADD", "ADD_N", "CAST", "CEIL", "COS", "DIV", "ELU", "EQUAL", "EXP", "FLOOR",
            "FLOOR_DIV", "FLOOR_MOD", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH",
            "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR",
            "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "POW", "PRELU", "RELU",
            "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SELECT", "SELECT_V2",
            "SIGN", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
        ),
        "changes the number type": ("QUANTIZE", "DEQUANTIZE"),
        "sums or compares values without weights": (
            "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "CUMSUM", "L2_NORMALIZATION", "L2_POOL_2D",
            "LOCAL_RESPONSE_NORMALIZATION", "LOG_SOFTMAX", "MAX_POOL_2D", "MEAN", "REDUCE_ALL",
            "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SOFTMAX", "SUM", "TOPK_V2",
        ),
        "moves or copies values": (
            "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS",
            "FILL", "GATHER", "GATHER_ND", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RANGE", "RANK",
            "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SHAPE",
            "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE",
            "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK", "ZEROS_LIKE",
        ),
    }
)  # fmt: skip
"""Reason to the operators that have no MACCs for it."""
_ZERO = frozenset(kind for kinds in ZERO_MACCS.values() for kind in kinds)
_PLAIN_INTEGERS = frozenset({"INT32", "INT64", "BOOL", "STRING"})


def count_tflite(path: Path) -> tuple[LayerCost, ...]:
    """Return the cost of every operator of the main graph, in order of execution.

    Raises:
        ArtifactError: the file cannot be read as ``.tflite``, or a size in it is not fixed.
    """
    graph = read_graph(path)
    try:
        operations = _operations(graph)
        pictures: dict[Hashable, View | None] = {
            index: picture_view(graph.tensors[index].shape, channels=-1)
            for index in graph.inputs
            if len(graph.tensors[index].shape) > 2
        }
        return with_fields(operations, pictures)
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
        raise ArtifactError(
            f"{path}: its operators do not fit their tensors ({error}); make the artifact again"
        ) from error


def _operations(graph: Graph) -> list[Operation]:
    weights = {
        index: {index} for index, tensor in enumerate(graph.tensors) if tensor.constant
    }  # constant tensors to the weights that they were made from
    spent: set[int] = set()
    found = []
    for operator in graph.operators:
        inputs = [index for index in operator.inputs if index >= 0]
        used = {leaf for index in inputs for leaf in weights.get(index, ())}
        if inputs and all(index in weights for index in inputs):
            weights.update(dict.fromkeys(operator.outputs, used))
            continue
        counted = {leaf for leaf in used - spent if _is_weight(operator, graph.tensors[leaf])}
        spent |= counted
        parameters = sum(graph.tensors[leaf].values for leaf in counted)
        data = tuple(index for index in inputs if index not in weights)
        found.append(
            Operation(
                cost=_cost(graph, operator, parameters),
                inputs=data,
                input_shapes=tuple(graph.tensors[index].shape for index in data),
                outputs=operator.outputs,
                output_shapes=tuple(graph.tensors[index].shape for index in operator.outputs),
                effect=effect_of(operator, graph) if _known(operator.kind) else None,
            )
        )
    return found


def _known(kind: str) -> bool:
    return kind in COUNTED or kind in _ZERO


def _is_weight(operator: Operator, tensor: Tensor) -> bool:
    """Return whether a constant is computed with, and not a shape or a bound."""
    if tensor.kind in _PLAIN_INTEGERS and not tensor.scaled:
        return False
    return operator.kind in COUNTED or tensor.values > 1


def _cost(graph: Graph, operator: Operator, parameters: int) -> LayerCost:
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    outputs = [graph.tensors[index] for index in operator.outputs]
    count = COUNTED.get(operator.kind)
    maccs = count(inputs, outputs[0]) if count else 0 if operator.kind in _ZERO else None
    return LayerCost(
        name=outputs[0].name if outputs else operator.kind,
        kind=operator.kind,
        output_shape=outputs[0].shape if outputs else (),
        maccs=maccs,
        parameters=parameters,
        activation_bytes=sum(tensor.bytes for tensor in outputs),
    )
