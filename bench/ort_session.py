"""A session of ONNX Runtime that writes its profile, and what that profile says of each call.

Source: https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from train.errors import RuntimeFailure

KERNEL = "_kernel_time"  # behind the name of each node
_CALL = "model_run"
_ERRORS_ONLY = 3  # ONNX Runtime's log severity: a saved optimized graph would be warned of


def open_session(
    model: Path, *, threads: int, profile: Path | None = None, optimized: Path | None = None
) -> Any:
    """Return a session set up as ``deploy.onnxrt`` does.

    Args:
        model: the ``.onnx`` file.
        threads: threads that one call may use.
        profile: what the profile's name begins with; none is written if ``None``.
        optimized: where the graph as optimized goes; nowhere if ``None``.

    Raises:
        RuntimeFailure: ONNX Runtime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base but Exception
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailure(f"{model}: ONNX Runtime cannot load it ({first})") from error


def split_calls(
    events: Iterable[dict[str, Any]], timed: Sequence[bool], subject: str
) -> list[tuple[float, list[dict[str, Any]]]]:
    """Return each timed call: its duration in microseconds and the events of its nodes.

    Args:
        events: the profile, as ONNX Runtime wrote it.
        timed: of each call made, in order, whether it counts.
        subject: path of the model, for messages.

    Raises:
        RuntimeFailure: the profile lacks calls, or two calls ran other nodes than one another.
    """
    ordered = sorted((event for event in events if "dur" in event), key=lambda one: one["ts"])
    nodes = [one for one in ordered if one["cat"] == "Node" and one["name"].endswith(KERNEL)]
    spans = [one for one in ordered if one["name"] == _CALL]
    if len(spans) != len(timed) or not any(timed):
        raise RuntimeFailure(
            f"{subject}: ONNX Runtime's profile holds {len(spans)} calls of {len(timed)}; it keeps"
            " a million events and drops the rest: profile fewer calls"
        )
    calls = []
    for span, counts in zip(spans, timed, strict=True):
        end = span["ts"] + span["dur"]
        if counts:
            inside = [one for one in nodes if span["ts"] <= one["ts"] <= end]
            calls.append((float(span["dur"]), inside))
    ran = {tuple(one["args"]["node_index"] for one in inside) for _, inside in calls}
    if len(ran) != 1 or not calls[0][1]:
        raise RuntimeFailure(
            f"{subject}: {len(calls)} calls ran {len(ran)} different lists of nodes, must be one"
            " that is not empty; profile it again"
        )
    return calls
