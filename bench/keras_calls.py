"""The calls of a functional Keras model in order of execution, nested models opened."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.receptive import Shape
from train.backend import keras, tensorflow
from train.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of one layer: the layer, and tensors and shapes in and out of it, at batch 1.

    A tensor is named by a key; equal keys are the same tensor.
    """

    layer: Any
    inputs: tuple[Hashable, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[Hashable, ...]
    output_shapes: tuple[Shape, ...]


_Scope = tuple[int, ...]  # the calls of nested models that a layer stands in
_Keys = dict[tuple[_Scope, int], Hashable]  # of each tensor of each scope, by its identity


def layer_calls(model: Any) -> Iterator[tuple[str, Call]]:
    """Yield name and call of every layer, inputs first.

    A layer of a nested model bears its name behind that model's: ``body/conv``.

    Raises:
        ArtifactError: the model is not functional, or a size of it is not fixed.
    """
    yield from _calls(model, "", (), {})


def _calls(model: Any, prefix: str, scope: _Scope, keys: _Keys) -> Iterator[tuple[str, Call]]:
    # Keras 2 offers no public list of calls: ``layers`` names a shared layer once, without shapes.
    depths: dict[int, list[Any]] | None = getattr(model, "_nodes_by_depth", None)
    if not depths:
        raise ArtifactError(
            f"{getattr(model, 'name', model)!r} is not a functional Keras model, so its layers"
            " cannot be counted; build it from an Input to outputs"
        )
    for node in (node for depth in sorted(depths, reverse=True) for node in depths[depth]):
        if scope and node.is_input:  # a nested model's input is the tensor handed to it
            continue
        name = prefix + node.layer.name
        outputs = tensorflow().nest.flatten(node.outputs)
        if isinstance(node.layer, keras().Model):
            inner = (*scope, id(node))
            _alias(keys, (inner, node.layer.inputs), (scope, node.keras_inputs))
            yield from _calls(node.layer, f"{name}/", inner, keys)
            _alias(keys, (scope, outputs), (inner, node.layer.outputs))
            continue
        keys.update({(scope, id(tensor)): (scope, id(tensor)) for tensor in outputs})
        yield name, _call(node, name, scope, keys)


def _call(node: Any, name: str, scope: _Scope, keys: _Keys) -> Call:
    outputs = tensorflow().nest.flatten(node.outputs)
    return Call(
        layer=node.layer,
        inputs=tuple(keys[scope, id(tensor)] for tensor in node.keras_inputs),
        input_shapes=_shapes(node.keras_inputs, name),
        outputs=tuple(keys[scope, id(tensor)] for tensor in outputs),
        output_shapes=_shapes(outputs, name),
    )


def _alias(keys: _Keys, names: tuple[_Scope, list[Any]], known: tuple[_Scope, list[Any]]) -> None:
    """Let tensors of one scope be those of another."""
    for new, old in zip(names[1], known[1], strict=True):
        keys[names[0], id(new)] = keys[known[0], id(old)]


def _shapes(tensors: list[Any], name: str) -> tuple[Shape, ...]:
    """Return static shapes with a batch of 1."""
    found: list[Shape] = []
    for tensor in tensors:
        rank = tensor.shape.rank
        if rank is None or any(size is None for size in tensor.shape[1:]):
            raise ArtifactError(
                f"layer {name!r} has no fixed size: {tensor.shape}; give the Input its height and"
                " width"
            )
        found.append((1, *(int(size) for size in tensor.shape[1:])) if rank else ())
    return tuple(found)
