"""The layers: where the time of a variant goes, a bar a layer on each runtime.

Records name operators by the layers that they were made from; operators of several runtimes that
were made from the same layers stand in one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.layer_verdict import row_sentence
from bench.layers import LayerRow, RowTime, join_layers, known_layers, peak_of
from bench.record import (
    CostRecord,
    EnvironmentRecord,
    LayerTimesRecord,
    PeakRecord,
    Record,
    VerdictRecord,
    of_kind,
)
from bench.report_charts import Chart
from bench.report_choice import Choice
from bench.report_format import ABSENT, as_millions, listed
from bench.report_layer_charts import Lines, layer_charts
from bench.report_layout import Table
from bench.report_sentences import machine_name
from train.errors import UsageError
from train.variant import parse_variant

MEANING = (
    "Medians of profiled calls, what profiling itself costs taken off. Layers that a runtime"
    " computes in one operator share a row. Of peak: MACCs a second as a share of this machine's"
    " fastest matrix product in the same numbers, which depthwise convolutions cannot reach. SQNR:"
    " the float model's values over the differences from them, in decibels, at the layer's output,"
    " with what all layers before it have added; 20 dB is a tenth, 40 a hundredth. Marked (◀) is"
    " what takes a tenth of the call or more for a third of that share of the MACCs or less, or a"
    " tenth more than in float on the same runtime and machine."
)
MOST = 6  # variants shown
BRIEF = 12  # layers in the Markdown table


@dataclass(frozen=True, kw_only=True)
class LayersOf:
    """One variant's layers.

    Attributes:
        name: the variant, its split, the machine and threads.
        charts: time, MACCs and error, a bar a layer and runtime.
        table: every layer, in order of execution.
        brief: the costliest ones.
        sentences: totals, culprits, and the verdict on the variant.
    """

    name: str
    charts: tuple[Chart, ...]
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
    rows = join_layers(known_layers(told), told, of_kind(records, PeakRecord))
    total = sum(row.maccs for row in rows)
    places = iter(range(len(group), len(told)))
    beside = [next(places) if one else None for one in floats]
    lines = [
        (row, tuple(row_sentence(row, i, total, beside=place) for i, place in enumerate(beside)))
        for row in rows
    ]
    lines = [
        (row, marks)
        for row, marks in lines
        if any(row.times[i].median_us for i in range(len(group)))
    ]
    name = _name(group[0], records)
    costliest = sorted(
        lines, key=lambda line: -max(line[0].times[i].share for i in range(len(group)))
    )
    return LayersOf(
        name=name,
        charts=layer_charts(lines, group, name),
        table=_table(lines, group, f"Layers of {name}"),
        brief=_table(costliest[:BRIEF], group, f"Costliest layers of {name}"),
        sentences=tuple(_sentences(lines, group, records)),
    )


def _name(one: LayerTimesRecord, records: Sequence[Record]) -> str:
    known = {machine.environment: machine for machine in of_kind(records, EnvironmentRecord)}
    threads = f"{one.threads} thread{'' if one.threads == 1 else 's'}"
    machine = machine_name(one.environment, known)
    return f"{_stem(one.variant)}, {one.split_method} split, {machine}, {threads}"


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


def _table(lines: Lines, group: Sequence[LayerTimesRecord], caption: str) -> Table:
    """Return every row, with a column only for what was measured of one of them."""
    times = [[row.times[number] for row, _ in lines] for number in range(len(group))]
    peaks = [any(time.peak_share is not None for time in each) for each in times]
    errors = [any(time.sqnr_db is not None for time in each) for each in times]
    counted = any(row.maccs for row, _ in lines)
    headers = ["layer"]
    for one in group:
        headers += [f"{one.runtime}: operators", f"{one.runtime}: marked"]
    headers += ["MACCs, 10⁶"] * counted
    for one, peak, error in zip(group, peaks, errors, strict=True):
        headers += [f"{one.runtime}, µs", "share"]
        headers += ["of peak"] * peak + ["SQNR, dB"] * error
    cells = []
    for row, marks in lines:
        words = [row.called]
        numbers = [_maccs(row)] * counted
        for number, (peak, error) in enumerate(zip(peaks, errors, strict=True)):
            time = row.times[number]
            words += [_operators(time), marks[number]]
            numbers += _figures(time)
            numbers += [_share(time.peak_share)] * peak + [_decibels(time.sqnr_db)] * error
        cells.append((*words, *numbers))
    return Table(
        caption=caption, headers=tuple(headers), rows=tuple(cells), words=1 + 2 * len(group)
    )


def _maccs(row: LayerRow) -> str:
    """Return the MACCs of a row's counted layers; ``n/a`` where none of them is."""
    return ABSENT if len(row.uncounted) == len(row.layers) else as_millions(row.maccs)


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:.1f} %"


def _decibels(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}"


def _operators(time: RowTime) -> str:
    return ", ".join(dict.fromkeys(one.operator for one in time.operators)) or ABSENT


def _figures(time: RowTime) -> list[str]:
    if not time.operators:
        return [ABSENT, ABSENT]
    return [f"{time.median_us:.1f}", _share(time.share)]


def _sentences(
    lines: Lines,
    group: Sequence[LayerTimesRecord],
    records: Sequence[Record],
) -> list[str]:
    found = []
    for number, one in enumerate(group):
        culprits = [
            (row.times[number], f"{row.called} ({_share(row.times[number].share)})")
            for row, marks in lines
            if marks[number]
        ]
        culprits.sort(key=lambda culprit: -culprit[0].median_us)
        says = f"{one.variant} on {one.runtime}: {one.operators_us:,.0f} µs in its operators"
        if culprits:
            says += f"; marked are {listed([name for _, name in culprits], 5)}"
        found.append(f"{says}.{_peak_says(one, records)}")
        found += [f"{one.variant} on {one.runtime}: {warning}." for warning in one.warnings]
    mixed = [row.called for row, _ in lines if row.many_to_many]
    if mixed:
        found.append(
            f"Several layers run as several operators, and their times cannot be told apart, in:"
            f" {listed(mixed, 3)}."
        )
    verdicts = of_kind(records, VerdictRecord)
    subjects = {(one.variant, one.runtime, one.split_method) for one in group}
    for verdict in verdicts:
        if (verdict.variant, verdict.runtime, verdict.split_method) in subjects:
            found.append(" ".join(verdict.sentences))
    return found


def _peak_says(one: LayerTimesRecord, records: Sequence[Record]) -> str:
    """Return how near the whole network comes to the machine's fastest matrix product."""
    maccs = {(cost.split_method, cost.variant): cost.maccs for cost in of_kind(records, CostRecord)}
    counted = maccs.get(
        (one.split_method, one.variant), sum(layer.maccs or 0 for layer in one.layers)
    )
    peak = peak_of(one, of_kind(records, PeakRecord))
    if peak is None or not counted or not one.operators_us:
        return ""
    share = counted / (one.operators_us * 1e-6) / peak.maccs_per_second
    return (
        f" Its MACCs run at {100 * share:.0f} % of the speed of this machine's fastest"
        f" {peak.precision} matrix product."
    )
