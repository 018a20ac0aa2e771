"""ai-edge-quantizer with calibrated ranges, and a precision for each operator.

Its dynamic recipes, which need no ranges, are in ``mixed_precision.py``.

It works on a float ``.tflite``, converts in a fraction of the converter's time, and leaves in
float what it is told to and what it has no integer form for. Softmax stays in float, as in our
``.onnx``; the range of the camera's pixels is set to [0, 255], not measured.
Source: https://github.com/google-ai-edge/ai-edge-quantizer
"""

import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from optimize.convert import converted
from optimize.quantize_graph import operator_name, with_camera_integers
from train.pixels import Pixels

Ranges = dict[str, Any]  # tensor name -> {"min": array, "max": array}, as the quantizer has it
_THREADS = 4
_SUBJECT = "float .tflite to int8 by ai-edge-quantizer"


class LitertLayer(NamedTuple):
    """One operator that can be in integers or in float.

    Attributes:
        name: of its output tensor, which no other operator writes.
        operator: such as ``CONV_2D``.
    """

    name: str
    operator: str


def find_ranges(content: bytes, photos: Pixels, *, average: bool = False) -> Ranges:
    """Return the range of every activation of a float ``.tflite``.

    Args:
        content: a model that takes uint8.
        photos: ``(photo, height, width, 3)`` uint8; one at a time is run.
        average: a moving average of each photo's least and greatest value, in place of the
            least and greatest of all.

    Raises:
        ConversionError: the quantizer refuses the graph.
    """
    with _memory_unwarned():
        return converted(lambda: _measured(content, photos, average), _SUBJECT)


def to_mixed_tflite(
    content: bytes,
    ranges: Ranges,
    *,
    in_float: Collection[str] = (),
    only: Collection[str] | None = None,
    least_squares: bool = False,
) -> bytes:
    """Return a float ``.tflite`` in int8 but for some operators; uint8 in, float out.

    Args:
        content: a model that takes uint8.
        ranges: what ``find_ranges`` found for it.
        in_float: names of operators that stay in float.
        only: names of the operators that are quantized; ``None`` for all.
        least_squares: choose scales of weights for the least squared error, for the weights'
            usual bell-shaped distribution, in place of the greatest weight.

    Raises:
        ConversionError: the quantizer refuses the graph.
    """
    from ai_edge_quantizer.quantizer import Quantizer

    def quantize() -> bytes:
        quantizer = Quantizer(content, _recipe(in_float, only, least_squares))
        made = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        return with_camera_integers(bytes(made.quantized_model))

    with _memory_unwarned():
        return converted(quantize, _SUBJECT)


def litert_layers(content: bytes) -> tuple[LitertLayer, ...]:
    """Return the operators of a float ``.tflite`` that the quantizer can take, in order."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    manager = RecipeManager()
    manager.load_quantization_recipe(_recipe((), None, False))
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, known = model.subgraphs[0], {item.value for item in TFLOperationName}
    found = []
    for operator in graph.operators:
        kind = operator_name(model, operator)
        name = graph.tensors[operator.outputs[0]].name.decode()
        if kind in known and manager.get_quantization_configs(kind, f"{name};")[0] != "no_quantize":
            found.append(LitertLayer(name, kind))
    return tuple(found)


def _recipe(in_float: Collection[str], only: Collection[str] | None, least_squares: bool) -> Any:
    """Return the rules; of those that fit an operator, the last one counts."""
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName as Kind
    from ai_edge_quantizer.recipe_manager import RecipeManager

    rules = RecipeManager()
    for scope in [".*"] if only is None else [scope_of(name) for name in sorted(only)]:
        rules.add_static_config(scope, Kind.ALL_SUPPORTED, 8, 8)
        if least_squares:
            for kind in (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED):
                rules.add_static_config(scope, kind, 8, 8, algorithm_key=AlgorithmName.MSE)
    for name in sorted(in_float):
        rules.add_quantization_config(
            scope_of(name), Kind.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    for kind in (Kind.SOFTMAX, Kind.OUTPUT):  # the empty scope fits every name
        rules.add_quantization_config("", kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return rules.get_quantization_recipe()


@contextmanager
def _memory_unwarned() -> Iterator[None]:
    """Hide LiteRT's warning that keeping all tensors takes memory: ranges are read off them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")
        yield


def scope_of(name: str) -> str:
    """Return the rule that fits the operator whose first output has this name, and no other."""
    return f"^{re.escape(name)};$"


def _measured(content: bytes, photos: Pixels, average: bool) -> Ranges:
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils import qsv_utils

    update = qsv_utils.moving_average_update if average else qsv_utils.min_max_update
    manager = RecipeManager()
    manager.load_quantization_recipe(_recipe((), None, False))
    calibrator = Calibrator(content, num_threads=_THREADS, qsv_update_func=update)
    signature = next(iter(calibrator.get_signature_list()))
    feeds = [{"pixels": photo[np.newaxis]} for photo in photos]
    calibrator.calibrate({signature: feeds}, manager)
    return _with_camera_range(content, calibrator.get_model_qsvs())


def _with_camera_range(content: bytes, ranges: Ranges) -> Ranges:
    """Set the range of the pixels, once cast to float, to [0, 255]: scale 1."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    for operator in graph.operators:
        if operator.inputs[0] == graph.inputs[0]:
            name = graph.tensors[operator.outputs[0]].name.decode()
            shape = (1, 1, 1, 1)
            ranges[name] = {
                "min": np.zeros(shape, np.float32), "max": np.full(shape, 255, np.float32)
            }  # fmt: skip
    return ranges
