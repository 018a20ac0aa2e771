"""Layers that compute as an int8 runtime would, and still learn.

Kernels are rounded to symmetric int8 with one scale an output channel, as both of our runtimes
have them, and the outputs that a runtime stores are rounded to 8 bits over their range. The
gradient goes through a rounding as if it were not there, and not through what a range cuts off.
Sources: Jacob et al. 2018, arXiv:1712.05877, section 3; Bengio et al. 2013, arXiv:1308.3432
(straight-through).
"""

import functools
import inspect
from typing import Any

from train.backend import keras, tensorflow

LEVELS = 255  # steps between the ends of an 8-bit range
WEIGHT_LEVELS = 127  # a symmetric int8 weight is from -127 to 127
_MEMORY = 0.99  # of the moving ranges, once so many batches were seen that it is their mean
RANGES = ("low", "high", "seen")
"""What an emulated layer holds beside the weights of its kind."""


def fake_int8_weights(kernel: Any, *, depthwise: bool = False) -> Any:
    """Return ``kernel`` with each weight at its nearest multiple of its channel's scale.

    Args:
        kernel: ``(..., inputs, outputs)`` float; of a depthwise convolution ``(rows, columns,
            inputs, multiplier)``, each of whose inputs has channels of its own.
        depthwise: whether it is the latter.
    """
    tf = tensorflow()
    axes = list(range(len(kernel.shape) - (2 if depthwise else 1)))
    scale = tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True) / WEIGHT_LEVELS
    rounded = tf.round(tf.math.divide_no_nan(kernel, scale)) * scale
    return kernel + tf.stop_gradient(rounded - kernel)


def fake_uint8(values: Any, low: Any, high: Any) -> Any:
    """Return ``values`` at the nearest of 256 places from ``low`` to ``high``, both with zero.

    The range is widened to hold zero and moved so that zero is one of its places.
    """
    tf = tensorflow()
    low, high = tf.minimum(low, 0.0), tf.maximum(high, 0.0)
    scale = tf.stop_gradient((high - low) / LEVELS)
    zero = tf.stop_gradient(tf.round(tf.math.divide_no_nan(-low, scale)))
    places = tf.clip_by_value(tf.math.divide_no_nan(values, scale), -zero, LEVELS - zero)
    return (places + tf.stop_gradient(tf.round(places) - places)) * scale


@functools.cache
def emulated(kind: str, *, stored: bool) -> Any:
    """Return the Keras layer class ``kind`` as an int8 runtime computes it.

    Args:
        kind: its name in ``keras.layers``.
        stored: whether a runtime stores its output in 8 bits; what is fused into the next layer
            is not stored.
    """
    tf = tensorflow()
    base = getattr(keras().layers, kind)
    takes_training = "training" in inspect.signature(base.call).parameters
    compute = {"DepthwiseConv2D": _depthwise, "Dense": _dense}.get(kind)

    class Emulated(base):  # type: ignore[valid-type, misc]
        def build(self, input_shape: Any) -> None:
            base.build(self, input_shape)
            if stored:
                for name in RANGES:
                    weight = self.add_weight(name, (), initializer="zeros", trainable=False)
                    setattr(self, name, weight)

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return base.convolution_op(self, inputs, fake_int8_weights(kernel))

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def call(self, inputs: Any, training: Any = None) -> Any:
            if compute is not None:
                outputs = compute(self, inputs)
            else:
                more = {"training": training} if takes_training else {}
                outputs = base.call(self, inputs, **more)
            if not stored:
                return outputs
            if training:
                _watch(self, outputs)
            return fake_uint8(outputs, self.low, self.high)

    return Emulated


def _watch(layer: Any, outputs: Any) -> None:
    """Let the layer's range follow the least and the greatest of a batch."""
    tf = tensorflow()
    rate = tf.maximum(1.0 / (layer.seen + 1.0), 1.0 - _MEMORY)
    layer.low.assign_add(rate * (tf.reduce_min(outputs) - layer.low))
    layer.high.assign_add(rate * (tf.reduce_max(outputs) - layer.high))
    layer.seen.assign_add(1.0)


def _depthwise(layer: Any, inputs: Any) -> Any:
    outputs = tensorflow().nn.depthwise_conv2d(
        inputs,
        fake_int8_weights(layer.depthwise_kernel, depthwise=True),
        strides=(1, *layer.strides, 1),
        padding=layer.padding.upper(),
        dilations=layer.dilation_rate,
    )
    return _with_bias(layer, outputs)


def _dense(layer: Any, inputs: Any) -> Any:
    return _with_bias(layer, tensorflow().matmul(inputs, fake_int8_weights(layer.kernel)))


def _with_bias(layer: Any, outputs: Any) -> Any:
    return layer.activation(outputs + layer.bias if layer.use_bias else outputs)
