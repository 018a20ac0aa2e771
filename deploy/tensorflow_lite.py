"""TensorFlow's own interpreter: runs ``.tflite`` on kernels of another build, for comparison.

LiteRT is its successor and what ships. An answer that differs between the two is the kernels', not
the file's.
"""

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.litert import LitertModel
from train.backend import tensorflow


def open_tensorflow(model: Path, *, threads: int) -> LitertModel:
    """Load ``model`` on TensorFlow's interpreter.

    Raises:
        RuntimeFailure: the file is missing, truncated, or not a model of ours.
    """
    return LitertModel(model, f"tensorflow {version('tensorflow')}", _interpreter, threads=threads)


def _interpreter(**options: Any) -> Any:
    with warnings.catch_warnings():
        # It asks its users to go over to LiteRT, which is what it is compared with here.
        warnings.filterwarnings("ignore", "[\\s\\S]*tf.lite.Interpreter is deprecated", UserWarning)
        return tensorflow().lite.Interpreter(**options)
