"""TensorFlow's own interpreter: runs ``.tflite`` on kernels of another build, for comparison.

LiteRT is its successor and what ships. An answer that differs between the two is the kernels', not
the file's.
"""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.litert import LitertModel, interpreter_options
from deploy.loaded import name_with
from train.backend import tensorflow


def open_tensorflow(model: Path, *, threads: int, accelerators: Sequence[str] = ()) -> LitertModel:
    """Load ``model`` on TensorFlow's interpreter; its accelerators are LiteRT's.

    Raises:
        RuntimeFailure: the file is missing, truncated, or not a model of ours; or a delegate
            cannot be loaded.
    """
    options = interpreter_options(tensorflow().lite.experimental, accelerators)
    return LitertModel(
        model,
        name_with(f"tensorflow {version('tensorflow')}", accelerators),
        lambda: _interpreter(model_path=str(model), num_threads=threads, **options),
    )


def _interpreter(**options: Any) -> Any:
    with warnings.catch_warnings():
        # It asks its users to go over to LiteRT, which is what it is compared with here.
        warnings.filterwarnings("ignore", "[\\s\\S]*tf.lite.Interpreter is deprecated", UserWarning)
        return tensorflow().lite.Interpreter(**options)
