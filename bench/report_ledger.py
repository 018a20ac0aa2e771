"""The ledger: what each step of optimization bought, from the network as trained to the variant.

A variant's name tells its steps in order: ``net.pruned.int8.tflite`` is the network, pruned, then
in int8. A step whose own variant was not measured cannot be told from the next one, so the two
stand as one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.record import EnvironmentRecord
from bench.report_charts import Chart
from bench.report_choice import Choice
from bench.report_format import (
    ABSENT,
    as_count,
    as_f1,
    as_factor,
    as_megabytes,
    as_millions,
    as_ms,
    as_points,
    as_row,
    as_whole,
)  # fmt: skip
from bench.report_layout import Table
from bench.report_ledger_charts import ENDS, bar_of, bars_of
from bench.report_scores import change_between
from bench.report_sentences import machine_name
from bench.report_tables import Accuracies, VariantRow
from bench.scores import Difference
from train.errors import UsageError
from train.variant import Variant, parse_variant

HEADERS = (
    "variant", "step", "runtime", "split", "median ms, before", "after", "speed-up",
    "MB, before", "after", "share of bytes", "MB compressed, before", "after",
    "peak MB of memory, before", "after", "non-zero parameters, 10⁶", "distinct weights",
    "F1, points", "validation F1 [95 %]", "test F1 [95 %]", "seconds", "what it bought",
)  # fmt: skip
MEANING = (
    "Each step from the float network as trained to the variant, on one runtime and machine: what"
    " it did to the median latency, to the bytes of the file and, photo by photo on the test"
    " photos, to the weighted F1 (95 % interval; grey where it holds 0)."
)
LEAST_GAIN = 0.05  # what gains less is within what two runs of one file differ by
_SHOWN = 4  # variants whose ledger is drawn


@dataclass(frozen=True, kw_only=True)
class LedgerStep:
    """One step between two variants that were measured.

    Attributes:
        name: what was done: ``pruned``, ``int8``, ``pruned + int8``.
        change: weighted F1 after less before, on the same test photos.
    """

    name: str
    before: VariantRow
    after: VariantRow
    change: Difference | None

    @property
    def speedup(self) -> float | None:
        """Time before over time after."""
        if not (self.before.median_ms and self.after.median_ms):
            return None
        return self.before.median_ms / self.after.median_ms

    @property
    def seconds(self) -> float | None:
        """Wall time of what was done; ``None`` where it is not known."""
        known = dict(self.before.step_seconds)
        found = [took for name, took in self.after.step_seconds if name not in known]
        return sum(found) if found else None

    @property
    def bought(self) -> str:
        """What became faster or smaller, in words; that nothing did, where nothing did."""
        gains = {
            "faster": _gained(self.before.median_ms, self.after.median_ms),
            "smaller": _gained(self.before.file_bytes, self.after.file_bytes),
            "smaller compressed": _gained(self.before.gzip_bytes, self.after.gzip_bytes),
        }
        held = [word for word, gained in gains.items() if gained]
        if None in gains.values():
            return " and ".join(held) or ABSENT
        better = self.change is not None and self.change.low > 0.0
        if not held:
            return "a better F1 alone" if better else "nothing: neither time nor bytes nor F1"
        if held != ["smaller compressed"]:
            return " and ".join([*held[:2], *(["a better F1"] if better else [])])
        counts = (row.nonzero_parameters for row in (self.before, self.after))
        stored = "zeros" if _gained(*counts) else "shared weights"
        return f"{stored} are still stored and multiplied: gzip shrinks, latency does not"


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All steps to one variant; those of one that is chosen, or might be, are drawn too."""

    row: VariantRow
    steps: tuple[LedgerStep, ...]
    drawn: bool = False


@dataclass(frozen=True, kw_only=True)
class LedgerSection:
    """What a report says of the steps."""

    table: Table | None
    charts: tuple[Chart, ...]
    meaning: str = MEANING


def build_ledgers(
    rows: Sequence[VariantRow], choices: Sequence[Choice], accuracies: Accuracies
) -> tuple[Ledger, ...]:
    """Return the steps to every variant: to those that were chosen, or might be, first.

    Networks as trained have none.
    """
    wanted = {
        id(row): row for one in choices for row in (one.row, *one.rivals[:2]) if row is not None
    }
    known = {_identity(row): row for row in rows}
    told = (
        replace(_ledger(row, known, accuracies), drawn=key in wanted)
        for key, row in (wanted | {id(row): row for row in rows}).items()
    )
    return tuple(ledger for ledger in told if ledger.steps)


def ledger_section(ledgers: Sequence[Ledger], known: dict[str, EnvironmentRecord]) -> LedgerSection:
    """Return the table and the waterfalls; machines are named where there are several."""
    machines = {
        ledger.row.environment: machine_name(ledger.row.environment, known) for ledger in ledgers
    }
    where = {
        name: f", {machine}" if len(machines) > 1 else "" for name, machine in machines.items()
    }
    told: dict[tuple[object, ...], tuple[str, ...]] = {}
    for ledger in ledgers:
        for step in ledger.steps:
            once = (step.name, *_identity(step.before), *_identity(step.after))
            told.setdefault(once, _cells(ledger, step, where))
    cells = [*told.values()]
    table = Table(caption="Steps", headers=HEADERS, rows=tuple(cells), words=4)
    drawn = [ledger for ledger in ledgers if ledger.drawn][:_SHOWN]
    charts = [chart for ledger in drawn for chart in _charts(ledger, where)]
    return LedgerSection(table=table if cells else None, charts=tuple(charts))


