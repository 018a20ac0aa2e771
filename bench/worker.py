"""The child process that holds one model and times it.

One process a variant: what one runtime allocates, pins or breaks stays its own. It imports no
TensorFlow. It is asked for single turns over its standard input and answers, one JSON line each,
on its standard output:

- first ``{"model", "runtime", "threads", "picture_shape"}`` and the picture's bytes, answered by
  ``{"runtime", "batch", "load_ms", "cold_start_ms", "base_rss_bytes"}``;
- then ``{"untimed", "timed"}`` as often as wanted, answered by ``{"latencies_ms",
  "peak_rss_bytes"}``; where untimed calls are wanted they go on for ``LEAD_SECONDS`` at least;
- anything that goes wrong is answered by ``{"error"}``; end of input ends the process.
"""

import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.apart import bound_memory
from bench.memory import peak_resident_bytes, resident_bytes
from deploy.runtime import Runtime, open_runtime
from train.errors import ThreadliteError

# A quick model's first calls find both threads on one core, and take twice as long, until the
# system moves one of them.
LEAD_SECONDS = 0.02
SETTLE_SECONDS = 0.005
SETTLE_SHARE = 0.2
SETTLE_PAUSES = 40
Clock = Callable[[], float]
Opener = Callable[[Path, str, int], Runtime]


def serve(requests: BinaryIO, replies: BinaryIO, *, open_model: Opener, clock: Clock) -> None:
    """Load the model that the first request names, then time turns until the input ends.

    Args:
        requests: where requests come from.
        replies: where replies go.
        open_model: opens a model file under a runtime with a number of threads.
        clock: seconds that only go forward.
    """
    try:
        with _load(requests, replies, open_model, clock) as runtime:
            gc.disable()  # a collection in the middle of a call would be billed to the model
            while line := requests.readline():
                turn = json.loads(line)
                lead_in(runtime, turn["untimed"], clock)
                latencies_ms = time_calls(runtime, turn["timed"], clock)
                gc.collect()
                settle(time.process_time, time.sleep)
                peak = peak_resident_bytes()
                _reply(replies, {"latencies_ms": latencies_ms, "peak_rss_bytes": peak})
    except ThreadliteError as error:
        _reply(replies, {"error": str(error)})
    except Exception as error:  # runtimes raise kinds of their own
        _reply(replies, {"error": f"{type(error).__name__}: {error}"})


def settle(cpu_clock: Clock, sleep: Callable[[float], None]) -> int:
    """Wait until this process leaves the CPU alone, so that the next variant's turn has it.

    A runtime's threads spin on for some milliseconds after a call.

    Args:
        cpu_clock: seconds of CPU that this process has used, all threads together.
        sleep: waits for so many seconds.

    Returns:
        How many pauses it took, at most ``SETTLE_PAUSES``.
    """
    before = cpu_clock()
    for pause in range(1, SETTLE_PAUSES + 1):
        sleep(SETTLE_SECONDS)
        now = cpu_clock()
        if now - before < SETTLE_SHARE * SETTLE_SECONDS:
            return pause
        before = now
    return SETTLE_PAUSES


def lead_in(runtime: Runtime, calls: int, clock: Clock) -> None:
    """Make ``calls`` calls, and where it is one or more, as many as ``LEAD_SECONDS`` hold."""
    start, made = clock(), 0
    while made < calls or (calls and clock() - start < LEAD_SECONDS):
        runtime.invoke()
        made += 1


def time_calls(runtime: Runtime, calls: int, clock: Clock) -> list[float]:
    """Return the duration of each of ``calls`` calls, in milliseconds."""
    latencies_ms: list[float] = []
    for _ in range(calls):
        start = clock()
        runtime.invoke()
        latencies_ms.append((clock() - start) * 1e3)
    return latencies_ms


def _load(requests: BinaryIO, replies: BinaryIO, open_model: Opener, clock: Clock) -> Runtime:
    """Open the model, hand it its picture, and answer how long opening took.

    It is opened twice: first in a process that has not loaded the runtime's library, up to the
    first answer, as an app that was just started would; then with the library there.
    """
    job = json.loads(requests.readline())
    shape = tuple(job["picture_shape"])
    picture = np.frombuffer(requests.read(math.prod(shape)), dtype=np.uint8).reshape(1, *shape)
    arguments = (Path(job["model"]), job["runtime"], job["threads"])
    base_bytes, start = resident_bytes(), clock()
    with open_model(*arguments) as cold:
        cold.feed(picture)
        cold.invoke()
        cold_start_ms = (clock() - start) * 1e3
    start = clock()
    runtime = open_model(*arguments)
    load_ms = (clock() - start) * 1e3
    runtime.feed(picture)
    answer = {
        **{"runtime": runtime.name, "batch": runtime.input_shape[0], "load_ms": load_ms},
        **{"cold_start_ms": cold_start_ms, "base_rss_bytes": base_bytes},
    }
    _reply(replies, answer)
    return runtime


def _reply(replies: BinaryIO, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def main() -> None:
    """Serve the process that started this one."""
    bound_memory()
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a runtime prints is no reply
    serve(
        sys.stdin.buffer,
        replies,
        open_model=lambda model, runtime, threads: open_runtime(model, runtime, threads=threads),
        clock=time.perf_counter,
    )


if __name__ == "__main__":
    main()
