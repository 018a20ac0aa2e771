"""ONNX Runtime: runs ``.onnx``, on the processor unless other providers are named.

Its accelerators are execution providers by their own names, the first that can run a node first.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.loaded import LoadedModel, name_with, require_signature, subject_of
from train.errors import RuntimeFailure, UsageError
from train.pixels import Pixels

_PROCESSOR = "CPUExecutionProvider"
_ERRORS_ONLY = 3  # ONNX Runtime's log severity: warnings would go to the user's terminal


class OnnxModel(LoadedModel):
    """An ``.onnx`` on ONNX Runtime."""

    def __init__(self, model: Path, *, threads: int, accelerators: Sequence[str]) -> None:
        super().__init__()
        self.name = name_with(f"onnxruntime {version('onnxruntime')}", accelerators)
        self._session: Any = _load(model, threads, list(accelerators) or [_PROCESSOR])
        told = self._session.get_modelmeta().custom_metadata_map
        self.model = subject_of(model, told.get("variant"))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        require_signature(
            self.model,
            [(item.shape, _dtype(item.type)) for item in inputs],
            [(item.shape, _dtype(item.type)) for item in outputs],
        )
        _, height, width, channels = inputs[0].shape
        self.input_shape = (1, height, width, channels)
        self.classes = int(outputs[0].shape[1])
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self._feed = {self._input: np.zeros(self.input_shape, np.uint8)}
        self._found: Any = None

    def invoke(self) -> None:
        """Run the model on what was fed.

        Raises:
            RuntimeFailure: ONNX Runtime fails, or the model is closed.
        """
        self.require_open()
        try:
            self._found = self._session.run(self._outputs, self._feed)
        except Exception as error:  # its exceptions share no base but Exception
            raise RuntimeFailure(f"{self.model}: {self.name} fails: {error}") from error

    def _set_input(self, pixels: Pixels) -> None:
        self._feed = {self._input: pixels}

    def _raw_output(self) -> npt.NDArray[Any]:
        return np.asarray(self._found[0][0])

    def _free(self) -> None:
        self._session = None


def open_onnxruntime(model: Path, *, threads: int, accelerators: Sequence[str] = ()) -> OnnxModel:
    """Load ``model`` on ONNX Runtime.

    Raises:
        UsageError: this build of ONNX Runtime lacks a provider.
        RuntimeFailure: the file is missing, truncated, or not a model of ours.
    """
    return OnnxModel(model, threads=threads, accelerators=accelerators)


def _load(model: Path, threads: int, providers: list[str]) -> Any:
    import onnxruntime

    there = onnxruntime.get_available_providers()
    lacking = [name for name in providers if name not in there]
    if lacking:
        raise UsageError(f"provider {lacking[0]!r} is not one of {', '.join(there)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads that spin on after a call would take the CPU from whatever runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # its exceptions share no base but Exception
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(
            f"{model}: ONNX Runtime cannot load it ({first}); it is missing, cut short or of"
            " another format: make it again"
        ) from error


def _dtype(kind: str) -> str:
    """Return NumPy's name of ``tensor(uint8)`` and its like."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