def lineage(name: Variant) -> tuple[tuple[str, Variant], ...]:
    """Return the network as trained and every step after it, each with what was done.

    Techniques come before the precision, in the order of the name.
    """
    found = [("as trained", replace(name, techniques=(), precision="float"))]
    for count, technique in enumerate(name.techniques, start=1):
        made = replace(name, techniques=name.techniques[:count], precision="float")
        found.append((technique, made))
    if name.precision != "float":
        found.append((name.precision, name))
    return tuple(found)


def _ledger(
    row: VariantRow, known: dict[tuple[object, ...], VariantRow], accuracies: Accuracies
) -> Ledger:
    try:
        stations = lineage(parse_variant(row.variant))
    except UsageError:
        return Ledger(row=row, steps=())
    steps: list[LedgerStep] = []
    before: VariantRow | None = None
    words: list[str] = []
    for word, name in stations:
        found = known.get(_identity(replace(row, variant=str(name))))
        words.append(word)
        if found is None:
            continue
        if before is not None:
            old, new = accuracies.of(before, "test"), accuracies.of(found, "test")
            change = change_between(old, new) if old and new else None
            named = " + ".join(words)
            steps.append(LedgerStep(name=named, before=before, after=found, change=change))
        before, words = found, []
    return Ledger(row=row, steps=tuple(steps))


def _gained(before: float | None, after: float | None) -> bool | None:
    """Return whether ``after`` is less by more than noise; ``None`` where one is not known."""
    if before is None or after is None:
        return None
    return after <= (1 - LEAST_GAIN) * before


def _identity(row: VariantRow) -> tuple[object, ...]:
    return row.setting, row.runtime, row.network_sha256, row.variant


def _cells(ledger: Ledger, step: LedgerStep, where: dict[str, str]) -> tuple[str, ...]:
    before, after = step.before, step.after
    share = ABSENT
    if before.file_bytes and after.file_bytes:
        share = f"{100 * after.file_bytes / before.file_bytes:.0f} %"
    return (
        ledger.row.variant,
        step.name,
        ledger.row.runtime + where[ledger.row.environment],
        ledger.row.split_method,
        as_ms(before.median_ms),
        as_ms(after.median_ms),
        as_factor(step.speedup),
        as_megabytes(before.file_bytes),
        as_megabytes(after.file_bytes),
        share,
        as_megabytes(before.gzip_bytes),
        as_megabytes(after.gzip_bytes),
        as_megabytes(before.peak_bytes),
        as_megabytes(after.peak_bytes),
        as_millions(after.nonzero_parameters),
        as_count(after.distinct_weights),
        as_points(step.change),
        as_f1(after.validation_f1),
        as_f1(after.f1),
        as_whole(step.seconds),
        step.bought,
    )


def _charts(ledger: Ledger, where: dict[str, str]) -> list[Chart]:
    """Return the waterfalls of latency, bytes and F1 where every station was measured."""
    name = f"{as_row(ledger.row)}, {ledger.row.split_method} split{where[ledger.row.environment]}"
    rows = [ledger.steps[0].before, *(step.after for step in ledger.steps)]
    charts = []
    times = [row.median_ms for row in rows if row.median_ms is not None]
    if len(times) == len(rows):
        charts.append(_waterfall(ledger, times, "median latency, ms", f"Latency to {name}"))
    sizes = [row.file_bytes / 1e6 for row in rows if row.file_bytes is not None]
    if len(sizes) == len(rows):
        charts.append(_waterfall(ledger, sizes, "file, MB", f"Bytes to {name}"))
    if all(step.change for step in ledger.steps):
        charts.append(_f1_chart(ledger, f"F1 to {name}"))
    return charts


def _waterfall(ledger: Ledger, values: Sequence[float], unit: str, title: str) -> Chart:
    """Return bars from the parent's value down, or up, to the variant's: less is better."""
    points: list[dict[str, object]] = [bar_of(ENDS[0], 0.0, values[0], "total", values[0])]
    for step, before, after in zip(ledger.steps, values[:-1], values[1:], strict=True):
        kind = "gain" if after <= before else "loss"
        points.append(bar_of(step.name, before, after, kind, after - before))
    points.append(bar_of(ENDS[1], 0.0, values[-1], "total", values[-1]))
    return bars_of(points, unit, title)


def _f1_chart(ledger: Ledger, title: str) -> Chart:
    """Return the change of F1 that each step made, with its interval; grey where that holds 0."""
    points = []
    for step in ledger.steps:
        if step.change is None:
            continue
        value, kind = 100 * step.change.value, "total"
        if step.change.low > 0.0 or step.change.high < 0.0:  # else it is noise
            kind = "gain" if value > 0.0 else "loss"
        low, high = 100 * step.change.low, 100 * step.change.high
        points.append(bar_of(step.name, 0.0, value, kind, value) | {"low": low, "high": high})
    return bars_of(points, "weighted F1 of the step, points [95 %]", title)
