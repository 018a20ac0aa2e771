"""The pictures of a report: Vega-Lite, drawn as PNG here and by the browser in the page.

A picture holds the times of one machine, one split and one number of threads. Where several
stand side by side they share the F1 axis, never the latency axis of another machine.
Altair and vl-convert are imported inside: they take a second. Both work without a network.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.record import TrainingRecord
from bench.report_format import as_f1, as_factor, as_megabytes, as_ms, as_points
from bench.report_tables import VariantRow

Chart = dict[str, Any]  # a Vega-Lite specification
PANEL_WIDTH = 460  # of one picture in a PNG; in the page a picture is as wide as its column
PANEL_HEIGHT = 320
# Okabe & Ito 2008, told apart by colour-blind readers; the blue is lighter, to show on near-black.
COLOURS = (
    "#2F83C5", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6F47", "#7F7F7F",
)  # fmt: skip
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
MUTED = "#7a828c"  # front and bars: seen on white and near-black
TOOLTIP = {
    "variant": "variant",
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
    rows: Sequence[VariantRow], everywhere: Sequence[VariantRow], colours: Chart, title: str
) -> Chart:
    """Return F1 against latency for rows of one split, machine and number of threads.

    Args:
        rows: what to draw, all with F1 and latency.
        everywhere: the rows whose F1 axis and legends it shares.
        colours: what ``colour_scale`` gave.
        title: what it is of; also its description for screen readers.
    """
    import altair as alt

    points = [_point(row) for row in rows]
    front = [_point(row) for row in sorted(rows, key=_median) if row.on_front]
    scale = _latency_scale([row for row in everywhere if row.environment == rows[0].environment])
    x = alt.X("median_ms:Q", title="latency of one call, ms", scale=alt.Scale(**scale))
    y = alt.Y("f1:Q", title="weighted F1, test", scale=alt.Scale(**_f1_scale(everywhere)))
    base = alt.Chart(alt.Data(values=points)).encode(x=x, y=y)
    layers = [
        alt.Chart(alt.Data(values=front))
        .mark_line(interpolate="step-after", strokeDash=[5, 4], color=MUTED, strokeWidth=1.5)
        .encode(x=x, y=y),
        base.mark_rule(color=MUTED, opacity=0.75).encode(y="low:Q", y2="high:Q"),
        base.mark_rule(color=MUTED, opacity=0.75).encode(x="p10_ms:Q", x2="p90_ms:Q"),
        _marks(base, everywhere, colours),
    ]
    chart = alt.layer(*layers).properties(description=title, height=PANEL_HEIGHT)
    return finished(chart)


def curve_chart(trainings: Sequence[TrainingRecord], colours: Chart, title: str) -> Chart:
    """Return validation F1 by epoch, one line a training, a larger mark on the best epoch."""
    import altair as alt

    base = _by_epoch(
        [
            _epoch_point(training, index, epoch, f1) | {"best": f1 == training.best_validation_f1}
            for index, training in enumerate(trainings)
            for epoch, f1 in enumerate(training.validation_f1s, start=1)
        ],
        colours,
        "weighted F1, validation",
    )
    mark = base.transform_filter("datum.best").mark_point(size=90, filled=True)
    chart = alt.layer(base.mark_line(point={"size": 18}), mark)
    return finished(chart.properties(description=title, height=PANEL_HEIGHT - 60))


def loss_chart(trainings: Sequence[TrainingRecord], colours: Chart, title: str) -> Chart:
    """Return the mean training loss by epoch, one line a training."""
    base = _by_epoch(
        [
            _epoch_point(training, index, epoch, loss)
            for index, training in enumerate(trainings)
            for epoch, loss in enumerate(training.train_losses, start=1)
        ],
        colours,
        "training loss",
    )
    chart = base.mark_line(point={"size": 18})
    return finished(chart.properties(description=title, height=PANEL_HEIGHT - 60))


def _epoch_point(
    training: TrainingRecord, index: int, epoch: int, value: float
) -> dict[str, object]:
    return {"approach": training.approach, "training": index, "epoch": epoch, "value": value}


def _by_epoch(points: list[dict[str, object]], colours: Chart, measured: str) -> Any:
    import altair as alt

    return alt.Chart(alt.Data(values=points)).encode(
        x=alt.X(
            "epoch:Q",
            title="epoch",
            axis=alt.Axis(tickMinStep=1, format="d"),
            scale=alt.Scale(zero=False, nice=False),
        ),
        y=alt.Y("value:Q", title=measured, scale=alt.Scale(zero=False, nice=True)),
        color=alt.Color("approach:N", title="approach", scale=alt.Scale(**colours)),
        detail="training:N",
        tooltip=[
            "approach:N",
            "epoch:Q",
            alt.Tooltip("value:Q", title=measured, format=".3f"),
        ],
    )


def draw_png(charts: Sequence[Chart], caption: str) -> bytes:
    """Return the charts under ``caption``, two a row, on white, twice the nominal resolution."""
    import vl_convert
    from PIL import Image

    panels = [
        {key: value for key, value in chart.items() if key not in ("config", "$schema", "autosize")}
        | {"width": PANEL_WIDTH, "title": chart["description"]}
        for chart in charts
    ]
    spec: Chart = {
        "$schema": charts[0]["$schema"],
        "config": charts[0]["config"] | {"background": "white"},
        "title": {"text": caption, "anchor": "start", "offset": 12},
        "columns": 2,
        "concat": panels,
        "spacing": 32,
        "padding": 16,
    }
    drawn = vl_convert.vegalite_to_png(spec, vl_version=vega_lite_version(), scale=2)
    smaller = io.BytesIO()
    Image.open(io.BytesIO(drawn)).convert("RGB").save(smaller, format="PNG", optimize=True)
    return smaller.getvalue()


def chart_scripts() -> str:
    """Return the JavaScript that draws charts in a browser without a network."""
    import vl_convert

    bundle: Callable[..., str] = vl_convert.javascript_bundle  # its stub demands a snippet
    return bundle(vl_version=vega_lite_version())


def vega_lite_version() -> str:
    """Return the version of the language that the charts are written in, such as ``6.4``."""
    import altair as alt

    return ".".join(str(alt.SCHEMA_VERSION).removeprefix("v").split(".")[:2])


def _marks(base: Any, everywhere: Sequence[VariantRow], colours: Chart) -> Any:
    import altair as alt

    runtimes = sorted({row.runtime for row in everywhere})
    others = sorted({row.precision for row in everywhere} - {"float"})
    shapes = [SHAPES[index % len(SHAPES)] for index in range(len(runtimes))]
    opacities = [0.15, *[0.85 for _ in others]]
    return base.mark_point(filled=False, strokeWidth=2, opacity=1).encode(
        color=alt.Color("network:N", title="network", scale=alt.Scale(**colours)),
        fill=alt.Fill("network:N", title="network", scale=alt.Scale(**colours)),
        shape=alt.Shape(
            "runtime:N", title="runtime", scale=alt.Scale(domain=runtimes, range=shapes)
        ),
        fillOpacity=alt.FillOpacity(
            "precision:O",
            legend=None,
            scale=alt.Scale(domain=["float", *others], range=opacities),
        ),
        size=alt.Size(
            "megabytes:Q",
            title="file, MB",
            scale=alt.Scale(type="linear", domainMin=0, rangeMin=40, rangeMax=520),
            legend=alt.Legend(symbolStrokeColor=MUTED, tickCount=3),
        ),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in TOOLTIP.items()],
    )


def _median(row: VariantRow) -> float:
    return row.median_ms or 0.0


def _point(row: VariantRow) -> dict[str, object]:
    score = row.f1
    assert score is not None
    return {
        "variant": row.variant,
        "network": row.network,
        "precision": row.precision,
        "runtime": row.runtime,
        "f1": round(score.weighted_f1, 5),
        "low": round(score.low, 5),
        "high": round(score.high, 5),
        "median_ms": row.median_ms,
        "p10_ms": row.p10_ms,
        "p90_ms": row.p90_ms,
        "megabytes": 0.0 if row.file_bytes is None else row.file_bytes / 1e6,
        "on_front": row.on_front,
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
    spec: Chart = (
        chart.properties(width="container", autosize={"type": "fit-x", "contains": "padding"})
        .configure(background="transparent")
        .configure_view(stroke=None)
        .configure_axis(gridColor="#8a929c", gridOpacity=0.25, domainColor=MUTED, tickColor=MUTED)
        .configure_legend(
            orient="bottom",
            direction="vertical",
            columns=1,
            symbolStrokeWidth=2,
            symbolBaseFillColor=MUTED,
            symbolBaseStrokeColor=MUTED,
        )
        .configure_title(anchor="start", fontSize=13)
        .to_dict()
    )
    return spec
