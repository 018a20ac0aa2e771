"""What a report says, put together from records before anything is laid out."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import EnvironmentRecord, Record, TrainingRecord, VerdictRecord, of_kind
from bench.report_charts import Chart, colour_scale, curve_chart, drawable, latency_chart
from bench.report_choice import Choice, choose
from bench.report_sections import (
    Table,
    comparison_table,
    evidence_tables,
    failure_table,
    parity_table,
    training_table,
    variant_tables,
)
from bench.report_sentences import condition_name, doubts, machine_name, split_sentence
from bench.report_tables import Accuracies, VariantRow, build_rows, by_condition


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report says, before it is laid out.

    Attributes:
        machines: the processors that times were taken on.
        pictures: F1 against latency, one for each split, machine and number of threads.
        curves: learning curves, one for each split.
        doubts: what the records themselves make doubtful, and the caller's warnings.
        notes: the verdicts that came with the records, such as why int8 is not faster.
    """

    title: str
    command: str
    records: int
    machines: tuple[str, ...]
    rows: tuple[VariantRow, ...]
    choices: tuple[Choice, ...]
    choice_names: tuple[str, ...]
    pictures: tuple[Chart, ...]
    curves: tuple[Chart, ...]
    splits: str
    comparison: Table | None
    variants: tuple[Table, ...]
    trainings: Table
    parity: Table
    failures: Table
    evidence: tuple[Table, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


def build_report(
    records: Sequence[Record],
    *,
    title: str,
    warnings: Sequence[str] = (),
    command: str = "",
    notes: Sequence[str] = (),
) -> Report:
    """Return all that the report says; the arguments are those of ``write_report``."""
    accuracies = Accuracies(records)
    rows = build_rows(records, accuracies)
    choices = choose(rows, accuracies)
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    trainings = of_kind(records, TrainingRecord)
    timed = {row.environment: None for row in rows if row.median_ms is not None}
    colours = colour_scale(
        [*(row.network for row in rows), *(training.approach for training in trainings)]
    )
    return Report(
        title=title,
        command=command,
        records=len(records),
        machines=tuple(machine_name(environment, known) for environment in timed),
        rows=rows,
        choices=choices,
        choice_names=tuple(_choice_name(choice, known) for choice in choices),
        pictures=_pictures(rows, colours, known),
        curves=_curves(trainings, colours),
        splits=split_sentence(rows),
        comparison=comparison_table(rows),
        variants=variant_tables(rows, known),
        trainings=training_table(trainings),
        parity=parity_table(records),
        failures=failure_table(records),
        evidence=evidence_tables(records),
        doubts=(*warnings, *doubts(records, rows)),
        notes=(*notes, *_verdicts(records)),
    )


def _choice_name(choice: Choice, known: dict[str, EnvironmentRecord]) -> str:
    machine = machine_name(choice.environment, known)
    return f"{choice.split_method} split, {machine}, {choice.threads} threads"


def _pictures(
    rows: Sequence[VariantRow], colours: Chart, known: dict[str, EnvironmentRecord]
) -> tuple[Chart, ...]:
    drawn = drawable(rows)
    charts: list[Chart] = []
    for (split_method, *_), members in by_condition(drawn).items():
        title = f"{split_method} split, {condition_name(members[0], known)}"
        charts.append(latency_chart(members, drawn, colours, title))
    return tuple(charts)


def _curves(trainings: Sequence[TrainingRecord], colours: Chart) -> tuple[Chart, ...]:
    drawn = [training for training in trainings if training.validation_f1s]
    return tuple(
        curve_chart(
            [training for training in drawn if training.split_method == method],
            colours,
            f"Learning curves, {method} split",
        )
        for method in sorted({training.split_method for training in drawn})
    )


def _verdicts(records: Sequence[Record]) -> list[str]:
    return [
        f"{verdict.split_method} split: {' '.join(verdict.sentences)}"
        for verdict in of_kind(records, VerdictRecord)
    ]
