"""A frozen network's maps by the fastest runtime that computes what Keras does.

Frozen layers are only run forward, so a float ``.tflite`` under LiteRT serves: it folds BatchNorm
into the convolutions and runs two to three times as many photos a second as Keras does. It is
taken once its maps equal Keras' on photos; a network that does not convert, or does not agree,
stays with Keras.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from train.backend import keras, tensorflow, tflite_converter_of
from train.chatter import native_chatter_hidden

Maps = npt.NDArray[np.float32]
# Both runtimes sum the same products in another order: over the some hundred layers of a deep
# network float32 (6e-8 a step) then differs by some 1e-5 of the largest value.
RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A network that only runs forward.

    Attributes:
        runtime: name and version of what runs it.
        run: from pictures ``(batch, rows, columns, 3)`` float32 in [0, 255] to maps.
    """

    runtime: str
    run: Callable[[Maps], Maps]


def forward_of(model: Any, samples: Maps, *, threads: int) -> Forward:
    """Return the fastest way of running ``model`` that agrees with Keras on ``samples``.

    Args:
        model: a Keras network with one input and one output.
        samples: pictures to compare on, ``(batch, rows, columns, 3)`` in [0, 255].
        threads: pictures that are run side by side.
    """
    module = keras()
    plain = Forward(
        runtime=f"keras {module.__version__}",
        run=lambda pictures: np.asarray(model(pictures, training=False), dtype=np.float32),
    )
    try:
        fast = _litert(model, threads)
        mine, theirs = fast.run(samples), plain.run(samples)
    except Exception:  # a converter names its failures in a hundred ways; Keras always serves
        return plain
    scale = float(np.abs(theirs).max())
    agrees = mine.shape == theirs.shape and np.allclose(
        mine, theirs, rtol=0.0, atol=RELATIVE_TOLERANCE * scale
    )
    return fast if agrees else plain


def _litert(model: Any, threads: int) -> Forward:
    """Return what runs ``threads`` pictures at a time, each on one thread.

    Threads that share one picture wait for one another at every layer; pictures side by side do
    not, and the maps are the same.
    """
    import ai_edge_litert

    content = _converted(model)
    with native_chatter_hidden():
        runners = [_runner(content) for _ in range(threads)]
    free: SimpleQueue[Callable[[Maps], Maps]] = SimpleQueue()
    for runner in runners:
        free.put(runner)

    def one(picture: Maps) -> Maps:
        runner = free.get()
        try:
            return runner(picture)
        finally:
            free.put(runner)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="forward")

    def run(pictures: Maps) -> Maps:
        return np.stack(list(pool.map(one, pictures)))

    return Forward(runtime=f"litert {ai_edge_litert.__version__}", run=run)


def _runner(content: bytes) -> Callable[[Maps], Maps]:
    """Return what runs one picture, ``(rows, columns, 3)``, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    outcome = interpreter.get_output_details()[0]["index"]

    def run(picture: Maps) -> Maps:
        interpreter.set_tensor(entry, picture[None])
        interpreter.invoke()
        maps: Maps = interpreter.get_tensor(outcome)[0]
        return maps

    return run


def _converted(model: Any) -> bytes:
    tf = tensorflow()
    shape = (1, *model.input_shape[1:])
    function = tf.function(lambda pictures: model(pictures, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    with native_chatter_hidden():
        content: bytes = tflite_converter_of(concrete, model).convert()
    return content
