"""Land a run under ``docs/results/`` and its table in the README: ``make results``.

``python docs/results/publish.py RUN PLAN.toml`` copies the records, the Markdown report, its
pictures and the plan of a finished run, and writes the README's table out of those records.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.record import EnvironmentRecord, Record, of_kind, read_records
from bench.report_crossval import CrossvalRow, crossval_rows
from bench.report_format import (
    as_f1,
    as_factor,
    as_megabytes,
    as_millions,
    as_ms,
    as_points,
    as_spread,
)
from bench.report_tables import Accuracies, VariantRow, build_rows

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- results: {} -->", "<!-- /results -->"
FOLD_HEADERS = ("approach", "folds", "mean ± sd", "out of fold: weighted F1 [95 %]")
HEADERS = (
    "variant", "split", "weighted F1 [95 %]", "against float, points", "median, ms", "speed-up",
    "MB", "MACCs, 10⁶",
)  # fmt: skip


def main(run: Path, plan: Path) -> None:
    """Copy one run's results and bring the README up to date."""
    target = REPOSITORY / "docs" / "results" / plan.stem
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in (run / "records.jsonl", plan, run / "report" / "report.md"):
        shutil.copy(path, target)
    for path in sorted((run / "report").glob("*.png")):
        shutil.copy(path, target)
    text = README.read_text(encoding="utf-8")
    README.write_text(with_results(text, target), encoding="utf-8")
    sys.stdout.write(f"{target.relative_to(REPOSITORY)} and README.md are up to date\n")


def with_results(text: str, folder: Path) -> str:
    """Return the README's text with the block of ``folder`` written anew."""
    begin = BEGIN.format(folder.relative_to(REPOSITORY).as_posix())
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"README.md has no block {begin} ... {END}")
    return f"{before}{begin}\n{block(folder)}{END}{after}"


def block(folder: Path) -> str:
    """Return the README's table of one run, from its records alone."""
    records, _ = read_records(folder / "records.jsonl")
    rows = build_rows(records, Accuracies(records))
    place = folder.relative_to(REPOSITORY).as_posix()
    lines = [
        f"| {' | '.join(HEADERS)} |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
        "",
        _machine(records, rows),
        "",
        *_folds(crossval_rows(records)),
        f"![Weighted F1 against latency]({place}/f1-latency.png)",
        "",
        f"The whole report is [{place}/report.md]({place}/report.md); its records and the plan"
        f" stand beside it. `make results PLAN=plans/{folder.name}.toml"
        " DATA=PATH/TO/clothing-dataset` makes them again.",
        "",
    ]
    return "\n".join(lines)


def _cells(row: VariantRow) -> tuple[str, ...]:
    return (
        f"`{row.variant}`",
        row.split_method,
        as_f1(row.f1),
        as_points(row.f1_change),
        as_ms(row.median_ms),
        as_factor(row.speedup),
        as_megabytes(row.file_bytes),
        as_millions(row.maccs),
    )


def _folds(rows: Sequence[CrossvalRow]) -> list[str]:
    """Return the table of the cross-validations; nothing where there are none."""
    if not rows:
        return []
    return [
        f"| {' | '.join(FOLD_HEADERS)} |",
        "|---|---|---:|---:|",
        *(
            f"| `{row.approach}` | {row.folds} {row.split_method}"
            f" | {as_spread(row.scores.mean, row.scores.deviation)} | {as_f1(row.scores.pooled)} |"
            for row in rows
        ),
        "",
        f"Every one of {rows[0].photos:,} photos predicted by the network of the fold that held it"
        " out. Nothing is chosen in a fold: the last epoch is kept.",
        "",
    ]


def _machine(records: Sequence[Record], rows: Sequence[VariantRow]) -> str:
    machine = of_kind(records, EnvironmentRecord)[0]
    runtimes = ", ".join(sorted({row.runtime for row in rows}))
    threads = ", ".join(sorted({str(row.threads) for row in rows}))
    return (
        f"Test photos, each variant under its own runtime ({runtimes}); intervals and differences"
        f" by the bootstrap over senders. Median of single calls, batch 1, {threads} threads, on"
        f" {machine.cpu} with {machine.cores} cores ({machine.system}): an x86 machine's times, not"
        " a phone's. One MACC is two FLOPs."
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python docs/results/publish.py RUN PLAN.toml")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
