"""A race of model files of one runtime: timed in turns, so that the ratios of their times hold.

For choosing between files that are not artifacts yet; what is published is measured by
``bench.latency``, whose records keep every call. Turns are as there.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.awake import cores_awake
from bench.child import Caller, Child
from bench.latency import TURN_CALLS
from train.errors import ConfigError
from train.pixels import Pixels

WARM_CALLS = 5  # of each file before the first timed one
Start = Callable[[Path], Caller]


@cores_awake()
def race_files(
    files: Sequence[Path],
    runtime: str,
    *,
    threads: int,
    picture: Pixels,
    rounds: int,
    seed: int = 0,
    start: Start | None = None,
) -> tuple[tuple[float, ...], ...]:
    """Return the duration of every timed call of each file, in milliseconds.

    Args:
        files: ``.tflite`` or ``.onnx``, all of them for ``runtime``.
        runtime: ``litert`` or ``onnxruntime``.
        threads: threads the runtime is given.
        picture: ``(height, width, 3)`` uint8 that every call computes on.
        rounds: turns of each file, ``TURN_CALLS`` timed calls each, at least 1.
        seed: of the order of the turns.
        start: starts what calls a file; a process each if ``None``.

    Raises:
        ConfigError: ``rounds`` is less than one.
        RuntimeFailure: the runtime refuses a file, or its process dies over it.
    """
    if rounds < 1:
        raise ConfigError(f"rounds must be at least 1, got {rounds}")

    def start_child(file: Path) -> Caller:
        return Child(file, runtime, threads=threads, picture=picture)

    order, times = random.Random(seed), [list[float]() for _ in files]
    with ExitStack() as stack:
        callers = []
        for file in files:
            callers.append((start or start_child)(file))
            stack.callback(callers[-1].close)
        for caller in callers:
            caller.call(untimed=WARM_CALLS, timed=1)
        for _ in range(rounds):
            for place in order.sample(range(len(callers)), len(callers)):
                times[place] += callers[place].call(untimed=1, timed=TURN_CALLS)
    return tuple(map(tuple, times))
