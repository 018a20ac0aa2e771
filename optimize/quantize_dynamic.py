"""Dynamic-range int8: weights in 8 bits, activations quantized anew for each picture.

No photo is needed, and accuracy hardly moves; the file is four times smaller. LiteRT has fast
kernels for it. ONNX Runtime has them for products of matrices alone: convolutions would become
``ConvInteger``, seen to be no faster than float, and 4 to 9 times slower where depthwise (x86
with VNNI, one thread). So they stay in float, and a network that consists of them is refused.
Source: https://ai.google.dev/edge/litert/models/post_training_quant,
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from optimize.convert import (
    converted,
    give_stable_names,
    load_keras,
    tflite_converter,
    to_onnx,
    write_onnx,
    write_tflite,
)
from optimize.quantize_graph import answering_products
from optimize.quantize_processor import products_overflow_here
from train.artifact import Artifact, Step, derive_artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format

_OF_GEMM = "_MatMul"  # behind the name of a Gemm that ONNX Runtime's tool makes a MatMul of


@dataclass(frozen=True, kw_only=True)
class DynamicConfig:
    """How to quantize dynamically.

    Attributes:
        onnx_least_share: the least share of an ``.onnx`` network's weights that must lie in
            products of matrices, in (0, 1]; with less it is refused.
    """

    onnx_least_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.onnx_least_share <= 1.0:
            raise ConfigError(f"onnx_least_share must be in (0, 1], got {self.onnx_least_share}")


def quantize_int8_dynamic(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: DynamicConfig | None = None,
) -> Artifact:
    """Write ``parent`` with int8 weights and activations quantized as they come.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        calibration: not looked at: nothing is calibrated.
        calibration_ids: not looked at.
        folder: where the new artifact goes; must not exist.
        config: how; the defaults if ``None``.

    Raises:
        ConversionError: the parent is no Keras artifact, its graph cannot be expressed, or, for
            ``onnx``, too few of its weights lie in products of matrices.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    del calibration, calibration_ids
    config = config or DynamicConfig()
    model = load_keras(parent)
    variant = parent.manifest.name.as_format(target, precision="int8-dynamic")
    settings: dict[str, Any] = {"format": target, **asdict(config)}
    if target == "onnx":
        proto = to_onnx(model)
        require_matrix_products(proto, model.name, config.onnx_least_share)
        settings["reduce_range"] = products_overflow_here()

    def fill(path: Path) -> None:
        if target == "onnx":
            integer = to_dynamic_onnx(proto, reduce_range=bool(settings["reduce_range"]))
            write_onnx(integer, path, parent, variant)
        else:
            write_tflite(to_dynamic_tflite(model), path, parent, variant)

    step = Step(
        technique="int8-dynamic",
        config=settings,
        parent_sha256=parent.manifest.payload_sha256,
    )
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def to_dynamic_tflite(model: Any) -> bytes:
    """Return ``model`` as a ``.tflite`` with int8 weights that takes uint8.

    Raises:
        ConversionError: an operator has no counterpart in TensorFlow Lite.
    """
    tf = tensorflow()
    converter = tflite_converter(model, "uint8")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converted(lambda: bytes(converter.convert()), f"{model.name} to int8-dynamic .tflite")


def to_dynamic_onnx(proto: Any, *, reduce_range: bool, answer_in_float: bool = False) -> Any:
    """Return a float ``onnx.ModelProto`` with its products of matrices in dynamic int8.

    Args:
        proto: a float graph; it is not changed.
        reduce_range: use 7 bits of the weights.
        answer_in_float: leave the product that ``Softmax`` is fed by in float, unless there is no
            other: it takes next to no time, and its error is the answer's.

    Raises:
        ConversionError: ONNX Runtime refuses the graph.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    def quantize() -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            names = ("float.onnx", "prepared.onnx", "dynamic.onnx")
            plain, prepared, integer = (Path(scratch) / name for name in names)
            onnx.save(proto, plain)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            nodes = onnx.load(prepared).graph.node
            left = answering_products(nodes, ("MatMul", "Gemm")) if answer_in_float else ()
            quantize_dynamic(
                prepared,
                integer,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[*left, *(f"{name}{_OF_GEMM}" for name in left)],
            )
            return onnx.load(integer)

    found = converted(quantize, "float .onnx to int8-dynamic .onnx")
    give_stable_names(found)
    return found


def matrix_share(proto: Any) -> float:
    """Return the share of an ``.onnx`` graph's weights that ``MatMul`` and ``Gemm`` hold, [0, 1].

    Counted are the constants of convolutions and products of matrices; 0 if there are none.
    """
    sizes = {tensor.name: prod(tensor.dims) for tensor in proto.graph.initializer}
    counts = {"matrix": 0, "convolution": 0}
    for node in proto.graph.node:
        kind = {"MatMul": "matrix", "Gemm": "matrix"}.get(node.op_type, "convolution")
        if kind == "matrix" or node.op_type in ("Conv", "ConvTranspose"):
            counts[kind] += sum(sizes.get(name, 0) for name in node.input)
    total = sum(counts.values())
    return counts["matrix"] / total if total else 0.0


def require_matrix_products(proto: Any, network: str, least_share: float) -> None:
    """Check that dynamic quantization is worth it on ONNX Runtime.

    Raises:
        ConversionError: less than ``least_share`` of the weights lie in products of matrices.
    """
    share = matrix_share(proto)
    if share < least_share:
        raise ConversionError(
            f"{network} to int8-dynamic .onnx: {share:.0%} of its weights lie in products of"
            f" matrices, must be at least {least_share:.0%}; the rest are convolutions, which ONNX"
            " Runtime would run as ConvInteger: no faster than float, and 4 to 9 times slower where"
            " depthwise; use int8 for .onnx, or int8-dynamic for .tflite"
        )
