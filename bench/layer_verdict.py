"""Verdicts on single layers, in plain sentences: which of them take time that their work does not.

Pure functions over joined rows: nothing here measures.
"""

from collections import Counter
from collections.abc import Sequence

from bench.layers import LayerRow, join_layers, known_layers
from bench.record import Record, of_kind
from bench.record_layers import LayerTimesRecord, OperatorTimes, PeakRecord

COSTLY = 0.1  # of the time in all operators
OUT_OF_PROPORTION = 3.0  # share of the time over share of the MACCs
WORTH_NAMING = 0.01  # of the time: what takes less explains nothing
SLOWER = 1.1
WAITING = 0.1  # of the peak: a product so slow waits for memory, or has no fast kernel
_MOST = 3  # layers in a verdict
_INTERPRETER = "interpreter"  # LiteRT's own kernels, outside XNNPACK


def row_sentence(row: LayerRow, number: int, total_maccs: int, *, beside: int | None = None) -> str:
    """Return what is to be said against a row's time; empty where nothing is.

    Time in proportion to the MACCs is no fault, however much it is.

    Args:
        row: of the joined table.
        number: the record, by its place in the table, that is judged.
        total_maccs: of all rows.
        beside: place of the float variant's record on the same runtime, to compare with.
    """
    mine = row.times[number]
    says = []
    work = row.maccs / total_maccs if total_maccs and not row.uncounted else None
    if mine.share >= COSTLY and (work is None or mine.share >= OUT_OF_PROPORTION * work):
        taken = f"takes {100 * mine.share:.0f} % of the time"
        says.append(taken if work is None else f"{taken} for {_percent(work)} of the MACCs")
        if mine.peak_share is not None and mine.peak_share < WAITING:
            says.append(
                f"its MACCs run at {100 * mine.peak_share:.1f} % of the fastest matrix product:"
                " it waits for memory or has no fast kernel"
            )
    if beside is not None and mine.share >= WORTH_NAMING:
        before = row.times[beside].median_us
        if mine.median_us > SLOWER * before:
            says.append(f"slower than float ({before:.0f} µs)")
    return "; ".join(says)


def layer_causes(
    parent: LayerTimesRecord, variant: LayerTimesRecord, peaks: Sequence[PeakRecord] = ()
) -> tuple[str, ...]:
    """Return what keeps a variant from being faster: how it is run, then its worst layers.

    Args:
        parent: operators' times of the float variant.
        variant: those of the variant, same machine and runtime.
        peaks: of that machine.
    """
    both = [variant, parent]
    rows = join_layers(known_layers(both), both, peaks)
    total = sum(row.maccs for row in rows)
    found = [(row, row_sentence(row, 0, total, beside=1)) for row in rows]
    marked = sorted(
        ((row, says) for row, says in found if says), key=lambda pair: -pair[0].times[0].median_us
    )
    layers = tuple(f"{row.called}: {says}." for row, says in marked[:_MOST])
    return (*_outside(parent, variant), *_inserted(parent, variant), *layers)


def _outside(parent: LayerTimesRecord, variant: LayerTimesRecord) -> tuple[str, ...]:
    """Return what a variant runs outside the delegate that its parent's runs inside."""
    left = [one for one in variant.operators if one.times_us and one.engine == _INTERPRETER]
    share, before = (
        _share(left, variant),
        _share([one for one in parent.operators if one.engine == _INTERPRETER], parent),
    )
    if not variant.partitions or share < max(WORTH_NAMING, SLOWER * before):
        return ()
    ran = sum(bool(one.times_us) for one in variant.operators)
    entered = "once" if variant.partitions == 1 else f"{variant.partitions} times"
    return (
        f"{len(left)} of {ran} operators run outside the delegate"
        f" ({_listed([one.operator for one in left])}) and take {100 * share:.0f} % of the time; a"
        f" call enters it {entered}.",
    )


def _inserted(parent: LayerTimesRecord, variant: LayerTimesRecord) -> tuple[str, ...]:
    """Return what only converts, moves or reorders in the graph as it runs."""
    moving = [
        one
        for one in variant.operators
        if one.times_us and {*one.kernels, one.operator} & variant.inserted.keys()
    ]
    share = _share(moving, variant)
    if share < WORTH_NAMING or sum(variant.inserted.values()) <= sum(parent.inserted.values()):
        return ()
    return (
        f"{len(moving)} operators of the graph as it runs only convert or move data"
        f" ({_listed([one.operator or one.name for one in moving])}) and take"
        f" {100 * share:.0f} % of the time.",
    )


def _share(operators: Sequence[OperatorTimes], record: LayerTimesRecord) -> float:
    whole = record.operators_us
    return sum(one.median_us for one in operators) / whole if whole else 0.0


def _listed(kinds: Sequence[str]) -> str:
    """Return ``3 ADD, 1 SOFTMAX``, the most frequent first."""
    ordered = sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {name}" for name, number in ordered)


def layer_times_of(
    records: Sequence[Record], variant: str, network_sha256: str
) -> LayerTimesRecord | None:
    """Return the newest operators' times of a variant, if it has any."""
    found = [
        one
        for one in of_kind(records, LayerTimesRecord)
        if (one.variant, one.network_sha256) == (variant, network_sha256)
    ]
    return found[-1] if found else None


def _percent(share: float) -> str:
    return "none" if not share else f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
