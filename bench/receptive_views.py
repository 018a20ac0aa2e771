"""What operators do to the view of a picture: the receptive field of every tensor.

Each effect takes the views of an operator's inputs and their shapes, and gives the view of its
output. Views know which dimension runs along which axis of the picture, so that transposed layouts
and merged dimensions are followed too.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from bench.receptive import (
    Shape,
    Span,
    Window,
    emptied,
    resampled,
    slid,
    spread_out,
    united,
    whole,
)


@dataclass(frozen=True, kw_only=True)
class View:
    """What a tensor's values see of the picture.

    Attributes:
        spans: one for each axis of the picture: rows, columns.
        axes: for each dimension of the tensor, the axis of the picture that it runs along.
    """

    spans: tuple[Span, ...]
    axes: tuple[int | None, ...]


Effect = Callable[[Sequence[View], Sequence[Shape], Shape], View]
"""What an operator makes of its inputs' views: ``(views, input shapes, output shape)``.

Inputs that do not depend on a picture are left out; there is always one that does.
"""


def picture_view(shape: Shape, *, channels: int) -> View | None:
    """Return the view of the input itself; ``None`` for an input without positions.

    Args:
        shape: of the input, batch first.
        channels: the dimension of the channels, such as -1.
    """
    dims = [dim for dim in range(1, len(shape)) if dim != channels % len(shape)]
    if not dims:
        return None
    spans = tuple(Span(size=1, jump=1.0, start=0.5, extent=shape[dim]) for dim in dims)
    places = {dim: axis for axis, dim in enumerate(dims)}
    return View(spans=spans, axes=tuple(places.get(dim) for dim in range(len(shape))))


def blend(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
    """Work value by value on all inputs, small ones repeated over large ones."""
    stretched = (_stretched(view, own, shape) for view, own in zip(views, shapes, strict=True))
    return functools.reduce(_joined, stretched)


def slide(windows: Mapping[int, Window]) -> Effect:
    """Slide a kernel: convolutions, padding, cropping; ``windows`` by dimension."""
    return _along(windows, lambda span, window, _: slid(span, window))


def pool(windows: Mapping[int, Window]) -> Effect:
    """Slide without weights; a kernel as large as the map is global pooling."""

    def along(span: Span, window: Window, length: int) -> Span:
        return emptied(span) if window.size >= length > 1 else slid(span, window)

    return _along(windows, along)


def spread(windows: Mapping[int, Window]) -> Effect:
    """Spread each value over a kernel: transposed convolutions; padding is cut off the output."""
    return _along(windows, lambda span, window, _: spread_out(span, window))


def resample(*, interpolates: bool) -> Effect:
    """Change the number of positions: each output lies on one input, or between two."""

    def effect(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
        view = views[0]
        spans = list(view.spans)
        for dim, axis in enumerate(view.axes):
            if axis is not None:
                ratio = shapes[0][dim] / shape[dim]
                spans[axis] = resampled(spans[axis], ratio, interpolates)
        return replace(view, spans=tuple(spans))

    return effect


def reduce(dims: Sequence[int]) -> Effect:
    """Sum or compare along dimensions, which are kept with length 1 or dropped."""

    def effect(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
        view, rank = views[0], len(shapes[0])
        gone = {dim % rank for dim in dims}
        axes = tuple(
            None if dim in gone else axis
            for dim, axis in enumerate(view.axes)
            if len(shape) == rank or dim not in gone
        )
        return View(spans=_emptied_at(view, gone), axes=axes)

    return effect


def reorder(order: Sequence[int]) -> Effect:
    """Transpose."""

    def effect(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
        view = views[0]
        return replace(view, axes=tuple(view.axes[dim] for dim in order))

    return effect


def regroup(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
    """Reshape: an axis whose dimension stays goes on, one that is merged sees the whole."""
    view = views[0]
    if shapes[0] == shape:
        return view
    if math.prod(shapes[0]) != math.prod(shape):
        return everything(views, shapes, shape)
    spans = list(view.spans)
    axes: list[int | None] = [None] * len(shape)
    for old, new in _groups(shapes[0], shape):
        if len(old) == len(new) == 1:
            axes[new[0]] = view.axes[old[0]]
            continue
        merged = [axis for axis in (view.axes[dim] for dim in old) if axis is not None]
        for axis in merged:  # with the channels among them, no position is left
            spans[axis] = (whole if len(merged) == len(old) else emptied)(spans[axis])
    return View(spans=tuple(spans), axes=tuple(axes))


def contract(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
    """Sum over the last dimension of a single input: dense layers. Of two inputs: see all."""
    view = views[0]
    if len(views) != 1 or len(shape) != len(shapes[0]):
        return everything(views, shapes, shape)
    spans = _emptied_at(view, {len(shape) - 1})
    return View(spans=spans, axes=(*view.axes[:-1], None))


def everything(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
    """Let every value see the whole picture: the bound for what is not known better."""
    view = views[0]
    axes = view.axes if len(view.axes) == len(shape) else (None,) * len(shape)
    return View(spans=tuple(whole(span) for span in view.spans), axes=axes)


def _along(windows: Mapping[int, Window], move: Callable[[Span, Window, int], Span]) -> Effect:
    def effect(views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View:
        view = views[0]
        spans = list(view.spans)
        for dim, window in windows.items():
            axis = view.axes[dim]
            if axis is not None:
                spans[axis] = move(spans[axis], window, shapes[0][dim])
        return replace(view, spans=tuple(spans))

    return effect


def _emptied_at(view: View, dims: set[int]) -> tuple[Span, ...]:
    axes = {axis for dim, axis in enumerate(view.axes) if dim in dims}
    return tuple(emptied(span) if axis in axes else span for axis, span in enumerate(view.spans))


def _stretched(view: View, own: Shape, shape: Shape) -> View:
    """Return ``view`` over ``shape``; where a length changes otherwise, the whole is seen."""
    more = len(shape) - len(own)
    if more < 0:
        spans = tuple(whole(span) for span in view.spans)
        return View(spans=spans, axes=(None,) * len(shape))
    changed = {
        axis
        for dim, axis in enumerate(view.axes)
        if axis is not None and own[dim] != shape[dim + more] and own[dim] != 1
    }
    spans = tuple(whole(span) if axis in changed else span for axis, span in enumerate(view.spans))
    return View(spans=spans, axes=(*(None,) * more, *view.axes))


def _joined(first: View, second: View) -> View:
    pairs = zip_longest(first.spans, second.spans)
    spans = tuple(united(one, other) if one and other else one or other for one, other in pairs)
    axes = tuple(
        other if one is None else one for one, other in zip(first.axes, second.axes, strict=True)
    )
    return View(spans=tuple(span for span in spans if span), axes=axes)


def _groups(old: Shape, new: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the dimensions of two shapes that hold each other's values, those of 1 left out."""
    left = [dim for dim, length in enumerate(old) if length != 1]
    right = [dim for dim, length in enumerate(new) if length != 1]
    while left and right:
        one, other = [left.pop(0)], [right.pop(0)]
        while (size := math.prod(old[dim] for dim in one)) != (
            goal := math.prod(new[dim] for dim in other)
        ):
            if size < goal:
                one.append(left.pop(0))
            else:
                other.append(right.pop(0))
        yield one, other
