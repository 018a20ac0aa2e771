"""This side of a timing child: starts ``bench.worker``, asks it, and notices when it dies."""

import contextlib
import json
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Protocol

from bench.apart import how_it_ended, worker_command, worker_environment
from train.errors import RuntimeFailure
from train.pixels import Pixels

ANSWER_SECONDS = 120.0  # a child silent for so long hangs


class Caller(Protocol):
    """Something that calls one loaded model and says how long each call took."""

    runtime: str
    batch: int
    load_ms: float
    cold_start_ms: float | None
    base_rss_bytes: int | None
    peak_rss_bytes: int | None

    def call(self, *, untimed: int, timed: int) -> tuple[float, ...]:
        """Return the durations of ``timed`` calls in milliseconds, made after ``untimed`` ones."""

    def close(self) -> None:
        """End it; harmless when it has ended already."""


class Child:
    """A child process that holds one model.

    Attributes:
        runtime: name and version of the runtime that loaded the model.
        batch: pictures that one call takes.
        load_ms: from the file to a session that can be called, the library loaded before.
        cold_start_ms: from a process without the library to the first answer.
        base_rss_bytes: memory that the process held before it loaded the runtime.
        peak_rss_bytes: the most that it has held; ``None`` before the first call.
    """

    def __init__(
        self,
        model: Path,
        runtime: str,
        *,
        threads: int,
        picture: Pixels,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Start the process and load the model.

        Args:
            model: the ``.tflite`` or ``.onnx`` file.
            runtime: ``litert`` or ``onnxruntime``.
            threads: threads the runtime is given.
            picture: ``(height, width, 3)`` uint8, what every call computes on.
            answer_seconds: a child silent for so long is ended.

        Raises:
            RuntimeFailure: the runtime refuses the model, or the process dies over it.
        """
        self._answer_seconds = answer_seconds
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        self._process = _start(self._complaints.fileno())
        job = {
            "model": str(model.resolve()),
            "runtime": runtime,
            "threads": threads,
            "picture_shape": picture.shape,
        }
        try:
            answer = self._ask(json.dumps(job).encode() + b"\n" + picture.tobytes())
        except BaseException:
            self.close()
            raise
        self.runtime: str = answer["runtime"]
        self.batch: int = answer["batch"]
        self.load_ms: float = answer["load_ms"]
        self.cold_start_ms: float | None = answer["cold_start_ms"]
        self.base_rss_bytes: int | None = answer["base_rss_bytes"]
        self.peak_rss_bytes: int | None = None

    def call(self, *, untimed: int, timed: int) -> tuple[float, ...]:
        """Return the durations of ``timed`` calls in milliseconds, made after ``untimed`` ones.

        Raises:
            RuntimeFailure: the model failed, or the process died or hung.
        """
        answer = self._ask(json.dumps({"untimed": untimed, "timed": timed}).encode() + b"\n")
        self.peak_rss_bytes = answer["peak_rss_bytes"]
        return tuple(answer["latencies_ms"])

    def close(self) -> None:
        """End the process and wait for it; harmless when it has ended already."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # it died with a request on the way
                if pipe is not None:
                    pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._complaints.close()

    def _ask(self, request: bytes) -> dict[str, Any]:
        """Send a request and return its answer; the process is killed if none comes in time."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        hung = threading.Event()

        def end() -> None:
            hung.set()
            process.kill()

        timer = threading.Timer(self._answer_seconds, end)
        timer.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            raise RuntimeFailure(self._cause_of_death(hung=hung.is_set()))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeFailure(answer["error"])
        return answer

    def _cause_of_death(self, *, hung: bool) -> str:
        """Return how the process ended, with the last line it complained in."""
        code = self._process.wait()
        if hung:
            return f"the process gave no answer within {self._answer_seconds:g} s and was ended"
        self._complaints.seek(0)
        return how_it_ended(code, self._complaints.read())


def _start(complaints: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        worker_command("bench.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env=worker_environment(),
    )
