"""What a ``.tflite`` graph is made of, and the front of it that takes camera pixels.

Tools other than TensorFlow Lite's own int8 converter leave a float input, or a cast to float
before the first integer operator. Here the input becomes ``uint8`` again, without changing
what the rest computes.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from optimize.tflite_file import packed, unpacked

_TO_SOFTMAX = ("Softmax", "Add", "Identity", "Reshape", "Squeeze")  # on the way from a product


def operators_of(content: bytes) -> Counter[str]:
    """Return how often each operator stands in the first graph of a ``.tflite``."""
    model = unpacked(content)
    return Counter(operator_name(model, item) for item in model.subgraphs[0].operators)


def operator_name(model: Any, operator: Any) -> str:
    """Return an operator's name, such as ``CONV_2D``; ``model`` is a ``schema.ModelT``."""
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    return str(names.get(number, f"operator {number}"))


def with_camera_cast(content: bytes) -> bytes:
    """Return a model that takes float pixels as one that takes uint8 and casts them first."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(content)
    graph = model.subgraphs[0]
    old = graph.tensors[graph.inputs[0]]
    camera, code, cast = schema.TensorT(), schema.OperatorCodeT(), schema.OperatorT()
    camera.name, camera.type = b"camera", schema.TensorType.UINT8
    camera.shape, camera.shapeSignature = old.shape, old.shapeSignature
    camera.buffer, camera.hasRank = len(model.buffers), old.hasRank
    model.buffers.append(schema.BufferT())
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    code.version = 1
    cast.opcodeIndex = len(model.operatorCodes)
    model.operatorCodes.append(code)
    graph.tensors.append(camera)
    index = len(graph.tensors) - 1
    cast.inputs, cast.outputs = [index], [graph.inputs[0]]
    graph.operators.insert(0, cast)
    _rename_input(model, graph.inputs[0], index)
    graph.inputs = [index]
    return packed(model, room_bytes=len(content) + 4096)


def with_camera_integers(content: bytes) -> bytes:
    """Return the model without the cast of its uint8 input, if integers follow it.

    The cast and the quantization after it become one step from integers to integers, with
    scale 1 and zero point 0 on the camera's side. A model whose first layer is in float is
    returned as it is.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(content)
    graph = model.subgraphs[0]
    first = graph.operators[0]
    if operator_name(model, first) != "CAST" or first.inputs[0] != graph.inputs[0]:
        return content
    takers = [item for item in graph.operators if first.outputs[0] in item.inputs]
    if not takers or {operator_name(model, item) for item in takers} != {"QUANTIZE"}:
        return content
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [1.0], [0]
    graph.tensors[graph.inputs[0]].quantization = quantization
    for taker in takers:
        taker.inputs = [graph.inputs[0]]
    graph.operators = graph.operators[1:]
    return packed(model, room_bytes=len(content) + 4096)


def _rename_input(model: Any, old: int, new: int) -> None:
    for signature in model.signatureDefs or []:
        for item in signature.inputs:
            if item.tensorIndex == old:
                item.tensorIndex = new


def answering_products(nodes: Sequence[Any], kinds: Collection[str]) -> tuple[str, ...]:
    """Return the names of the ``.onnx`` products whose sums are the scores that Softmax is fed.

    Args:
        nodes: of a graph.
        kinds: of operators that are products; nothing is returned where a graph has no other.
    """
    made_by = {name: node for node in nodes for name in node.output}
    products = {node.name for node in nodes if node.op_type in kinds}
    found: set[str] = set()
    for node in nodes:
        at = node if node.op_type == "Softmax" else None
        while at is not None and at.op_type in _TO_SOFTMAX:
            at = next((made_by[name] for name in at.input if name in made_by), None)
        if at is not None and at.op_type in kinds:
            found.add(at.name)
    return tuple(sorted(found)) if products - found else ()


def answering_operators(content: bytes, kinds: Collection[str]) -> tuple[str, ...]:
    """Return the outputs' names of the ``.tflite`` operators that make the scores of Softmax.

    Args:
        content: a model.
        kinds: of operators that are looked for; nothing is returned where a graph has no other.
    """
    model = unpacked(content)
    graph = model.subgraphs[0]
    made_by = {int(output): one for one in graph.operators for output in one.outputs}
    found = {
        int(one.inputs[0])
        for one in graph.operators
        if operator_name(model, one) == "SOFTMAX"
        and int(one.inputs[0]) in made_by
        and operator_name(model, made_by[int(one.inputs[0])]) in kinds
    }
    matched = sum(operator_name(model, one) in kinds for one in graph.operators)
    if matched <= len(found):
        return ()
    return tuple(graph.tensors[index].name.decode() for index in sorted(found))
