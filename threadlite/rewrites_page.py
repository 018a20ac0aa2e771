"""The tables of docs/convnext.md, out of the records of ``threadlite rewrites`` alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.record import (
    AccuracyRecord,
    CostRecord,
    EnvironmentRecord,
    LatencyRecord,
    LayerTimesRecord,
    ParityRecord,
    PeakRecord,
    Record,
    of_kind,
)
from bench.report_format import as_f1, as_factor, as_megabytes, as_ms
from bench.scores import score
from optimize.converter_defaults import DEFAULT_PRECISIONS
from threadlite.convnext_variants import TWIN, UNTRAINED

KINDS = 8  # of operators in a profile: the rest are of no weight
PRODUCTS = ("CONV_2D", "FULLY_CONNECTED")  # of LiteRT: all that is a product of matrices here
DEFAULTS = tuple(f"{TWIN}.{precision}.tflite" for precision in DEFAULT_PRECISIONS)
PLAIN_ONNX = f"{UNTRAINED}.float.onnx"
FAST_LITERT = f"{UNTRAINED}.rewritten.mixed.int8-dynamic.tflite"
FAST_ONNX = f"{UNTRAINED}.rewritten.mixed.int8-dynamic.onnx"
CALIBRATED_ONNX = f"{UNTRAINED}.rewritten.mixed.int8.onnx"
PROFILED = (DEFAULTS[0], DEFAULTS[-1], FAST_LITERT, PLAIN_ONNX, FAST_ONNX)


class Kind(NamedTuple):
    """All operators of one kind in one variant: how many, and their time together."""

    operators: int = 0
    milliseconds: float = 0.0


def page_lines(records: Sequence[Record]) -> list[str]:
    """Return the generated part of the page, line by line.

    Args:
        records: of ``threadlite rewrites``.
    """
    machine = of_kind(records, EnvironmentRecord)[0]
    costs = {cost.variant: cost for cost in of_kind(records, CostRecord)}
    field = costs[DEFAULTS[0]].receptive_field
    return [
        *_latency_lines(records, costs),
        "Median of single calls, batch 1, all variants of a table timed in turns in one run, on"
        f" {machine.cpu} with {machine.cores} cores ({machine.system}): an x86 machine's times, not"
        " a phone's.",
        "",
        *_profile_lines(records, DEFAULTS[0], FAST_LITERT, "LiteRT"),
        *_profile_lines(records, DEFAULTS[-1], FAST_LITERT, "LiteRT"),
        *_profile_lines(records, PLAIN_ONNX, FAST_ONNX, "ONNX Runtime"),
        *_product_lines(records),
        f"The last maps see {field:,} x {field:,} pixels, more than the picture has; no rewrite"
        " changes that."
        if field
        else "The receptive field was not counted.",
        "",
        *_answer_lines(records),
        *_trained_lines(records),
    ]


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> Iterator[str]:
    """Yield a Markdown table; the first ``words`` columns are to the left."""
    yield f"| {' | '.join(headers)} |"
    yield f"|{'---|' * words}{'---:|' * (len(headers) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _latency_lines(records: Sequence[Record], costs: dict[str, CostRecord]) -> Iterator[str]:
    """Yield a table for each number of threads: times, and how many times as fast."""
    timed = [one for one in of_kind(records, LatencyRecord) if one.variant in costs]
    for threads in dict.fromkeys(one.threads for one in timed):
        median = {
            one.variant: one.median_ms
            for one in timed
            if one.threads == threads and one.variant.startswith((TWIN, UNTRAINED))
        }
        best = min(median[name] for name in DEFAULTS)
        bars = (median[DEFAULTS[0]], best, median[DEFAULTS[-1]], median[PLAIN_ONNX])
        rows = [
            (
                f"`{name}`",
                as_ms(milliseconds),
                *(as_factor(bar / milliseconds) for bar in bars),
                as_megabytes(costs[name].file_bytes),
            )
            for name, milliseconds in median.items()
        ]
        headers = (
            f"variant, {threads} threads", "median, ms", "default float", "best default",
            "default int8", "straight ONNX float", "MB",
        )  # fmt: skip
        yield from _table(headers, rows, words=1)


def _profile_of(records: Sequence[Record], variant: str) -> LayerTimesRecord | None:
    """Return a variant's profile; ``None`` where its runtime gave none."""
    found = (one for one in of_kind(records, LayerTimesRecord) if one.variant == variant)
    return next(found, None)


