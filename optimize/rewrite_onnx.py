"""Rewrites of a finished ``.onnx`` graph: what its converter has taken apart is put together again.

The converter writes LayerNormalization and GELU as the elementary operators that TensorFlow has
them as, each a pass over the whole maps. ONNX Runtime has one kernel for each, and recognizes
neither in that form. What is written here is plain ONNX of the same opset, so that any runtime
runs it.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optimize.onnx_view import OnnxView, Pattern, replace_patterns
from optimize.rewrite_graph import Array

_HALF_ROOT = float(np.sqrt(0.5))
_ROUNDING = 1e-6  # of a constant kept as float32


def fuse_layer_norm(proto: Any) -> tuple[str, ...]:
    """Write each normalization over one axis as one LayerNormalization, in place.

    ``gamma (x - mean) / sqrt(variance + epsilon) + beta`` is what TensorFlow computes as
    ``x g + (beta - mean g)`` with ``g = gamma / sqrt(variance + epsilon)``. Exact but for
    rounding. Where the axis is not the last, the operator stands between two transposes.
    An epsilon of 1.001e-5 or more Keras computes through a batch normalization, and that form
    stays.

    Returns:
        Name of the output of each.
    """
    return replace_patterns(proto, "Add", _layer_norm)


def fuse_gelu(proto: Any) -> tuple[str, ...]:
    """Write each exact GELU in the form that ONNX Runtime makes one kernel of, in place.

    ``(x / 2) (1 + erf(x sqrt(1/2)))`` becomes ``x (erf(x / sqrt(2)) + 1) / 2`` with the two outer
    factors in that order: ONNX Runtime looks for the division. Exact but for rounding.

    Returns:
        Name of the output of each.
    """
    return replace_patterns(proto, "Mul", _gelu)


class _Statistics(NamedTuple):
    """How a normalization finds its gain: of what, along which axis, and in which nodes."""

    axis: int
    epsilon: float
    gamma: Array | None
    mean: str
    nodes: tuple[Any, ...]


def _layer_norm(view: OnnxView, last: Any) -> Pattern | None:
    for scaled, moved in view.orders(last):
        moving: list[Any] = []
        product = view.maker(scaled, "Mul")
        shift = _shift(view, _origin(view, moved, moving))
        if product is None or shift is None:
            continue
        beta, factors, shifting = shift
        for values, gain in view.orders(product):
            found = _statistics(view, values, gain)
            if found is None or {found.mean, gain} != factors:
                continue
            nodes = (*found.nodes, *shifting, *moving, product, last)
            if not _broadcast_alike(view, values, found.axis, nodes):
                continue
            return Pattern(_unique(nodes), _written_norm(view, values, last, found, beta))
    return None


def _shift(view: OnnxView, name: str) -> tuple[Array | None, set[str], tuple[Any, ...]] | None:
    """Return beta, mean and gain by name, and the nodes of ``beta - mean gain``.

    Without beta TensorFlow negates either the product or the mean.
    """
    node = view.maker(name, "Neg", "Sub", "Mul")
    if node is None:
        return None
    if node.op_type == "Mul":
        for negated, gain in view.orders(node):
            if negation := view.maker(negated, "Neg"):
                return None, {negation.input[0], gain}, (negation, node)
        return None
    if node.op_type == "Sub" and node.input[0] not in view.constants:
        return None
    product = view.maker(node.input[-1], "Mul")
    beta = view.constants[node.input[0]] if node.op_type == "Sub" else None
    return None if product is None else (beta, set(product.input), (product, node))


def _statistics(view: OnnxView, values: str, gain: str) -> _Statistics | None:
    """Return how ``gain`` comes of ``values``, if as in a normalization."""
    nodes: list[Any] = []

    def step(name: str, kind: str) -> Any:
        node = view.maker(name, kind)
        if node is not None:
            nodes.append(node)
        return node

    gamma, root = None, gain
    if (scaling := view.maker(gain, "Mul")) and (parts := view.parted(scaling)):
        nodes.append(scaling)
        root, gamma = parts
    for kind in ("Reciprocal", "Sqrt"):
        node = step(root, kind)
        if node is None:
            return None
        root = node.input[0]
    added = step(root, "Add")
    parts = view.parted(added) if added is not None else None
    if parts is None or parts[1].size != 1:
        return None
    spread = step(_origin(view, parts[0], nodes), "ReduceMean")
    square = step(spread.input[0], "Mul") if spread is not None else None
    if square is None or square.input[0] != square.input[1]:
        return None
    apart = step(square.input[0], "Sub")
    mean = step(_origin(view, apart.input[1], nodes), "ReduceMean") if apart is not None else None
    if mean is None or [apart.input[0], mean.input[0]] != [values, values]:
        return None
    axes = [view.constants.get(node.input[1], np.empty(0)).tolist() for node in (mean, spread)]
    if axes[0] != axes[1] or len(axes[0]) != 1:
        return None
    return _Statistics(axes[0][0], float(parts[1].item()), gamma, mean.output[0], tuple(nodes))


def _origin(view: OnnxView, name: str, nodes: list[Any]) -> str:
    """Return what a Reshape takes, adding it to ``nodes``; the name itself without one."""
    node = view.maker(name, "Reshape")
    if node is None:
        return name
    nodes.append(node)
    return str(node.input[0])


def _broadcast_alike(view: OnnxView, values: str, axis: int, nodes: Sequence[Any]) -> bool:
    """Return whether what is reshaped on the way has one figure for each place but ``axis``."""
    shape = view.shape(values)
    kept = tuple(1 if place == axis % len(shape) else size for place, size in enumerate(shape))
    shaped = [view.shape(node.output[0]) for node in nodes if node.op_type == "Reshape"]
    return all(found == kept for found in shaped)


def _unique(nodes: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({id(node): node for node in nodes}.values())


def _written_norm(
    view: OnnxView, values: str, last: Any, found: _Statistics, beta: Array | None
) -> tuple[Any, ...]:
    from onnx import helper

    shape, output = view.shape(values), last.output[0]
    axis = found.axis % len(shape)
    size = shape[axis]
    gains = [
        view.constant(f"{output}/{name}", np.broadcast_to(np.ravel(array), (size,)))
        for name, array in (
            ("gamma", np.ones(size) if found.gamma is None else found.gamma),
            ("beta", np.zeros(size) if beta is None else beta),
        )
    ]
    settings = {"axis": -1, "epsilon": found.epsilon, "name": f"{last.name}/norm"}
    if axis == len(shape) - 1:
        return (helper.make_node("LayerNormalization", [values, *gains], [output], **settings),)
    there = [*(place for place in range(len(shape)) if place != axis), axis]
    back = [there.index(place) for place in range(len(shape))]
    first, second = f"{output}/last", f"{output}/normalized"
    return (
        helper.make_node("Transpose", [values], [first], name=f"{last.name}/there", perm=there),
        helper.make_node("LayerNormalization", [first, *gains], [second], **settings),
        helper.make_node("Transpose", [second], [output], name=f"{last.name}/back", perm=back),
    )


def _gelu(view: OnnxView, last: Any) -> Pattern | None:
    for halved, summed in view.orders(last):
        half, total = view.maker(halved, "Mul"), view.maker(summed, "Add")
        if half is None or total is None:
            continue
        halves, ones = view.parted(half), view.parted(total)
        if halves is None or ones is None or not _is(halves[1], 0.5) or not _is(ones[1], 1.0):
            continue
        error = view.maker(ones[0], "Erf")
        scaled = view.maker(error.input[0], "Mul") if error is not None else None
        roots = view.parted(scaled) if scaled is not None else None
        if roots is None or roots[0] != halves[0] or not _is(roots[1], _HALF_ROOT):
            continue
        nodes = (half, scaled, error, total, last)
        return Pattern(nodes, _written_gelu(view, halves[0], last))
    return None


def _is(constant: Array, value: float) -> bool:
    return constant.size == 1 and abs(float(constant.item()) - value) < _ROUNDING


def _written_gelu(view: OnnxView, values: str, last: Any) -> tuple[Any, ...]:
    from onnx import helper

    output = last.output[0]
    root, one, half = (
        view.constant(f"{output}/{name}", np.asarray(value))
        for name, value in (("root", np.sqrt(2.0)), ("one", 1.0), ("half", 0.5))
    )
    made = [f"{output}/{name}" for name in ("scaled", "erf", "sum", "product")]
    steps = (
        ("Div", [values, root], made[0]),
        ("Erf", [made[0]], made[1]),
        ("Add", [made[1], one], made[2]),
        ("Mul", [values, made[2]], made[3]),
        ("Mul", [made[3], half], output),
    )
    return tuple(
        helper.make_node(kind, inputs, [name], name=f"{last.name}/{kind}{number}")
        for number, (kind, inputs, name) in enumerate(steps)
    )
