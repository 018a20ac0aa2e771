"""The child process that profiles one model: what crashes a runtime costs this process alone.

Its question (``bench.apart``) holds ``model``, ``runtime``, ``threads``, ``shape`` and ``dtype`` of
the input whose bytes follow, the fields of ``bench.layer_times.ProfilePlan``, and ``bare``: whether
to time calls without profiling, in turns with the profiled ones. It answers with the fields of
``bench.profile.Profile``, ``runtime``, ``latencies_us`` and, as far as the file tells them,
``layers``.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.apart import answer_once
from bench.count_onnx import count_onnx
from bench.count_tflite import count_tflite
from bench.layer_cost import LayerCost
from bench.layer_names import layers_in_file
from bench.litert_singles import open_litert_profiler
from bench.ort_profiler import OnnxProfiler
from bench.profile import Profiler
from bench.worker import time_calls
from deploy.runtime import Runtime, open_runtime
from train.errors import ArtifactError

PROFILERS: dict[str, tuple[Callable[..., Profiler], Callable[[Path], tuple[LayerCost, ...]]]] = {
    "litert": (open_litert_profiler, count_tflite),
    "onnxruntime": (OnnxProfiler, count_onnx),
}


def answer(job: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Profile the model that the question names, and return the reply."""
    tensor = np.frombuffer(content, np.dtype(job["dtype"])).reshape(job["shape"])
    model, threads = Path(job["model"]), job["threads"]
    open_profiler, count = PROFILERS[job["runtime"]]
    latencies_us: list[float] = []
    with ExitStack() as stack:
        bare: Runtime | None = None
        if job["bare"]:
            bare = stack.enter_context(open_runtime(model, job["runtime"], threads=threads))
            bare.feed(tensor)
            time_calls(bare, job["warmup"], time.perf_counter)
        profiler = open_profiler(model, threads=threads)
        profiler.feed(tensor)
        profiler.run(job["warmup"], timed=False)
        start = time.monotonic()
        for done in range(job["most_rounds"]):
            if done >= job["rounds"] and time.monotonic() - start >= job["seconds"]:
                break
            if bare is not None:
                bare.invoke()
                times = time_calls(bare, job["calls"], time.perf_counter)
                latencies_us += [milliseconds * 1e3 for milliseconds in times]
            profiler.run(1, timed=False)
            profiler.run(job["calls"], timed=True)
        found = profiler.finish().as_json()
    return {
        **{"runtime": profiler.name, "latencies_us": latencies_us, **found},
        "layers": _layers(model, count),
    }


def _layers(model: Path, count: Callable[[Path], tuple[LayerCost, ...]]) -> list[dict[str, Any]]:
    """Return what the file tells of its layers; nothing where its operators cannot be counted."""
    try:
        found = layers_in_file(count(model))
    except ArtifactError:
        return []
    return [one.model_dump(mode="json") for one in found]


def main() -> None:
    """Serve the process that started this one."""
    answer_once(answer)


if __name__ == "__main__":
    main()
