"""The approaches side by side: on the test photos, over folds, and as the original reported."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.crossval import FoldScores
from bench.originals import Original, original_of
from bench.record import Record, TrainingRecord, of_kind
from bench.report_crossval import CrossvalRow
from bench.report_format import ABSENT, as_f1, as_share, as_spread
from bench.report_layout import Table
from bench.report_sentences import APPROACHES, ORIGINAL
from bench.report_tables import VariantRow
from bench.scores import Scores

TEST_HEADERS = (
    "test: weighted F1 [95 %]", "accuracy", "macro F1", "top 3", "calibration error"
)  # fmt: skip
FOLD_HEADERS = ("folds: weighted F1", "out of fold [95 %]")
ORIGINAL_HEADERS = ("the original", "the original, 5 folds")
_PREFERRED = "litert"


@dataclass(frozen=True, kw_only=True)
class ApproachRow:
    """One approach under one split; ``None``: not measured.

    Attributes:
        approach: its name.
        split_method: of the split and of the folds.
        variant: the float variant that was judged on the test photos; empty where none was.
        runtime: what it ran under.
        test_photos: how many there were.
        test: its scores on them.
        crossval: what its latest cross-validation says.
        original: what was reported for it elsewhere; stands beside the stratified split alone,
            where photos of one sender fall on both sides.
    """

    approach: str
    split_method: str
    variant: str = ""
    runtime: str = ""
    test_photos: int = 0
    test: Scores | None = None
    crossval: FoldScores | None = None
    original: Original | None = None


def judged_variants(rows: Sequence[VariantRow]) -> dict[tuple[str, str], VariantRow]:
    """Return the plain float variant of each approach and split that the test photos judged."""
    found: dict[tuple[str, str], VariantRow] = {}
    for row in rows:
        if row.f1 is None or row.techniques or row.precision != "float":
            continue
        key = (row.network, row.split_method)
        if key not in found or row.runtime.startswith(_PREFERRED):
            found[key] = row
    return found


def approach_rows(
    rows: Sequence[VariantRow], crossvals: Sequence[CrossvalRow], records: Sequence[Record]
) -> tuple[ApproachRow, ...]:
    """Return one row for each approach and split that was judged, stratified before grouped."""
    judged = judged_variants(rows)
    folded = {(one.approach, one.split_method): one for one in crossvals}
    datasets = {
        (one.split_method, one.network_sha256): one.dataset
        for one in of_kind(records, TrainingRecord)
    }
    found: list[ApproachRow] = []
    for approach, method in sorted({*judged, *folded}, key=lambda key: (key[0], _last(key[1]))):
        row, folds = judged.get((approach, method)), folded.get((approach, method))
        dataset = folds.dataset if folds else ""
        if row:
            dataset = dataset or datasets.get((method, row.network_sha256), "")
        found.append(
            ApproachRow(
                approach=approach,
                split_method=method,
                variant=row.variant if row else "",
                runtime=row.runtime if row else "",
                test_photos=row.test_photos if row else 0,
                test=row.f1 if row else None,
                crossval=folds.scores if folds else None,
                original=original_of(approach, dataset) if method == "stratified" else None,
            )
        )
    return tuple(found)


def approach_table(rows: Sequence[ApproachRow]) -> Table | None:
    """Return the approaches; columns that would be empty throughout are left out."""
    if not rows:
        return None
    headers: list[str] = ["approach", "split"]
    cells = [[row.approach, row.split_method] for row in rows]
    parts: tuple[tuple[tuple[str, ...], list[tuple[str, ...]]], ...] = (
        (TEST_HEADERS, [_test_cells(row.test) for row in rows]),
        (FOLD_HEADERS, [_fold_cells(row.crossval) for row in rows]),
        (ORIGINAL_HEADERS, [_original_cells(row.original) for row in rows]),
    )
    for names, columns in parts:
        if any(columns):
            headers += names
            for line, found in zip(cells, columns, strict=True):
                line += found or (ABSENT,) * len(names)
    return Table(
        caption="Approaches",
        headers=tuple(headers),
        rows=tuple(tuple(line) for line in cells),
        words=2,
    )


def approach_sentence(rows: Sequence[ApproachRow]) -> str:
    """Return what the table's columns mean."""
    return APPROACHES + (ORIGINAL if any(row.original for row in rows) else "")


def _last(method: str) -> tuple[bool, str]:
    return method != "stratified", method


def _test_cells(score: Scores | None) -> tuple[str, ...]:
    if score is None:
        return ()
    return (
        as_f1(score),
        as_share(score.accuracy),
        as_share(score.macro_f1),
        as_share(score.top3_accuracy),
        as_share(score.calibration_error),
    )


def _fold_cells(folds: FoldScores | None) -> tuple[str, ...]:
    return (as_spread(folds.mean, folds.deviation), as_f1(folds.pooled)) if folds else ()


def _original_cells(original: Original | None) -> tuple[str, ...]:
    return (as_share(original.f1), as_share(original.five_fold_f1)) if original else ()
