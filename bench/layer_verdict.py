"""Verdicts on single layers, in plain sentences: which of them take time that their work does not.

Pure functions over joined rows: nothing here measures.
"""

from collections.abc import Sequence

from bench.layers import LayerRow, join_layers, known_layers
from bench.record import Record, of_kind
from bench.record_layers import LayerTimesRecord, PeakRecord

COSTLY = 0.1  # of the time in all operators
OUT_OF_PROPORTION = 3.0  # share of the time over share of the MACCs
WORTH_NAMING = 0.01  # of the time: what takes less explains nothing
SLOWER = 1.1
WAITING = 0.1  # of the peak: a product so slow waits for memory, or has no fast kernel
_MOST = 3  # layers in a verdict


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
    """Return the layers that keep a variant from being faster than its parent, the worst first.

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
    return tuple(f"{row.called}: {says}." for row, says in marked[:_MOST])


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
