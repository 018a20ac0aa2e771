"""One table: Keras layer, TFLite operators, ONNX nodes, with MACCs and times side by side.

Converters and runtimes fuse and split, so a row holds as many of each as belong together: the
smallest sets of layers and operators of which no operator reaches into another row. Layers are
found by the names that files keep of them; an operator without such a name stands in a row of its
own, those before the first and behind the last named one with the layers that stand there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.record_layers import LayerTimesRecord, OperatorTimes, PeakRecord
from train.variant import parse_variant


class CountedLayer(Protocol):
    """A Keras layer and what it costs: ``bench.layer_cost.LayerCost`` is one."""

    @property
    def name(self) -> str:
        """Its name, behind those of the models that it is nested in."""
        ...

    @property
    def kind(self) -> str:
        """Its class: ``Conv2D``."""
        ...

    @property
    def maccs(self) -> int | None:
        """Multiply-accumulates of one call; ``None`` where they are not counted."""
        ...


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
    """

    operators: tuple[OperatorTimes, ...]
    folded: tuple[OperatorTimes, ...]
    median_us: float
    share: float
    maccs_per_second: float | None
    peak_share: float | None


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


def join_layers(
    layers: Sequence[CountedLayer],
    records: Sequence[LayerTimesRecord],
    peaks: Sequence[PeakRecord] = (),
) -> tuple[LayerRow, ...]:
    """Return the joined table, in the order of the layers.

    Args:
        layers: of the Keras network, in order of execution.
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
        _row(group, by_name, records, [_peak_of(record, peaks) for record in records])
        for group in sets.groups()
    )


def layers_of(operators: Sequence[OperatorTimes], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the layers that each operator computes; none where that is unknown.

    Args:
        operators: of one record, in order of execution.
        names: of all layers, in order of execution.
    """
    known = {tuple(name.split("/")): name for name in names}
    found = [
        tuple(dict.fromkeys(filter(None, (_layer_in(path, known) for path in one.sources))))
        for one in operators
    ]
    placed = [position for position, layers in enumerate(found) if layers]
    if not placed:
        return found
    order = {name: position for position, name in enumerate(names)}
    claimed = sorted({order[name] for layers in found for name in layers})
    before, behind = tuple(names[: claimed[0]]), tuple(names[claimed[-1] + 1 :])
    for position in range(placed[0]):
        found[position] = before
    for position in range(placed[-1] + 1, len(found)):
        if not operators[position].inserted:
            found[position] = behind
    return found


def _layer_in(path: str, known: Mapping[tuple[str, ...], str]) -> str | None:
    """Return the layer that a name such as ``network/layer/Conv2D`` speaks of, the longest one."""
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        for start in range(len(parts) - length + 1):
            name = known.get(tuple(parts[start : start + length]))
            if name is not None:
                return name
    return None


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
    by_name: Mapping[str, Sequence[CountedLayer]],
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
    )


def _peak_of(record: LayerTimesRecord, peaks: Sequence[PeakRecord]) -> PeakRecord | None:
    """Return the peak of the record's machine, runtime, threads and precision."""
    integer = parse_variant(record.variant).precision.startswith("int8")
    precision = "int8" if integer else "float"
    wanted = (record.environment, record.runtime, record.threads, precision)
    for peak in peaks:
        if (peak.environment, peak.runtime, peak.threads, peak.precision) == wanted:
            return peak
    return None
