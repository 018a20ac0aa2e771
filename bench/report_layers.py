"""The layers: where the time of a variant goes, a bar a layer on each runtime.

Records name operators by the layers that they were made from; operators of several runtimes that
were made from the same layers stand in one row.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from bench.layers import LayerRow, RowTime, join_layers
from bench.record import CostRecord, LayerTimesRecord, PeakRecord, Record, VerdictRecord, of_kind
from bench.report_charts import COLOURS, Chart, finished
from bench.report_choice import Choice
from bench.report_format import ABSENT, listed
from bench.report_layout import Table
from train.errors import UsageError
from train.variant import parse_variant

MEANING = (
    "Medians of profiled calls, what profiling itself costs taken off. Layers that a runtime"
    " computes in one operator share a row. Costly: a tenth of the call or more. Slower than float:"
    " the float variant takes less there, on the same runtime and machine, by more than a tenth."
    " MACCs and errors of single layers are in no record: threadlite cost NETWORK --layers counts"
    " the former."
)
COSTLY = 0.1  # of the time in all operators
WORTH_NAMING = 0.01  # of the same: what takes less explains nothing
SLOWER = 1.1
MOST = 6  # variants shown
_SHORTEST = 3  # letters that still name something
BRIEF = 12  # layers in the Markdown table
_ROW_HEIGHT, _LABEL_HEIGHT = 9, 13  # pixels of a bar and of a layer's name


@dataclass(frozen=True, kw_only=True)
class NamedLayer:
    """A layer as its name in a file tells it: nothing else of it is known."""

    name: str
    kind: str = ""
    maccs: int | None = None


@dataclass(frozen=True, kw_only=True)
class LayersOf:
    """One variant's layers.

    Attributes:
        name: the variant, its split and threads.
        chart: a bar a layer and runtime.
        table: every layer, in order of execution.
        brief: the costliest ones.
        sentences: totals, culprits, and the verdict on the variant.
    """

    name: str
    chart: Chart
    table: Table
    brief: Table
    sentences: tuple[str, ...]


def build_layers(records: Sequence[Record], choices: Sequence[Choice]) -> tuple[LayersOf, ...]:
    """Return the layers of the variants that were profiled, the chosen ones first."""
    latest = {
        (*_place(one), one.variant, one.runtime): one for one in of_kind(records, LayerTimesRecord)
    }
    groups: dict[tuple[object, ...], list[LayerTimesRecord]] = {}
    for one in latest.values():
        groups.setdefault((*_place(one), _stem(one.variant)), []).append(one)
    chosen = {_stem(one.row.variant) for one in choices if one.row}
    ordered = sorted(groups.values(), key=lambda group: _stem(group[0].variant) not in chosen)
    return tuple(_layers_of(group, list(latest.values()), records) for group in ordered[:MOST])


def _layers_of(
    group: Sequence[LayerTimesRecord],
    everything: Sequence[LayerTimesRecord],
    records: Sequence[Record],
) -> LayersOf:
    floats = [_float_of(one, everything) for one in group]
    told = [*group, *(one for one in floats if one)]
    names = dict.fromkeys(
        name for one in told for operator in one.operators for name in _layer_names(operator)
    )
    # Joining reads precisions out of names for the sake of peaks, of which none is given here.
    unnamed = [one.model_copy(update={"variant": "net.float.tflite"}) for one in told]
    rows = join_layers([NamedLayer(name=name) for name in names], unnamed)
    places = iter(range(len(group), len(told)))
    beside = [next(places) if one else None for one in floats]
    lines = [(row, _marks(row, group, beside)) for row in rows]
    lines = [
        (row, marks)
        for row, marks in lines
        if any(row.times[i].median_us for i in range(len(group)))
    ]
    first = group[0]
    name = f"{_stem(first.variant)}, {first.split_method} split, {first.threads} threads"
    costliest = sorted(
        lines, key=lambda line: -max(line[0].times[i].share for i in range(len(group)))
    )
    return LayersOf(
        name=name,
        chart=_chart(lines, group, name),
        table=_table(lines, group, f"Layers of {name}"),
        brief=_table(costliest[:BRIEF], group, f"Costliest layers of {name}"),
        sentences=tuple(_sentences(lines, group, records)),
    )


def _place(one: LayerTimesRecord) -> tuple[object, ...]:
    return one.split_method, one.network_sha256, one.environment, one.threads


def _stem(variant: str) -> str:
    """Return a variant's name without its format: what two runtimes have in common."""
    return variant.rpartition(".")[0] or variant


