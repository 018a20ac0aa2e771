"""What every layer of a Keras network costs, counted from its graph.

Kinds known to have no MACCs are in ``ZERO_MACCS`` with the reason; any other kind that is not in
``COUNTED`` is *uncounted*: listed by name and number, never passed over.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bench.count_keras_effects import effect_of
from bench.keras_calls import Call, layer_calls
from bench.layer_cost import LayerCost, Operation, with_fields
from bench.receptive_views import View, picture_view
from train.backend import tensorflow


def _convolution(call: Call) -> int:
    """Each output value sums kernel positions x input channels of its group."""
    layer = call.layer
    channels = call.input_shapes[0][_channel_axis(layer)] // int(layer.groups)
    return math.prod(call.output_shapes[0]) * _area(layer) * channels


def _transposed_convolution(call: Call) -> int:
    """Each input value is spread over kernel positions x output channels.

    Products that fall outside the output (padding ``same``) are counted: kernels form them.
    """
    layer = call.layer
    return math.prod(call.input_shapes[0]) * _area(layer) * int(layer.filters)


def _depthwise(call: Call) -> int:
    """Each output value sums the kernel positions of its one input channel."""
    return math.prod(call.output_shapes[0]) * _area(call.layer)


def _separable(call: Call) -> int:
    """A depthwise convolution, then a 1x1 convolution to ``filters`` channels."""
    layer = call.layer
    between = call.input_shapes[0][_channel_axis(layer)] * int(layer.depth_multiplier)
    positions = math.prod(call.output_shapes[0]) // int(layer.filters)
    return positions * between * _area(layer) + positions * between * int(layer.filters)


def _dense(call: Call) -> int:
    """Each output value sums all input features (the last axis)."""
    return math.prod(call.output_shapes[0]) * call.input_shapes[0][-1]


def _area(layer: Any) -> int:
    """Return the positions of a kernel."""
    return math.prod(int(size) for size in layer.kernel_size)


def _channel_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


COUNTED: MappingProxyType[str, Callable[[Call], int]] = MappingProxyType(
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
    operations: list[Operation] = []
    pictures: dict[Hashable, View | None] = {}
    seen: set[int] = set()
    calls = list(layer_calls(model))
    channels = 1 if any(_channel_axis(call.layer) == 1 for _, call in calls) else -1
    for name, call in calls:
        cost = _layer_cost(name, call)
        if id(call.layer) in seen:  # a shared layer computes again, but keeps one set of weights
            cost = replace(cost, parameters=0)
        seen.add(id(call.layer))
        if cost.kind == "InputLayer":
            pictures[call.outputs[0]] = picture_view(call.output_shapes[0], channels=channels)
        operations.append(
            Operation(
                cost=cost,
                inputs=call.inputs,
                input_shapes=call.input_shapes,
                outputs=call.outputs,
                output_shapes=call.output_shapes,
                effect=None if cost.maccs is None else effect_of(cost.kind, call),
            )
        )
    return with_fields(operations, pictures)


def _layer_cost(name: str, call: Call) -> LayerCost:
    kind = _kind(call.layer)
    count = COUNTED.get(kind)
    maccs = count(call) if count else 0 if kind in ZERO_MACCS else None
    item_bytes = tensorflow().dtypes.as_dtype(call.layer.compute_dtype or "float32").size
    return LayerCost(
        name=name,
        kind=kind,
        output_shape=call.output_shapes[0],
        maccs=maccs,
        parameters=int(call.layer.count_params()),
        activation_bytes=item_bytes * sum(math.prod(shape) for shape in call.output_shapes),
    )


def _kind(layer: Any) -> str:
    """Return the layer's class, or ``tf.`` and the function of a bare operation."""
    symbol = getattr(layer, "symbol", None)
    return f"tf.{symbol}" if symbol else type(layer).__name__
