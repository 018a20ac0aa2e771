"""``threadlite crossval``: an approach on every photo, fold by fold, as records and a report."""

from collections.abc import Sequence
from pathlib import Path

from bench.crossval import crossval_record, fold_scores
from bench.environment import describe_environment
from bench.record import (
    CrossvalRecord,
    EnvironmentRecord,
    Record,
    of_kind,
    read_records,
    write_records,
)
from threadlite.workspace import Workspace, step_key
from train.approaches import Approach
from train.crossval import CrossValidation, cross_validate
from train.dataset import Dataset
from train.progress import Progress
from train.splits import SplitMethod

RECORDS_NAME = "records.jsonl"


def run_crossval(
    *,
    name: str,
    approach: Approach,
    dataset: Dataset,
    methods: Sequence[SplitMethod],
    folds: int,
    seed: int,
    weights: str,
    folder: Path,
    progress: Progress,
) -> tuple[str, ...]:
    """Cross-validate, going on from what is in ``folder``, and write records and a report there.

    Args:
        name: of the approach.
        approach: with the recipe that is to run.
        dataset: the photos, of the approach's classes alone.
        methods: how folds are made, each by itself.
        folds: how many.
        seed: of folds and trainings.
        weights: ``auto``, ``none`` or a file.
        folder: the workspace; made where it is missing.
        progress: told of every step.

    Returns:
        Lines that say what came out.

    Raises:
        ThreadliteError: too few photos, or a training that fails.
    """
    environment = describe_environment()
    workspace = Workspace(folder=folder, done=lambda _name, _there: None)
    workspace.clean()
    tasks = [
        CrossValidation(
            name=name, approach=approach, dataset=dataset, method=method, folds=folds, seed=seed,
            weights=weights,
        )
        for method in methods
    ]  # fmt: skip
    for task in tasks:
        task.trainings()  # what cannot be divided is refused before anything is trained
    records: list[Record] = [environment]
    for task in tasks:
        records += crossval_records(
            task, workspace, machine=environment.environment, progress=progress
        )
    records = _with_earlier(folder / RECORDS_NAME, records)
    write_records(folder / RECORDS_NAME, records)
    report = _report(records, workspace, name)
    return (
        *(told(record) for record in records if isinstance(record, CrossvalRecord)),
        f"records: {folder / RECORDS_NAME}",
        f"report:  {report}",
    )


def _with_earlier(path: Path, made: Sequence[Record]) -> list[Record]:
    """Return ``made`` after the cross-validations in ``path`` that it does not do anew."""
    earlier = read_records(path)[0] if path.exists() else []
    again = {(one.approach, one.split_method) for one in of_kind(made, CrossvalRecord)}
    kept = [
        one
        for one in of_kind(earlier, CrossvalRecord)
        if (one.approach, one.split_method) not in again
    ]
    machines = {one.environment for one in kept} - {one.environment for one in made}
    told_of = [one for one in of_kind(earlier, EnvironmentRecord) if one.environment in machines]
    return [*told_of, *kept, *made]


def crossval_records(
    task: CrossValidation, workspace: Workspace, *, machine: str, progress: Progress
) -> list[Record]:
    """Return the record of a cross-validation, trained where it is not in the workspace."""
    key = step_key("train.crossval", {"task": task.key})

    def make() -> list[Record]:
        folder = workspace.folder / "folds" / f"{task.name}.{task.method}-{key}"
        found = cross_validate(task, folder, progress=progress)
        recipe = found.recipe
        return [
            crossval_record(
                approach=task.name,
                network=task.approach.network,
                recipe=recipe.model_dump(mode="json"),
                dataset=task.dataset.name,
                dataset_fingerprint=task.dataset.fingerprint,
                labels=task.dataset.labels,
                split_method=task.method,
                seed=task.seed,
                weights=found.origin,
                photos=task.dataset.photos,
                photo_folds=found.photo_folds,
                probabilities=found.probabilities,
                fold_seconds=found.fold_seconds,
                feature_seconds=found.frozen_seconds,
                views=max(recipe.cached_views, recipe.head_views if recipe.head_first else 0),
                environment=machine,
            )
        ]

    recorded = step_key("bench.crossval", {"task": task.key, "folds": key})
    return workspace.records(f"crossval.{task.name}.{task.method}", recorded, make)


def told(record: CrossvalRecord) -> str:
    """Return what a cross-validation says in one line."""
    scores = fold_scores(record)
    pooled = scores.pooled
    return (
        f"{record.approach}, {record.folds} {record.split_method} folds: weighted F1"
        f" {scores.mean:.3f} ± {scores.deviation:.3f}; all out-of-fold predictions together"
        f" {pooled.weighted_f1:.3f} [{pooled.low:.3f}, {pooled.high:.3f}]"
    )


def _report(records: Sequence[Record], workspace: Workspace, name: str) -> Path:
    from bench.report import write_report

    lines = [record.model_dump(mode="json") for record in records]
    title, command = f"Cross-validation of {name}", f"threadlite crossval {name}"

    def make(folder: Path) -> None:
        write_report(records, folder, title=title, command=command)

    key = step_key("bench.report", {"records": lines, "title": title})
    return workspace.only_folder("report", key, make) / "report.html"
