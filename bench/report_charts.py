"""The pictures of a report: Vega-Lite, drawn as PNG here and by the browser in the page.

A picture holds what one set of photos judged and one machine timed on one number of threads.
Where several stand side by side, those of the same classes and photos share the F1 axis, and none
has the latency axis of another machine.
Altair and vl-convert are imported inside: they take a second. Both work without a network.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any

from bench.report_format import as_f1, as_factor, as_megabytes, as_ms, as_points
from bench.report_tables import VariantRow, filter_tags
from train.errors import ArtifactError
from train.storage import cache_folder, write_text

Chart = dict[str, Any]  # a Vega-Lite specification
PANEL_WIDTH = 460  # of one picture in a PNG; in the page a picture is as wide as its column
PANEL_HEIGHT = 320
MANY_MARKS = 1_000
# Okabe & Ito 2008, told apart by colour-blind readers; the blue is lighter, to show on near-black.
COLOURS = (
    "#2F83C5", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6F47", "#7F7F7F",
    "#8E63CE", "#8C8C1A", "#C2185B",
)  # fmt: skip
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
MUTED = "#7a828c"  # front and bars: seen on white and near-black
CONFIG: Chart = {
    "background": "transparent",
    "view": {"continuousWidth": 300, "continuousHeight": 300, "stroke": None},
    "axis": {
        "gridColor": "#8a929c",
        "gridOpacity": 0.25,
        "domainColor": MUTED,
        "tickColor": MUTED,
    },
    "legend": {
        "orient": "bottom",
        "direction": "vertical",
        "columns": 1,
        "symbolStrokeWidth": 2,
        "symbolBaseFillColor": MUTED,
        "symbolBaseStrokeColor": MUTED,
    },
    "title": {"anchor": "start", "fontSize": 13},
}
TOOLTIP = {
    "variant": "variant",
    "technique": "technique",
    "runtime": "runtime",
    "f1_text": "weighted F1 [95 %]",
    "change_text": "against float, points",
    "latency_text": "latency, ms",
    "speedup_text": "speed-up",
    "size_text": "file, MB",
}


def colour_scale(networks: Iterable[str]) -> Chart:
    """Return one colour a network, the same in every picture of a report."""
    names = sorted(set(networks))
    return {
        "domain": names,
        "range": [COLOURS[index % len(COLOURS)] for index in range(len(names))],
    }


def drawable(rows: Sequence[VariantRow]) -> list[VariantRow]:
    """Return the rows that have both F1 and latency."""
    return [row for row in rows if row.f1 is not None and row.median_ms is not None]


def latency_chart(
    rows: Sequence[VariantRow],
    sharing: Sequence[VariantRow],
    everywhere: Sequence[VariantRow],
    colours: Chart,
    title: str,
) -> Chart:
    """Return F1 against latency for rows of one split, set of photos, machine and threads.

    Args:
        rows: what to draw, all with F1 and latency.
        sharing: the rows whose F1 axis it shares.
        everywhere: the rows whose latency axis (on one machine) and legends it shares.
        colours: what ``colour_scale`` gave.
        title: what it is of; also its description for screen readers.
    """
    import altair as alt

    points = [_point(row) for row in rows]
    scale = _latency_scale([row for row in everywhere if row.environment == rows[0].environment])
    f1_scale = _f1_scale(sharing)
    front = _front(rows, bottom=f1_scale["domain"][0], end=scale["domain"][1])
    x = alt.X("median_ms:Q", title="latency of one call, ms", scale=alt.Scale(**scale))
    y = alt.Y("f1:Q", title="weighted F1, test", scale=alt.Scale(**f1_scale))
    # Named, so that all layers share them and the page can filter them; a name of its own for each
    # picture, so that several can be drawn into one.
    mark = hashlib.sha256(title.encode()).hexdigest()[:8]
    datasets = {f"points-{mark}": points, f"front-{mark}": front}
    base = alt.Chart(alt.NamedData(f"points-{mark}")).encode(x=x, y=y)
    rules = base.mark_rule(color=MUTED, opacity=0.75)
    layers = [
        alt.Chart(alt.NamedData(f"front-{mark}"))
        .mark_line(interpolate="step-after", strokeDash=[5, 4], color=MUTED, strokeWidth=1.5)
        .encode(x=x, y=y),
        rules.encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        rules.encode(x=alt.X("p10_ms:Q"), x2=alt.X2("p90_ms:Q")),
        _marks(base, everywhere, colours),
    ]
    chart = alt.layer(*layers).properties(description=title, height=PANEL_HEIGHT)
    return finished(chart) | {"datasets": datasets}


def draw_png(charts: Sequence[Chart], caption: str) -> bytes:
    """Return the charts under ``caption``, two a row, on white.

    At twice the nominal resolution, unless there are so many marks that it would take seconds.
    """
    import vl_convert
    from PIL import Image

    own = ("config", "$schema", "autosize", "datasets")
    datasets = {name: rows for one in charts for name, rows in one.get("datasets", {}).items()}
    panels = [
        {key: value for key, value in chart.items() if key not in own}
        | {"width": PANEL_WIDTH, "title": chart["description"]}
        for chart in charts
    ]
    spec: Chart = {
        "$schema": charts[0]["$schema"],
        "config": charts[0]["config"] | {"background": "white"},
        "title": {"text": caption, "anchor": "start", "offset": 12},
        "columns": 2,
        "concat": panels,
        "datasets": datasets,
        "spacing": 32,
        "padding": 16,
    }
    scale = 1 if max(map(len, datasets.values()), default=0) > MANY_MARKS else 2
    drawn = vl_convert.vegalite_to_png(spec, vl_version=vega_lite_version(), scale=scale)
    smaller = io.BytesIO()
    Image.open(io.BytesIO(drawn)).convert("RGB").save(smaller, format="PNG", compress_level=6)
    return smaller.getvalue()


def chart_scripts() -> str:
    """Return the JavaScript that draws charts in a browser without a network.

    Bundling it takes two seconds, so it is kept in the user's cache, where that can be written.
    """
    import vl_convert

    bundler = f"vl-convert-{metadata.version('vl-convert-python')}"
    path = cache_folder() / "charts" / f"vega-lite-{vega_lite_version()}-{bundler}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    bundle: Callable[..., str] = vl_convert.javascript_bundle  # its stub demands a snippet
    script = bundle(vl_version=vega_lite_version())
    with contextlib.suppress(ArtifactError):
        write_text(path, script)
    return script


def vega_lite_version() -> str:
    """Return the version of the language that the charts are written in, such as ``6.4``."""
    import altair as alt

    return ".".join(str(alt.SCHEMA_VERSION).removeprefix("v").split(".")[:2])


def _marks(base: Any, everywhere: Sequence[VariantRow], colours: Chart) -> Any:
    import altair as alt

    runtimes = sorted({row.runtime for row in everywhere})
    names = alt.Legend(values=sorted({row.network for row in everywhere}))
    shapes = [SHAPES[index % len(SHAPES)] for index in range(len(runtimes))]
    return base.mark_point(filled=False, strokeWidth=2, opacity=1).encode(
        color=alt.Color("network:N", title="network", scale=alt.Scale(**colours), legend=names),
        fill=alt.Fill("network:N", title="network", scale=alt.Scale(**colours), legend=names),
        shape=alt.Shape(
            "runtime:N", title="runtime", scale=alt.Scale(domain=runtimes, range=shapes)
        ),
        fillOpacity=alt.condition(alt.datum.precision == "float", alt.value(0.15), alt.value(0.85)),
        size=alt.Size(
            "megabytes:Q",
            title="file, MB",
            scale=alt.Scale(domain=[0, _largest(everywhere)], rangeMin=30, rangeMax=520),
            legend=alt.Legend(symbolStrokeColor=MUTED, tickCount=3),
        ),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in TOOLTIP.items()],
    )


def _median(row: VariantRow) -> float:
    return row.median_ms or 0.0


def _largest(rows: Sequence[VariantRow]) -> float:
    """Return the largest file of all rows, in MB."""
    return max((row.file_bytes or 0 for row in rows), default=0) / 1e6 or 1.0


def _place(row: VariantRow) -> dict[str, object]:
    """Return where a row stands in the picture."""
    f1 = row.f1.weighted_f1 if row.f1 else 0.0
    return {"f1": round(f1, 5), "median_ms": round(_median(row), 4)}


def _front(rows: Sequence[VariantRow], *, bottom: float, end: float) -> list[dict[str, object]]:
    """Return the corners of the Pareto front, from the bottom up to it and on to the right end."""
    places = [_place(row) for row in sorted(rows, key=_median) if row.on_front]
    if not places:
        return []
    return [places[0] | {"f1": bottom}, *places, places[-1] | {"median_ms": end}]


def _point(row: VariantRow) -> dict[str, object]:
    score = row.f1
    assert score is not None
    network, technique, runtime, precision = filter_tags(row)
    return _place(row) | {
        "variant": row.variant,
        "network": network,
        "technique": technique,
        "runtime": runtime,
        "precision": precision,
        "low": round(score.low, 5),
        "high": round(score.high, 5),
        "p10_ms": round(row.p10_ms or 0.0, 4),
        "p90_ms": round(row.p90_ms or 0.0, 4),
        "megabytes": 0.0 if row.file_bytes is None else round(row.file_bytes / 1e6, 3),
        "f1_text": as_f1(score),
        "change_text": as_points(row.f1_change),
        "latency_text": f"{as_ms(row.median_ms)} ({as_ms(row.p10_ms)} to {as_ms(row.p90_ms)})",
        "speedup_text": as_factor(row.speedup),
        "size_text": as_megabytes(row.file_bytes),
    }


def _latency_scale(rows: Sequence[VariantRow]) -> Chart:
    """Return a plain axis from zero, or a logarithmic one where times differ more than tenfold."""
    lows = [row.p10_ms for row in rows if row.p10_ms]
    highs = [row.p90_ms for row in rows if row.p90_ms]
    if lows and max(highs) > 10 * min(lows):
        return {"type": "log", "domain": [0.8 * min(lows), 1.25 * max(highs)], "nice": False}
    return {"type": "linear", "domain": [0, 1.05 * max(highs, default=1.0)], "nice": False}


def _f1_scale(rows: Sequence[VariantRow]) -> Chart:
    scores = [row.f1 for row in rows if row.f1 is not None]
    low = min(score.low for score in scores)
    high = max(score.high for score in scores)
    margin = 0.05 * max(high - low, 0.02)
    return {"domain": [max(0.0, low - margin), min(1.0, high + margin)], "nice": False}


def finished(chart: Any) -> Chart:
    """Return an Altair chart as Vega-Lite, in the looks that all charts of a report share."""
    spec: Chart = chart.to_dict(
        validate=False
    )  # that takes long, and what is written here is valid
    shape = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    return spec | shape | {"config": CONFIG}
