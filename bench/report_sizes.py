"""Smaller inputs: weighted F1 against MACCs of one network at several sizes.

Variants are of one network where they have as many parameters: a size changes the MACCs alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report_charts import MUTED, PANEL_HEIGHT, Chart, finished
from bench.report_complexity import input_size, size_of
from bench.report_format import as_f1
from bench.report_photos import PhotoSets
from bench.report_tables import VariantRow

LEAST = 3  # sizes that make a curve
MEANING = (
    "One network on pictures of several sizes, in float: the same parameters, other MACCs. Bars are"
    " the 95 % interval of F1 on the test photos."
)
_HEIGHT = PANEL_HEIGHT - 60


def size_curves(
    rows: Sequence[VariantRow],
    photos: PhotoSets,
    sizes: Mapping[tuple[str, str], int],
    colours: Chart,
) -> tuple[Chart, ...]:
    """Return a picture for each split and set of photos that judged a network at three sizes.

    Args:
        rows: the variants.
        photos: what judged them.
        sizes: rows and columns of the input of trained networks, by split and digest.
        colours: what ``colour_scale`` gave.
    """
    groups: dict[str, dict[tuple[int, tuple[str, ...]], dict[int, VariantRow]]] = {}
    for row in rows:
        size = _size(row, sizes)
        if row.f1 is None or not (row.maccs and row.parameters and size):
            continue
        title = ", ".join(filter(None, (f"{row.split_method} split", photos.name(row.photos))))
        family = (row.parameters, tuple(word for word in row.techniques if not size_of(word)))
        groups.setdefault(title, {}).setdefault(family, {}).setdefault(size, row)
    charts = []
    for title, families in groups.items():
        curves = [one for one in families.values() if len(one) >= LEAST]
        if curves:
            charts.append(_chart(curves, colours, f"F1 against MACCs, {title}"))
    return tuple(charts)


def _size(row: VariantRow, sizes: Mapping[tuple[str, str], int]) -> int | None:
    """Return the input of a float variant; nothing of others, or where it is not known."""
    if row.precision != "float":
        return None
    return input_size(row.techniques, sizes.get((row.split_method, row.network_sha256)))


def _chart(curves: Sequence[Mapping[int, VariantRow]], colours: Chart, title: str) -> Chart:
    import altair as alt

    points: list[dict[str, object]] = [
        {
            "network": next(iter(curve.values())).network,
            "curve": number,
            "size": f"{size} px",
            "variant": row.variant,
            "maccs": round((row.maccs or 0) / 1e6, 2),
            "f1": round(row.f1.weighted_f1, 5),
            "low": round(row.f1.low, 5),
            "high": round(row.f1.high, 5),
            "f1_text": as_f1(row.f1),
        }
        for number, curve in enumerate(curves)
        for size, row in curve.items()
        if row.f1
    ]
    base: Any = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("maccs:Q", title="MACCs, 10⁶", scale=alt.Scale(zero=False)),
        y=alt.Y("f1:Q", title="weighted F1, test", scale=alt.Scale(zero=False)),
        detail=alt.Detail("curve:N"),
    )
    names = alt.Legend(values=sorted({str(point["network"]) for point in points}))
    colour = alt.Color("network:N", title="network", scale=alt.Scale(**colours), legend=names)
    tooltip = [
        alt.Tooltip("variant:N"), alt.Tooltip("size:N"), alt.Tooltip("maccs:Q", title="MACCs, 10⁶"),
        alt.Tooltip("f1_text:N", title="weighted F1 [95 %]"),
    ]  # fmt: skip
    layers = [
        base.mark_rule(color=MUTED, opacity=0.75).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        base.mark_line(point={"size": 70, "filled": True}).encode(color=colour, tooltip=tooltip),
        base.mark_text(dx=8, dy=-8, align="left").encode(text=alt.Text("size:N")),
    ]
    return finished(alt.layer(*layers).properties(description=title, height=_HEIGHT))