def _kinds(profile: LayerTimesRecord) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for one in profile.operators:
        name = one.operator or "shared"
        count, milliseconds = found.get(name, Kind())
        found[name] = Kind(count + 1, milliseconds + one.median_us / 1e3)
    return found


def _profile_lines(
    records: Sequence[Record], before: str, after: str, runtime: str
) -> Iterator[str]:
    """Yield the time in each kind of operator of two variants, side by side."""
    profiles = [_profile_of(records, name) for name in (before, after)]
    sides = [_kinds(profile) for profile in profiles if profile is not None]
    if len(sides) < len(profiles):
        return
    names = sorted(
        {*sides[0], *sides[1]},
        key=lambda name: -max(side.get(name, Kind()).milliseconds for side in sides),
    )
    rows = [
        (
            f"{runtime}: `{name}`",
            *(
                text
                for kind in (side.get(name, Kind()) for side in sides)
                for text in (str(kind.operators), as_ms(kind.milliseconds))
            ),
        )
        for name in names[:KINDS]
    ]
    headers = ("operator", f"`{before}`", "ms", f"`{after}`", "ms")
    yield from _table(headers, rows, words=1)


def _product_lines(records: Sequence[Record]) -> Iterator[str]:
    """Yield what share of the fast variant's time its products take, and how near the peak."""
    profile = _profile_of(records, FAST_LITERT)
    if profile is None:
        return
    taken = sum(one.median_us for one in profile.operators if one.operator in PRODUCTS)
    maccs = sum(layer.maccs or 0 for layer in profile.layers if layer.kind in PRODUCTS)
    peak = next(
        one
        for one in of_kind(records, PeakRecord)
        if one.runtime == profile.runtime and one.precision == "int8"
    )
    yield (
        f"On LiteRT the products of matrices take {100 * taken / profile.operators_us:.0f} % of"
        f" the fast variant's time"
        + (
            f", at {100 * maccs / (taken * 1e-6) / peak.maccs_per_second:.0f} % of the speed of"
            " this machine's fastest int8 product"
            if maccs
            else ""
        )
        + "."
    )
    yield ""


def _answer_lines(records: Sequence[Record]) -> Iterator[str]:
    """Yield how far each variant's answers and features lie from its Keras network's."""
    found = of_kind(records, ParityRecord)
    headers = ("variant", "runtime", "photos", "largest difference", "same best class")
    yield from _table(headers, _parity_rows(found, "probabilities"), words=2)
    if features := _parity_rows(found, "features"):
        headers = (
            "features of", "runtime", "photos", "largest difference / largest feature",
            "same largest feature",
        )  # fmt: skip
        yield from _table(headers, features, words=2)


def _parity_rows(records: Sequence[ParityRecord], compared: str) -> list[tuple[str, ...]]:
    return [
        (
            f"`{one.variant}`",
            one.runtime,
            str(one.images),
            f"{one.max_difference:.1e}",
            f"{one.argmax_agreement:.1%}",
        )
        for one in records
        if one.compared == compared
    ]


def _trained_lines(records: Sequence[Record]) -> Iterator[str]:
    """Yield F1 of the trained network's variants, and how often they answer as its float."""
    judged = [one for one in of_kind(records, AccuracyRecord) if one.side == "test"]
    if not judged:
        return
    first = judged[0]
    rows = [
        (
            f"`{one.variant}`",
            one.runtime,
            str(len(one.truths)),
            as_f1(score(one)),
            f"{_agreement(first, one):.1%}",
        )
        for one in judged
    ]
    headers = ("trained variant", "runtime", "test photos", "weighted F1 [95 %]", "same best class")
    yield from _table(headers, rows, words=2)


def _agreement(first: AccuracyRecord, other: AccuracyRecord) -> float:
    pairs = zip(first.predictions, other.predictions, strict=True)
    return sum(a == b for a, b in pairs) / len(first.predictions)
