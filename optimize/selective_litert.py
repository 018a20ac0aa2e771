"""Selective precision in ``.tflite``: a rule of ai-edge-quantizer for each operator."""

from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.convert import converted, to_tflite
from optimize.litert_quantizer import (
    LitertLayer,
    Ranges,
    find_ranges,
    litert_layers,
    to_mixed_tflite,
)
from optimize.quantize import QuantizeConfig
from optimize.selective_search import powers, sqnr_db
from train.pixels import Pixels

# They move or bound numbers and make none of their own.
_MOVERS = frozenset(
    {"PAD", "PADV2", "RESHAPE", "TRANSPOSE", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE", "RELU"}
)


class LitertMixer:
    """A network as ``.tflite`` in int8, with any of its operators in float."""

    def __init__(self, model: Any, calibration: Pixels, config: QuantizeConfig) -> None:
        self._content = to_tflite(model)
        self._calibration, self._config = calibration, config

    def layers(self) -> tuple[LitertLayer, ...]:
        """Return the operators that quantization can hurt, in order."""
        found = litert_layers(self._content)
        return tuple(layer for layer in found if layer.operator not in _MOVERS)

    def in_float(self) -> bytes:
        """Return the network wholly in float."""
        return self._content

    def mixed(self, kept: Collection[str]) -> bytes:
        """Return the network in int8 but for the operators named."""
        return to_mixed_tflite(
            self._content, self._ranges, in_float=kept, least_squares=self._least_squares
        )

    def cost(self, name: str, photos: Pixels) -> float:
        """Return the SQNR, in decibels, of an operator's output if it alone is in int8."""
        alone = to_mixed_tflite(
            self._content, self._ranges, only=(name,), least_squares=self._least_squares
        )

        def compare() -> float:
            found, total = _Watched(alone, name), np.zeros(2)
            exact = _Watched(self._content, name)
            for photo in photos:
                total += powers(exact.run(photo), found.run(photo))
            return sqnr_db(*total)

        return converted(compare, f"SQNR of {name}")

    @property
    def _least_squares(self) -> bool:
        return self._config.calibration == "mse"

    @cached_property
    def _ranges(self) -> Ranges:
        average = self._config.calibration == "average"
        return find_ranges(self._content, self._calibration, average=average)


class _Watched:
    """A model that runs with one of its tensors in view."""

    def __init__(self, content: bytes, tensor: str) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._model: Any = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._tensor = next(
            item for item in self._model.get_tensor_details() if item["name"] == tensor
        )

    def run(self, photo: Pixels) -> npt.NDArray[np.float64]:
        self._model.set_tensor(self._input, photo[np.newaxis])
        self._model.invoke()
        values = np.asarray(self._model.get_tensor(self._tensor["index"]), np.float64)
        scale, zero_point = self._tensor["quantization"]
        return (values - zero_point) * scale if scale else values
