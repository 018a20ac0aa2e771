"""Keras to ``.tflite`` and ``.onnx`` in float32, with static shapes.

Conversion changes the file, not the arithmetic: it makes a model neither smaller nor more
exact. Batch is static 1, because an unknown batch leaves chains of shape operators in the
graph. Both formats take ``uint8`` ``(1, height, width, 3)`` and cast it inside, so that a phone
hands over camera pixels.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from optimize.converter_mended import converter_mended
from optimize.nameplate import nameplate_for, with_tflite_nameplate, write_onnx_nameplate
from optimize.onnx_constants import share_scales
from optimize.onnx_pooling import pool_whole_maps
from train import keras_file
from train.artifact import Artifact, Step, derive_artifact
from train.backend import tensorflow, tflite_converter_of
from train.chatter import native_chatter_hidden
from train.errors import ArtifactError, ConversionError
from train.variant import Format, Variant

ONNX_OPSET = 18
_T = TypeVar("_T")


def export_float(parent: Artifact, target: Format, folder: Path) -> Artifact:
    """Write ``parent`` as a float artifact in another format.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        folder: where the new artifact goes; must not exist.

    Raises:
        ConversionError: the parent is no Keras artifact, or its graph cannot be expressed.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    model = load_keras(parent)
    variant = parent.manifest.name.as_format(target)
    config: dict[str, Any] = {"format": target, "batch": 1}
    if target == "onnx":
        config["opset"] = ONNX_OPSET

    def fill(path: Path) -> None:
        if target == "onnx":
            write_onnx(to_onnx(model), path, parent, variant)
        else:
            write_tflite(to_tflite(model), path, parent, variant)

    step = Step(technique="convert", config=config, parent_sha256=parent.manifest.payload_sha256)
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def load_keras(artifact: Artifact) -> Any:
    """Return the network of a Keras artifact, checked against its manifest.

    Raises:
        ConversionError: the artifact is of another format, holds a Lambda layer or cannot be
            opened, or its input or outputs are not those that its manifest names.
    """
    manifest = artifact.manifest
    if manifest.name.format != "keras":
        raise ConversionError(
            f"{manifest.variant}: only a Keras artifact can be converted; give its parent"
        )
    try:
        model = keras_file.load_keras(artifact.payload)
    except ArtifactError as error:
        raise ConversionError(f"{manifest.variant}: {error}") from error
    expected = (None, manifest.pixels.height, manifest.pixels.width, 3)
    if model.input_shape != expected:
        raise ConversionError(
            f"{manifest.variant}: its input is {model.input_shape}, its manifest says {expected}"
        )
    if model.output_shape != (None, len(manifest.labels)):
        raise ConversionError(
            f"{manifest.variant}: its output is {model.output_shape} for"
            f" {len(manifest.labels)} labels"
        )
    return model


def static_function(model: Any, dtype: str) -> Any:
    """Return ``model`` as a ``tf.function`` of one picture.

    Args:
        model: a Keras network on ``(batch, height, width, 3)`` float32 in [0, 255].
        dtype: of the picture ``(1, height, width, 3)``: ``uint8`` or ``float32``.
    """
    tf = tensorflow()
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.dtypes.as_dtype(dtype), name="pixels")

    @tf.function(input_signature=[spec], autograph=False)  # type: ignore[untyped-decorator]
    def classify(pixels: Any) -> Any:
        return {"probabilities": model(tf.cast(pixels, tf.float32), training=False)}

    return classify


def tflite_converter(model: Any, dtype: str) -> Any:
    """Return TensorFlow Lite's converter of ``model`` on one picture of ``dtype``."""
    function = static_function(model, dtype).get_concrete_function()
    return tflite_converter_of(function, model)


def to_tflite(model: Any) -> bytes:
    """Return ``model`` as a float ``.tflite`` that takes uint8.

    Raises:
        ConversionError: an operator has no counterpart in TensorFlow Lite.
    """
    converter = tflite_converter(model, "uint8")
    return converted(lambda: bytes(converter.convert()), f"{model.name} to .tflite")


def to_onnx(model: Any) -> Any:
    """Return ``model`` as a float ``onnx.ModelProto`` that takes uint8, in NHWC.

    Raises:
        ConversionError: an operator has no counterpart in ONNX.
    """
    import tf2onnx

    function = static_function(model, "uint8")
    with converter_mended():
        proto = converted(
            lambda: tf2onnx.convert.from_function(
                function,
                input_signature=function.input_signature,
                opset=ONNX_OPSET,
                custom_op_handlers={"Erfc": (_write_erfc, [])},
            )[0],
            f"{model.name} to .onnx",
        )
    _require_known_operators(proto, model.name)
    give_stable_names(proto)
    pool_whole_maps(proto)
    return proto


