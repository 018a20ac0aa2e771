"""What this machine can do at best: the speed of one square matrix product on each runtime.

A layer's MACCs a second as a share of this peak say whether it computes or waits: a share of
0.8 leaves nothing to gain, one of 0.05 is bound by memory or by a kernel that does not fit.
The product is timed by the same profiler as the layers, so that both are measured alike. It is
an upper mark for the matrix-shaped layers, and no more: depthwise convolutions cannot reach it.
Source: Williams, Waterman & Patterson 2009, "Roofline", doi:10.1145/1498765.1498785.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.awake import cores_awake
from bench.layer_times import ProfilePlan, profile_model
from bench.record_layers import OperatorTimes, PeakRecord
from optimize.tflite_file import packed
from train.errors import ConfigError

Precision = Literal["float", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float", "int8")
SIDE = 512  # 134 million MACCs: long enough for clocks of 1 us, small enough for a cache
_SCALE = 0.02
_PRODUCTS = ("FULLY_CONNECTED", "MatMul", "QLinearMatMul", "Gemm", "QGemm")


@cores_awake()
def measure_peak(
    runtime: str,
    precision: Precision,
    *,
    threads: int,
    environment: str,
    side: int = SIDE,
    plan: ProfilePlan | None = None,
) -> PeakRecord:
    """Return the times of a ``side`` x ``side`` matrix product.

    Args:
        runtime: ``litert`` or ``onnxruntime``.
        precision: ``float``, or ``int8`` as the runtime's int8 layers have it.
        threads: threads the runtime is given.
        environment: name of the environment record.
        side: rows and columns of both matrices.
        plan: how often to call.

    Raises:
        ConfigError: there is no such runtime or precision, or ``side`` is below 1.
        RuntimeFailure: the runtime refuses the probe.
    """
    build = BUILDERS.get((runtime, precision))
    if build is None or side < 1:
        raise ConfigError(f"no probe for {runtime} in {precision} of side {side}")
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / f"probe.{'tflite' if runtime == 'litert' else 'onnx'}"
        model.write_bytes(build(side))
        kind = np.float32 if precision == "float" else _integer(runtime)
        found = profile_model(
            model,
            runtime,
            np.ones((side, side), kind),
            threads=threads,
            plan=plan or ProfilePlan(),
            bare=False,
        )
    rows = [OperatorTimes.model_validate(one) for one in found["operators"]]
    product = next(row for row in rows if row.operator in _PRODUCTS)
    return PeakRecord(
        environment=environment,
        runtime=found["runtime"],
        threads=threads,
        precision=precision,
        maccs=side**3,
        kernels=product.kernels,
        times_us=product.times_us,
    )


def tflite_product(side: int, precision: Precision) -> bytes:
    """Return a ``.tflite`` of one FULLY_CONNECTED operator on ``(side, side)``."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1 if precision == "float" else 4
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    weights = schema.BufferT()
    weights.data = np.frombuffer(_weights(side, precision).tobytes(), np.uint8)
    graph.tensors = [
        _tensor(name, side, precision, 1 if name == "weights" else 0)
        for name in ("rows", "weights", "product")
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT(), weights]
    return packed(model, room_bytes=4 * side * side + 4096)


def onnx_product(side: int, precision: Precision) -> bytes:
    """Return an ``.onnx`` of one MatMul (QLinearMatMul) on ``(side, side)``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.FLOAT if precision == "float" else TensorProto.UINT8
    constants: dict[str, Any] = {"weights": _weights(side, precision)}
    inputs = ["rows", "weights"]
    if precision == "int8":
        scale, zero = np.float32(_SCALE), np.uint8(0)
        constants |= {"scale": scale, "zero": zero, "weights_zero": np.int8(0)}
        inputs = ["rows", "scale", "zero", "weights", "scale", "weights_zero", "scale", "zero"]
    operator = "MatMul" if precision == "float" else "QLinearMatMul"
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["product"], name="product")],
        "probe",
        [helper.make_tensor_value_info("rows", kind, [side, side])],
        [helper.make_tensor_value_info("product", kind, [side, side])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=9)
    return bytes(model.SerializeToString())


BUILDERS: dict[tuple[str, str], Callable[[int], bytes]] = {
    ("litert", "float"): lambda side: tflite_product(side, "float"),
    ("litert", "int8"): lambda side: tflite_product(side, "int8"),
    ("onnxruntime", "float"): lambda side: onnx_product(side, "float"),
    ("onnxruntime", "int8"): lambda side: onnx_product(side, "int8"),
}


def _tensor(name: str, side: int, precision: Precision, buffer: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, [side, side], buffer
    tensor.type = schema.TensorType.FLOAT32 if precision == "float" else schema.TensorType.INT8
    if precision == "int8":
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [_SCALE], [0]
    return tensor


def _weights(side: int, precision: Precision) -> npt.NDArray[Any]:
    """Return weights that are neither zero nor equal, so that nothing can be left out."""
    values = np.random.default_rng(0).integers(-100, 101, (side, side))
    return values.astype(np.int8) if precision == "int8" else values.astype(np.float32) * 0.01


def _integer(runtime: str) -> type[np.generic]:
    """Return the type of int8 activations: uint8 is what our int8 ``.onnx`` has."""
    return np.int8 if runtime == "litert" else np.uint8
