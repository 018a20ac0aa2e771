"""The tables of a report, as text that both templates lay out."""

from collections.abc import Sequence

from bench.record import (
    CrossvalRecord,
    EnvironmentRecord,
    FailureRecord,
    ParityRecord,
    Record,
    TrainingRecord,
    of_kind,
)
from bench.report_format import (
    ABSENT,
    as_count,
    as_f1,
    as_factor,
    as_megabytes,
    as_millions,
    as_ms,
    as_points,
    as_share,
    as_whole,
)
from bench.report_layout import Table
from bench.report_photos import PhotoSets
from bench.report_sentences import condition_name
from bench.report_tables import VariantRow, filter_tags

VARIANT_HEADERS = (
    "variant", "runtime", "split", "weighted F1 [95 %]", "accuracy", "F1 against float, points",
    "median, ms", "p90, ms", "speed-up", "MB", "gzip MB", "parameters, 10⁶", "MACCs, 10⁶",
)  # fmt: skip
TRAINING_HEADERS: tuple[str, ...] = (
    "approach", "split", "weights it began from", "of its parameters", "epochs",
    "best validation F1", "seconds", "images/s",
)  # fmt: skip
EFFORT_HEADERS = ("trainable, 10⁶", "features, seconds", "features by")


def variant_tables(
    rows: Sequence[VariantRow], photos: PhotoSets, known: dict[str, EnvironmentRecord]
) -> tuple[Table, ...]:
    """Return the variants, one table for each machine, number of threads, classes and photos."""
    groups: dict[tuple[object, ...], list[VariantRow]] = {}
    for row in rows:
        key = (row.environment, row.threads, photos.task_of(row.photos))
        groups.setdefault(key, []).append(row)
    return tuple(
        Table(
            caption=_variant_caption(group[0], photos, known),
            headers=VARIANT_HEADERS,
            rows=tuple(_variant_cells(row) for row in group),
            words=3,
            tags=tuple(filter_tags(row) for row in group),
        )
        for group in groups.values()
    )


def _variant_caption(
    row: VariantRow, photos: PhotoSets, known: dict[str, EnvironmentRecord]
) -> str:
    task = photos.task_name(row.photos)
    return f"{f'{task}, measured' if task else 'Measured'} on {condition_name(row, known)}"


def comparison_table(rows: Sequence[VariantRow], photos: PhotoSets) -> Table | None:
    """Return the splits side by side, or nothing where there is only one."""
    methods = sorted({row.split_method for row in rows if row.f1}, reverse=True)
    if len(methods) < 2:
        return None
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        if row.f1:
            key = (row.variant, row.runtime, photos.task_name(row.photos))
            found.setdefault(key, {})[row.split_method] = as_f1(row.f1)
    return Table(
        caption="Weighted F1 on the test photos of each split",
        headers=("variant", "runtime", "task", *methods),
        rows=tuple(
            (*key, *(scores.get(method, ABSENT) for method in methods))
            for key, scores in found.items()
        ),
        words=3,
    )


def training_table(trainings: Sequence[TrainingRecord]) -> Table:
    """Return one row a training; what no record knows, those of older versions, has no column."""
    headers = TRAINING_HEADERS
    cells = [_training_cells(training) for training in trainings]
    effort = [_effort_cells(training) for training in trainings]
    if any(cell != ABSENT for row in effort for cell in row):
        headers += EFFORT_HEADERS
        cells = [(*row, *more) for row, more in zip(cells, effort, strict=True)]
    return Table(caption="Trainings", headers=headers, rows=tuple(cells), words=3)


def parity_table(records: Sequence[Record]) -> Table:
    """Return how far each variant lies from its Keras parent."""
    return Table(
        caption="Each variant against its Keras parent, on the same photos",
        headers=(
            "variant", "runtime", "split", "compared", "verdict", "photos", "largest difference",
            "at most", "same class", "at least",
        ),
        rows=tuple(
            (
                one.variant, one.runtime, one.split_method, one.compared,
                "passed" if one.passed else "FAILED",
                as_count(one.images), f"{one.max_difference:.2g}", f"{one.tolerance:.2g}",
                f"{100 * one.argmax_agreement:.1f} %", f"{100 * one.min_agreement:.0f} %",
            )
            for one in of_kind(records, ParityRecord)
        ),
        words=5,
    )  # fmt: skip


