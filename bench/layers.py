"""One table: Keras layer, TFLite operators, ONNX nodes, with MACCs, times and errors side by side.

Converters and runtimes fuse and split, so a row holds as many of each as belong together: the
smallest sets of layers and operators of which no operator reaches into another row. Layers are
found by the names that files keep of them; an operator without such a name stands in a row of its
own, those before the first and behind the last named one with the layers that stand there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.layer_names import layer_named, layers_of
from bench.record_layers import LayerCount, LayerTimesRecord, OperatorTimes, PeakRecord
from optimize.selective_search import sqnr_db
from train.errors import UsageError
from train.variant import parse_variant


@dataclass(frozen=True, kw_only=True)
class RowTime:
    """What one row takes in one record.

    Attributes:
        operators: those that ran, in order of execution.
        folded: those that the runtime folded into another row's or another operator.
        median_us: their medians added up; 0 where none ran.
        share: of the time in all operators, in [0, 1].
        maccs_per_second: achieved; ``None`` without counted MACCs or without a time.
        peak_share: of the fastest matrix product, 1 at best; ``None`` where it was not measured.
        sqnr_db: signal over error at the row's output, against the float model; ``None`` where
            it was not compared. It holds the errors of all layers before.
    """

    operators: tuple[OperatorTimes, ...]
    folded: tuple[OperatorTimes, ...]
    median_us: float
    share: float
    maccs_per_second: float | None
    peak_share: float | None
    sqnr_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """Layers and operators that belong together.

    Attributes:
        layers: names of the Keras layers, in order; none for what a runtime put in by itself.
        kinds: their classes, in the same order.
        maccs: of the counted ones.
        uncounted: names of those whose MACCs are not counted.
        times: one for each record given, in order.
    """

    layers: tuple[str, ...]
    kinds: tuple[str, ...]
    maccs: int
    uncounted: tuple[str, ...]
    times: tuple[RowTime, ...]

    @property
    def many_to_many(self) -> bool:
        """Whether a time cannot be told apart by layer: several layers, several operators."""
        return len(self.layers) > 1 and any(len(time.operators) > 1 for time in self.times)

    @property
    def called(self) -> str:
        """The row's layers, or its operators where it was made from none."""
        if self.layers:
            return ", ".join(self.layers)
        kinds = [one.operator or one.name for time in self.times for one in time.operators]
        return f"({', '.join(dict.fromkeys(kinds))})"


@dataclass(frozen=True, kw_only=True)
class ExpensiveLayer:
    """The layer that takes longest in one record.

    Attributes:
        name: of the layer; several, parted by commas, where one operator computes them; the
            operator's kind where it belongs to no layer.
        kinds: the layers' classes; empty where they are not known.
        median_us: its time in one call.
        share: of the time in all operators, in [0, 1].
        maccs: of the layer.
        macc_share: of all MACCs, in [0, 1]; ``None`` where none are known.
    """

    name: str
    kinds: tuple[str, ...]
    median_us: float
    share: float
    maccs: int
    macc_share: float | None


def most_expensive(record: LayerTimesRecord) -> ExpensiveLayer:
    """Return the layer that takes longest, as the table of complexities names it.

    For that table take the record of the variant and runtime in its row, and write, say,
    ``f"{found.name}: {found.median_us / 1e3:.2f} ms ({found.share:.0%})"``. Records of before and
    of phones serve too: their layers are read off the operators' names.
    """
    rows = join_layers(known_layers([record]), [record])
    row = max(rows, key=lambda one: one.times[0].median_us)
    total = sum(layer.maccs or 0 for layer in record.layers)
    return ExpensiveLayer(
        name=row.called,
        kinds=tuple(filter(None, row.kinds)),
        median_us=row.times[0].median_us,
        share=row.times[0].share,
        maccs=row.maccs,
        macc_share=row.maccs / total if total else None,
    )


def known_layers(records: Sequence[LayerTimesRecord]) -> tuple[LayerCount, ...]:
    """Return the layers of records of one network: the Keras network's where one holds them.

    Else those that the files tell of, and, for records of before, those that the operators' names
    tell of, whose MACCs are not known.
    """
    for record in records:
        if record.counted_from == "keras":
            return record.layers
    found = {layer.name: layer for record in reversed(records) for layer in record.layers}
    sources = (path for record in records for one in record.operators for path in one.sources)
    names = dict.fromkeys(name for path in sources if (name := layer_named(path)))
    lacking = [LayerCount(name=name, kind="", maccs=None) for name in names if name not in found]
    known = dict.fromkeys(layer.name for record in records for layer in record.layers)
    return (*(found[name] for name in known), *lacking)


