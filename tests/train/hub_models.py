"""SavedModels made for tests: one like sayakpaul's ConvNeXt extractors, one of no known network."""

from pathlib import Path
from typing import Any

import numpy as np

from train.backend import keras, tensorflow
from train.hub_safety import _part_of_tensorflow
from train.networks import convnext

SIZE = 64
# No two stages are equally wide, as in the real network.
CHANNELS = (8, 12, 16, 24)
SMALL_STAGES = tuple(convnext.Stage(channels=width, blocks=1) for width in CHANNELS)


def convnext_twin() -> Any:
    """Return Keras' own ConvNeXt, small, with weights that no variable begins with.

    As the published extractors: normalized pixels ``(batch, 64, 64, 3)`` in, pooled and normalized
    features out.
    """
    keras()
    from tf_keras.src.applications.convnext import ConvNeXt

    twin = ConvNeXt(
        depths=[1, 1, 1, 1],
        projection_dims=list(CHANNELS),
        model_name="convnext_tiny",
        include_preprocessing=False,
        include_top=False,
        weights=None,
        input_shape=(SIZE, SIZE, 3),
        pooling="avg",
    )
    rng = np.random.default_rng(3)
    for weight in twin.weights:
        scale = 1 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.5
        weight.assign(rng.normal(0.3 * (len(weight.shape) == 1), scale, weight.shape))
    return twin


def save_averages(folder: Path) -> Path:
    """Save a model of a few weights: the picture's mean colour, through a matrix, is its features.

    Args:
        folder: must not exist.

    Returns:
        ``folder``; the model takes ``(batch, rows, columns, 3)`` in [0, 1], gives ``(batch, 5)``.
    """
    tf = tensorflow()
    module = tf.train.Checkpoint()  # keeps any attribute, as models on the hub do
    module.matrix = tf.Variable(np.arange(15, dtype=np.float32).reshape(3, 5) / 15, name="matrix")
    module.variables = [module.matrix]

    def call(pictures: Any) -> Any:
        return tf.matmul(tf.reduce_mean(pictures, axis=(1, 2)), module.matrix)

    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    module.__call__ = tf.function(call, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder))
    return folder


def save_reader(folder: Path, secret: Path) -> Path:
    """Save a model that reads a file when it is called."""
    tf = tensorflow()
    module = tf.Module()

    def call(pictures: Any) -> Any:
        length = tf.strings.length(tf.io.read_file(str(secret)))
        return tf.reduce_mean(pictures, axis=(1, 2)) + tf.cast(length, tf.float32)

    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    module.__call__ = tf.function(call, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder))
    return folder


def save_swapped_writer(folder: Path, marker: Path) -> tuple[Path, Path]:
    """Save a model with a function ``twin`` that writes ``marker`` and that nothing calls.

    TensorFlow runs it in place of the model's own on a CPU: both have one ``api_implements``.
    """
    tf = tensorflow()
    module = tf.train.Checkpoint()
    module.variables = []
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    inner = tf.function(
        tf.identity,
        input_signature=[spec],
        autograph=False,
        experimental_attributes={"api_implements": "same"},
    )

    def call(pictures: Any) -> Any:
        return tf.reduce_mean(inner(pictures), axis=(1, 2))

    module.__call__ = tf.function(call, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder))
    path = folder / "saved_model.pb"
    model = _part_of_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    model.ParseFromString(path.read_bytes())
    library = model.meta_graphs[0].graph_def.library
    original = next(each for each in library.function if "api_implements" in each.attr)
    twin = library.function.add()
    twin.CopyFrom(original)
    twin.signature.name = "twin"
    twin.signature.is_stateful = True
    twin.attr["api_preferred_device"].s = b"CPU"
    name = twin.node_def.add(name="name", op="Const")
    name.attr["dtype"].type = tf.string.as_datatype_enum
    name.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(marker)))
    twin.node_def.add(name="harm", op="WriteFile", input=["name:output:0"] * 2)
    twin.control_ret["harm"] = "harm"
    twin.signature.control_output.append("harm")
    path.write_bytes(model.SerializeToString())
    return folder, marker
