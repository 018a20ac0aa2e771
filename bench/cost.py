"""What a network costs to run, counted from its graph: MACCs, parameters, activation bytes.

A MACC is one multiplication whose product is added to a running sum; one MACC is two FLOPs. They
are counted where a layer sums products over channels or positions: convolutions, dense layers,
matrix products. Biases, activations, pooling and normalisation are not, as in published counts.
Kinds known to have none are in ``ZERO_MACCS`` with the reason; any other kind is *uncounted*:
listed by name and number, never passed over.
"""

import gzip
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bench.record import CostRecord
from bench.subject import subject_of
from train.artifact import Artifact
from train.backend import keras, tensorflow
from train.errors import ArtifactError
from train.keras_file import load_keras

Shape = tuple[int, ...]  # with the batch, which is 1


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The cost of one call of one layer, at batch 1.

    Attributes:
        name: the layer's name, behind the names of the models that it is nested in.
        kind: its class, such as ``Conv2D``; ``tf.`` and the function for a bare operation.
        output_shape: of its first output, with the batch of 1.
        maccs: multiply-accumulates; ``None`` where the kind is uncounted.
        parameters: all its weights, trained or not; 0 for a further call of a shared layer.
        activation_bytes: size of its outputs, in the number type that the graph gives them.
    """

    name: str
    kind: str
    output_shape: Shape
    maccs: int | None
    parameters: int
    activation_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One call of one layer: the layer and the shapes in and out of it."""

    layer: Any
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


def _convolution(call: _Call) -> int:
    """Each output value sums kernel positions x input channels of its group."""
    layer = call.layer
    channels = call.inputs[0][_channel_axis(layer)] // int(layer.groups)
    return math.prod(call.outputs[0]) * _area(layer) * channels


def _transposed_convolution(call: _Call) -> int:
    """Each input value is spread over kernel positions x output channels.

    Products that fall outside the output (padding ``same``) are counted: kernels form them.
    """
    layer = call.layer
    return math.prod(call.inputs[0]) * _area(layer) * int(layer.filters)


def _depthwise(call: _Call) -> int:
    """Each output value sums the kernel positions of its one input channel."""
    return math.prod(call.outputs[0]) * _area(call.layer)


def _separable(call: _Call) -> int:
    """A depthwise convolution, then a 1x1 convolution to ``filters`` channels."""
    layer = call.layer
    between = call.inputs[0][_channel_axis(layer)] * int(layer.depth_multiplier)
    positions = math.prod(call.outputs[0]) // int(layer.filters)
    return positions * between * _area(layer) + positions * between * int(layer.filters)


def _dense(call: _Call) -> int:
    """Each output value sums all input features (the last axis)."""
    return math.prod(call.outputs[0]) * call.inputs[0][-1]


def _area(layer: Any) -> int:
    """Return the positions of a kernel."""
    return math.prod(int(size) for size in layer.kernel_size)


def _channel_axis(layer: Any) -> int:
    return 1 if layer.data_format == "channels_first" else -1


COUNTED: MappingProxyType[str, Callable[[_Call], int]] = MappingProxyType(
    {
        "Conv1D": _convolution,
        "Conv2D": _convolution,
        "Conv3D": _convolution,
        "Conv1DTranspose": _transposed_convolution,
        "Conv2DTranspose": _transposed_convolution,
        "Conv3DTranspose": _transposed_convolution,
        "DepthwiseConv1D": _depthwise,
        "DepthwiseConv2D": _depthwise,
        "SeparableConv1D": _separable,
        "SeparableConv2D": _separable,
        "Dense": _dense,
    }
)

_INPUT = "hands the input over"
_MOVES = "moves or copies values"
_ELEMENT = "works value by value: no products are summed"
_POOLING = "sums or compares values without weights"
_TRAINING = "does nothing at inference"
ZERO_MACCS: MappingProxyType[str, str] = MappingProxyType(
    {
        "InputLayer": _INPUT,
        "BatchNormalization": "folds into the convolution before it at inference",
        "LayerNormalization": "a mean, a variance and a scale: left out of published counts",
        **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"), _ELEMENT),
        **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum"), _ELEMENT),
        **dict.fromkeys(("Minimum", "Rescaling", "Normalization"), _ELEMENT),
        **dict.fromkeys(("Reshape", "Flatten", "Permute", "Concatenate", "Cropping2D"), _MOVES),
        **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D", "UpSampling2D", "Resizing"), _MOVES),
        **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _POOLING),
        **dict.fromkeys(("GlobalAveragePooling2D", "GlobalMaxPooling2D"), _POOLING),
        **dict.fromkeys(("Dropout", "SpatialDropout2D", "GaussianNoise"), _TRAINING),
        **dict.fromkeys(("tf.nn.relu", "tf.nn.relu6", "tf.nn.silu", "tf.nn.softmax"), _ELEMENT),
        **dict.fromkeys(("tf.math.add", "tf.math.subtract", "tf.math.multiply"), _ELEMENT),
        **dict.fromkeys(("tf.math.truediv", "tf.__operators__.add", "tf.cast"), _ELEMENT),
        **dict.fromkeys(("tf.reshape", "tf.concat", "tf.transpose"), _MOVES),
    }
)


