"""What one layer costs, whichever graph it stands in, and the sums over a network.

A MACC is one multiplication whose product is added to a running sum; one MACC is two FLOPs. They
are counted where a layer sums products over channels or positions: convolutions, dense layers,
matrix products. Nothing is counted beside: biases, activations, pooling, normalisation and
residual adds have none, as in published counts.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.receptive import Shape, Span
from bench.receptive_views import Effect, View, blend, everything

FLOPS_PER_MACC = 2


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The cost of one call of one layer: at batch 1, or at the batch that a file fixes.

    Attributes:
        name: of the layer, behind the names of the models that it is nested in; in a file, of
            the ONNX node or of the tensor that the TFLite operator makes.
        kind: its class or operator: ``Conv2D``, ``CONV_2D``, ``Conv``; ``tf.`` and the function
            for a bare operation of Keras.
        output_shape: of its first output, with the batch; empty where nothing tells it.
        maccs: multiply-accumulates; ``None`` where the kind is uncounted.
        parameters: its weights, trained or not; 0 for a further call of shared ones.
        activation_bytes: size of its outputs, in the number type that the graph gives them.
        field: what each of its values sees, for each axis of the picture (rows, columns); empty
            where it does not depend on a picture.
    """

    name: str
    kind: str
    output_shape: Shape
    maccs: int | None
    parameters: int
    activation_bytes: int
    field: tuple[Span, ...] = ()

    @property
    def flops(self) -> int | None:
        """Floating-point operations: two for each MACC; ``None`` where it is uncounted."""
        return None if self.maccs is None else FLOPS_PER_MACC * self.maccs


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A layer or operator as a reader finds it.

    Attributes:
        cost: without the field.
        inputs: the tensors that it reads, constants left out.
        input_shapes: of those.
        outputs: the tensors that it makes.
        output_shapes: of those.
        effect: what it makes of the views of its inputs; ``None``: every value sees everything.
    """

    cost: LayerCost
    inputs: tuple[Hashable, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[Hashable, ...]
    output_shapes: tuple[Shape, ...]
    effect: Effect | None = blend


def with_fields(
    operations: Iterable[Operation], pictures: Mapping[Hashable, View | None]
) -> tuple[LayerCost, ...]:
    """Return the costs with receptive fields.

    Args:
        operations: in order of execution.
        pictures: the views of the network's inputs.
    """
    views = {tensor: view for tensor, view in pictures.items() if view}
    costs = []
    for operation in operations:
        given = [
            (_fitting(views[tensor], shape), shape)
            for tensor, shape in zip(operation.inputs, operation.input_shapes, strict=True)
            if tensor in views
        ]
        if given:
            seen, shapes = zip(*given, strict=True)
            effect = operation.effect or everything
            for tensor, shape in zip(operation.outputs, operation.output_shapes, strict=True):
                views[tensor] = effect(seen, shapes, shape)
        first = operation.outputs[0] if operation.outputs else None
        found = views.get(first)
        costs.append(replace(operation.cost, field=found.spans) if found else operation.cost)
    return tuple(costs)


def _fitting(view: View, shape: Shape) -> View:
    """Return ``view`` over ``shape``; after what is not known, no dimension is an axis."""
    return view if len(view.axes) == len(shape) else replace(view, axes=(None,) * len(shape))


def total_maccs(layers: Sequence[LayerCost]) -> int:
    """Return the MACCs of all counted layers."""
    return sum(layer.maccs or 0 for layer in layers)


def total_flops(layers: Sequence[LayerCost]) -> int:
    """Return the floating-point operations of all counted layers: two for each MACC."""
    return FLOPS_PER_MACC * total_maccs(layers)


def total_parameters(layers: Sequence[LayerCost]) -> int:
    """Return all weights, those of uncounted layers with them."""
    return sum(layer.parameters for layer in layers)


def total_activation_bytes(layers: Sequence[LayerCost]) -> int:
    """Return the bytes of all outputs: what is written, not what is held at one time."""
    return sum(layer.activation_bytes for layer in layers)


def uncounted_kinds(layers: Sequence[LayerCost]) -> dict[str, int]:
    """Return how many layers of each uncounted kind there are, by name."""
    return dict(sorted(Counter(layer.kind for layer in layers if layer.maccs is None).items()))


def receptive_field(layers: Sequence[LayerCost]) -> int | None:
    """Return the pixels that the last maps see, along the longer axis; ``None`` without maps.

    That is the largest field before all positions are pooled into one, as it is published;
    after that, every value sees the whole picture.
    """
    sizes = [
        span.size for layer in layers for span in layer.field if span.jump > 0 or not span.whole
    ]
    return max(sizes, default=None)
