"""What every node of an ``.onnx`` costs, counted from the file; nothing is run.

Nodes known to have no MACCs are in ``ZERO_MACCS``; any other that is not in ``COUNTED`` is
*uncounted*: those of other domains, recurrent ones, those that hold a graph of their own, and
counted ones whose shapes cannot be inferred. Parameters are the constants that nodes compute
with: kernels, biases, factors. Scales, zero points, bounds, shapes and axes are left out, and nodes
on constants alone, which run once when the model is loaded, have no line.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bench.count_onnx_effects import effect_of
from bench.layer_cost import LayerCost, Operation, with_fields
from bench.onnx_graph import Constant, Graph, Node, read_graph
from bench.receptive import Shape
from bench.receptive_views import View, picture_view
from train.errors import ArtifactError


def _convolution(data: Shape, kernel: Shape, output: Shape) -> int:
    """Each output value sums a kernel ``(out, in of its group, ...)``."""
    del data
    return math.prod(output) * math.prod(kernel[1:])


def _transposed(data: Shape, kernel: Shape, output: Shape) -> int:
    """Each input value is spread over a kernel ``(in, out of its group, ...)``.

    Products that fall outside the output are counted: kernels form them.
    """
    del output
    return math.prod(data) * math.prod(kernel[1:])


def _product(data: Shape, kernel: Shape, output: Shape) -> int:
    """A product with ``(..., k, m)``, or ``(k,)``: each output value sums ``k``."""
    del data
    return math.prod(output) * kernel[-2 if len(kernel) > 1 else 0]


def _dense(data: Shape, kernel: Shape, output: Shape) -> int:
    """Each output value sums what the two share; either may be transposed."""
    del kernel
    return math.prod(data) * output[-1]


_Count = Callable[[Shape, Shape, Shape], int]
COUNTED: MappingProxyType[str, tuple[_Count, int]] = MappingProxyType(
    {
        "Conv": (_convolution, 1),
        "ConvInteger": (_convolution, 1),
        "QLinearConv": (_convolution, 3),
        "ConvTranspose": (_transposed, 1),
        "Gemm": (_dense, 1),
        "MatMul": (_product, 1),
        "MatMulInteger": (_product, 1),
        "QLinearMatMul": (_product, 3),
    }
)
"""Operator to what counts it from the shapes of data, kernel and output, and its kernel's place."""

ZERO_MACCS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "works value by value: no products are summed": (
            "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Div",
            "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual",
            "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log",
            "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
            "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus",
            "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "Where",
        ),
        "changes the number type": ("QuantizeLinear", "DequantizeLinear"),
        "a mean, a variance and a scale: left out of published counts": (
            "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN",
            "LayerNormalization", "MeanVarianceNormalization",
        ),
        "sums or compares values without weights": (
            "ArgMax", "ArgMin", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LogSoftmax",
            "LpNormalization", "LpPool", "MaxPool", "ReduceL1", "ReduceL2", "ReduceMax",
            "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax",
            "TopK",
        ),
        "moves or copies values": (
            "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "Flatten", "Gather",
            "GatherND", "Pad", "Range", "Reshape", "Resize", "Shape", "Slice", "SpaceToDepth",
            "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Upsample",
        ),
    }
)  # fmt: skip
"""Reason to the operators that have no MACCs for it."""
_ZERO = frozenset(kind for kinds in ZERO_MACCS.values() for kind in kinds)

# Where weights stand, if not anywhere: the other constants are scales, zero points and bounds.
_WEIGHT_PLACES = {
    "QuantizeLinear": (0,), "DequantizeLinear": (0,), "QLinearConv": (3, 8),
    "QLinearMatMul": (0, 3), "ConvInteger": (1,), "MatMulInteger": (0, 1),
    "Clip": (), "Pad": (), "Resize": (), "Upsample": (),
}  # fmt: skip
_PLAIN_INTEGERS = frozenset({"INT32", "INT64", "BOOL", "STRING"})
_SCALED_INTEGERS = frozenset({"DequantizeLinear", "QLinearConv"})  # take int32 biases
_FEW_CHANNELS = (1, 3, 4)


def count_onnx(path: Path) -> tuple[LayerCost, ...]:
    """Return the cost of every node of the main graph, in order of execution.

    Raises:
        ArtifactError: the file cannot be read as ``.onnx``, or its input's size is not fixed.
    """
    graph = read_graph(path)
    try:
        return with_fields(_operations(graph), _pictures(graph))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: its nodes do not fit their tensors ({error}); make the artifact again"
        ) from error


def _pictures(graph: Graph) -> dict[Hashable, View | None]:
    """Return the views of the inputs; channels are last where only that makes them few."""
    found: dict[Hashable, View | None] = {}
    for name in graph.inputs:
        shape = graph.shapes.get(name, ())
        if len(shape) > 2:
            last = shape[-1] in _FEW_CHANNELS and shape[1] not in _FEW_CHANNELS
            found[name] = picture_view(shape, channels=-1 if last else 1)
    return found


def _operations(graph: Graph) -> list[Operation]:
    weights: dict[str, set[str]] = {name: set() for name in graph.constants}
    spent: set[str] = set()
    found = []
    for node in graph.nodes:
        inputs = [name for name in node.inputs if name]
        used = _weights(node, graph.constants).union(
            *(weights[name] for name in inputs if name in weights)
        )
        if inputs and all(name in weights for name in inputs):
            weights.update({name: used for name in node.outputs})
            continue
        parameters = sum(graph.constants[name].values for name in used - spent)
        spent |= used
        data = tuple(name for name in inputs if name not in weights)
        found.append(_operation(graph, node, data, parameters))
    return found


def _operation(graph: Graph, node: Node, data: Sequence[str], parameters: int) -> Operation:
    outputs = tuple(name for name in node.outputs if name)
    known = all(name in graph.shapes for name in (*node.inputs, *outputs) if name)
    cost = _cost(graph, node, outputs, parameters, known=known)
    return Operation(
        cost=cost,
        inputs=tuple(data),
        input_shapes=tuple(graph.shapes.get(name, ()) for name in data),
        outputs=outputs,
        output_shapes=tuple(graph.shapes.get(name, ()) for name in outputs),
        effect=effect_of(node, graph) if known and cost.maccs is not None else None,
    )


def _cost(
    graph: Graph, node: Node, outputs: Sequence[str], parameters: int, *, known: bool
) -> LayerCost:
    shapes = [graph.shapes.get(name, ()) for name in outputs]
    maccs = 0 if node.kind in _ZERO else None
    if known and node.kind in COUNTED:
        count, place = COUNTED[node.kind]
        maccs = count(graph.shapes[node.inputs[0]], graph.shapes[node.inputs[place]], shapes[0])
    return LayerCost(
        name=node.name,
        kind=node.kind,
        output_shape=shapes[0],
        maccs=maccs,
        parameters=parameters,
        activation_bytes=sum(
            math.prod(shape) * graph.item_bytes.get(name, 0)
            for name, shape in zip(outputs, shapes, strict=True)
            if name in graph.shapes
        ),
    )


def _weights(node: Node, constants: Mapping[str, Constant]) -> set[str]:
    """Return the constants among the inputs that are computed with."""
    places = _WEIGHT_PLACES.get(node.kind, range(len(node.inputs)))
    return {
        name
        for place, name in enumerate(node.inputs)
        if place in places and name in constants and _is_weight(node, constants[name])
    }


def _is_weight(node: Node, constant: Constant) -> bool:
    if constant.kind in _PLAIN_INTEGERS and node.kind not in _SCALED_INTEGERS:
        return False
    return constant.values > 1 or node.kind in COUNTED