def join_layers(
    layers: Sequence[LayerCount],
    records: Sequence[LayerTimesRecord],
    peaks: Sequence[PeakRecord] = (),
) -> tuple[LayerRow, ...]:
    """Return the joined table, in the order of the layers.

    Args:
        layers: of the network, in order of execution (``known_layers`` finds them).
        records: times of variants of that network, of any runtime and precision.
        peaks: the measured peaks; one serves a record of the same machine, runtime and threads,
            float or int8 by the variant's name.
    """
    names = list(dict.fromkeys(layer.name for layer in layers))
    by_name = {name: [one for one in layers if one.name == name] for name in names}
    sets = _Sets()
    for name in names:
        sets.add(("layer", name))
    for number, record in enumerate(records):
        for position, found in enumerate(layers_of(record.operators, names)):
            sets.add(("operator", number, position), *(("layer", name) for name in found))
    return tuple(
        _row(group, by_name, records, [peak_of(record, peaks) for record in records])
        for group in sets.groups()
    )


class _Sets:
    """Sets of things that belong together, joined as links between them are met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._links: list[int] = []  # to an earlier thing of the same set; the first to itself

    def add(self, thing: tuple[object, ...], *others: tuple[object, ...]) -> None:
        """Put ``thing`` in, and into one set with ``others``."""
        number = self._numbers.setdefault(thing, len(self._links))
        if number == len(self._links):
            self._links.append(number)
        for other in others:
            early, late = sorted((self._first(number), self._first(self._numbers[other])))
            self._links[late] = early

    def groups(self) -> Iterable[list[tuple[object, ...]]]:
        """Return the sets, in the order of their first things."""
        groups: dict[int, list[tuple[object, ...]]] = {}
        for thing, number in self._numbers.items():
            groups.setdefault(self._first(number), []).append(thing)
        return groups.values()

    def _first(self, number: int) -> int:
        while self._links[number] != number:
            number = self._links[number]
        return number


def _row(
    group: Sequence[tuple[object, ...]],
    by_name: Mapping[str, Sequence[LayerCount]],
    records: Sequence[LayerTimesRecord],
    peaks: Sequence[PeakRecord | None],
) -> LayerRow:
    layers = [one for tag, *rest in group if tag == "layer" for one in by_name[str(rest[0])]]
    maccs = sum(layer.maccs or 0 for layer in layers)
    times = []
    for number, (record, peak) in enumerate(zip(records, peaks, strict=True)):
        mine = {rest[1] for tag, *rest in group if tag == "operator" and rest[0] == number}
        operators = [one for position, one in enumerate(record.operators) if position in mine]
        times.append(_time(operators, record, maccs, peak))
    return LayerRow(
        layers=tuple(layer.name for layer in layers),
        kinds=tuple(layer.kind for layer in layers),
        maccs=maccs,
        uncounted=tuple(layer.name for layer in layers if layer.maccs is None),
        times=tuple(times),
    )


def _time(
    operators: Sequence[OperatorTimes],
    record: LayerTimesRecord,
    maccs: int,
    peak: PeakRecord | None,
) -> RowTime:
    ran = tuple(one for one in operators if one.times_us)
    median_us = sum(one.median_us for one in ran)
    achieved = maccs / (median_us * 1e-6) if maccs and median_us else None
    return RowTime(
        operators=ran,
        folded=tuple(one for one in operators if not one.times_us),
        median_us=median_us,
        share=median_us / record.operators_us if record.operators_us else 0.0,
        maccs_per_second=achieved,
        peak_share=achieved / peak.maccs_per_second if achieved and peak else None,
        sqnr_db=_sqnr_db(operators),
    )


def _sqnr_db(operators: Sequence[OperatorTimes]) -> float | None:
    """Return the SQNR of the last operator that was compared: what the row hands on."""
    errors = [one.error for one in operators if one.error is not None]
    return sqnr_db(errors[-1].signal_power, errors[-1].noise_power) if errors else None


def precision_of(record: LayerTimesRecord) -> Literal["float", "int8"] | None:
    """Return the numbers that a record's products are in; ``None`` where its name tells none."""
    try:
        integer = parse_variant(record.variant).precision.startswith("int8")
    except UsageError:  # a name of another grammar
        return None
    return "int8" if integer else "float"


def peak_of(record: LayerTimesRecord, peaks: Sequence[PeakRecord]) -> PeakRecord | None:
    """Return the peak of the record's machine, runtime, threads and precision."""
    wanted = (record.environment, record.runtime, record.threads, precision_of(record))
    for peak in peaks:
        if (peak.environment, peak.runtime, peak.threads, peak.precision) == wanted:
            return peak
    return None
