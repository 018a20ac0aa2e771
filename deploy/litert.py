"""LiteRT: runs ``.tflite`` on the processor, through XNNPACK where it can.

Its accelerators are delegates: the path of a delegate's library, or ``builtin``, which leaves
XNNPACK out and runs LiteRT's own kernels.
"""

import ctypes
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.loaded import LoadedModel, Quantization, name_with, require_signature, subject_of
from optimize.nameplate import Nameplate, read_nameplate
from train.chatter import native_chatter_hidden
from train.errors import ArtifactError, RuntimeFailure
from train.pixels import Pixels

BUILTIN = "builtin"
_DELEGATE_CALLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


class LitertModel(LoadedModel):
    """A ``.tflite`` on LiteRT's interpreter, or on another with the same calls."""

    def __init__(self, model: Path, name: str, interpreter: Callable[[], Any]) -> None:
        super().__init__()
        self.name = name
        self._interpreter: Any = _load(model, name, interpreter)
        plate = _nameplate(model)
        self.model = subject_of(model, plate.variant if plate else None)
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        require_signature(
            self.model,
            [(_sizes(item), item["dtype"]) for item in inputs],
            [(_sizes(item), item["dtype"]) for item in outputs],
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


def open_litert(model: Path, *, threads: int, accelerators: Sequence[str] = ()) -> LitertModel:
    """Load ``model`` on LiteRT.

    Raises:
        RuntimeFailure: the file is missing, truncated, or not a model of ours; or a delegate
            cannot be loaded.
    """
    from ai_edge_litert import interpreter

    name = name_with(f"litert {version('ai-edge-litert')}", accelerators)
    options = interpreter_options(interpreter, accelerators)
    return LitertModel(
        model,
        name,
        lambda: interpreter.Interpreter(model_path=str(model), num_threads=threads, **options),
    )


def interpreter_options(api: Any, accelerators: Sequence[str]) -> dict[str, Any]:
    """Return what an interpreter must be told of the delegates that it is to use.

    Args:
        api: holds ``OpResolverType`` and ``load_delegate``.
        accelerators: ``builtin``, or paths of delegates' libraries.

    Raises:
        RuntimeFailure: a library cannot be loaded.
    """
    options: dict[str, Any] = {}
    if BUILTIN in accelerators:
        plain = api.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_op_resolver_type"] = plain
    libraries = [name for name in accelerators if name != BUILTIN]
    if libraries:
        options["experimental_delegates"] = [_delegate(api, name) for name in libraries]
    return options


def _delegate(api: Any, library: str) -> Any:
    try:
        found = ctypes.PyDLL(library)
        for name in _DELEGATE_CALLS:  # where one lacks, the API fails again when it is thrown away
            getattr(found, name)
        return api.load_delegate(library)
    except (OSError, ValueError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(
            f"delegate {library!r} cannot be loaded ({first}); name the library of a delegate,"
            f" or {BUILTIN} for LiteRT's own kernels"
        ) from error


def _nameplate(model: Path) -> Nameplate | None:
    """Read it: a cut behind the flatbuffer takes the labels and nothing else."""
    try:
        return read_nameplate(model)
    except ArtifactError as error:
        raise RuntimeFailure(str(error)) from error


def _load(model: Path, name: str, interpreter: Callable[[], Any]) -> Any:
    try:
        with native_chatter_hidden():
            # It checks every offset of the flatbuffer before it follows one.
            loaded = interpreter()
            loaded.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(
            f"{model}: {name} cannot load it ({first}); it is missing, cut short or of another"
            " format: make it again"
        ) from error
    return loaded


def _sizes(details: dict[str, Any]) -> list[int]:
    """Return a tensor's shape with -1 where it is not static: ``shape`` itself has 1 there."""
    signature: list[int] = details["shape_signature"].tolist()
    return signature or details["shape"].tolist()


def _quantization(details: dict[str, Any]) -> Quantization | None:
    scale, zero_point = details["quantization"]
    return Quantization(scale=float(scale), zero_point=int(zero_point)) if scale else None
