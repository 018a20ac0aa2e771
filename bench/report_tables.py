"""The rows of a report: records joined by variant, runtime, split, machine and threads.

Joins and statistics alone: nothing is measured, nothing is formatted. Where the same thing was
measured more than once, the latest record counts.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.record import (
    AccuracyRecord,
    CostRecord,
    LatencyRecord,
    Record,
    TrainingRecord,
    of_kind,
)
from bench.report_photos import Photos, PhotoSets
from bench.report_scores import change_between, pareto_front, score_of
from bench.scores import Difference, Scores
from train.errors import UsageError
from train.variant import PRECISIONS, parse_variant

_Measured = AccuracyRecord | LatencyRecord | CostRecord
Side = Literal["validation", "test"]
Setting = tuple[str, str, int | None]  # split, environment, threads: whose times compare
Condition = tuple[str, str, str, int | None]  # with the photos that judge: what shares a picture


@dataclass(frozen=True, kw_only=True)
class VariantRow:
    """One variant on one runtime, split, machine and number of threads; ``None``: not measured.

    Attributes:
        network: as the variant's name has it; the whole name where that breaks the grammar.
        techniques: what was done to it, in order.
        precision: of its numbers; ``?`` where the name breaks the grammar.
        photos: key of the ``Photos`` that judge it; empty where no record tells them.
        classes: how many it tells apart; 0 likewise.
        f1: weighted F1 and accuracy on the test photos.
        validation_f1: weighted F1 on the validation photos, which choices are made on.
        f1_change: weighted F1 less the float variant's on the same test photos.
        speedup: median latency of the float variant over this one's: same runtime, same machine.
        peak_bytes: the most memory that the runtime and the model held.
        uncounted: operators that the MACC count knows nothing of.
        on_front: no variant of the same picture is both faster and better on the test photos.
    """

    split_method: str
    variant: str
    variant_sha256: str
    network_sha256: str
    network: str
    techniques: tuple[str, ...]
    precision: str
    runtime: str
    environment: str
    photos: str = ""
    classes: int = 0
    threads: int | None = None
    f1: Scores | None = None
    test_photos: int = 0
    validation_f1: Scores | None = None
    f1_change: Difference | None = None
    file_bytes: int | None = None
    gzip_bytes: int | None = None
    parameters: int | None = None
    nonzero_parameters: int | None = None
    distinct_weights: int | None = None
    step_seconds: tuple[tuple[str, float], ...] = ()
    maccs: int | None = None
    uncounted: tuple[tuple[str, int], ...] = ()
    p10_ms: float | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    calls: int = 0
    peak_bytes: int | None = None
    speedup: float | None = None
    on_front: bool = False

    @property
    def setting(self) -> Setting:
        """What its latency may be compared within."""
        return self.split_method, self.environment, self.threads

    @property
    def condition(self) -> Condition:
        """What its latency and F1 may be compared within."""
        return self.split_method, self.photos, self.environment, self.threads

    @property
    def flops(self) -> int | None:
        """Two for each MACC."""
        return None if self.maccs is None else 2 * self.maccs

    @property
    def subject(self) -> tuple[str, str, str]:
        """Which file it is, whatever runs it."""
        return self.split_method, self.variant, self.variant_sha256


class Accuracies:
    """The accuracy records, found by the row they belong to, and the photos that they are of."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.photos = PhotoSets(records)
        self._found: dict[tuple[object, ...], dict[str, AccuracyRecord]] = {}
        for record in of_kind(records, AccuracyRecord):
            self._found.setdefault((*_subject(record), record.runtime, record.side), {})[
                record.environment
            ] = record
        self._refits = {
            (one.split_method, one.network_sha256)
            for one in of_kind(records, TrainingRecord)
            if one.photos.get("validation") == 0
        }

    def refitted(self, row: VariantRow) -> bool:
        """Return whether training left the row's network no photos to choose on."""
        return (row.split_method, row.network_sha256) in self._refits

    def of(self, row: VariantRow, side: Side) -> AccuracyRecord | None:
        """Return the row's record, its own machine's before any other's."""
        found = self._found.get((*row.subject, row.runtime, side), {})
        return found.get(row.environment) or next(reversed(found.values()), None)


def build_rows(records: Sequence[Record], accuracies: Accuracies) -> tuple[VariantRow, ...]:
    """Return one row for each variant on each runtime, split, machine and number of threads."""
    measured = _measured(records, accuracies.photos)
    rows = [_with_accuracy(row, accuracies) for row in measured.values()]
    floats = _floats(rows)
    rows = [_against_float(row, _float_of(row, floats), accuracies) for row in rows]
    return tuple(sorted(_mark_fronts(rows), key=_order))


def _subject(record: _Measured) -> tuple[str, str, str]:
    return record.split_method, record.variant, record.variant_sha256


