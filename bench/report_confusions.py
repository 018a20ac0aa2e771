"""Confusion matrices as charts: which class is taken for which."""

from collections.abc import Sequence

from bench.report_charts import COLOURS, Chart, finished
from bench.report_crossval import CrossvalRow

_CELL = 24  # rows of one class in a chart, in pixels


def confusion_chart(row: CrossvalRow) -> Chart:
    """Return the confusion matrix of all out-of-fold predictions."""
    return matrix_chart(row.labels, row.confusion, row.name)


def matrix_chart(labels: Sequence[str], matrix: Sequence[Sequence[int]], title: str) -> Chart:
    """Return a confusion matrix, ``[truth][prediction]``: rows are true classes.

    A cell's number counts photos; its depth is their share of the true class's photos.
    """
    import altair as alt

    points: list[dict[str, object]] = [
        {
            "truth": truth,
            "prediction": prediction,
            "photos": count,
            "share": round(count / max(sum(counts), 1), 4),
        }
        for truth, counts in zip(labels, matrix, strict=True)
        for prediction, count in zip(labels, counts, strict=True)
        if count
    ]
    axis = {"sort": list(labels), "scale": alt.Scale(domain=list(labels))}
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("prediction:N", title="predicted", axis=alt.Axis(labelAngle=-50), **axis),
        y=alt.Y("truth:N", title="true class", **axis),
        tooltip=[
            alt.Tooltip("truth:N"),
            alt.Tooltip("prediction:N"),
            alt.Tooltip("photos:Q"),
            alt.Tooltip("share:Q", format=".1%", title="of the true class"),
        ],
    )
    depth = alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.08, 1]))
    layers = [
        base.mark_rect(color=COLOURS[0]).encode(opacity=depth),
        base.mark_text(fontSize=9).encode(text=alt.Text("photos:Q")),
    ]
    height = max(_CELL * len(labels), 120)
    return finished(alt.layer(*layers).properties(description=title, height=height))
