"""Receptive fields: the arithmetic of one axis, and what operators do to a view."""

import pytest

from bench.receptive import (
    Span,
    Window,
    emptied,
    resampled,
    same_padding,
    slid,
    spread_out,
    united,
    whole,
)
from bench.receptive_views import (
    View,
    blend,
    contract,
    everything,
    picture_view,
    pool,
    reduce,
    regroup,
    reorder,
    slide,
)

PIXELS = Span(size=1, jump=1.0, start=0.5, extent=32)
MAP = Span(size=7, jump=4.0, start=2.0, extent=32)


def test_a_chain_of_kernels_follows_the_closed_form() -> None:
    # size = 1 + sum of (kernel - 1) x product of the strides before = 1 + 6 + 2 x 2 + 2 x 4 = 19
    span = PIXELS
    for size, stride, before in ((7, 2, 3), (3, 2, 1), (3, 1, 1)):
        span = slid(span, Window(size=size, stride=stride, before=before))
    assert (span.size, span.jump) == (19, 4.0)
    # Each kernel reaches (size - 1) / 2 = before positions to either side: the middle stays.
    assert span.start == 0.5


def test_dilation_stretches_and_padding_shifts() -> None:
    span = slid(MAP, Window(size=3, dilation=2, before=1))
    assert (span.size, span.start) == (7 + 4 * 4, 2.0 + (2 - 1) * 4)


@pytest.mark.parametrize(
    ("length", "window", "before"),
    [
        (9, Window(size=3, stride=2), 1),  # 5 outputs cover 11: 1 and 1
        (8, Window(size=3, stride=2), 0),  # 4 outputs cover 9: 0 and 1
        (8, Window(size=5), 2),
        (8, Window(size=3, dilation=2), 2),
        (8, Window(size=1, stride=2), 0),
    ],
)
def test_same_padding(length: int, window: Window, before: int) -> None:
    assert same_padding(length, window).before == before


def test_an_odd_padding_may_come_first() -> None:
    assert same_padding(8, Window(size=3, stride=2), odd_first=True).before == 1


def test_spreading_divides_the_jump() -> None:
    # Kernel 3, stride 2, uncut: output 0 takes input 0 alone, and the middle of what it might
    # take, inputs -1 to 0, is -0.5; some outputs take two inputs.
    span = spread_out(PIXELS, Window(size=3, stride=2))
    assert (span.size, span.jump, span.start) == (2, 0.5, 0.0)


def test_resampling_between_positions_sees_both() -> None:
    assert resampled(MAP, 0.5, True).size == 7 + 4
    near = resampled(MAP, 0.5, False)
    assert (near.size, near.jump, near.start) == (7, 2.0, 1.0)
    assert resampled(MAP, 1.0, True) == MAP


def test_joined_paths_cover_what_both_cover() -> None:
    inside = Span(size=3, jump=4.0, start=2.0, extent=32)
    assert united(MAP, inside) == united(inside, MAP) == MAP
    # [-1.5, 5.5] and [4, 8] together are [-1.5, 8]: 9.5 pixels, which is 10 whole ones.
    apart = united(MAP, Span(size=4, jump=4.0, start=6.0, extent=32))
    assert (apart.size, apart.start) == (10, 3.25)
    assert united(MAP, emptied(PIXELS)) == Span(
        size=32, jump=4.0, start=16.0, extent=32, whole=True
    )


def test_the_whole_stays_whole_under_kernels() -> None:
    span = slid(whole(MAP), Window(size=3, stride=2))
    assert (span.size, span.jump, span.start) == (32, 8.0, 16.0)


SHAPE = (1, 8, 8, 3)


def _view(shape: tuple[int, ...] = SHAPE) -> View:
    found = picture_view(shape, channels=-1)
    assert found is not None
    return found


def test_a_picture_without_positions_has_no_view() -> None:
    assert picture_view((1, 20), channels=-1) is None


def test_a_view_follows_the_layout() -> None:
    turned = reorder((0, 3, 1, 2))([_view()], [SHAPE], (1, 3, 8, 8))
    assert turned.axes == (None, None, 0, 1)
    moved = slide({3: Window(size=3)})([turned], [(1, 3, 8, 8)], (1, 3, 8, 6))
    assert [span.size for span in moved.spans] == [1, 3]  # rows, columns


def test_a_reshape_carries_what_it_does_not_merge() -> None:
    tokens = regroup([_view()], [SHAPE], (1, 64, 3))
    assert [(span.whole, span.jump) for span in tokens.spans] == [(True, 1.0)] * 2
    flat = regroup([_view()], [SHAPE], (1, 192))
    assert [(span.whole, span.jump) for span in flat.spans] == [(True, 0.0)] * 2
    wider = regroup([_view()], [SHAPE], (1, 1, 8, 8, 3))
    assert (wider.axes, wider.spans) == ((None, None, 0, 1, None), _view().spans)
    split = regroup([_view()], [SHAPE], (1, 8, 2, 4, 3))
    assert [span.whole for span in split.spans] == [False, True]


def test_reductions_keep_or_drop_their_dimensions() -> None:
    kept = reduce((1,))([_view()], [SHAPE], (1, 1, 8, 3))
    assert (kept.axes, kept.spans[0].whole) == ((None, None, 1, None), True)
    dropped = reduce((-3,))([_view()], [SHAPE], (1, 8, 3))
    assert (dropped.axes, dropped.spans) == ((None, 1, None), kept.spans)


def test_pooling_a_whole_map_is_global() -> None:
    effect = pool({1: Window(size=8), 2: Window(size=2, stride=2)})
    rows, columns = effect([_view()], [SHAPE], (1, 1, 4, 3)).spans
    assert (rows.size, rows.jump, columns.size) == (8, 0.0, 2)


def test_a_changed_length_is_the_whole_and_a_repeated_one_is_not() -> None:
    longer = blend([_view(), _view()], [SHAPE, SHAPE], (1, 16, 8, 3))
    assert [span.whole for span in longer.spans] == [True, False]
    row = slide({1: Window(size=8)})([_view()], [SHAPE], (1, 1, 8, 3))
    joined = blend([_view(), row], [SHAPE, (1, 1, 8, 3)], SHAPE)
    assert joined.spans[0].size == 8 and joined.axes == (None, 0, 1, None)


def test_products_sum_the_last_dimension_or_see_everything() -> None:
    assert contract([_view()], [SHAPE], (1, 8, 8, 5)) == _view()
    sideways = reorder((0, 3, 1, 2))([_view()], [SHAPE], (1, 3, 8, 8))
    summed = contract([sideways], [(1, 3, 8, 8)], (1, 3, 8, 5))
    assert [span.whole for span in summed.spans] == [False, True]
    both = contract([_view(), _view()], [SHAPE, SHAPE], SHAPE)
    assert both == everything([_view()], [SHAPE], SHAPE)
    assert all(span.whole for span in both.spans)
