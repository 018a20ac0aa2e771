"""Refuses a SavedModel whose graph could do anything but arithmetic.

A SavedModel is a program: TensorFlow runs its functions with the rights of whoever opens it, and
there are operators that read and write files, run Python or talk to other machines. So before one
is opened, every function that opening or calling it can reach is searched, and an operator with a
side effect is refused unless it only touches the model's own variables or draws random numbers.
The functions that save and restore a checkpoint are in every SavedModel; they may be there as long
as nothing else reaches them.
Source: https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from train.backend import tensorflow
from train.errors import WeightsError

MAX_GRAPH_BYTES = 256 * 1024**2
_STATEFUL_ALLOWED = frozenset(
    {
        *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp"),
        *("AssignAddVariableOp", "AssignSubVariableOp", "DisableCopyOnRead", "Placeholder"),
        *("StatefulPartitionedCall", "PartitionedCall", "If", "While", "Case"),
        *("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "RandomUniformInt"),
        *("StatefulUniform", "Assert", "RngReadAndSkip"),
    }
)
# Not marked as having side effects, and yet they look outside the graph.
_WORDS_REFUSED = (
    *("File", "Reader", "Dataset", "Checkpoint", "Restore", "Save", "Load", "ImmutableConst"),
    *("PyFunc", "Debug", "Proto", "Custom", "Sql", "Remote"),
)


def require_harmless(folder: Path) -> None:
    """Read a SavedModel's graph, running nothing of it, and refuse it if it could do harm.

    Args:
        folder: holds ``saved_model.pb``.

    Raises:
        WeightsError: no SavedModel of TensorFlow 2, too large, or an operator is refused.
    """
    graph = _read_graph(folder / "saved_model.pb")
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    for name in _reached(graph, functions):
        for node in functions[name].node_def:
            _require_harmless_node(node, functions, f"{folder.name}: function {name!r}")
    for node in graph.graph_def.node:
        _require_harmless_node(node, functions, f"{folder.name}: its graph")


def _read_graph(path: Path) -> Any:
    model = _part_of_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    try:
        size = path.stat().st_size
        if size > MAX_GRAPH_BYTES:
            raise WeightsError(f"a graph of {size:,} bytes, the limit is {MAX_GRAPH_BYTES:,}")
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # OSError, or one of protobuf's own
        raise WeightsError(
            f"{path} is not a whole SavedModel ({error}); download or save it again"
        ) from error
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise WeightsError(
            f"{path} is no SavedModel of TensorFlow 2 with one graph; save it again with"
            " tf.saved_model.save"
        )
    return model.meta_graphs[0]


def _reached(graph: Any, functions: dict[str, Any]) -> list[str]:
    """Return the functions that objects and the main graph lead to, and those that these call.

    The object graph is all that is taken from the saver: its own functions are named nowhere in
    it, save by objects that bring a saver of their own, which are refused.
    """
    objects = graph.object_graph_def
    for node in objects.nodes:
        for saveable in node.saveable_objects.values():
            if saveable.save_function or saveable.restore_function:
                raise WeightsError("the SavedModel brings code of its own to restore its variables")
    starts = set(objects.concrete_functions) | _called_by(graph.graph_def.node, functions)
    starts -= _savers(graph)
    waiting, found = [name for name in starts if name in functions], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _called_by(functions[name].node_def, functions)
    return sorted(found)


def _savers(graph: Any) -> set[str]:
    """Return the functions that the checkpoint's own saving and restoring nodes call."""
    saver = graph.saver_def
    nodes = {name.split(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name)}
    called = {
        attribute.func.name
        for node in graph.graph_def.node
        if node.name in nodes
        for attribute in node.attr.values()
        if attribute.HasField("func")
    }
    return called - set(graph.object_graph_def.concrete_functions)


def _called_by(nodes: Iterable[Any], functions: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if node.op in functions:
            found.add(node.op)
        for attribute in node.attr.values():
            names = [attribute.func.name, *(each.name for each in attribute.list.func)]
            found |= {name for name in names if name in functions}
    return found


def _require_harmless_node(node: Any, functions: dict[str, Any], where: str) -> None:
    if node.op in _STATEFUL_ALLOWED or node.op in functions:  # a function is searched by itself
        return
    definition = _part_of_tensorflow("python.framework.op_def_registry").get(node.op)
    suspicious = any(word in node.op for word in _WORDS_REFUSED)
    if definition is None or definition.is_stateful or suspicious:
        raise WeightsError(
            f"{where} has the operator {node.op}, which may do more than arithmetic; it is not"
            " opened: save the network again without it"
        )


def _part_of_tensorflow(name: str) -> Any:
    """Return a module inside TensorFlow that it does not offer by attribute."""
    return importlib.import_module(f"{tensorflow().__name__}.{name}")
