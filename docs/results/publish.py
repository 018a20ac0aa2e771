"""Land runs under ``docs/results/`` and their tables where they are read: ``make results``.

``python docs/results/publish.py RUN PLAN.toml [RUN PLAN.toml ...]`` copies the records and the plan
of each finished run and makes its report and its table out of those records. Without words it makes
the reports and tables of all runs that have landed anew. A plan's table stands in the README or in
``docs/results.md``, wherever a block ``<!-- results: docs/results/NAME -->`` to ``<!-- /results
-->`` is; that of ``docs/results/all``, which all landed records of the first seed make, may stand
there too, or one network an approach of it, ``<!-- results: docs/results/all approaches -->``, and
so may what a run's networks cost, ``<!-- results: docs/results/NAME costs -->``, and
what its variants lost by several seeds, ``<!-- results: docs/results/NAME seeds -->``: those of all
plans called as this one but for the digits behind its name.
"""

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.adb import is_phone
from bench.record import (
    CrossvalRecord,
    EnvironmentRecord,
    Record,
    TrainingRecord,
    of_kind,
    read_records,
)
from bench.report import write_report
from bench.report_approaches import ApproachRow, approach_rows, approach_table
from bench.report_charts import drawable
from bench.report_chosen import chosen_rows
from bench.report_complexity import complexity_rows, complexity_table
from bench.report_content import Extras
from bench.report_crossval import CrossvalRow, crossval_rows
from bench.report_format import (
    ABSENT,
    as_f1,
    as_factor,
    as_markdown,
    as_megabytes,
    as_millions,
    as_ms,
    as_points,
    as_signed,
    as_spread,
)
from bench.report_input import plain_names, read_for_report
from bench.report_layout import Table
from bench.report_recipes import MEANING, recipe_rows, recipe_tables
from bench.report_sentences import machine_name
from bench.report_tables import Accuracies, VariantRow, build_rows
from bench.scores import Difference
from train.approaches import APPROACHES

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs" / "results"
PAGES = (REPOSITORY / "README.md", REPOSITORY / "docs" / "results.md")
BEGIN, END = "<!-- results: {} -->", "<!-- /results -->"
# Behind the name of a run, in a block's first line.
COSTS, SEEDS, CHOSEN = "costs", "seeds", "approaches"
SEEDS_NOTE = (
    "Weighted F1 less that of the float variant on the same runtime, in points, with its 95 %"
    " interval, senders resampled. Each seed divides the photos and trains anew; the mean is that"
    " of the seeds."
)
# Of the table of complexity: what a network costs, and where its time goes.
COSTS_HEADERS = (
    (
        "network", "input, px", "FLOPs, 10⁶", "MACCs, 10⁶", "parameters, 10⁶",
        "receptive field, px", "the original: FLOPs, 10⁶", "the original: MACCs, 10⁶",
    ),
    (
        "network", "most expensive layer", "timed", "the original's most expensive layer",
        "its time, ms", "its share", "the original: layer's time, ms",
    ),
)  # fmt: skip
WHOLE, WHOLE_UNDER_MS = "Clothing articles: all landed runs", 5.0
# Of the table of approaches, those columns that a page has room for.
WHOLE_HEADERS = (
    "approach", "network", "classes", "stratified test: weighted F1 [95 %]", "accuracy",
    "the original: F1", "stratified folds: weighted F1", "the original: 5 folds",
    "grouped test: weighted F1 [95 %]", "grouped folds: weighted F1",
)  # fmt: skip
_JUDGED = (
    " the test photos judge it in float, under its own runtime. Intervals are 95 %, senders"
    " resampled; ± is the standard deviation over five folds. The original's figures are as it"
    " reported them; its test photos need not be these."
)
WHOLE_NOTE = f"A row a network, told by the first digits of its digest;{_JUDGED}"
CHOSEN_NOTE = (
    "Where an approach was trained more than once, the network with the best F1 on the validation"
    f" photos stands here;{_JUDGED}"
)
APART = ("ablation",)  # runs that are no part of the whole
RECORDS, PICTURE = "records.jsonl", "f1-latency.png"
FOLD_HEADERS = ("approach", "folds", "mean ± sd", "out of fold: weighted F1 [95 %]")
HEADERS = (
    "variant", "split", "machine", "classes", "weighted F1 [95 %]", "against float, points",
    "median, ms", "speed-up", "MB", "MACCs, 10⁶",
)  # fmt: skip
_WORDS = 4  # columns of a variant that are no numbers
_SAME = ("split", "machine", "classes")  # columns that say nothing where they say one thing


