"""What a report says, put together from records before anything is laid out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.record import (
    EnvironmentRecord,
    FailureRecord,
    Record,
    TrainingRecord,
    VerdictRecord,
    of_kind,
)
from bench.report_against import Against, compare_runs
from bench.report_approaches import (
    ApproachRow,
    approach_rows,
    approach_table,
    judged_variants,
    repeated,
)
from bench.report_charts import (
    Chart,
    colour_scale,
    drawable,
    latency_chart,
)
from bench.report_choice import Choice, choose
from bench.report_complexity import (
    ComplexityRow,
    complexity_rows,
    complexity_table,
    input_sizes,
)
from bench.report_confusions import confusion_chart
from bench.report_crossval import (
    ClassRow,
    CrossvalRow,
    class_rows,
    class_tables,
    crossval_rows,
    crossval_table,
)
from bench.report_curves import curve_chart, loss_chart
from bench.report_flips import Flips, build_flips
from bench.report_format import listed
from bench.report_layers import LayersOf, build_layers
from bench.report_layout import Table
from bench.report_ledger import LedgerSection, build_ledgers, ledger_section
from bench.report_photos import Photos, PhotoSets
from bench.report_recipes import RecipeRow, recipe_rows, recipe_tables
from bench.report_sections import (
    comparison_table,
    evidence_tables,
    failure_table,
    parity_table,
    training_table,
    variant_tables,
)
from bench.report_sentences import (
    condition_name,
    doubts,
    effort_sentence,
    machine_name,
    machine_sentence,
    split_sentence,
    weights_sentences,
)
from bench.report_sizes import size_curves
from bench.report_tables import Accuracies, VariantRow, build_rows, by_condition, filter_tags

FILTERS = ("network", "technique", "runtime", "precision")


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What a report may be asked for beside its records.

    Attributes:
        old_records: of a run to compare with; ``None`` compares nothing.
        old: what that run is called.
        under_ms: asks for the most accurate variant of a median under so many ms.
        photos: files by photo; small pictures of those whose prediction changed go into the page.
    """

    old_records: Sequence[Record] | None = None
    old: str = ""
    under_ms: float | None = None
    photos: Mapping[str, Path] | None = None