def count_layers(model: Any) -> tuple[LayerCost, ...]:
    """Return the cost of every layer call of a functional Keras 2 model, in order of execution.

    Nested models are opened: their layers stand in the table, they themselves do not.

    Raises:
        ArtifactError: the model is not functional, or its input size is not fixed.
    """
    counted: list[LayerCost] = []
    seen: set[int] = set()
    for name, call in _calls(model, ""):
        cost = _layer_cost(name, call)
        if id(call.layer) in seen:  # a shared layer computes again, but keeps one set of weights
            cost = replace(cost, parameters=0)
        seen.add(id(call.layer))
        counted.append(cost)
    return tuple(counted)


def total_maccs(layers: Sequence[LayerCost]) -> int:
    """Return the MACCs of all counted layers."""
    return sum(layer.maccs or 0 for layer in layers)


def total_parameters(layers: Sequence[LayerCost]) -> int:
    """Return all weights, those of uncounted layers with them."""
    return sum(layer.parameters for layer in layers)


def uncounted_kinds(layers: Sequence[LayerCost]) -> dict[str, int]:
    """Return how many layers of each uncounted kind there are, by name."""
    return dict(sorted(Counter(layer.kind for layer in layers if layer.maccs is None).items()))


def measure_cost(artifact: Artifact, keras_parent: Artifact, environment: str) -> CostRecord:
    """Return what a variant weighs: counts from the Keras graph, bytes from its own file.

    Args:
        artifact: the variant, in any format.
        keras_parent: the Keras artifact of the same structure that it was converted from.
        environment: name of the environment record.

    Raises:
        ArtifactError: the Keras network cannot be opened or counted.
    """
    layers = count_layers(load_keras(keras_parent.payload))
    data = artifact.payload.read_bytes()
    return CostRecord(
        **subject_of(artifact.manifest, environment),
        maccs=total_maccs(layers),
        parameters=total_parameters(layers),
        uncounted=uncounted_kinds(layers),
        file_bytes=len(data),
        gzip_bytes=len(gzip.compress(data, compresslevel=9, mtime=0)),
    )


def _calls(model: Any, prefix: str) -> Iterator[tuple[str, _Call]]:
    """Yield name and shapes of every layer call, nested models opened, inputs first."""
    # Keras 2 offers no public list of calls: ``layers`` names a shared layer once, without shapes.
    depths: dict[int, list[Any]] | None = getattr(model, "_nodes_by_depth", None)
    if not depths:
        raise ArtifactError(
            f"{getattr(model, 'name', model)!r} is not a functional Keras model, so its layers"
            " cannot be counted; build it from an Input to outputs"
        )
    for node in (node for depth in sorted(depths, reverse=True) for node in depths[depth]):
        name = prefix + node.layer.name
        if isinstance(node.layer, keras().Model):
            yield from _calls(node.layer, f"{name}/")
        elif not (prefix and node.is_input):  # a nested model's input is the tensor handed to it
            yield (
                name,
                _Call(
                    layer=node.layer,
                    inputs=_shapes(node.input_shapes, name),
                    outputs=_shapes(node.output_shapes, name),
                ),
            )


def _layer_cost(name: str, call: _Call) -> LayerCost:
    kind = _kind(call.layer)
    count = COUNTED.get(kind)
    maccs = count(call) if count else 0 if kind in ZERO_MACCS else None
    item_bytes = tensorflow().dtypes.as_dtype(call.layer.compute_dtype or "float32").size
    return LayerCost(
        name=name,
        kind=kind,
        output_shape=call.outputs[0],
        maccs=maccs,
        parameters=int(call.layer.count_params()),
        activation_bytes=item_bytes * sum(math.prod(shape) for shape in call.outputs),
    )


def _kind(layer: Any) -> str:
    """Return the layer's class, or ``tf.`` and the function of a bare operation."""
    symbol = getattr(layer, "symbol", None)
    return f"tf.{symbol}" if symbol else type(layer).__name__


def _shapes(shapes: Any, name: str) -> tuple[Shape, ...]:
    """Return static shapes with a batch of 1, from one shape or a list of them."""
    several = shapes if isinstance(shapes, list) else [shapes]
    if any(size is None for shape in several for size in shape[1:]):
        raise ArtifactError(
            f"layer {name!r} has no fixed size: {several[0]}; give the Input its height and width"
        )
    return tuple((1, *(int(size) for size in shape[1:])) for shape in several)