def main(words: Sequence[str]) -> None:
    """Land the runs that ``words`` name in pairs; bring their reports and pages up to date."""
    landed = [
        land(Path(run), Path(plan)) for run, plan in zip(words[::2], words[1::2], strict=True)
    ]
    for folder in landed or landed_folders():
        make_report(folder)
        page = page_of(folder)
        write_block(page, folder, block(folder, page))
        for page in pages_with(folder, COSTS):
            write_block(page, folder, costs_block(folder), COSTS)
    for folder in landed_folders():
        for page in pages_with(folder, SEEDS):
            write_block(page, folder, seeds_block(folder), SEEDS)
    make_whole()


def landed_folders() -> list[Path]:
    """Return the folders of all runs that have landed."""
    return sorted(path.parent for path in RESULTS.glob(f"*/{RECORDS}"))


def land(run: Path, plan: Path) -> Path:
    """Copy one run's records and plan, and return their folder; whatever was in it is gone."""
    folder = RESULTS / plan.stem
    page_of(folder)  # there must be one
    records = (run / RECORDS).read_bytes()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / RECORDS).write_bytes(records)
    shutil.copy(plan, folder)
    return folder


def make_report(folder: Path) -> None:
    """Write the Markdown report and the pictures of landed records, and remove those of before."""
    told = _plan(folder)
    goals = Extras(under_ms=told.get("goals", {}).get("under_ms"))
    records, warnings = read_records(folder / RECORDS)
    command = f"threadlite run plans/{folder.name}.toml --data SOURCE"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        write_report(
            records, made, title=told["title"], warnings=warnings, command=command, extras=goals
        )
        _take_report(made, folder)


def make_whole() -> None:
    """Write one report of all landed runs of one seed, ``docs/results/all/``, anew."""
    sources = whole_sources()
    records, warnings = read_for_report(sources)
    names = " ".join(f"docs/results/{name}" for name in plain_names(sources))
    command = f"threadlite report {names} --under-ms {WHOLE_UNDER_MS:g} --out DIR"
    goals = Extras(under_ms=WHOLE_UNDER_MS)
    folder = RESULTS / "all"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        write_report(records, made, title=WHOLE, warnings=warnings, command=command, extras=goals)
        _take_report(made, folder)
    found = pages_with(folder)
    for page in found:
        write_block(page, folder, whole_block(records, folder, page))
    for page in pages_with(folder, CHOSEN):
        write_block(page, folder, chosen_block(records), CHOSEN)
    if not found:
        sys.stdout.write(f"{folder.relative_to(REPOSITORY)} is up to date\n")


def whole_sources() -> list[Path]:
    """Return the records that are told together.

    Other seeds divide the photos in other ways, and what compares recipes at a small input for a
    short time trains networks that nobody is meant to take.
    """
    return [
        folder / RECORDS
        for folder in landed_folders()
        if folder.name not in APART and not _plan(folder)["seed"]
    ]


def _plan(folder: Path) -> dict[str, Any]:
    text = (folder / f"{folder.name}.toml").read_text(encoding="utf-8")
    return {"seed": 0, **tomllib.loads(text)}


def _take_report(made: Path, folder: Path) -> None:
    """Put the Markdown report and its pictures into ``folder``, in the place of those of before."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.png"):
        path.unlink()
    for path in (made / "report.md", *sorted(made.glob("*.png"))):
        shutil.copy(path, folder)


def page_of(folder: Path) -> Path:
    """Return the page that has a block for ``folder``."""
    if found := pages_with(folder):
        return found[0]
    names = " nor ".join(page.relative_to(REPOSITORY).as_posix() for page in PAGES)
    raise SystemExit(
        f"neither {names} has a block {_begin(folder)} ... {END}; write both lines where it goes"
    )


def pages_with(folder: Path, part: str = "") -> list[Path]:
    """Return the pages that have a block for ``folder``, or for a part of it."""
    return [page for page in PAGES if page.exists() and _begin(folder, part) in _text(page)]


def write_block(page: Path, folder: Path, content: str, part: str = "") -> None:
    """Bring the block of ``folder`` on a page up to date, and say so."""
    page.write_text(with_results(_text(page), folder, content, part), encoding="utf-8")
    names = (path.relative_to(REPOSITORY) for path in (folder, page))
    sys.stdout.write(f"{' and '.join(map(str, names))} are up to date\n")


def with_results(text: str, folder: Path, content: str, part: str = "") -> str:
    """Return a page's text with the block of ``folder`` written anew."""
    before, begin, rest = text.partition(_begin(folder, part))
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"the block {begin} is not closed: write {END} where it ends")
    return f"{before}{begin}\n{content}{end}{after}"


def _begin(folder: Path, part: str = "") -> str:
    place = folder.relative_to(REPOSITORY).as_posix()
    return BEGIN.format(f"{place} {part}" if part else place)


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _place(folder: Path, page: Path) -> str:
    """Return where a folder lies, as a link on the page has it."""
    return Path(os.path.relpath(folder, page.parent)).as_posix()


