"""Runtime: one way to run a deployed model, whatever file it is in.

``open_runtime`` gives a context manager that takes camera pixels and gives probabilities. A
runtime belongs to one thread; for several threads open one each. Adding a runtime is one file
and one line in ``RUNTIMES``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from deploy.litert import open_litert
from deploy.loaded import Probabilities, Quantization
from deploy.onnxrt import open_onnxruntime
from deploy.tensorflow_lite import open_tensorflow
from train.errors import RuntimeFailure, UsageError
from train.pixels import Pixels
from train.variant import Format


class Runtime(Protocol):
    """A loaded model that can be called.

    Attributes:
        name: runtime and version: ``litert 2.3.0``.
        input_shape: ``(1, height, width, 3)``; the input is uint8.
        classes: number of probabilities.
        input_quantization: of the input; ``None`` where it is cast and not quantized.
        output_quantization: of the output; ``None`` for float probabilities.
    """

    name: str
    input_shape: tuple[int, int, int, int]
    classes: int
    input_quantization: Quantization | None
    output_quantization: Quantization | None

    def predict(self, pixels: Pixels) -> Probabilities:
        """Return probabilities ``(n, classes)`` of pictures ``(n, height, width, 3)`` uint8.

        Raises:
            RuntimeFailure: the pictures do not fit, the runtime fails, or it is closed.
        """
        ...

    def feed(self, pixels: Pixels) -> None:
        """Hand over one picture ``(1, height, width, 3)`` uint8 for ``invoke``."""
        ...

    def invoke(self) -> None:
        """Run the model on what was fed: the bare call that is timed."""
        ...

    def close(self) -> None:
        """Free the model; every later call fails."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *reason: object) -> None: ...


class Opener(Protocol):
    """What loads a model file on a runtime."""

    def __call__(self, model: Path, *, threads: int, accelerators: Sequence[str]) -> Runtime:
        """Return ``model``, loaded."""
        ...


class RuntimeEntry(NamedTuple):
    """A line of ``RUNTIMES``: the format that it runs and what opens it."""

    format: Format
    open: Opener


RUNTIMES: dict[str, RuntimeEntry] = {
    "litert": RuntimeEntry("tflite", open_litert),
    "onnxruntime": RuntimeEntry("onnx", open_onnxruntime),
    "tensorflow": RuntimeEntry("tflite", open_tensorflow),
}


def open_runtime(
    model: Path, runtime: str, *, threads: int = 2, accelerators: Sequence[str] = ()
) -> Runtime:
    """Load a model file.

    Args:
        model: a ``.tflite`` or ``.onnx`` that threadlite wrote.
        runtime: a name in ``RUNTIMES``.
        threads: threads that one call may use.
        accelerators: what runs the operators in place of the runtime's default: delegates of
            ``litert`` and ``tensorflow`` (the path of a library, or ``builtin``), execution
            providers of ``onnxruntime``. They are in the runtime's name, so that records tell.

    Raises:
        UsageError: there is no such runtime or provider, or ``threads`` is below 1.
        RuntimeFailure: the file is missing, truncated, or not what the runtime runs.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime {runtime!r} is not one of {', '.join(RUNTIMES)}")
    if threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}")
    entry = RUNTIMES[runtime]
    if model.suffix != f".{entry.format}":
        raise RuntimeFailure(f"{model}: {runtime} runs .{entry.format} files")
    if not model.is_file():
        raise RuntimeFailure(f"{model}: no such file")
    return entry.open(model, threads=threads, accelerators=accelerators)


def runtime_for(target: Format) -> str:
    """Return the name of the runtime for a file format: the first in ``RUNTIMES``.

    Raises:
        UsageError: no runtime runs that format.
    """
    for name, entry in RUNTIMES.items():
        if entry.format == target:
            return name
    raise UsageError(f"no runtime runs {target!r}; convert it to tflite or onnx first")
