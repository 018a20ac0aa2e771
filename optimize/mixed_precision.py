"""Dynamic-range int8 for the operators that a runtime multiplies fast; all others stay in float.

Weights of these operators are int8, one scale a channel, and their activations are quantized
anew at every call; nothing is calibrated. It buys speed where matrix products take the time, and
a file near a quarter of the size.

In ``.tflite`` the operators are chosen. The converter's own dynamic-range int8 takes every
operator with weights, depthwise convolutions too, for which XNNPACK has no such kernel: they
leave it, and a network with large ones becomes slower than it need be.
In ``.onnx`` they are the products of matrices: ONNX Runtime has no fast dynamic kernel for
convolutions. So 1 x 1 convolutions, which are products of matrices, are written as such, and the
normalizations and GELUs between them as one operator each.
The product whose scores Softmax is fed stays in float in both: it takes next to no time, and what
8 bits take from it is taken from the answer itself.
Source: https://github.com/google-ai-edge/ai-edge-quantizer (recipes: dynamic_wi8_afp32),
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from optimize.convert import (
    converted,
    load_keras,
    to_onnx,
    to_tflite,
    write_onnx,
    write_tflite,
)
from optimize.litert_quantizer import scope_of
from optimize.quantize_dynamic import to_dynamic_onnx
from optimize.quantize_graph import answering_operators, operators_of
from optimize.quantize_processor import products_overflow_here
from optimize.rewrite import rewrite_model
from optimize.rewrite_artifact import require_pictures, require_same_answers
from optimize.rewrite_onnx import fuse_gelu, fuse_layer_norm
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format

TECHNIQUE_WORD = "mixed"
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BEFORE_ONNX = ("fold-preprocessing", "fold-batch-norm", "fold-layer-scale", "convolution-to-dense")
"""Exact rewrites that leave fewer operators, and products of matrices, for ONNX Runtime."""


@dataclass(frozen=True, kw_only=True)
class MixedPrecisionConfig:
    """Which operators are in int8, and which GELU the network computes.

    Attributes:
        operators: of ``.tflite``: names from ``OPERATORS`` joined by ``+``.
        largest_gelu_error: 0 keeps GELU exact. Above 0, in (0, 1), it becomes the one by tanh,
            which is faster on some processors, unless a probability then moves by more than this
            on a given picture or the best class of one changes.
    """

    operators: str = "CONV_2D+FULLY_CONNECTED"
    largest_gelu_error: float = 0.0

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in OPERATORS:
                raise ConfigError(f"operator {name!r} is not one of {', '.join(OPERATORS)}")
        if not 0.0 <= self.largest_gelu_error < 1.0:
            raise ConfigError(
                f"largest_gelu_error must be in [0, 1), got {self.largest_gelu_error}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The operators, one by one."""
        return tuple(self.operators.split("+"))


def quantize_mixed(
    parent: Artifact,
    target: Format,
    pictures: Pixels,
    picture_ids: Sequence[str],
    folder: Path,
    config: MixedPrecisionConfig | None = None,
) -> Artifact:
    """Write ``parent`` with some operators in dynamic-range int8.

    Args:
        parent: a Keras artifact, best a rewritten one.
        target: ``tflite`` or ``onnx``.
        pictures: ``(picture, height, width, 3)`` uint8 that the tanh GELU is measured on; not
            looked at where GELU stays exact.
        picture_ids: not looked at.
        folder: where the new artifact goes; must not exist.
        config: which operators; the defaults if ``None``.

    Raises:
        ConversionError: no Keras artifact, no such operator in the graph, or the tanh GELU moves
            an answer further than allowed.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    del picture_ids
    config, manifest = config or MixedPrecisionConfig(), parent.manifest
    model = load_keras(parent)
    gelu: dict[str, float] = {}
    if config.largest_gelu_error > 0.0:
        require_pictures(parent, pictures)
        by_tanh, _ = rewrite_model(model, ["tanh-gelu"])
        gelu["gelu_error"] = require_same_answers(
            model,
            by_tanh,
            pictures,
            tolerance=config.largest_gelu_error,
            subject=f"{manifest.variant} with tanh GELU",
        )
        model = by_tanh
    name = manifest.name.as_format(target, precision="int8-dynamic")
    variant = replace(name, techniques=(*name.techniques, TECHNIQUE_WORD))
    operators: list[JsonValue] = [*config.names] if target == "tflite" else ["MatMul"]

    def fill(path: Path) -> None:
        if target == "tflite":
            content = to_mixed_dynamic_tflite(to_tflite(model), config.names, subject=model.name)
            write_tflite(content, path, parent, variant)
        else:
            write_onnx(to_mixed_dynamic_onnx(model), path, parent, variant)

    step = Step(
        technique="mixed",
        config={"format": target, **asdict(config), "operators": operators, **gelu},
        parent_sha256=manifest.payload_sha256,
    )
    return derive_artifact(folder, parent, fill=fill, variant=variant, step=step)


def to_mixed_dynamic_onnx(model: Any) -> Any:
    """Return ``model`` as an ``onnx.ModelProto`` with its matrix products in dynamic int8.

    Raises:
        ConversionError: the network is not made of plain layers or has no product of matrices, or
            an operator has no counterpart in ONNX.
    """
    folded, _ = rewrite_model(model, BEFORE_ONNX)
    proto = to_onnx(folded)
    fuse_layer_norm(proto)
    fuse_gelu(proto)
    integer = to_dynamic_onnx(proto, reduce_range=products_overflow_here(), answer_in_float=True)
    if not integer_products(integer):
        raise ConversionError(
            f"{model.name} to mixed .onnx: it holds no product of matrices and no 1 x 1"
            " convolution; use int8"
        )
    return integer


def integer_products(proto: Any) -> tuple[str, ...]:
    """Return the names of the products of integer matrices in an ``.onnx`` graph."""
    return tuple(node.name for node in proto.graph.node if node.op_type == "MatMulInteger")


def to_mixed_dynamic_tflite(
    content: bytes, operators: Collection[str], *, subject: str = "float .tflite"
) -> bytes:
    """Return a float ``.tflite`` with ``operators`` in dynamic-range int8, the rest as it is.

    Args:
        content: a float model; its input and output keep their types.
        operators: names such as ``CONV_2D``.
        subject: what the model is called in messages.

    Raises:
        ConversionError: the graph holds none of the operators, or the quantizer refuses it.
    """
    found = operators_of(content)
    if not set(operators) & set(found):
        raise ConversionError(
            f"{subject} to mixed .tflite: it holds no {' or '.join(operators)}; it has"
            f" {', '.join(sorted(found))}"
        )

    def quantize() -> bytes:
        from ai_edge_quantizer.algorithm_manager import AlgorithmName
        from ai_edge_quantizer.qtyping import TFLOperationName
        from ai_edge_quantizer.quantizer import Quantizer

        quantizer = Quantizer(content)
        for name in sorted(operators):
            quantizer.add_dynamic_config(".*", TFLOperationName(name), num_bits=8)
        for name in answering_operators(content, operators):
            quantizer.update_quantization_recipe(
                scope_of(name),
                TFLOperationName.ALL_SUPPORTED,
                algorithm_key=AlgorithmName.NO_QUANTIZE,
            )
        made = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
        return bytes(made.quantized_model)

    return converted(quantize, f"{subject} to mixed .tflite")