def whole_block(records: Sequence[Record], folder: Path, page: Path) -> str:
    """Return a page's table of all approaches of all landed runs."""
    table = approach_table(_approaches(records))
    place, parts = _place(folder, page), []
    if table:
        parts += [_some_columns(table, WHOLE_HEADERS), WHOLE_NOTE]
    if (folder / PICTURE).exists():
        parts.append(f"![Weighted F1 against latency, machine by machine]({place}/{PICTURE})")
    parts.append(f"The whole report is [{place}/report.md]({place}/report.md).")
    return "\n\n".join(parts) + "\n"


def chosen_block(records: Sequence[Record]) -> str:
    """Return a page's table of the approaches that threadlite names, a network each."""
    known = [row for row in _approaches(records) if row.approach in APPROACHES]
    table = approach_table(chosen_rows(known))
    if table is None:
        raise SystemExit("no landed run has trained an approach; remove the block")
    return "\n\n".join((_some_columns(table, WHOLE_HEADERS), CHOSEN_NOTE)) + "\n"


def _approaches(records: Sequence[Record]) -> tuple[ApproachRow, ...]:
    accuracies = Accuracies(records)
    return approach_rows(build_rows(records, accuracies), crossval_rows(records), accuracies)


def costs_block(folder: Path) -> str:
    """Return what the networks of one run cost, and the layer of each that takes longest."""
    records, _ = read_records(folder / RECORDS)
    table = complexity_table(complexity_rows(records, Accuracies(records).photos))
    if table is None:
        raise SystemExit(f"{folder.name}: no record says what a network costs; remove the block")
    told = [names for names in COSTS_HEADERS if len({*names} & {*table.headers}) > 1]
    grids = [_some_columns(table, names) for names in told]
    return "\n\n".join([*grids, table.note]) + "\n"


def seeds_block(folder: Path) -> str:
    """Return by how much variants differ from float in each run of a plan's family of seeds."""
    stem = folder.name.rstrip("0123456789")
    found: dict[int, dict[str, Difference]] = {}
    for path in RESULTS.glob(f"{stem}[0-9]*/{RECORDS}"):
        records, _ = read_records(path)
        rows = build_rows(records, Accuracies(records))
        found[_plan(path.parent)["seed"]] = {
            row.variant: row.f1_change for row in rows if row.f1_change
        }
    lines = []
    for variant in sorted({name for changes in found.values() for name in changes}):
        changes = [found[seed].get(variant) for seed in sorted(found)]
        values = [100 * one.value for one in changes if one]
        mean = as_signed(sum(values) / len(values))
        lines.append((f"`{variant}`", *map(as_points, changes), mean))
    headers = ("variant", *(f"seed {seed}" for seed in sorted(found)), "mean")
    return "\n\n".join([_grid(headers, lines, 1), SEEDS_NOTE]) + "\n"


def _some_columns(table: Table, headers: Sequence[str]) -> str:
    """Return a table's columns of these names, as far as it has them, as Markdown."""
    used = [table.headers.index(name) for name in headers if name in table.headers]
    lines = [
        (f"`{row[0]}`", *(as_markdown(row[number]) for number in used[1:])) for row in table.rows
    ]
    words = sum(number < table.words for number in used)
    return _grid([table.headers[number] for number in used], lines, words)


def block(folder: Path, page: Path) -> str:
    """Return a page's tables of one run, from its records alone."""
    records, _ = read_records(folder / RECORDS)
    accuracies = Accuracies(records)
    rows = build_rows(records, accuracies)
    place = _place(folder, page)
    recipes = recipe_tables(recipe_rows(records, rows, accuracies), accuracies)
    parts = (
        _recipes(recipes) if _is_of_recipes(records, rows, recipes) else _variants(records, rows)
    )
    parts += _folds(crossval_rows(records))
    parts.append(_machines(records, rows))
    if drawable(rows) and not _is_of_recipes(records, rows, recipes):
        parts.append(f"![Weighted F1 against latency]({place}/{PICTURE})")
    parts.append(
        f"The whole report is [{place}/report.md]({place}/report.md); its records and the plan"
        f" stand beside it. `make results PLAN=plans/{folder.name}.toml"
        " DATA=PATH/TO/clothing-dataset` makes them again."
    )
    return "\n\n".join(parts) + "\n"


def _is_of_recipes(
    records: Sequence[Record], rows: Sequence[VariantRow], recipes: Sequence[Table]
) -> bool:
    """Return whether the run compares trainings of one network, and nothing else."""
    trained = {(one.split_method, one.approach) for one in of_kind(records, TrainingRecord)}
    splits = {split_method for split_method, _ in trained}
    plain = all(row.precision == "float" and not row.techniques for row in rows)
    return (
        bool(recipes)
        and plain
        and len(recipes) == len(splits)
        and sum(len(table.rows) for table in recipes) == len(trained)
    )