def _measured(records: Sequence[Record], photos: PhotoSets) -> dict[tuple[object, ...], VariantRow]:
    """Return the rows with cost and latency: what was timed, else judged, else weighed."""
    costs = {_subject(record): record for record in of_kind(records, CostRecord)}

    def bare(record: _Measured, runtime: str) -> VariantRow:
        return _bare_row(record, runtime, costs.get(_subject(record)), photos.of(record))

    rows: dict[tuple[object, ...], VariantRow] = {}
    covered: set[tuple[object, ...]] = set()
    for timed in of_kind(records, LatencyRecord):
        key = (*_subject(timed), timed.runtime)
        row = bare(timed, timed.runtime)
        rows[(*key, timed.environment, timed.threads)] = _with_latency(row, timed)
        covered |= {key, _subject(timed)}
    for judged in of_kind(records, AccuracyRecord):
        key = (*_subject(judged), judged.runtime)
        if key not in covered:
            rows[(*key, judged.environment)] = bare(judged, judged.runtime)
            covered.add(_subject(judged))
    for weighed in of_kind(records, CostRecord):
        if _subject(weighed) not in covered:
            rows[_subject(weighed)] = bare(weighed, "")
    return rows


def _bare_row(
    record: _Measured, runtime: str, cost: CostRecord | None, photos: Photos | None
) -> VariantRow:
    techniques: tuple[str, ...] = ()
    network, precision = record.variant, "?"
    try:
        name = parse_variant(record.variant)
        network, techniques, precision = name.network, name.techniques, name.precision
    except UsageError:
        pass
    counts: dict[str, Any] = {}
    if cost is not None:
        counts = {
            "file_bytes": cost.file_bytes,
            "gzip_bytes": cost.gzip_bytes,
            "parameters": cost.parameters,
            "nonzero_parameters": cost.nonzero_parameters,
            "distinct_weights": cost.distinct_weights,
            "step_seconds": tuple(cost.step_seconds.items()),
            "maccs": cost.maccs,
            "uncounted": tuple(sorted(cost.uncounted.items())),
        }
    return VariantRow(
        split_method=record.split_method,
        variant=record.variant,
        variant_sha256=record.variant_sha256,
        network_sha256=record.network_sha256,
        network=network,
        techniques=techniques,
        precision=precision,
        runtime=runtime,
        environment=record.environment,
        photos=photos.key if photos else "",
        classes=len(photos.labels) if photos else 0,
        **counts,
    )


def _with_latency(row: VariantRow, timed: LatencyRecord) -> VariantRow:
    p10, p90 = np.quantile(timed.latencies_ms, (0.1, 0.9))
    return dataclasses.replace(
        row,
        threads=timed.threads,
        p10_ms=float(p10),
        median_ms=timed.median_ms,
        p90_ms=float(p90),
        calls=len(timed.latencies_ms),
        peak_bytes=timed.held_bytes,
    )


def _with_accuracy(row: VariantRow, accuracies: Accuracies) -> VariantRow:
    test, validation = accuracies.of(row, "test"), accuracies.of(row, "validation")
    if validation and validation.photo_ids:
        row = dataclasses.replace(row, validation_f1=score_of(validation))
    if test and test.photo_ids:
        row = dataclasses.replace(row, f1=score_of(test), test_photos=len(test.photo_ids))
    return row


def _floats(rows: Sequence[VariantRow]) -> dict[tuple[object, ...], VariantRow]:
    """Return the float rows by where they were measured and what they are."""
    return {_identity(row, row.techniques): row for row in rows if row.precision == "float"}


def _float_of(row: VariantRow, floats: dict[tuple[object, ...], VariantRow]) -> VariantRow | None:
    """Return the float row to hold ``row`` against: the plain network's, else its own."""
    for techniques in ((), row.techniques):
        base = floats.get(_identity(row, techniques))
        if base is not None:
            return None if base is row else base
    return None


def _identity(row: VariantRow, techniques: tuple[str, ...]) -> tuple[object, ...]:
    return row.setting, row.runtime, row.network, techniques, row.network_sha256


def _against_float(row: VariantRow, base: VariantRow | None, accuracies: Accuracies) -> VariantRow:
    if base is None:
        return row
    if row.median_ms and base.median_ms:
        row = dataclasses.replace(row, speedup=base.median_ms / row.median_ms)
    before, after = accuracies.of(base, "test"), accuracies.of(row, "test")
    if before and after and after.photo_ids:
        row = dataclasses.replace(row, f1_change=change_between(before, after))
    return row


def filter_tags(row: VariantRow) -> tuple[str, str, str, str]:
    """Return what a row is found by: network, techniques, runtime, precision."""
    return row.network, " + ".join(row.techniques) or "none", row.runtime, row.precision


def by_condition(rows: Sequence[VariantRow]) -> dict[Condition, list[VariantRow]]:
    """Return the rows by what their latencies and F1 may be compared within."""
    found: dict[Condition, list[VariantRow]] = {}
    for row in rows:
        found.setdefault(row.condition, []).append(row)
    return found


def _mark_fronts(rows: Sequence[VariantRow]) -> list[VariantRow]:
    marked: list[VariantRow] = []
    for members in by_condition(rows).values():
        drawn = [row for row in members if row.f1 and row.median_ms]
        points = [(row.median_ms or 0.0, row.f1.weighted_f1 if row.f1 else 0.0) for row in drawn]
        front = {id(drawn[index]) for index in pareto_front(points)}
        marked += [
            dataclasses.replace(row, on_front=True) if id(row) in front else row for row in members
        ]
    return marked


def _order(row: VariantRow) -> tuple[object, ...]:
    known = row.precision in PRECISIONS
    return (
        row.split_method,
        row.environment,
        row.threads or 0,
        row.network,
        row.techniques,
        row.runtime,
        PRECISIONS.index(row.precision) if known else len(PRECISIONS),
        row.variant,
        row.variant_sha256,
    )