def write_tflite(content: bytes, path: Path, parent: Artifact, variant: Variant) -> None:
    """Write a ``.tflite`` with its nameplate."""
    path.write_bytes(with_tflite_nameplate(content, nameplate_for(parent.manifest, variant)))


def write_onnx(proto: Any, path: Path, parent: Artifact, variant: Variant) -> None:
    """Write an ``.onnx`` with its nameplate; equal graphs give equal bytes.

    ``proto`` is changed: scales and zero points that are equal are kept once.
    """
    share_scales(proto)
    write_onnx_nameplate(proto, nameplate_for(parent.manifest, variant))
    path.write_bytes(proto.SerializeToString(deterministic=True))


def converted(convert: Callable[[], _T], subject: str) -> _T:
    """Return what ``convert`` returns, with the converters' chatter kept off the terminal.

    Raises:
        ConversionError: with the converter's own first line; the whole text is its cause.
    """
    try:
        with native_chatter_hidden():
            return convert()
    except (ConversionError, MemoryError):
        raise
    except OSError as error:
        raise ArtifactError(
            f"{subject}: the converter cannot write its scratch files"
            f" ({error.strerror or error});"
            " free some disk, or name another place in TMPDIR"
        ) from error
    except Exception as error:  # converters raise anything from ValueError to AssertionError
        first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise ConversionError(
            f"{subject}: the converter refuses the graph: {first.strip()}"
        ) from error


def give_stable_names(proto: Any) -> None:
    """Name every tensor after the node that makes it or first takes it, in place.

    The converter numbers names from a counter that lives as long as the process and lets equal
    constants share whichever name came first, so that a second conversion would differ.

    Raises:
        ConversionError: a node holds a graph of its own, which static networks do not need.
    """
    graph = proto.graph
    new = {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    taken: set[str] = set(new)
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise ConversionError(f"{node.op_type} {node.name!r} holds a graph; rewrite its layer")
        node.name = _fresh(re.sub(r"__\d+", "", node.name), taken)
        for slot, name in enumerate(node.input):
            if name in constants:
                new.setdefault(name, _fresh(f"{node.name}/input{slot}", taken))
        for slot, name in enumerate(node.output):
            new.setdefault(name, _fresh(f"{node.name}/output{slot}", taken))
        node.input[:] = [name and new[name] for name in node.input]
        node.output[:] = [name and new[name] for name in node.output]
    del graph.value_info[:]  # shapes that can be inferred again
    for tensor in graph.initializer:
        tensor.name = new[tensor.name]
    ordered = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    del graph.initializer[:]
    graph.initializer.extend(ordered)
    graph.name, graph.doc_string = "threadlite", ""


def _fresh(stem: str, taken: set[str]) -> str:
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name)
    return name


def _write_erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Write TensorFlow's ``erfc(-x)``, which its exact GELU calls, as ``1 + erf(x)``.

    ONNX has ``erf`` alone. TensorFlow's GELU gives ``erfc`` the product of ``-x`` and a constant;
    that minus is left out.
    """
    del arguments
    product = node.inputs[0]
    factors = list(product.input)
    negated = product.type == "Mul" and product.inputs[0].type == "Neg"
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.array(1.0, dtype=np.float32)).output[0]
    if negated:
        factors[0] = product.inputs[0].input[0]
        turned = graph.make_node("Mul", factors, name=f"{name}/mul").output[0]
    else:
        turned = graph.make_node("Neg", [node.input[0]], name=f"{name}/neg").output[0]
    erf = graph.make_node("Erf", [turned], name=f"{name}/erf").output[0]
    graph.make_node("Add", [erf, one], name=name, outputs=node.output)


def _require_known_operators(proto: Any, network: str) -> None:
    from onnx import defs

    unknown = sorted(
        {
            node.op_type
            for node in proto.graph.node
            if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type, ONNX_OPSET)
        }
    )
    if unknown:
        raise ConversionError(
            f"{network} to .onnx: {', '.join(unknown)} have no counterpart in ONNX opset"
            f" {ONNX_OPSET}; replace those layers"
        )
