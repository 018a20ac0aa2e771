"""The pictures of the layers: time on each runtime, MACCs and numerical error, a bar a layer."""

import itertools
from collections.abc import Sequence
from typing import Any

from bench.layers import LayerRow
from bench.record import LayerTimesRecord
from bench.report_charts import COLOURS, MUTED, Chart, finished

_SHORTEST = 3  # letters that still name something
_ROW_HEIGHT, _LABEL_HEIGHT = 9, 13  # pixels of a bar and of a layer's name
Lines = Sequence[tuple[LayerRow, tuple[str, ...]]]  # a row, and what is said of it on each runtime


def layer_charts(lines: Lines, group: Sequence[LayerTimesRecord], title: str) -> tuple[Chart, ...]:
    """Return the pictures: times, then MACCs and errors where they are known.

    Args:
        lines: rows of the joined table, with what is said against them on each runtime.
        group: the records of those runtimes, the first ones of the table.
        title: the variant; each picture's description for screen readers begins with its own.
    """
    points = [
        _point(position, row, group[number], number, marks[number])
        for position, (row, marks) in enumerate(lines)
        for number in range(len(group))
    ]
    charts = [_time_chart(points, group, f"Layers of {title}: time")]
    if any(point["maccs"] for point in points):
        charts.append(_macc_chart(points[:: len(group)], f"Layers of {title}: MACCs"))
    compared = [point for point in points if point["sqnr"] is not None]
    if compared:
        charts.append(_error_chart(compared, group, f"Layers of {title}: error"))
    return tuple(charts)


def short_name(row: LayerRow) -> str:
    """Return what the names of a row's layers begin with alike, else all of them."""
    letters = itertools.takewhile(lambda each: len(set(each)) == 1, zip(*row.layers, strict=False))
    alike = "".join(each[0] for each in letters).rstrip("_-/")
    return alike if len(row.layers) > 1 and len(alike) > _SHORTEST else row.called


def _point(
    position: int, row: LayerRow, record: LayerTimesRecord, number: int, mark: str
) -> dict[str, Any]:
    time = row.times[number]
    return {
        "layer": f"{position + 1} {short_name(row)}",
        "layers": row.called,
        "runtime": record.runtime,
        "us": round(time.median_us, 2),
        "share": round(time.share, 4),
        "maccs": round(row.maccs / 1e6, 3),
        "sqnr": None if time.sqnr_db is None else round(time.sqnr_db, 1),
        "mark": mark,
    }


def _time_chart(
    points: Sequence[dict[str, Any]], group: Sequence[LayerTimesRecord], title: str
) -> Chart:
    import altair as alt

    base = _bars(points, "us", "time in one call, µs").encode(**_by_runtime(group))
    layers = [base.mark_bar()]
    if any(point["mark"] for point in points):
        marked = base.transform_filter("datum.mark != ''").encode(color=alt.value("#D55E00"))
        layers.append(marked.mark_text(align="left", dx=4, fontSize=10, text="◀"))
    return _finished(alt.layer(*layers), points, title)


def _macc_chart(points: Sequence[dict[str, Any]], title: str) -> Chart:
    bars = _bars(points, "maccs", "MACCs in one call, 10⁶").mark_bar(color=MUTED)
    return _finished(bars, points, title)


def _error_chart(
    points: Sequence[dict[str, Any]], group: Sequence[LayerTimesRecord], title: str
) -> Chart:
    bars = _bars(points, "sqnr", "signal over error, dB: longer is better")
    return _finished(bars.encode(**_by_runtime(group)).mark_bar(), points, title)


def _bars(points: Sequence[dict[str, Any]], field: str, title: str) -> Any:
    """Return a chart with one layer a line and ``field`` along it."""
    import altair as alt

    order = list(dict.fromkeys(str(point["layer"]) for point in points))
    return alt.Chart(alt.Data(values=list(points))).encode(
        y=alt.Y("layer:N", title=None, sort=order, axis=alt.Axis(labelLimit=190)),
        x=alt.X(f"{field}:Q", title=title),
        tooltip=[
            alt.Tooltip("layers:N"), alt.Tooltip("runtime:N"), alt.Tooltip("us:Q", title="µs"),
            alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("maccs:Q", title="MACCs, 10⁶"),
            alt.Tooltip("sqnr:Q", title="SQNR, dB"), alt.Tooltip("mark:N", title="marked"),
        ],
    )  # fmt: skip


def _by_runtime(group: Sequence[LayerTimesRecord]) -> dict[str, Any]:
    """Return what sets the bars of several runtimes below one another, each in its colour."""
    import altair as alt

    runtimes = [one.runtime for one in group]
    colours = list(itertools.islice(itertools.cycle(COLOURS), len(runtimes)))
    return {
        "yOffset": alt.YOffset("runtime:N", sort=runtimes),
        "color": alt.Color(
            "runtime:N", title="runtime", scale=alt.Scale(domain=runtimes, range=colours)
        ),
    }


def _finished(chart: Any, points: Sequence[dict[str, Any]], title: str) -> Chart:
    names = {point["layer"] for point in points}
    height = max(120, _ROW_HEIGHT * len(points), _LABEL_HEIGHT * len(names))
    return finished(chart.properties(description=title, height=height))
