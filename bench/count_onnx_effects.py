"""What each ONNX operator makes of the receptive field; maps are ``(batch, channels, ...)``.

Operators that are not in ``EFFECTS`` work position by position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.onnx_graph import Graph, Node
from bench.receptive import Shape, Window, same_padding
from bench.receptive_views import (
    Effect,
    blend,
    contract,
    everything,
    pool,
    reduce,
    regroup,
    reorder,
    resample,
    slide,
    spread,
)

_FIRST_POSITION = 2  # behind batch and channels


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A node and what is known of its tensors.

    Attributes:
        node: the node.
        inputs: shapes; empty for left-out ones.
        figures: of small integer constants among the inputs; else ``None``.
        output: shape of the first output.
        fixed: whether each input is a constant.
    """

    node: Node
    inputs: tuple[Shape, ...]
    figures: tuple[tuple[int, ...] | None, ...]
    output: Shape
    fixed: tuple[bool, ...]

    def setting(self, name: str, default: Any) -> Any:
        """Return an attribute, text decoded."""
        value = self.node.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def argument(self, place: int, name: str) -> tuple[int, ...] | None:
        """Return integers given by an input or, in older files, by an attribute.

        ``()`` where they are left out, ``None`` where they are not constant.
        """
        if name in self.node.attributes:
            return tuple(self.node.attributes[name])
        if place >= len(self.node.inputs) or not self.node.inputs[place]:
            return ()
        return self.figures[place]


def effect_of(node: Node, graph: Graph) -> Effect:
    """Return what ``node``, whose shapes are all known, makes of the views of its inputs."""
    make = EFFECTS.get(node.kind)
    if make is None:
        return blend
    constants = [graph.constants.get(name) for name in node.inputs]
    return make(
        Facts(
            node=node,
            inputs=tuple(graph.shapes.get(name, ()) for name in node.inputs),
            figures=tuple(constant.figures if constant else None for constant in constants),
            output=graph.shapes[node.outputs[0]],
            fixed=tuple(constant is not None for constant in constants),
        )
    )


def _windows(facts: Facts, sizes: Sequence[int]) -> dict[int, Window]:
    """Return the windows along all positions, padding as the node pads them."""
    ones = [1] * len(sizes)
    strides, dilations = facts.setting("strides", ones), facts.setting("dilations", ones)
    pads = facts.setting("pads", [0] * 2 * len(sizes))
    return {
        dim: Window(size=size, stride=stride, dilation=dilation, before=before)
        for dim, (size, stride, dilation, before) in enumerate(
            zip(sizes, strides, dilations, pads[: len(sizes)], strict=True), _FIRST_POSITION
        )
    }


def _padded(facts: Facts, windows: dict[int, Window], shape: Shape) -> dict[int, Window]:
    automatic = facts.setting("auto_pad", "NOTSET")
    if not automatic.startswith("SAME"):
        return windows
    first = automatic == "SAME_LOWER"
    return {
        dim: same_padding(shape[dim], window, odd_first=first) for dim, window in windows.items()
    }


def _convolution(place: int) -> Callable[[Facts], Effect]:
    def make(facts: Facts) -> Effect:
        windows = _windows(facts, facts.inputs[place][_FIRST_POSITION:])
        return slide(_padded(facts, windows, facts.inputs[0]))

    return make


def _transposed(facts: Facts) -> Effect:
    windows = _windows(facts, facts.inputs[1][_FIRST_POSITION:])
    if "output_shape" in facts.node.attributes:  # the padding follows from it, rule by rule
        return everything
    return spread(_padded(facts, windows, facts.output))


def _pooling(facts: Facts) -> Effect:
    windows = _windows(facts, facts.setting("kernel_shape", ()))
    return pool(_padded(facts, windows, facts.inputs[0]))


def _reduction(facts: Facts) -> Effect:
    dims = facts.argument(1, "axes")
    if dims is None:
        return everything
    if not dims and facts.setting("noop_with_empty_axes", 0):
        return blend
    return reduce(dims or range(len(facts.inputs[0])))


def _transposition(facts: Facts) -> Effect:
    return reorder(facts.setting("perm", tuple(reversed(range(len(facts.inputs[0]))))))


def _padding(facts: Facts) -> Effect:
    rank = len(facts.inputs[0])
    pads, axes = facts.argument(1, "pads"), facts.argument(3, "axes")
    if pads is None or axes is None:
        return everything
    dims = axes or range(rank)
    befores = pads[: len(dims)]
    return slide(
        {dim % rank: Window(before=before) for dim, before in zip(dims, befores, strict=True)}
    )


def _slice(facts: Facts) -> Effect:
    shape = facts.inputs[0]
    starts, axes, steps = (
        facts.argument(place, name) for place, name in ((1, "starts"), (3, "axes"), (4, "steps"))
    )
    if starts is None or axes is None or steps is None or min(steps or (1,)) < 1:
        return everything
    dims = [dim % len(shape) for dim in axes] if axes else list(range(len(starts)))
    return slide(
        {
            dim: Window(before=-(start % shape[dim] if start < 0 else start), stride=stride)
            for dim, start, stride in zip(dims, starts, steps or [1] * len(dims), strict=True)
        }
    )


def _product(facts: Facts) -> Effect:
    """What is fed comes first, row by row; otherwise every value may see everything."""
    turned = facts.setting("transA", 0) or facts.fixed[0]
    return everything if turned else contract


def _normalisation(facts: Facts) -> Effect:
    """Take statistics from ``axis`` on: of the channels alone where these are last."""
    rank = len(facts.inputs[0])
    last = facts.setting("axis", -1) % rank == rank - 1
    return blend if last else everything


def _blocks(facts: Facts) -> dict[int, Window]:
    size = facts.setting("blocksize", 1)
    return {dim: Window(size=size, stride=size) for dim in (2, 3)}


_REDUCTIONS = ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
EFFECTS: MappingProxyType[str, Callable[[Facts], Effect]] = MappingProxyType(
    {
        **dict.fromkeys(("Conv", "ConvInteger"), _convolution(1)),
        "QLinearConv": _convolution(3),
        "ConvTranspose": _transposed,
        **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _pooling),
        **dict.fromkeys(
            ("GlobalAveragePool", "GlobalMaxPool"),
            lambda facts: reduce(range(_FIRST_POSITION, len(facts.inputs[0]))),
        ),
        **{f"Reduce{kind}": _reduction for kind in _REDUCTIONS},
        "Transpose": _transposition,
        "Pad": _padding,
        "Slice": _slice,
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), lambda _: regroup),
        **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"), _product),
        **dict.fromkeys(
            ("Resize", "Upsample"),
            lambda facts: resample(interpolates=facts.setting("mode", "nearest") != "nearest"),
        ),
        "SpaceToDepth": lambda facts: slide(_blocks(facts)),
        "DepthToSpace": lambda facts: spread(_blocks(facts)),
        "LayerNormalization": _normalisation,
        **dict.fromkeys(
            ("GroupNormalization", "InstanceNormalization", "MeanVarianceNormalization"),
            lambda _: everything,
        ),
    }
)
"""Operator to what makes its effect."""
