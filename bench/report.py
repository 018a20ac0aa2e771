"""The report: Markdown, CSV, JSON, HTML and PNG out of records alone; nothing is measured here.

The same records give the same bytes. ``report.html`` is one file that asks no network for
anything: scripts, styles and data are inside it, and its content policy forbids the rest.
"""

import base64
import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bench.record import EnvironmentRecord, Record, of_kind
from bench.report_approaches import ApproachRow
from bench.report_charts import Chart, chart_scripts, draw_png
from bench.report_complexity import ComplexityRow
from bench.report_content import NO_EXTRAS, Extras, Report, build_report
from bench.report_crossval import ClassRow, CrossvalRow
from bench.report_csv import as_csv
from bench.report_flips import FlipRow
from bench.report_format import as_markdown
from bench.report_layers import MEANING as LAYERS_MEAN
from bench.report_recipes import MEANING as RECIPES_MEAN
from bench.report_recipes import RecipeRow
from bench.report_sentences import COLUMNS, LEGEND
from bench.report_sizes import MEANING as SIZES_MEAN
from bench.report_tables import VariantRow
from train.storage import whole_file, write_text

LATENCY_PNG = "f1-latency.png"
CURVES_PNG = "learning-curves.png"
CONFUSIONS_PNG = "confusions.png"
LEDGER_PNG = "ledger.png"
SIZES_PNG = "f1-maccs.png"
FLIPS_CSV = "flips.csv"
LATENCY_CAPTION = (
    "F1 against latency (hollow: float; filled: another precision; dashed: Pareto front)"
)
CONFUSIONS_CAPTION = (
    "Confusion matrices, out of fold (number: photos; depth: share of the true class)"
)
LEDGER_CAPTION = "What each step of optimization bought"
SIZES_CAPTION = "F1 against MACCs at several sizes of the input"
CURVES_CAPTION = "Learning curves (the larger mark is the best epoch)"


def write_report(
    records: Sequence[Record],
    folder: Path,
    *,
    title: str,
    warnings: Sequence[str] = (),
    command: str = "",
    notes: Sequence[str] = (),
    extras: Extras = NO_EXTRAS,
) -> None:
    """Write ``report.md``, ``.html``, ``.csv``, ``.json`` and the pictures into ``folder``.

    Each further table has a file of figures beside them where it has rows: ``approaches.csv``,
    ``complexity.csv``, ``recipes.csv``, ``crossval.csv``, ``classes.csv`` and ``flips.csv``.

    Args:
        records: what was measured; may be empty, which the report then says.
        folder: made where it is missing; earlier reports in it are replaced.
        title: what the report is of.
        warnings: what else the reader should know, such as records passed over.
        command: what makes it again.
        notes: verdicts in words, such as why int8 is not faster.
        extras: what else was asked for.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    report = build_report(
        records, title=title, warnings=warnings, command=command, notes=notes, extras=extras
    )
    write_text(folder / "report.csv", as_csv(VariantRow, report.rows))
    _write_other_csv(folder, report)
    write_text(folder / "report.json", _as_json(report, records))
    _write_png(folder / LATENCY_PNG, report.pictures, LATENCY_CAPTION)
    _write_png(folder / CURVES_PNG, report.curves, CURVES_CAPTION)
    _write_png(folder / CONFUSIONS_PNG, report.confusions, CONFUSIONS_CAPTION)
    _write_png(folder / SIZES_PNG, report.size_curves, SIZES_CAPTION)
    _write_png(folder / LEDGER_PNG, report.ledger.charts, LEDGER_CAPTION)
    write_text(folder / "report.md", _as_markdown(report))
    write_text(folder / "report.html", _as_html(report))


def _write_other_csv(folder: Path, report: Report) -> None:
    """Write the figures of the other tables, or remove an earlier report's where there are none."""
    contents: dict[str, tuple[type[Any], Sequence[Any]]] = {
        "approaches.csv": (ApproachRow, report.approaches),
        "complexity.csv": (ComplexityRow, report.complexity),
        "recipes.csv": (RecipeRow, report.recipes),
        "crossval.csv": (CrossvalRow, report.crossvals),
        "classes.csv": (ClassRow, report.classes if report.crossvals else ()),
        FLIPS_CSV: (FlipRow, report.flips.rows),
    }
    for name, (kind, rows) in contents.items():
        if rows:
            write_text(folder / name, as_csv(kind, rows, leave_out=("labels", "confusion")))
        else:
            (folder / name).unlink(missing_ok=True)


def _as_json(report: Report, records: Sequence[Record]) -> str:
    drawn = (
        "pictures", "curves", "confusions", "size_curves", "choice_names", "ledger", "layers",
        "flips",
    )  # fmt: skip
    content: dict[str, Any] = {
        field.name: _plain(getattr(report, field.name))
        for field in dataclasses.fields(report)
        if field.name not in (*drawn, "filters")
    }
    content["ledger"] = _plain(report.ledger.table)
    content["flips"] = _plain(report.flips.table)
    content["layers"] = [_plain(one.table) for one in report.layers]
    machines = of_kind(records, EnvironmentRecord)
    content["environments"] = [machine.model_dump(mode="json") for machine in machines]
    return json.dumps({"schema_version": 1, **content}, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Return dataclasses, however deep, as what JSON has."""
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    kind: Any = type(value)
    names = _field_names(kind)
    return {name: _plain(getattr(value, name)) for name in names} if names else value


@functools.cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the fields of a dataclass, none of any other class."""
    return (
        tuple(one.name for one in dataclasses.fields(kind))
        if dataclasses.is_dataclass(kind)
        else ()
    )


def _write_png(path: Path, charts: Sequence[Chart], caption: str) -> None:
    """Write the charts, or remove what an earlier report left where there are none."""
    if not charts:
        path.unlink(missing_ok=True)
        return
    drawn = draw_png(charts, caption)
    with whole_file(path) as draft:
        draft.write_bytes(drawn)


def _as_markdown(report: Report) -> str:
    rendered = (
        _environment(finalize=as_markdown)
        .get_template("report.md.j2")
        .render(report=report, **_sentences(report))
    )
    return str(rendered).rstrip("\n") + "\n"


def _as_html(report: Report) -> str:
    drawn = (
        report.pictures, report.curves, report.confusions, report.size_curves,
        report.ledger.charts, report.layers,
    )  # fmt: skip
    charted = any(drawn) or any(one.confusions for one in report.flips.details)
    scripts = [*([chart_scripts()] if charted else []), _file("report.js")]
    rendered = (
        _environment(autoescape=True)
        .get_template("report.html.j2")
        .render(
            report=report,
            style=_file("report.css"),
            scripts=scripts,
            hashes=[_content_hash(script) for script in scripts],
            **_sentences(report),
        )
    )
    return str(rendered)


def _environment(**settings: Any) -> Any:
    """Return Jinja2 as both templates use it: a name that is not there is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("bench", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        **settings,
    )


def _sentences(report: Report) -> dict[str, str]:
    return {
        "legend": LEGEND,
        "machines": report.machines_mean,
        "columns": COLUMNS,
        "layers_mean": LAYERS_MEAN,
        "recipes_mean": RECIPES_MEAN,
        "sizes_mean": SIZES_MEAN,
    }


def _file(name: str) -> str:
    return (resources.files("bench") / "templates" / name).read_text(encoding="utf-8")


def _content_hash(script: str) -> str:
    """Return the script's hash as a content policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
