"""Where TensorFlow is loaded, once, with Keras 2 and repeatable arithmetic.

TensorFlow Hub and the model optimization toolkit need Keras 2, so the switch is set before
TensorFlow loads; nothing else in the project may import ``tensorflow`` at module level.
"""

import os
import sys
from typing import Any

from train.chatter import native_chatter_hidden


def tensorflow() -> Any:
    """Return the ``tensorflow`` module, quiet and with Keras 2 chosen."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_chatter_hidden():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")
    return tf


def keras() -> Any:
    """Return the ``tf_keras`` module (Keras 2)."""
    tensorflow()
    import tf_keras

    return tf_keras


def tflite_converter_of(function: Any, model: Any) -> Any:
    """Return TensorFlow Lite's converter of a concrete function that ``model`` is called in.

    On its way the converter saves what holds the variables. A Keras model would be saved layer by
    layer, each of them traced anew, which takes five times as long as all the rest; the variables
    alone give the same file.
    """
    tf = tensorflow()
    holder = tf.Module()
    holder.held = list(model.variables)
    return tf.lite.TFLiteConverter.from_concrete_functions([function], holder)


def make_repeatable(seed: int) -> None:
    """Seed every generator and ask TensorFlow for operations that repeat bit for bit.

    Args:
        seed: used for Python's, NumPy's and TensorFlow's generators.
    """
    tf, keras_module = tensorflow(), keras()
    keras_module.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
