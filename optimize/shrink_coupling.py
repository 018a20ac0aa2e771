"""Which channels of a network stand or fall together.

Every output channel of a convolution or a dense layer gets a number. Layers that work channel by
channel hand the numbers on; an addition makes the channels that it adds one; a concatenation
lines them up. What is one in the end is removed from every layer that touches it, or from none.
Pixels, class outputs and channels that a layer of another kind mixes are fixed: they stay.
Source: Liu et al. 2021, arXiv:2108.00708 (coupled channels and their groups).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.errors import ConversionError
from train.networks.square_root import NAME as SQUARE_ROOT

Numbers = npt.NDArray[np.int64]
Kept = npt.NDArray[np.bool_]

_CHANNELWISE = frozenset(
    {
        *("AveragePooling2D", "GlobalAveragePooling2D", "MaxPooling2D", "ReLU", "ZeroPadding2D"),
        *("BatchNormalization", "Rescaling", "Activation", "Dropout"),
    }
)
_ELEMENTWISE_ACTIVATIONS = frozenset(
    {"gelu", "linear", "relu", "relu6", "silu", SQUARE_ROOT, "swish"}
)


@dataclass(frozen=True, kw_only=True)
class LayerChannels:
    """One layer's channels, each by the number of what it is one with.

    Attributes:
        name: of the layer.
        kind: its class.
        inputs: numbers of its input channels; of several inputs, one after the other.
        outputs: numbers of its output channels.
        maccs_each: MACCs for each pair of an input and an output channel; for a depthwise
            convolution, for each output channel; 0 for layers without MACCs.
    """

    name: str
    kind: str
    inputs: Numbers
    outputs: Numbers
    maccs_each: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """Channels that the same layers make.

    Attributes:
        layers: names of the layers that make them.
        channels: their numbers.
    """

    layers: tuple[str, ...]
    channels: Numbers


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """All channels of a network.

    Attributes:
        layers: in order of execution.
        groups: the channels that may go; those that are fixed are in none.
        size: one more than the greatest number.
    """

    layers: tuple[LayerChannels, ...]
    groups: tuple[Group, ...]
    size: int

    def all_kept(self) -> Kept:
        """Return the choice that removes nothing."""
        return np.ones(self.size, dtype=np.bool_)


def maccs_of(coupling: Coupling, kept: Kept) -> int:
    """Return the MACCs of one picture with the ``kept`` channels alone, by arithmetic."""
    total = 0
    for layer in coupling.layers:
        outputs = int(kept[layer.outputs].sum())
        inputs = 1 if layer.kind == "DepthwiseConv2D" else int(kept[layer.inputs].sum())
        total += layer.maccs_each * inputs * outputs
    return total


def couple(model: Any) -> Coupling:
    """Follow the channels of a functional network from its input to its outputs.

    Raises:
        ConversionError: it is no functional network, or a layer of it is called more than once.
    """
    depths = getattr(model, "_nodes_by_depth", None)  # Keras 2 has no public list of calls
    if not depths:
        raise ConversionError(
            f"{getattr(model, 'name', model)!r} is no functional Keras network, so its channels"
            " cannot be followed; build it with keras.Model(inputs, outputs)"
        )
    nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
    shared = [
        name for name, calls in Counter(node.layer.name for node in nodes).items() if calls > 1
    ]
    if shared:
        raise ConversionError(
            f"{model.name}: layer {shared[0]!r} is called more than once, and its channels cannot"
            " be told apart; give each call a layer of its own"
        )
    trace = _Trace()
    for node in nodes:
        trace.follow(node)
    trace.fix(trace.numbers_of(model.outputs))
    return trace.coupling()


class _Trace:
    """Numbers given so far, and which of them have become one (union-find)."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._makers: list[str] = []
        self._fixed: set[int] = set()
        self._tensors: dict[int, Numbers] = {}
        self._layers: list[LayerChannels] = []

    def numbers_of(self, tensors: Sequence[Any]) -> Numbers:
        """Return the numbers of the tensors' channels, one tensor after the other."""
        parts = [self._tensors[id(tensor)] for tensor in tensors]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def fix(self, numbers: Numbers) -> None:
        """Let these channels stay."""
        self._fixed.update(int(number) for number in numbers)

    def follow(self, node: Any) -> None:
        """Take one call of a layer."""
        layer, given = node.layer, list(node.keras_inputs)
        results = node.outputs if isinstance(node.outputs, list | tuple) else [node.outputs]
        inputs = self.numbers_of(given)
        channels = [int(result.shape[-1] or 0) for result in results]
        numbers = self._numbers(layer, given, inputs, channels)
        for result, count in zip(results, channels, strict=True):
            self._tensors[id(result)], numbers = numbers[:count], numbers[count:]
        self._layers.append(
            LayerChannels(
                name=layer.name,
                kind=type(layer).__name__,
                inputs=inputs,
                outputs=self.numbers_of(results),
                maccs_each=_maccs_each(layer, results[0].shape),
            )
        )

    def _numbers(
        self, layer: Any, given: Sequence[Any], inputs: Numbers, channels: Sequence[int]
    ) -> Numbers:
        """Return the numbers of a layer's output channels."""
        kind = type(layer).__name__
        if not _is_separable(layer):
            self.fix(inputs)
            fresh = self._fresh(sum(channels), layer.name)
            self.fix(fresh)
            return fresh
        if kind in ("Conv2D", "Dense"):
            return self._fresh(channels[0], layer.name)
        if kind == "DepthwiseConv2D":
            return np.repeat(inputs, int(layer.depth_multiplier))
        if kind == "Add":
            first, *others = (self._tensors[id(tensor)] for tensor in given)
            for other in others:
                for one, two in zip(first, other, strict=True):
                    self._parents[self._root(int(two))] = self._root(int(one))
            return first
        return inputs  # one input channel by channel, or a concatenation

    def _fresh(self, count: int, maker: str) -> Numbers:
        begin = len(self._parents)
        self._parents += range(begin, begin + count)
        self._makers += [maker] * count
        return np.arange(begin, begin + count, dtype=np.int64)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def coupling(self) -> Coupling:
        """Return what has become of all channels."""
        size = len(self._parents)
        roots = np.array([self._root(number) for number in range(size)], dtype=np.int64)
        fixed = {int(roots[number]) for number in self._fixed}
        makers: dict[int, set[str]] = {}
        for number, maker in enumerate(self._makers):
            makers.setdefault(int(roots[number]), set()).add(maker)
        groups: dict[tuple[str, ...], list[int]] = {}
        for root, names in makers.items():
            if root not in fixed:
                groups.setdefault(tuple(sorted(names)), []).append(root)
        return Coupling(
            layers=tuple(
                LayerChannels(
                    name=layer.name,
                    kind=layer.kind,
                    inputs=roots[layer.inputs],
                    outputs=roots[layer.outputs],
                    maccs_each=layer.maccs_each,
                )
                for layer in self._layers
            ),
            groups=tuple(
                Group(layers=names, channels=np.array(sorted(members), dtype=np.int64))
                for names, members in groups.items()
            ),
            size=size,
        )


