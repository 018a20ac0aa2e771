"""Full-integer int8 ``.onnx``: QuantizeLinear and DequantizeLinear around each operator (QDQ).

ONNX Runtime fuses each such group into one integer kernel. Weights get one scale a channel.
Its dynamic quantization is another technique: see ``quantize_dynamic.py``.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import io
import tempfile
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optimize.convert import converted
from optimize.onnx_norms import norms_as_convolutions
from optimize.onnx_pixels import rescaled_ranges, take_pixels_as_they_are
from optimize.quantize_graph import answering_products
from train.pixels import Pixels


def to_int8_onnx(
    proto: Any,
    calibration: Pixels,
    *,
    activations: Literal["uint8", "int8"],
    reduce_range: bool,
    method: str = "percentile",
    percentile: float = 99.999,
) -> Any:
    """Return a float ONNX graph as a QDQ graph; its input stays uint8.

    Args:
        proto: a float ``onnx.ModelProto`` with the one input ``pixels``.
        calibration: ``(photo, height, width, 3)`` uint8; one photo at a time is run, and only
            the ranges met, or their histograms, are kept, so that memory does not grow with
            their number.
        activations: type of the activations.
        reduce_range: use 7 bits of the weights.
        method: ``min-max``, ``entropy`` or ``percentile``.
        percentile: percent of the values that ``percentile`` keeps.

    Raises:
        ConversionError: ONNX Runtime refuses the graph.
    """

    def quantize() -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = prepare_onnx(proto, Path(scratch))
            settings = static_settings(
                activations=activations,
                reduce_range=reduce_range,
                method=method,
                percentile=percentile,
            )
            return quantize_prepared(prepared, calibration, settings)

    return converted(quantize, "float .onnx to int8 .onnx")


def to_partly_int8_onnx(
    proto: Any, calibration: Pixels, *, kinds: Collection[str], reduce_range: bool
) -> tuple[Any, tuple[str, ...]]:
    """Return a float ONNX graph with the operators of some kinds as QDQ, the rest as it is.

    The product that ``Softmax`` is fed by stays in float, unless there is no other.

    Args:
        proto: an ``onnx.ModelProto`` with the one input ``pixels``.
        calibration: ``(photo, height, width, 3)`` uint8; ranges are the least and the greatest met.
        kinds: of operators, such as ``Conv``.
        reduce_range: use 7 bits of the weights.

    Returns:
        The graph, and the names of what was quantized: none where it holds none of the kinds,
        and then it is the one given.

    Raises:
        ConversionError: ONNX Runtime refuses the graph.
    """

    def quantize() -> tuple[Any, tuple[str, ...]]:
        import onnx

        with tempfile.TemporaryDirectory() as scratch:
            prepared = prepare_onnx(proto, Path(scratch))
            nodes = onnx.load(prepared).graph.node
            left = answering_products(nodes, kinds)
            names = tuple(n.name for n in nodes if n.op_type in kinds and n.name not in left)
            if not names:
                return proto, ()
            settings = static_settings(
                activations="uint8", reduce_range=reduce_range, method="min-max", percentile=100.0
            )
            return quantize_prepared(prepared, calibration, settings, only=names), names

    found: tuple[Any, tuple[str, ...]] = converted(quantize, "float .onnx to mixed int8 .onnx")
    return found


def prepare_onnx(proto: Any, folder: Path) -> Path:
    """Write a float graph as ONNX Runtime wants it before quantization; returns the file.

    Batch normalizations are in the convolutions before them, and else are convolutions.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, prepared = folder / "float.onnx", folder / "prepared.onnx"
    onnx.save(proto, plain)
    # Shapes are static: ONNX's own inference finds them all without the symbolic one.
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    ready = onnx.load(prepared)
    if norms_as_convolutions(ready):
        onnx.save(ready, prepared)
    return prepared


def static_settings(
    *, activations: str, reduce_range: bool, method: str, percentile: float
) -> dict[str, Any]:
    """Return arguments of ONNX Runtime's ``quantize_static``."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType

    kinds = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
    methods = {
        "min-max": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    settings: dict[str, Any] = {
        "quant_format": QuantFormat.QDQ,
        "per_channel": True,
        "reduce_range": reduce_range,
        "activation_type": kinds[activations],
        "weight_type": QuantType.QInt8,
        "calibrate_method": methods[method],
    }
    if method != "min-max":  # histograms: photo by photo, or all activations of all are kept
        settings["extra_options"] = {
            "CalibStridedMinMax": 1,
            "CalibTensorRangeSymmetric": False,
            "CalibPercentile": percentile,
        }
    return settings


def quantize_prepared(
    prepared: Path,
    calibration: Pixels,
    settings: Mapping[str, Any],
    *,
    ranges: Path | None = None,
    in_float: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Any:
    """Return a prepared float graph as a QDQ graph; softmax stays in float.

    Its first operators read the pixels themselves where they can: ranges on the pixels' way are
    those of 0 to 255, whatever was met.

    Args:
        prepared: what ``prepare_onnx`` wrote.
        calibration: ``(photo, height, width, 3)`` uint8.
        settings: what ``static_settings`` gave.
        ranges: where ranges are kept from one call to the next; not kept if ``None``.
        in_float: names of further nodes that stay in float.
        only: names of the nodes that are quantized; ``None`` for all.
    """
    import onnx
    from onnxruntime.quantization import quantize_static

    integer, exact = prepared.with_name("int8.onnx"), onnx.load(prepared)
    known = {
        name: [{"rmin": np.float32(least), "rmax": np.float32(most)}]
        for name, (least, most) in rescaled_ranges(exact).items()
    }
    further: dict[str, Any] = {
        **settings,
        "extra_options": {**settings.get("extra_options", {}), "TensorQuantOverrides": known},
    }
    if ranges is not None:
        further["calibration_cache_path"] = ranges
    if only is not None:
        further["nodes_to_quantize"] = sorted(only)
    # Histograms are announced one by one, and one with empty bins is divided by them.
    with redirect_stdout(io.StringIO()), np.errstate(divide="ignore", invalid="ignore"):
        quantize_static(
            prepared,
            integer,
            _reader(calibration),
            nodes_to_exclude=[*_softmax_nodes(exact), *sorted(in_float)],
            **further,
        )
    proto = onnx.load(integer)
    take_pixels_as_they_are(proto)
    return proto


def _softmax_nodes(proto: Any) -> list[str]:
    """Return the nodes that stay in float: in 8 bits near probabilities become equal ones."""
    return [node.name for node in proto.graph.node if node.op_type == "Softmax"]


def _reader(calibration: Pixels) -> Any:
    """Return ONNX Runtime's view of the photos, one feed at a time."""
    from onnxruntime.quantization import CalibrationDataReader

    class PhotoReader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.set_range(0, len(calibration))

        def __len__(self) -> int:
            return len(calibration)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._left = iter(calibration[start_index:end_index])

        def get_next(self) -> dict[str, Any] | None:
            photo = next(self._left, None)
            return None if photo is None else {"pixels": photo[np.newaxis]}

    return PhotoReader()
