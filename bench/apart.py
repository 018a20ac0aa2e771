"""One question to a process of its own: what crashes or hangs a runtime costs that process alone.

The question is one JSON line, then bytes, on the standard input; the answer is one JSON line on
the standard output, ``{"error"}`` where something went wrong.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from train.errors import RuntimeFailure, ThreadliteError

LEAST_MEMORY_BYTES = 4 * 2**30  # a runtime's libraries and threads reserve two of them
Answer = Callable[[dict[str, Any], bytes], dict[str, Any]]


def ask_apart(
    module: str, job: dict[str, Any], content: bytes, answer_seconds: float
) -> dict[str, Any]:
    """Start ``module`` as a process, hand it a question, and return its answer.

    Args:
        module: dotted name of a module whose ``main`` calls ``answer_once``.
        job: what JSON can say of the question.
        content: the bytes behind it.
        answer_seconds: a process silent for so long is ended.

    Raises:
        RuntimeFailure: the process refuses, dies over the question, or hangs.
    """
    try:
        ended = subprocess.run(
            worker_command(module),
            input=json.dumps(job).encode() + b"\n" + content,
            capture_output=True,
            timeout=answer_seconds,
            check=False,
            env=worker_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(
            f"the process gave no answer within {answer_seconds:g} s and was ended"
        ) from error
    if not ended.stdout.endswith(b"\n"):
        raise RuntimeFailure(how_it_ended(ended.returncode, ended.stderr))
    reply: dict[str, Any] = json.loads(ended.stdout)
    if "error" in reply:
        raise RuntimeFailure(reply["error"])
    return reply


def answer_once(answer: Answer) -> None:
    """Serve the process that started this one: read its question, answer, and end."""
    bound_memory()
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a runtime prints is no reply
    try:
        job = json.loads(sys.stdin.buffer.readline())
        reply = answer(job, sys.stdin.buffer.read())
    except ThreadliteError as error:
        reply = {"error": str(error)}
    except Exception as error:  # runtimes raise kinds of their own
        reply = {"error": f"{type(error).__name__}: {error}"}
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()
    os._exit(0)  # nothing of a C library's is torn down, which could crash it after its answer


def bound_memory() -> None:
    """Let this process take no more memory than is free: a damaged size must not fill a machine."""
    if sys.platform == "win32":  # it has no such limit
        return
    import resource

    free = max(LEAST_MEMORY_BYTES, psutil.virtual_memory().available)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or free < most:
        resource.setrlimit(resource.RLIMIT_AS, (free, most))


def worker_command(module: str) -> list[str]:
    """Return what starts ``module``: this interpreter, whatever the current folder holds."""
    return [sys.executable, "-P", "-m", module]


def worker_environment() -> dict[str, str]:
    """Return this process's environment, with our packages where the child finds them."""
    house = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}


def how_it_ended(code: int, complaints: bytes) -> str:
    """Return how a process ended, with the last line that it complained in."""
    ended = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with code {code}"
    lines = complaints.decode(errors="replace").strip().splitlines()
    return f"the process {ended}" + (f": {lines[-1].strip()}" if lines else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
