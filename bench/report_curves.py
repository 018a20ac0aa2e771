"""Learning curves: validation F1 and training loss by epoch."""

from collections.abc import Sequence
from typing import Any

from bench.record import TrainingRecord
from bench.report_charts import PANEL_HEIGHT, Chart, finished


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
        detail=alt.Detail("training:N"),
        tooltip=[
            alt.Tooltip("approach:N"),
            alt.Tooltip("epoch:Q"),
            alt.Tooltip("value:Q", title=measured, format=".3f"),
        ],
    )
