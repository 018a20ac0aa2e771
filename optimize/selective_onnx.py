"""Selective precision in ``.onnx``: nodes that ONNX Runtime's quantizer is told to leave out."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from optimize.convert import converted, to_onnx
from optimize.quantize import QuantizeConfig
from optimize.quantize_onnx import prepare_onnx, quantize_prepared, static_settings
from optimize.selective_search import powers, sqnr_db
from train.pixels import Pixels

_SUBJECT = "float .onnx to int8 but for some nodes"
_ACTIVATIONS = frozenset({"Relu", "Clip"})  # one kernel with what stands before them
# They move or bound numbers and make none of their own.
_MOVERS = frozenset(
    {"Flatten", "Gather", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "Softmax", "Split"}
    | {"Squeeze", "Transpose", "Unsqueeze"}
)


class OnnxLayer(NamedTuple):
    """A node that can be in integers or in float, with the activation that follows it.

    Attributes:
        name: of the node.
        operator: such as ``Conv``.
        nodes: names of the node and of its activation, if it has one.
        output: name of the last one's output.
    """

    name: str
    operator: str
    nodes: tuple[str, ...]
    output: str


class OnnxMixer:
    """A network as ``.onnx`` in int8, with any of its nodes in float."""

    def __init__(
        self, model: Any, calibration: Pixels, config: QuantizeConfig, scratch: Path
    ) -> None:
        self._proto = to_onnx(model)
        self._prepared = converted(lambda: prepare_onnx(self._proto, scratch), _SUBJECT)
        self._ranges = scratch / "ranges.json"
        self._calibration = calibration
        self._settings = static_settings(
            activations=config.onnx_activations,
            reduce_range=config.reduces_range(),
            method=config.calibration,
            percentile=config.percentile,
        )

    def layers(self) -> tuple[OnnxLayer, ...]:
        """Return the nodes that quantization can hurt, in order."""
        import onnx

        return onnx_layers(onnx.load(self._prepared))

    def in_float(self) -> Any:
        """Return the network wholly in float."""
        return self._proto

    def mixed(self, kept: Collection[str]) -> Any:
        """Return the network in int8 but for the layers named."""
        return self._quantized(in_float=self._nodes(kept))

    def cost(self, name: str, photos: Pixels) -> float:
        """Return the SQNR, in decibels, of a layer's output if it alone is in int8."""
        import onnx

        layer = next(item for item in self.layers() if item.name == name)
        alone = self._quantized(only=layer.nodes)
        exact = onnx.load(self._prepared)

        def compare() -> float:
            pairs = zip(
                _watched(exact, layer.output, photos),
                _watched(alone, layer.output, photos),
                strict=True,
            )
            return sqnr_db(*sum((powers(*pair) for pair in pairs), np.zeros(2)))

        return converted(compare, f"SQNR of {name}")

    def _nodes(self, kept: Collection[str]) -> list[str]:
        return [node for layer in self.layers() if layer.name in kept for node in layer.nodes]

    def _quantized(self, **chosen: Any) -> Any:
        return converted(
            lambda: quantize_prepared(
                self._prepared, self._calibration, self._settings, ranges=self._ranges, **chosen
            ),
            _SUBJECT,
        )


def onnx_layers(proto: Any) -> tuple[OnnxLayer, ...]:
    """Return the nodes of a float graph that ONNX Runtime quantizes, with their activations."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    kinds = {*QDQRegistry, *QLinearOpsRegistry} - _MOVERS - _ACTIVATIONS
    floats = {tensor.name for tensor in proto.graph.initializer}
    takers = Counter(name for node in proto.graph.node for name in set(node.input))
    after = {node.input[0]: node for node in proto.graph.node if node.op_type in _ACTIVATIONS}
    found = []
    for node in proto.graph.node:
        if node.op_type not in kinds or set(node.input) <= floats:
            continue
        last, names = node, [node.name]
        while last.output[0] in after and takers[last.output[0]] == 1:
            last = after[last.output[0]]
            names.append(last.name)
        found.append(OnnxLayer(node.name, node.op_type, tuple(names), last.output[0]))
    return tuple(found)


def _watched(proto: Any, tensor: str, photos: Pixels) -> Sequence[Any]:
    """Return a tensor's values for each photo, after its own quantization where it has one."""
    import onnx
    import onnxruntime as ort

    seen = f"{tensor}_DequantizeLinear_Output"
    if not any(seen in node.output for node in proto.graph.node):
        seen = tensor
    if seen not in {item.name for item in proto.graph.output}:
        proto.graph.output.append(onnx.ValueInfoProto(name=seen))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [session.run([seen], {"pixels": photo[np.newaxis]})[0] for photo in photos]
