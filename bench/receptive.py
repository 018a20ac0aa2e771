"""Receptive fields: which pixels a value of a map is made from, layer after layer.

A field is followed from the input, one ``Span`` for each axis of the picture:

    size  grows by (kernel - 1) x dilation x jump
    jump  grows by the stride
    start moves by ((kernel - 1) x dilation / 2 - padding before) x jump

A join (residual add, concatenation) sees what all its paths see: the larger path where they are
centred alike. Global pooling sees the whole picture. The size is that of theory: padding counts,
so it may exceed the picture.
Source: Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks",
Distill, https://distill.pub/2019/computing-receptive-fields.
"""

import math
from dataclasses import dataclass, replace

Shape = tuple[int, ...]  # with the batch


@dataclass(frozen=True, kw_only=True)
class Span:
    """What the values of a map see along one axis of the picture.

    Attributes:
        size: pixels that one value sees.
        jump: pixels between what neighbours see; 0 where one value stands for the whole axis.
        start: centre of what the first value sees, in pixels from the edge of the picture; the
            first pixel's own is 0.5.
        extent: pixels of the picture along this axis.
        whole: whether every value sees the whole axis.
    """

    size: int
    jump: float
    start: float
    extent: int
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a layer moves along one axis.

    Attributes:
        size: positions of the kernel.
        stride: positions from one output to the next.
        dilation: positions from one kernel position to the next.
        before: positions of padding before the first; negative where some are cut off.
    """

    size: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0


def same_padding(length: int, window: Window, *, odd_first: bool = False) -> Window:
    """Return ``window`` with the padding that makes ``ceil(length / stride)`` outputs.

    Args:
        length: positions of the input.
        window: its own ``before`` does not matter.
        odd_first: whether an odd number pads one more before than after.
    """
    covered = (-(-length // window.stride) - 1) * window.stride
    covered += (window.size - 1) * window.dilation + 1
    total = max(covered - length, 0)
    return replace(window, before=(total + odd_first) // 2)


def slid(span: Span, window: Window) -> Span:
    """Slide a kernel over the positions."""
    reach = (window.size - 1) * window.dilation
    jump = span.jump * window.stride
    if span.whole:
        return replace(span, jump=jump)
    return replace(
        span,
        size=span.size + math.ceil(reach * span.jump),
        jump=jump,
        start=span.start + (reach / 2 - window.before) * span.jump,
    )


def spread_out(span: Span, window: Window) -> Span:
    """Spread each position over a kernel.

    Output 0 is made from the inputs i with 0 <= before - i x stride <= reach; its centre is the
    middle of those.
    """
    reach = (window.size - 1) * window.dilation
    jump = span.jump / window.stride
    if span.whole:
        return replace(span, jump=jump)
    return replace(
        span,
        size=span.size + math.ceil(reach // window.stride * span.jump),
        jump=jump,
        start=span.start + (window.before - reach / 2) / window.stride * span.jump,
    )


def resampled(span: Span, ratio: float, interpolates: bool) -> Span:
    """Take ``ratio`` input positions for each output, on one of them or between two."""
    jump = span.jump * ratio
    if span.whole or ratio == 1:
        return replace(span, jump=jump)
    return replace(
        span,
        size=span.size + (math.ceil(span.jump) if interpolates else 0),
        jump=jump,
        start=span.start + (ratio - 1) / 2 * span.jump,
    )


def whole(span: Span) -> Span:
    """Let every value see the whole axis."""
    return replace(span, size=span.extent, start=span.extent / 2, whole=True)


def emptied(span: Span) -> Span:
    """Let one value, which sees the whole axis, stand for it."""
    return replace(whole(span), jump=0.0)


def united(one: Span, other: Span) -> Span:
    """Let each value see what it sees by both paths."""
    jump = max(one.jump, other.jump)
    if one.whole or other.whole or one.jump != other.jump:
        return replace(whole(one), jump=jump)
    low = min(span.start - span.size / 2 for span in (one, other))
    high = max(span.start + span.size / 2 for span in (one, other))
    return replace(one, size=math.ceil(high - low), start=(low + high) / 2)
