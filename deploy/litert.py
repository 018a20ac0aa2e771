"""LiteRT: runs ``.tflite`` on the processor, through XNNPACK where it can."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.loaded import LoadedModel, Quantization, require_signature
from optimize.nameplate import read_nameplate
from train.chatter import native_chatter_hidden
from train.errors import ArtifactError, RuntimeFailure
from train.pixels import Pixels


class LitertModel(LoadedModel):
    """A ``.tflite`` on LiteRT's interpreter, or on another with the same calls."""

    def __init__(
        self, model: Path, name: str, interpreter: Callable[..., Any], *, threads: int
    ) -> None:
        super().__init__()
        self.model, self.name = str(model), name
        self._interpreter: Any = _load(model, name, interpreter, threads)
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        require_signature(
            self.model,
            [(item["shape"].tolist(), item["dtype"]) for item in inputs],
            [(item["shape"].tolist(), item["dtype"]) for item in outputs],
        )
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        _, height, width, channels = inputs[0]["shape"].tolist()
        self.input_shape = (1, height, width, channels)
        self.classes = int(outputs[0]["shape"][1])
        self.input_quantization = _quantization(inputs[0])
        self.output_quantization = _quantization(outputs[0])
        self._interpreter.set_tensor(self._input, np.zeros(self.input_shape, np.uint8))

    def invoke(self) -> None:
        """Run the model on what was fed.

        Raises:
            RuntimeFailure: LiteRT fails, or the model is closed.
        """
        self.require_open()
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise RuntimeFailure(f"{self.model}: {self.name} fails: {error}") from error

    def _set_input(self, pixels: Pixels) -> None:
        self._interpreter.set_tensor(self._input, pixels)

    def _raw_output(self) -> npt.NDArray[Any]:
        return np.asarray(self._interpreter.get_tensor(self._output)[0])

    def _free(self) -> None:
        self._interpreter = None


def open_litert(model: Path, *, threads: int) -> LitertModel:
    """Load ``model`` on LiteRT.

    Raises:
        RuntimeFailure: the file is missing, truncated, or not a model of ours.
    """
    from ai_edge_litert.interpreter import Interpreter

    name = f"litert {version('ai-edge-litert')}"
    return LitertModel(model, name, Interpreter, threads=threads)


def _load(model: Path, name: str, interpreter: Callable[..., Any], threads: int) -> Any:
    try:
        with native_chatter_hidden():
            # It checks every offset of the flatbuffer before it follows one.
            loaded = interpreter(model_path=str(model), num_threads=threads)
            loaded.allocate_tensors()
        read_nameplate(model)  # a cut behind the flatbuffer takes the labels and nothing else
    except ArtifactError as error:
        raise RuntimeFailure(str(error)) from error
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(
            f"{model}: {name} cannot load it ({first}); it is missing, cut short or of another"
            " format: make it again"
        ) from error
    return loaded


def _quantization(details: dict[str, Any]) -> Quantization | None:
    scale, zero_point = details["quantization"]
    return Quantization(scale=float(scale), zero_point=int(zero_point)) if scale else None
