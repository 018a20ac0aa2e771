"""The numerical error of every layer: a variant's intermediate values against the float model's.

Both models run on the same pictures, and every tensor that both have by name is compared. The
error of a layer so holds what all layers before it have added; optimize's selective precision
measures each layer quantized alone. On ``.tflite`` the interpreter's own kernels run, on ``.onnx``
the graph as the file has it: XNNPACK and ONNX Runtime's optimizer would leave no intermediate
values. Their kernels may round a value to the next step, no further.
"""

from collections.abc import Mapping
from pathlib import Path

from bench.apart import ask_apart
from bench.record_layers import LayerTimesRecord, OperatorError
from train.pixels import Pixels

ANSWER_SECONDS = 300.0  # a child silent for so long hangs


def measure_errors(
    exact: Path,
    variant: Path,
    runtime: str,
    pictures: Pixels,
    *,
    answer_seconds: float = ANSWER_SECONDS,
) -> dict[str, OperatorError]:
    """Return the error of every tensor that both files have, in a child process.

    Args:
        exact: the float model.
        variant: the same network in other numbers, in the same format.
        runtime: ``litert`` or ``onnxruntime``.
        pictures: ``(picture, height, width, 3)`` uint8.
        answer_seconds: a child silent for so long is ended.

    Returns:
        By the name of the tensor (LiteRT), or of the node that makes it (ONNX Runtime).

    Raises:
        RuntimeFailure: a model cannot be run, the process dies over it, or it hangs.
    """
    job = {
        **{"exact": str(exact.resolve()), "variant": str(variant.resolve())},
        **{"runtime": runtime, "shape": list(pictures.shape)},
    }
    reply = ask_apart("bench.error_worker", job, pictures.tobytes(), answer_seconds)
    return {
        name: OperatorError(signal_power=signal, noise_power=noise)
        for name, (signal, noise) in reply["errors"].items()
    }


def with_errors(
    record: LayerTimesRecord,
    errors: Mapping[str, OperatorError],
    *,
    float_sha256: str,
    pictures: int,
) -> LayerTimesRecord:
    """Return ``record`` with the errors laid to the operators that they belong to.

    An operator that runs several nodes of the file has the error of the last one compared.

    Args:
        record: times of the variant's operators.
        errors: what ``measure_errors`` found.
        float_sha256: payload of the float model.
        pictures: how many were compared.
    """
    operators = []
    for one in record.operators:
        found = [errors[name] for name in (*one.sources, one.name) if name in errors]
        operators.append(one.model_copy(update={"error": found[-1]}) if found else one)
    return record.model_copy(
        update={
            "operators": tuple(operators),
            "float_sha256": float_sha256,
            "compared_pictures": pictures,
        }
    )
