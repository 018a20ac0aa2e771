"""The child process that profiles one model: what crashes a runtime costs this process alone.

It reads one JSON line, then the bytes of the input, from its standard input, and answers with
one JSON line on its standard output: the fields of ``bench.profile.Profile`` with ``runtime``
and ``latencies_us``, or ``{"error"}``. The line holds ``model``, ``runtime``, ``threads``,
``shape`` and ``dtype`` of the input, ``warmup``, ``rounds``, ``calls`` in a round, and ``bare``:
whether to time calls without profiling, in turns with the profiled ones.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.litert_profiler import LitertProfiler
from bench.ort_profiler import OnnxProfiler
from bench.profile import Profiler
from bench.worker import time_calls
from deploy.runtime import Runtime, open_runtime
from train.errors import ThreadliteError

PROFILERS: dict[str, Callable[..., Profiler]] = {
    "litert": LitertProfiler,
    "onnxruntime": OnnxProfiler,
}


def answer(requests: BinaryIO) -> dict[str, Any]:
    """Profile the model that the request names, and return the reply."""
    try:
        job = json.loads(requests.readline())
        dtype = np.dtype(job["dtype"])
        content = requests.read(math.prod(job["shape"]) * dtype.itemsize)
        return _profile(job, np.frombuffer(content, dtype).reshape(job["shape"]))
    except ThreadliteError as error:
        return {"error": str(error)}
    except Exception as error:  # runtimes raise kinds of their own
        return {"error": f"{type(error).__name__}: {error}"}


def _profile(job: dict[str, Any], tensor: Any) -> dict[str, Any]:
    model, threads = Path(job["model"]), job["threads"]
    latencies_us: list[float] = []
    with ExitStack() as stack:
        bare: Runtime | None = None
        if job["bare"]:
            bare = stack.enter_context(open_runtime(model, job["runtime"], threads=threads))
            bare.feed(tensor)
            time_calls(bare, job["warmup"], time.perf_counter)
        profiler = PROFILERS[job["runtime"]](model, threads=threads)
        profiler.feed(tensor)
        profiler.run(job["warmup"], timed=False)
        for _ in range(job["rounds"]):
            if bare is not None:
                bare.invoke()
                times = time_calls(bare, job["calls"], time.perf_counter)
                latencies_us += [milliseconds * 1e3 for milliseconds in times]
            profiler.run(1, timed=False)
            profiler.run(job["calls"], timed=True)
        found = profiler.finish().as_json()
    return {"runtime": profiler.name, "latencies_us": latencies_us, **found}


def main() -> None:
    """Serve the process that started this one."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a runtime prints is no reply
    replies.write(json.dumps(answer(sys.stdin.buffer)).encode() + b"\n")
    replies.flush()
    os._exit(0)  # nothing of the C library's is torn down, which could crash it after its answer


if __name__ == "__main__":
    main()