NO_EXTRAS = Extras()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report says, before it is laid out.

    Attributes:
        machines: the processors that times were taken on; empty where none were.
        machines_mean: whose times these are, in words.
        approaches: the approaches, one for each set of classes and photos.
        photos: the sets of classes and photos that rows and choices name by their keys.
        complexity: what each network costs to run.
        recipes: trainings of one network in several ways.
        crossvals: the cross-validations.
        classes: every class as every approach recognised it.
        pictures: F1 against latency, one for each split, set of photos, machine and threads.
        size_curves: F1 against MACCs of networks at three sizes or more.
        confusions: confusion matrices, one for each cross-validation.
        curves: learning curves, one for each split.
        origins: which approaches began from random weights, and why.
        ledger: what each step to the chosen variants bought.
        layers: where the time of profiled variants goes.
        flips: which photos' predictions changed.
        against: what moved since an older run; ``None`` where none was given.
        filters: what the picture can be filtered by: a heading and its values, in the order of
            ``filter_tags``.
        unseen: what failed and is in no picture, a sentence each.
        doubts: what the records themselves make doubtful, and the caller's warnings.
        notes: the verdicts that came with the records, such as why int8 is not faster.
    """

    title: str
    command: str
    records: int
    machines: str
    machines_mean: str
    photos: tuple[Photos, ...]
    rows: tuple[VariantRow, ...]
    approaches: tuple[ApproachRow, ...]
    complexity: tuple[ComplexityRow, ...]
    recipes: tuple[RecipeRow, ...]
    crossvals: tuple[CrossvalRow, ...]
    classes: tuple[ClassRow, ...]
    choices: tuple[Choice, ...]
    choice_names: tuple[str, ...]
    ledger: LedgerSection
    layers: tuple[LayersOf, ...]
    flips: Flips
    against: Against | None
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    unseen: tuple[str, ...]
    pictures: tuple[Chart, ...]
    curves: tuple[Chart, ...]
    confusions: tuple[Chart, ...]
    splits: str
    comparison: Table | None
    variants: tuple[Table, ...]
    approach_table: Table | None
    complexity_table: Table | None
    size_curves: tuple[Chart, ...]
    recipe_tables: tuple[Table, ...]
    crossval_table: Table | None
    class_tables: tuple[Table, ...]
    trainings: Table
    origins: tuple[str, ...]
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
    extras: Extras = NO_EXTRAS,
) -> Report:
    """Return all that the report says; the arguments are those of ``write_report``."""
    accuracies = Accuracies(records)
    rows = build_rows(records, accuracies)
    crossvals = crossval_rows(records)
    approaches = approach_rows(rows, crossvals, accuracies)
    judged = judged_variants(rows, accuracies)
    classes = class_rows(list(judged.values()), accuracies, records, repeated(judged))
    complexity = complexity_rows(records, accuracies.photos)
    recipes = recipe_rows(records, rows, accuracies)
    choices = choose(rows, accuracies, under_ms=extras.under_ms)
    known = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
    trainings = of_kind(records, TrainingRecord)
    effort, folds = effort_sentence(records, known), crossval_table(crossvals)
    timed = {row.environment: None for row in rows if row.median_ms is not None}
    colours = colour_scale(
        [*(row.network for row in rows), *(training.approach for training in trainings)]
    )
    return Report(
        title=title,
        command=command,
        records=len(records),
        machines=listed([machine_name(one, known) for one in timed], len(timed)),
        machines_mean=machine_sentence(tuple(timed), known),
        photos=accuracies.photos.sets,
        rows=rows,
        approaches=approaches,
        complexity=complexity,
        recipes=recipes,
        crossvals=crossvals,
        classes=classes,
        choices=choices,
        choice_names=tuple(_choice_name(choice, accuracies.photos, known) for choice in choices),
        ledger=ledger_section(build_ledgers(rows, choices, accuracies), known),
        layers=build_layers(records, choices),
        flips=build_flips(records, accuracies, rows, choices, extras.photos),
        against=(
            compare_runs(records, extras.old_records, extras.old)
            if extras.old_records is not None
            else None
        ),
        filters=_filters(drawable(rows)),
        unseen=_unseen(records),
        pictures=_pictures(rows, colours, accuracies.photos, known),
        curves=_curves(trainings, colours),
        confusions=tuple(confusion_chart(row) for row in crossvals),
        splits=split_sentence(rows, records),
        comparison=comparison_table(rows, accuracies.photos),
        variants=variant_tables(rows, accuracies.photos, known),
        approach_table=approach_table(approaches),
        complexity_table=complexity_table(complexity),
        size_curves=size_curves(rows, accuracies.photos, input_sizes(records), colours),
        recipe_tables=tuple(one.noted(effort) for one in recipe_tables(recipes, accuracies)),
        crossval_table=folds.noted(effort) if folds else None,
        class_tables=class_tables(classes),
        trainings=training_table(trainings).noted(effort),
        origins=weights_sentences(records),
        parity=parity_table(records),
        failures=failure_table(records),
        evidence=evidence_tables(records),
        doubts=(*warnings, *doubts(records, rows)),
        notes=(*notes, *_verdicts(records)),
    )


def _choice_name(choice: Choice, photos: PhotoSets, known: dict[str, EnvironmentRecord]) -> str:
    goal = f"{choice.goal[:1].upper()}{choice.goal[1:]}"
    threads = f"{choice.threads} thread{'' if choice.threads == 1 else 's'}"
    where = (f"{choice.split_method} split", photos.name(choice.photos))
    machine = machine_name(choice.environment, known)
    return f"{goal}: {', '.join(filter(None, (*where, machine, threads)))}"


def _filters(rows: Sequence[VariantRow]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what the picture can be filtered by, a heading and its values."""
    columns = zip(*(filter_tags(row) for row in rows), strict=True)
    values = [tuple(sorted(set(column))) for column in columns]
    return tuple(zip(FILTERS, values, strict=True)) if values else ()


def _unseen(records: Sequence[Record]) -> tuple[str, ...]:
    """Return which variants failed, and why."""
    return tuple(
        f"{one.variant} ({one.split_method} split, {one.stage}): {one.reason}"
        for one in of_kind(records, FailureRecord)
    )


def _pictures(
    rows: Sequence[VariantRow],
    colours: Chart,
    photos: PhotoSets,
    known: dict[str, EnvironmentRecord],
) -> tuple[Chart, ...]:
    """Return F1 against latency; pictures of one task share their axis of F1, others do not."""
    drawn = drawable(rows)
    charts: list[Chart] = []
    for (split_method, key, *_), members in by_condition(drawn).items():
        task = photos.task_of(key)
        shared = [row for row in drawn if photos.task_of(row.photos) == task]
        where = (f"{split_method} split", photos.name(key), condition_name(members[0], known))
        title = ", ".join(filter(None, where))
        charts.append(latency_chart(members, shared, drawn, colours, title))
    return tuple(charts)


def _curves(trainings: Sequence[TrainingRecord], colours: Chart) -> tuple[Chart, ...]:
    charts = []
    drawn = [training for training in trainings if training.train_losses]
    for method in sorted({training.split_method for training in drawn}):
        of_method = [training for training in drawn if training.split_method == method]
        judged = [training for training in of_method if training.validation_f1s]
        if judged:  # a refit has no validation photos
            charts.append(curve_chart(judged, colours, f"Validation F1 by epoch, {method} split"))
        charts.append(loss_chart(of_method, colours, f"Training loss by epoch, {method} split"))
    return tuple(charts)


def _verdicts(records: Sequence[Record]) -> list[str]:
    return [
        f"{verdict.split_method} split: {' '.join(verdict.sentences)}"
        for verdict in of_kind(records, VerdictRecord)
    ]