def _recipes(recipes: Sequence[Table]) -> list[str]:
    """Return what each part of the recipe was worth, and what may be read out of it."""
    parts = []
    for table in recipes:
        rows = [(f"`{row[0]}`", *map(as_markdown, row[1:])) for row in table.rows]
        parts += [f"{table.caption}:", _grid(table.headers, rows, table.words), table.note]
    return [*filter(None, parts), MEANING]


def _variants(records: Sequence[Record], rows: Sequence[VariantRow]) -> list[str]:
    """Return a row a variant; nothing where the run has none."""
    if not rows:
        return []
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    cells = [_cells(row, machine_name(row.environment, known)) for row in rows]
    used = [
        number
        for number, header in enumerate(HEADERS)
        if {line[number] for line in cells} != {ABSENT}
        and not (header in _SAME and len({line[number] for line in cells}) == 1)
    ]
    words = sum(number < _WORDS for number in used)
    kept = [tuple(line[number] for number in used) for line in cells]
    return [_grid([HEADERS[number] for number in used], kept, words), _judged(rows)]


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """Return a table of Markdown, of which the first ``words`` columns are no numbers."""
    marks = ["---" if number < words else "---:" for number in range(len(headers))]
    lines = [f"| {' | '.join(headers)} |", f"|{'|'.join(marks)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _cells(row: VariantRow, machine: str) -> tuple[str, ...]:
    return (
        f"`{row.variant}`",
        row.split_method,
        machine,
        str(row.classes or ABSENT),
        as_f1(row.f1),
        as_points(row.f1_change),
        as_ms(row.median_ms),
        as_factor(row.speedup),
        as_megabytes(row.file_bytes),
        as_millions(row.maccs),
    )


def _judged(rows: Sequence[VariantRow]) -> str:
    """Return whose photos and times these are."""
    runtimes = ", ".join(sorted({row.runtime for row in rows if row.runtime}))
    splits = " and ".join(sorted({row.split_method for row in rows}, reverse=True))
    says = (
        f"Test photos of the {splits} split, each variant under its own runtime ({runtimes});"
        " intervals and differences by the bootstrap over senders."
    )
    threads = sorted({row.threads for row in rows if row.threads})
    if threads:
        many = " and ".join(map(str, threads)) + f" thread{'' if threads == [1] else 's'}"
        says += f" Median of single calls, batch 1, {many}."
    return f"{says} One MACC is two FLOPs."


def _folds(rows: Sequence[CrossvalRow]) -> list[str]:
    """Return the table of the cross-validations; nothing where there are none."""
    if not rows:
        return []
    cells = [
        (
            f"`{row.approach}`", f"{row.folds} {row.split_method}",
            as_spread(row.scores.mean, row.scores.deviation), as_f1(row.scores.pooled),
        )
        for row in rows
    ]  # fmt: skip
    photos = " or ".join(f"{count:,}" for count in sorted({row.photos for row in rows}))
    return [
        _grid(FOLD_HEADERS, cells, 2),
        f"Every one of {photos} photos predicted by the network of the fold that held it out."
        " Nothing is chosen in a fold: the last epoch is kept.",
    ]


def _machines(records: Sequence[Record], rows: Sequence[VariantRow]) -> str:
    """Return what made these records, a sentence a machine; whose times are no phone's, and why."""
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    timed = {row.environment for row in rows if row.median_ms is not None}
    trained = {
        one.environment for one in records if isinstance(one, TrainingRecord | CrossvalRecord)
    }
    sentences = []
    for environment, machine in known.items():
        done = [("trained", trained), ("timed", timed)]
        what = " and ".join(word for word, where in done if environment in where) or "judged"
        says = (
            f"{what.capitalize()} on {machine_name(environment, known)}, {machine.cores} cores,"
            f" {machine.memory_bytes / 2**30:.1f} GiB, {machine.system}"
        )
        features = ", ".join(machine.cpu_features)
        says += f", with {features}" if features else ""
        says += ", its cores kept awake" if machine.kept_awake else ""
        says += "" if machine.python == "none" else f"; Python {machine.python}"
        if environment in timed and not is_phone(machine):
            says += ": its times, not a phone's"
        sentences.append(f"{says}.")
    if len(timed) > 1:
        sentences.append("Times of one machine are not to be compared with times of another.")
    return " ".join(sentences)


if __name__ == "__main__":
    if len(sys.argv) % 2 == 0:
        raise SystemExit("usage: python docs/results/publish.py [RUN PLAN.toml ...]")
    main(sys.argv[1:])