def _float_of(
    record: LayerTimesRecord, everything: Sequence[LayerTimesRecord]
) -> LayerTimesRecord | None:
    """Return the times of the float variant on the record's runtime; none of itself."""
    try:
        name = parse_variant(record.variant)
    except UsageError:
        return None
    wanted = str(name.as_format(name.format, precision="float"))
    for one in everything:
        if (*_place(one), one.runtime, one.variant) == (*_place(record), record.runtime, wanted):
            return None if one is record else one
    return None


def _layer_names(operator: object) -> list[str]:
    """Return the layers in an operator's sources: ``network/layer/Conv2D`` speaks of ``layer``."""
    sources: Sequence[str] = getattr(operator, "sources", ())
    parts = [source.split("/") for source in sources]
    return ["/".join(path[1:-1]) for path in parts if len(path) > 2]


def _marks(
    row: LayerRow, group: Sequence[LayerTimesRecord], beside: Sequence[int | None]
) -> tuple[str, ...]:
    """Return what is to be said of a row on each runtime, empty where nothing is."""
    found = []
    for number, place in enumerate(beside):
        mine = row.times[number]
        says = []
        if mine.share >= COSTLY:
            says.append("costly")
        if place is not None and mine.share >= WORTH_NAMING:
            before = row.times[place].median_us
            if mine.median_us > SLOWER * before:
                says.append(f"slower than float ({before:.0f} µs)")
        found.append(", ".join(says))
    return tuple(found)


def _called(row: LayerRow) -> str:
    """Return the row's layers, or its operators where it was made from none."""
    if row.layers:
        return ", ".join(row.layers)
    kinds = [one.operator or one.name for time in row.times for one in time.operators]
    return f"({', '.join(dict.fromkeys(kinds))})"


def _short(row: LayerRow) -> str:
    """Return what the names of a row's layers begin with alike, else all of them."""
    letters = itertools.takewhile(lambda each: len(set(each)) == 1, zip(*row.layers, strict=False))
    alike = "".join(each[0] for each in letters).rstrip("_-/")
    return alike if len(row.layers) > 1 and len(alike) > _SHORTEST else _called(row)


def _table(
    lines: Sequence[tuple[LayerRow, tuple[str, ...]]],
    group: Sequence[LayerTimesRecord],
    caption: str,
) -> Table:
    headers = ["layer"]
    for one in group:
        headers += [f"{one.runtime}: operators", f"{one.runtime}: marked"]
    for one in group:
        headers += [f"{one.runtime}, µs", "share"]
    cells = []
    for row, marks in lines:
        words = [_called(row)]
        numbers: list[str] = []
        for number, _ in enumerate(group):
            time = row.times[number]
            words += [_operators(time), marks[number]]
            numbers += _figures(time)
        cells.append((*words, *numbers))
    return Table(
        caption=caption, headers=tuple(headers), rows=tuple(cells), words=1 + 2 * len(group)
    )


def _operators(time: RowTime) -> str:
    return ", ".join(dict.fromkeys(one.operator for one in time.operators)) or ABSENT


def _figures(time: RowTime) -> list[str]:
    if not time.operators:
        return [ABSENT, ABSENT]
    return [f"{time.median_us:.1f}", f"{100 * time.share:.1f} %"]


