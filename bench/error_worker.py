"""The child process that runs a variant beside its float model with all tensors in view.

Its question (``bench.apart``) holds ``exact`` and ``variant``, two model files, ``runtime``, and
``shape`` of the uint8 pictures that follow. It answers with ``errors``: the sums of squares of the
float values and of the differences, by the name of the tensor (LiteRT) or of its node (ONNX
Runtime).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.apart import answer_once
from bench.litert_profiler import read_file_operators
from optimize.selective_search import powers
from train.errors import RuntimeFailure
from train.pixels import Pixels

Values = dict[str, npt.NDArray[np.generic]]
Run = Callable[[Pixels], Values]
Runs = tuple[Run, Run, Mapping[str, str]]
_DEQUANTIZED = "_DequantizeLinear_Output"  # behind a tensor's name in ONNX Runtime's int8 graphs


def answer(job: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Compare the models that the question names, and return the reply."""
    pictures = np.frombuffer(content, np.uint8).reshape(job["shape"])
    exact, variant, called = OPENERS[job["runtime"]](Path(job["exact"]), Path(job["variant"]))
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for picture in pictures:
        wanted, found = exact(picture[np.newaxis]), variant(picture[np.newaxis])
        for name in wanted.keys() & found.keys():
            if _comparable(wanted[name], found[name]):
                key = called.get(name, name)
                sums[key] = sums.get(key, np.zeros(2)) + powers(wanted[name], found[name])
    finite = {name: found.tolist() for name, found in sums.items() if np.isfinite(found).all()}
    return {"errors": finite}


def _comparable(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> bool:
    return one.shape == other.shape and one.dtype.kind == other.dtype.kind == "f"


def open_tflite(exact: Path, variant: Path) -> Runs:
    """Return what runs both ``.tflite`` files; their tensors bear their own names."""
    return _tapped_tflite(exact), _tapped_tflite(variant), {}


def _tapped_tflite(model: Path) -> Run:
    """Return what runs a ``.tflite`` and gives what every operator makes, as real numbers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    made = {one.output for one in read_file_operators(model)}
    opened: Any = Interpreter(
        model_path=str(model),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    opened.allocate_tensors()
    details = opened.get_tensor_details()
    times = Counter(item["name"] for item in details)
    seen = [item for item in details if item["name"] in made and times[item["name"]] == 1]
    entry = opened.get_input_details()[0]["index"]

    def run(picture: Pixels) -> Values:
        opened.set_tensor(entry, picture)
        opened.invoke()
        return {
            item["name"]: _as_real(opened.get_tensor(item["index"]), *item["quantization"])
            for item in seen
        }

    return run


def _as_real(
    values: npt.NDArray[np.generic], scale: float, zero_point: int
) -> npt.NDArray[np.generic]:
    return (np.asarray(values, np.float64) - zero_point) * scale if scale else values


def open_onnx(exact: Path, variant: Path) -> Runs:
    """Return what runs both ``.onnx`` files; a tensor bears the name of the variant's node."""
    import onnx

    graphs = [onnx.load(path) for path in (exact, variant)]
    made = [{name: node.name for node in one.graph.node for name in node.output} for one in graphs]
    common = sorted(made[0].keys() & made[1].keys() - {""})
    seen = {name: f"{name}{_DEQUANTIZED}" for name in common}
    variants = {name: tap if tap in made[1] else name for name, tap in seen.items()}
    return (
        _tapped_onnx(graphs[0], {name: name for name in common}, exact),
        _tapped_onnx(graphs[1], variants, variant),
        {name: made[1][name] for name in common},
    )


def _tapped_onnx(proto: Any, taps: Mapping[str, str], path: Path) -> Run:
    """Return what runs a graph and gives, by name, the tensors that ``taps`` names.

    Raises:
        RuntimeFailure: ONNX Runtime refuses the graph.
    """
    import onnx
    import onnxruntime

    given = {item.name for item in proto.graph.output}
    proto.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in sorted(set(taps.values()) - given)
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # errors alone
    try:
        session: Any = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions share no base but Exception
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(
            f"{path}: ONNX Runtime cannot load it with its tensors in view ({first})"
        ) from error
    entry = session.get_inputs()[0].name
    names = list(taps)

    def run(picture: Pixels) -> Values:
        found = session.run([taps[name] for name in names], {entry: picture})
        return dict(zip(names, found, strict=True))

    return run


OPENERS: dict[str, Callable[[Path, Path], Runs]] = {
    "litert": open_tflite,
    "onnxruntime": open_onnx,
}


def main() -> None:
    """Serve the process that started this one."""
    answer_once(answer)


if __name__ == "__main__":
    main()
