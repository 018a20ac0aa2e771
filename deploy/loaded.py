"""What every loaded model shares, whatever runs it: checks, batches, closing."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from train.errors import RuntimeFailure
from train.pixels import Pixels

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """How integers stand for numbers: ``scale * (integer - zero_point)``."""

    scale: float
    zero_point: int


class LoadedModel(abc.ABC):
    """A model that a runtime has loaded; belongs to one thread, closes with its block.

    Attributes:
        model: path of the file and the variant that it says it is, for messages.
        name: runtime and version: ``litert 2.3.0``.
        input_shape: ``(1, height, width, 3)``; the input is uint8.
        classes: number of probabilities.
        input_quantization: of the input; ``None`` where it is cast and not quantized.
        output_quantization: of the output; ``None`` for float probabilities.
    """

    model: str
    name: str
    input_shape: tuple[int, int, int, int]
    classes: int
    input_quantization: Quantization | None = None
    output_quantization: Quantization | None = None

    def __init__(self) -> None:
        self._open = True

    def predict(self, pixels: Pixels) -> Probabilities:
        """Return probabilities ``(n, classes)`` of pictures ``(n, height, width, 3)`` uint8.

        Raises:
            RuntimeFailure: the pictures do not fit, the runtime fails, or it is closed.
        """
        found = np.empty((len(pixels), self.classes), dtype=np.float32)
        for index in range(len(pixels)):
            self.feed(pixels[index : index + 1])
            self.invoke()
            found[index] = self._probabilities()
        return found

    def feed(self, pixels: Pixels) -> None:
        """Hand over one picture ``(1, height, width, 3)`` uint8 for ``invoke``.

        Raises:
            RuntimeFailure: the picture does not fit, or the runtime is closed.
        """
        self.require_open()
        if pixels.shape != self.input_shape or pixels.dtype != np.uint8:
            raise RuntimeFailure(
                f"{self.model}: takes uint8 {self.input_shape}, got {pixels.dtype} {pixels.shape}"
            )
        self._set_input(np.ascontiguousarray(pixels))

    @abc.abstractmethod
    def invoke(self) -> None:
        """Run the model on what was fed: the bare call that is timed.

        Raises:
            RuntimeFailure: the runtime fails, or it is closed.
        """

    def close(self) -> None:
        """Free the model; every later call fails. Closing twice is allowed."""
        if self._open:
            self._open = False
            self._free()

    def require_open(self) -> None:
        """Raise ``RuntimeFailure`` if the model was closed."""
        if not self._open:
            raise RuntimeFailure(f"{self.model}: was closed on {self.name}; open it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    @abc.abstractmethod
    def _set_input(self, pixels: Pixels) -> None: ...

    @abc.abstractmethod
    def _raw_output(self) -> npt.NDArray[Any]: ...

    @abc.abstractmethod
    def _free(self) -> None: ...

    def _probabilities(self) -> Probabilities:
        raw = self._raw_output()
        if self.output_quantization is None:
            return raw.astype(np.float32)
        shifted = raw.astype(np.float32) - self.output_quantization.zero_point
        return (shifted * np.float32(self.output_quantization.scale)).astype(np.float32)


def subject_of(model: Path, variant: str | None) -> str:
    """Return how messages name a model: its path and, where the file tells it, its variant."""
    return f"{model} ({variant})" if variant else str(model)


def name_with(name: str, accelerators: Sequence[str]) -> str:
    """Return a runtime's name and, where they were chosen, what runs its operators.

    Of a library its file name alone: no path of a machine goes into a record.
    """
    chosen = ", ".join(Path(item).name for item in accelerators)
    return f"{name} ({chosen})" if chosen else name


def require_signature(model: str, inputs: list[Any], outputs: list[Any]) -> None:
    """Check that a model takes one uint8 picture and gives one row of class values.

    Args:
        model: path, for the message.
        inputs: ``(shape, dtype)`` of each input; an unknown size is no int.
        outputs: the same of each output.

    Raises:
        RuntimeFailure: it does not.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        _refuse(model, f"it has {len(inputs)} inputs and {len(outputs)} outputs, must have 1 and 1")
    (shape, dtype), (row, _) = inputs[0], outputs[0]
    sizes = (*shape, *row)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        _refuse(model, f"its shapes {tuple(shape)} and {tuple(row)} are not static")
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or np.dtype(dtype) != np.uint8:
        _refuse(model, f"its input is {np.dtype(dtype)} {tuple(shape)}, must be uint8 (1, h, w, 3)")
    if len(row) != 2 or row[0] != 1 or row[1] < 2:
        _refuse(model, f"its output is {tuple(row)}, must be (1, classes)")


def _refuse(model: str, reason: str) -> NoReturn:
    raise RuntimeFailure(f"{model}: {reason}; export it with threadlite")
