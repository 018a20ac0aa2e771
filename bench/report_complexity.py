"""What the networks cost to run, beside what the original reported: counts, and the layer to blame.

Counts are of the graph, so that networks which differ in their numbers alone share a row: however
they were trained, pruned, clustered or quantized.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.layers import most_expensive
from bench.originals import CONVNEXT_NOTE, OriginalCost, original_of
from bench.record import (
    CostRecord,
    EnvironmentRecord,
    LayerTimesRecord,
    Record,
    TrainingRecord,
    of_kind,
)
from bench.report_format import ABSENT, as_count, as_millions, as_ms, listed
from bench.report_layout import Table
from bench.report_photos import PhotoSets
from bench.report_sentences import machine_name
from train.errors import UsageError
from train.variant import Variant, parse_variant

MEANING = (
    "FLOPs and MACCs of one call, one MACC is two FLOPs; parameters of the network as trained. The"
    " receptive field is what one place of the last maps sees, along the longer axis; it may reach"
    " beyond the picture."
)
EXPENSIVE = (
    " The most expensive layer takes longest of all operators in profiled calls of the variant,"
    " on the runtime and machine named; several names: one operator computes them."
)
ORIGINAL = (
    " The original's figures are as it reported them; its times name no machine and are not to be"
    " compared."
)
HEADERS = ("FLOPs, 10⁶", "MACCs, 10⁶", "parameters, 10⁶", "receptive field, px")
LAYER_WORDS, LAYER_NUMBERS = ("most expensive layer", "timed"), ("its time, ms", "its share")
ORIGINAL_NUMBERS = (
    "the original: FLOPs, 10⁶", "the original: MACCs, 10⁶", "the original: layer's time, ms",
)  # fmt: skip
_PREFERRED = "litert"
_SHOWN = 2  # names of one row
_SIZE = re.compile(r"at(\d+)")  # what a change of the input's size adds to a variant's name
_Key = tuple[str, tuple[str, ...]]  # network, techniques


@dataclass(frozen=True, kw_only=True)
class ComplexityRow:
    """One graph; ``None``: in no record.

    Attributes:
        networks: the networks of this graph, with the techniques that made it.
        classes: how many they tell apart; 0 where no record tells.
        image_size: rows and columns of its input.
        activation_bytes: outputs of all its layers together.
        receptive_field: pixels that the last maps see.
        uncounted: layers whose MACCs are not known, by kind.
        layer: what takes longest; empty where no layers were timed.
        layer_on: the variant, runtime and machine that it was timed on.
        layer_ms: its time in one call.
        layer_share: of the time in all operators, in [0, 1].
        original: what was reported for the approach elsewhere.
    """

    networks: tuple[str, ...]
    classes: int
    image_size: int | None
    maccs: int
    flops: int
    parameters: int
    activation_bytes: int | None
    receptive_field: int | None
    uncounted: tuple[tuple[str, int], ...]
    layer: str = ""
    layer_on: str = ""
    layer_ms: float | None = None
    layer_share: float | None = None
    original: OriginalCost | None = None


def complexity_rows(records: Sequence[Record], photos: PhotoSets) -> tuple[ComplexityRow, ...]:
    """Return one row for each graph that was counted."""
    sizes = input_sizes(records)
    fields = {  # records of before know none
        (one.maccs, one.parameters): one.receptive_field
        for one in of_kind(records, CostRecord)
        if one.receptive_field is not None
    }
    graphs: dict[tuple[object, ...], dict[_Key, CostRecord]] = {}
    for cost in of_kind(records, CostRecord):
        name = _parsed(cost.variant)
        if name is None:
            continue
        size = input_size(name.techniques, sizes.get((cost.split_method, cost.network_sha256)))
        field = cost.receptive_field or fields.get((cost.maccs, cost.parameters))
        graph = (size, cost.maccs, cost.parameters, field)
        graphs.setdefault(graph, {}).setdefault((name.network, name.techniques), cost)
    timed = _timed(records)
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    rows = [_row(size, keys, timed, photos, known) for (size, *_), keys in graphs.items()]
    return tuple(sorted(rows, key=lambda row: (row.networks[0].partition(".")[0], row.maccs)))


def _row(
    size: object,
    keys: dict[_Key, CostRecord],
    timed: dict[_Key, LayerTimesRecord],
    photos: PhotoSets,
    known: dict[str, EnvironmentRecord],
) -> ComplexityRow:
    cost = max(keys.values(), key=lambda one: one.receptive_field is not None)  # else the first
    judged = photos.of(cost)
    dataset = judged.dataset if judged else ""
    plain = [network for network, techniques in keys if not techniques]
    originals = (original_of(network, dataset) for network in plain)
    # Where the plain network has this graph, what was done to its numbers needs no name here.
    names = {network if network in plain else ".".join((network, *done)) for network, done in keys}
    return ComplexityRow(
        networks=tuple(sorted(names)),
        classes=len(judged.labels) if judged else 0,
        image_size=size if isinstance(size, int) else None,
        maccs=cost.maccs,
        flops=cost.flops,
        parameters=cost.parameters,
        activation_bytes=cost.activation_bytes,
        receptive_field=cost.receptive_field,
        uncounted=tuple(sorted(cost.uncounted.items())),
        original=next((one.cost for one in originals if one), None),
        **_expensive(next((timed[key] for key in sorted(keys) if key in timed), None), known),
    )


def input_sizes(records: Sequence[Record]) -> dict[tuple[str, str], int]:
    """Return rows and columns of the input of each trained network, by split and digest."""
    found: dict[tuple[str, str], int] = {}
    for one in of_kind(records, TrainingRecord):
        recipe = one.recipe.get("recipe")
        size = recipe.get("image_size") if isinstance(recipe, dict) else None
        if isinstance(size, int):
            found[one.split_method, one.network_sha256] = size
    return found


def input_size(techniques: Sequence[str], trained: int | None) -> int | None:
    """Return rows and columns of the input: those that a technique tells, else ``trained``."""
    told = [size for size in map(size_of, techniques) if size]
    return told[-1] if told else trained


def size_of(word: str) -> int | None:
    """Return the size that a technique's word in a variant's name tells: 160 of ``at160``."""
    found = _SIZE.fullmatch(word)
    return int(found[1]) if found else None


def complexity_table(rows: Sequence[ComplexityRow]) -> Table | None:
    """Return the networks; columns that would be empty throughout are left out."""
    if not rows:
        return None
    timed = any(row.layer for row in rows)
    quoted = any(row.original for row in rows)
    words = ["network", *(LAYER_WORDS if timed else ())]
    words += ["the original's most expensive layer"] if quoted else []
    numbers = ["input, px", *HEADERS, *(LAYER_NUMBERS if timed else ())]
    numbers += ORIGINAL_NUMBERS if quoted else ()
    note = MEANING + (EXPENSIVE if timed else "") + (ORIGINAL if quoted else "")
    if any(row.original for row in rows if "convnext-tiny" in row.networks):
        note += f" {CONVNEXT_NOTE}"
    return Table(
        caption="Complexity",
        headers=(*words, *numbers),
        rows=tuple(_cells(row, timed=timed, quoted=quoted) for row in rows),
        words=len(words),
        note=note,
    )


def _cells(row: ComplexityRow, *, timed: bool, quoted: bool) -> tuple[str, ...]:
    words, numbers = [listed(row.networks, _SHOWN)], [str(row.image_size or ABSENT)]
    numbers += [
        as_millions(row.flops), as_millions(row.maccs), as_millions(row.parameters),
        as_count(row.receptive_field),
    ]  # fmt: skip
    if timed:
        words += [row.layer or ABSENT, row.layer_on or ABSENT]
        share = ABSENT if row.layer_share is None else f"{100 * row.layer_share:.0f} %"
        numbers += [as_ms(row.layer_ms), share]
    if quoted:
        cost = row.original
        words.append(cost.expensive_layer if cost else ABSENT)
        numbers += [as_millions(cost.flops if cost else None)]
        numbers += [as_millions(cost.maccs if cost else None)]
        numbers += [f"{cost.expensive_ms:g}" if cost else ABSENT]
    return (*words, *numbers)


def _parsed(variant: str) -> Variant | None:
    try:
        return parse_variant(variant)
    except UsageError:
        return None


def _timed(records: Sequence[Record]) -> dict[_Key, LayerTimesRecord]:
    """Return the layers' times of each network: of the float variant and of LiteRT if they are."""
    ranks: dict[_Key, tuple[bool, bool]] = {}
    found: dict[_Key, LayerTimesRecord] = {}
    for one in of_kind(records, LayerTimesRecord):
        name = _parsed(one.variant)
        if name is None:
            continue
        key = (name.network, name.techniques)
        rank = (name.precision == "float", one.runtime.startswith(_PREFERRED))
        if key not in ranks or rank >= ranks[key]:  # of equal ones the latest counts
            ranks[key], found[key] = rank, one
    return found


def _expensive(
    record: LayerTimesRecord | None, known: dict[str, EnvironmentRecord]
) -> dict[str, Any]:
    if record is None:
        return {}
    layer = most_expensive(record)
    return {
        "layer": layer.name,
        "layer_on": f"{record.variant} on {record.runtime},"
        f" {machine_name(record.environment, known)}",
        "layer_ms": layer.median_us / 1e3,
        "layer_share": layer.share,
    }
