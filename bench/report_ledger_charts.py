"""The bars of the ledger's waterfalls."""

from bench.report_charts import MUTED, Chart, finished
from bench.report_format import MINUS

ENDS = ("as trained", "result")
GAIN, LOSS = "#009E73", "#D55E00"
_HEIGHT = 220


def bar_of(step: str, start: float, end: float, kind: str, value: float) -> dict[str, object]:
    """Return one bar, from ``start`` to ``end``, of the kind ``total``, ``gain`` or ``loss``."""
    text = f"{value:.2f}" if step in ENDS else f"{value:+.2f}".replace("-", MINUS)
    top = max(start, end)
    return {"step": step, "start": start, "end": end, "top": top, "kind": kind, "text": text}


def bars_of(points: list[dict[str, object]], unit: str, title: str) -> Chart:
    """Return the bars as a chart; those with ``low`` and ``high`` have their intervals drawn."""
    import altair as alt

    steps = list(dict.fromkeys(str(point["step"]) for point in points))
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("step:N", title=None, sort=steps, axis=alt.Axis(labelAngle=0)),
        tooltip=[alt.Tooltip("step:N"), alt.Tooltip("text:N", title=unit)],
    )
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["total", "gain", "loss"], range=[MUTED, GAIN, LOSS]),
        legend=None,
    )
    start = alt.Y("start:Q", title=unit)
    layers = [base.mark_bar(size=44).encode(y=start, y2=alt.Y2("end:Q"), color=colour)]
    if any("low" in point for point in points):
        layers.append(base.mark_rule(color=MUTED).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")))
    beside = {"dx": 26, "align": "left"} if len(layers) > 1 else {"dy": -8}
    layers.append(
        base.mark_text(fontSize=11, **beside).encode(y=alt.Y("top:Q"), text=alt.Text("text:N"))
    )
    return finished(alt.layer(*layers).properties(description=title, height=_HEIGHT))