def _chart(
    lines: Sequence[tuple[LayerRow, tuple[str, ...]]],
    group: Sequence[LayerTimesRecord],
    title: str,
) -> Chart:
    import altair as alt

    runtimes = [one.runtime for one in group]
    points = [
        {
            "layer": f"{position + 1} {_short(row)}",
            "layers": _called(row),
            "runtime": runtimes[number],
            "us": round(row.times[number].median_us, 2),
            "share": round(row.times[number].share, 4),
            "mark": marks[number],
        }
        for position, (row, marks) in enumerate(lines)
        for number in range(len(group))
    ]
    order = list(dict.fromkeys(str(point["layer"]) for point in points))
    colours = list(itertools.islice(itertools.cycle(COLOURS), len(runtimes)))
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("layer:N", title=None, sort=order, axis=alt.Axis(labelLimit=190)),
        yOffset=alt.YOffset("runtime:N", sort=runtimes),
        x=alt.X("us:Q", title="time in one call, µs"),
        tooltip=[
            alt.Tooltip("layers:N"), alt.Tooltip("runtime:N"), alt.Tooltip("us:Q", title="µs"),
            alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("mark:N", title="marked"),
        ],
    )  # fmt: skip
    colour = alt.Color(
        "runtime:N", title="runtime", scale=alt.Scale(domain=runtimes, range=colours)
    )
    marked = base.transform_filter("indexof(datum.mark, 'slower') >= 0")
    layers = [base.mark_bar().encode(color=colour)]
    if any("slower" in str(point["mark"]) for point in points):
        layers.append(marked.mark_text(align="left", dx=4, fontSize=10, text="◀ slower than float"))
    height = max(120, _ROW_HEIGHT * len(points), _LABEL_HEIGHT * len(lines))
    return finished(alt.layer(*layers).properties(description=f"Layers of {title}", height=height))


def _sentences(
    lines: Sequence[tuple[LayerRow, tuple[str, ...]]],
    group: Sequence[LayerTimesRecord],
    records: Sequence[Record],
) -> list[str]:
    found = []
    for number, one in enumerate(group):
        culprits = [
            (row.times[number], f"{_called(row)} ({_figures(row.times[number])[1]})")
            for row, marks in lines
            if marks[number]
        ]
        culprits.sort(key=lambda culprit: -culprit[0].median_us)
        says = f"{one.variant} on {one.runtime}: {one.operators_us:,.0f} µs in its operators"
        if culprits:
            says += f"; marked are {listed([name for _, name in culprits], 5)}"
        found.append(f"{says}.{_peak_says(one, records)}")
        found += [f"{one.variant} on {one.runtime}: {warning}." for warning in one.warnings]
    verdicts = of_kind(records, VerdictRecord)
    subjects = {(one.variant, one.runtime, one.split_method) for one in group}
    for verdict in verdicts:
        if (verdict.variant, verdict.runtime, verdict.split_method) in subjects:
            found.append(" ".join(verdict.sentences))
    return found


def _peak_says(one: LayerTimesRecord, records: Sequence[Record]) -> str:
    """Return how near the whole network comes to the machine's fastest matrix product."""
    maccs = {(cost.split_method, cost.variant): cost.maccs for cost in of_kind(records, CostRecord)}
    counted = maccs.get((one.split_method, one.variant))
    precision = "int8" if ".int8" in one.variant else "float"
    for peak in of_kind(records, PeakRecord):
        if (peak.environment, peak.runtime, peak.threads, peak.precision) != (
            one.environment, one.runtime, one.threads, precision,
        ):  # fmt: skip
            continue
        if counted and one.operators_us:
            share = counted / (one.operators_us * 1e-6) / peak.maccs_per_second
            return (
                f" Its MACCs run at {100 * share:.0f} % of the speed of this machine's fastest"
                f" {precision} matrix product."
            )
    return ""
