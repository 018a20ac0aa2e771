"""Refuses a SavedModel whose graph could do anything but arithmetic.

A SavedModel is a program: TensorFlow runs its functions with the rights of whoever opens it, and
there are operators that read and write files, run Python or talk to other machines. So before one
is opened, every function in it is searched, also those that nothing calls: TensorFlow itself may
put one in another's place (``api_implements``). An operator with a side effect is refused unless
it only touches the model's own variables or draws random numbers.
The functions that save and restore a checkpoint are in every SavedModel; they may be there, with
the operators of checkpoints, as long as nothing else reaches them or can be swapped for them.
Sources: https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md;
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/grappler/optimizers/implementation_selector.h
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
_CHECKPOINT_OPERATORS = frozenset(
    {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"}
)
_SWAPPED_BY = "api_implements"


def require_harmless(folder: Path) -> None:
    """Read a SavedModel's graph, running nothing of it, and refuse it if it could do harm.

    Args:
        folder: holds ``saved_model.pb``.

    Raises:
        WeightsError: no SavedModel of TensorFlow 2, too large, or an operator is refused.
    """
    graph = _read_graph(folder / "saved_model.pb")
    functions = _functions_of(graph.graph_def.library, folder.name)
    reached = _reached(graph, functions)
    savers = _closure(_savers(graph), functions) - reached
    for name, function in functions.items():
        where = f"{folder.name}: function {name!r}"
        if name in savers and _SWAPPED_BY in function.attr:
            raise WeightsError(
                f"{where} saves or restores and yet has {_SWAPPED_BY}, by which it may run in"
                " another's place; it is not opened: save the network again without it"
            )
        allowed = _CHECKPOINT_OPERATORS if name in savers else frozenset[str]()
        for node in function.node_def:
            _require_harmless_node(node, functions, where, allowed)
    for node in graph.graph_def.node:
        _require_harmless_node(node, functions, f"{folder.name}: its graph", frozenset())


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


def _functions_of(library: Any, name: str) -> dict[str, Any]:
    """Return the functions by name; a name must mean one thing only."""
    functions: dict[str, Any] = {}
    for function in library.function:
        known = function.signature.name
        if known in functions or _definition_of(known) is not None:
            raise WeightsError(
                f"{name}: the function name {known!r} is taken twice; save the network again"
            )
        functions[known] = function
    return functions


def _reached(graph: Any, functions: dict[str, Any]) -> set[str]:
    """Return the functions that objects and the main graph lead to, and those that these name.

    The object graph is all that is taken from the saver: its own functions are named nowhere in
    it, save by objects that bring a saver of their own, which are refused.
    """
    objects, library = graph.object_graph_def, graph.graph_def.library
    for node in objects.nodes:
        for saveable in node.saveable_objects.values():
            if saveable.save_function or saveable.restore_function:
                raise WeightsError("the SavedModel brings code of its own to restore its variables")
    starts = set(objects.concrete_functions) | _called_by(graph.graph_def.node, functions)
    starts -= _savers(graph)
    starts |= {each.gradient_func for each in (*library.gradient, *library.registered_gradients)}
    return _closure(starts, functions)


def _closure(starts: Iterable[str], functions: dict[str, Any]) -> set[str]:
    """Return the functions among ``starts`` and all that these name, at any depth."""
    waiting, found = [name for name in starts if name in functions], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            function = functions[name]
            waiting += _called_by(function.node_def, functions)
            waiting += _named_in(function.attr.values(), functions)
    return found


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
        found |= _named_in(node.attr.values(), functions)
    return found


def _named_in(attributes: Iterable[Any], functions: dict[str, Any]) -> set[str]:
    """Return the functions that attributes name; TensorFlow takes some of them from plain text."""
    found: set[str] = set()
    for attribute in attributes:
        texts = (attribute.s, *attribute.list.s)
        found |= {text.decode(errors="replace") for text in texts}
        found |= {attribute.func.name, *(each.name for each in attribute.list.func)}
    return found & functions.keys()


def _require_harmless_node(
    node: Any, functions: dict[str, Any], where: str, allowed: frozenset[str]
) -> None:
    if node.op in _STATEFUL_ALLOWED or node.op in allowed or node.op in functions:
        return  # a function is searched by itself
    definition = _definition_of(node.op)
    suspicious = any(word in node.op for word in _WORDS_REFUSED)
    if definition is None or definition.is_stateful or suspicious:
        raise WeightsError(
            f"{where} has the operator {node.op}, which may do more than arithmetic; it is not"
            " opened: save the network again without it"
        )


def _definition_of(operator: str) -> Any:
    return _part_of_tensorflow("python.framework.op_def_registry").get(operator)


def _part_of_tensorflow(name: str) -> Any:
    """Return a module inside TensorFlow that it does not offer by attribute."""
    return importlib.import_module(f"{tensorflow().__name__}.{name}")