def _is_separable(layer: Any) -> bool:
    """Return whether a channel can be taken from a layer without changing what others give."""
    kind = type(layer).__name__
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    activation = getattr(layer, "activation", None)
    if activation is not None and activation.__name__ not in _ELEMENTWISE_ACTIVATIONS:
        return False
    if kind == "Conv2D":
        return int(layer.groups) == 1
    if kind in ("Dense", "DepthwiseConv2D"):
        return True
    if kind == "Add":
        return len({shape[-1] for shape in layer.input_shape}) == 1
    if kind == "Concatenate":
        return layer.axis in (-1, len(layer.output_shape) - 1)
    if kind == "BatchNormalization":
        return list(layer.axis) == [len(layer.input_shape) - 1]
    if kind == "Rescaling":
        return bool(np.ndim(layer.scale) == 0 and np.ndim(layer.offset) == 0)
    return kind in _CHANNELWISE


def _maccs_each(layer: Any, shape: Any) -> int:
    """Return MACCs for each pair of channels; one for each output value and kernel position."""
    kind, positions = type(layer).__name__, math.prod(int(size) for size in shape[1:-1])
    area = math.prod(int(size) for size in getattr(layer, "kernel_size", ()))
    if kind == "Dense":
        return positions
    if kind == "Conv2D":
        return positions * area // int(layer.groups)
    return positions * area if kind == "DepthwiseConv2D" else 0