def failure_table(records: Sequence[Record]) -> Table:
    """Return what could not be made or run, and why."""
    return Table(
        caption="What could not be made or run",
        headers=("variant", "split", "stage", "runtime", "reason"),
        rows=tuple(
            (one.variant, one.split_method, one.stage, one.runtime or ABSENT, one.reason)
            for one in of_kind(records, FailureRecord)
        ),
        words=5,
    )


def evidence_tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """Return the machines with their software, and the photos with their splits and seeds."""
    machines = {one.environment: _machine_cells(one) for one in of_kind(records, EnvironmentRecord)}
    photos = {_photo_cells(one): None for one in of_kind(records, TrainingRecord)}
    photos |= {_fold_photo_cells(one): None for one in of_kind(records, CrossvalRecord)}
    headers = ("record", "processor", "cores", "memory", "features", "system", "software")
    return (
        Table(caption="Machines", headers=headers, rows=tuple(machines.values()), words=7),
        Table(
            caption="Photos",
            headers=("dataset", "fingerprint", "split", "seed", "photos", "classes"),
            rows=tuple(photos),
            words=6,
        ),
    )


def _variant_cells(row: VariantRow) -> tuple[str, ...]:
    return (
        row.variant,
        row.runtime or ABSENT,
        row.split_method,
        as_f1(row.f1),
        as_share(row.f1.accuracy if row.f1 else None),
        as_points(row.f1_change),
        as_ms(row.median_ms),
        as_ms(row.p90_ms),
        as_factor(row.speedup),
        as_megabytes(row.file_bytes),
        as_megabytes(row.gzip_bytes),
        as_millions(row.parameters),
        as_millions(row.maccs),
    )


def _training_cells(one: TrainingRecord) -> tuple[str, ...]:
    fitted = one.validation_f1s or one.head_validation_f1 is not None
    return (
        one.approach,
        one.split_method,
        one.weights_source,
        f"{100 * one.weights_coverage:.1f} %",
        as_count(len(one.train_losses)),
        as_share(one.best_validation_f1 if fitted else None),
        as_whole(one.train_seconds),
        as_whole(one.images_per_second),
    )


def _effort_cells(one: TrainingRecord) -> tuple[str, ...]:
    return (
        as_millions(one.trainable_parameters or None),
        as_whole(one.feature_seconds) if one.feature_runtime else ABSENT,
        one.feature_runtime or ABSENT,
    )


def _machine_cells(one: EnvironmentRecord) -> tuple[str, ...]:
    software = {"python": one.python, **dict(sorted(one.packages.items()))}
    return (
        one.environment,
        one.cpu,
        as_count(one.cores),
        f"{one.memory_bytes / 2**30:.1f} GiB",
        ", ".join(one.cpu_features) or ABSENT,
        f"{one.system}, cores kept awake" if one.kept_awake else one.system,
        ", ".join(f"{name} {version}" for name, version in software.items()),
    )


def _photo_cells(one: TrainingRecord) -> tuple[str, ...]:
    return (
        one.dataset,
        one.dataset_fingerprint,
        one.split_method,
        str(one.seed),
        ", ".join(f"{side} {count:,}" for side, count in one.photos.items()),
        f"{len(one.labels)}: {', '.join(one.labels)}",
    )


def _fold_photo_cells(one: CrossvalRecord) -> tuple[str, ...]:
    return (
        one.dataset,
        one.dataset_fingerprint,
        f"{one.folds} {one.split_method} folds",
        str(one.seed),
        f"all {len(one.photo_ids):,}",
        f"{len(one.labels)}: {', '.join(one.labels)}",
    )
