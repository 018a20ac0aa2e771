"""The mistakes: confusion of parent and variant, and every photo whose prediction changed."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.flips import FlipLedger, flip_ledgers
from bench.record import Record
from bench.report_charts import Chart
from bench.report_choice import Choice
from bench.report_confusions import matrix_chart
from bench.report_format import as_count, as_share
from bench.report_layout import Table
from bench.report_scores import confusion_of
from bench.report_tables import Accuracies, VariantRow
from train.errors import DataError
from train.pixels import PixelContract, decode

HEADERS = (
    "variant", "against", "runtime", "split", "photos", "changed", "right to wrong",
    "wrong to right", "wrong to wrong", "agreement",
)  # fmt: skip
PHOTO_HEADERS = ("photo", "true class", "before", "after", "way")
CLASS_HEADERS = ("class", "photos", "F1 before", "F1 after", "right to wrong", "wrong to right")
MOST_PHOTOS = 100  # listed of one variant in the page; flips.csv has all
MOST_LEDGERS = 6  # listed photo by photo
THUMBNAIL_SIDE = 96
MEANING = (
    "A variant of the same score need not be right on the same photos: each photo whose prediction"
    " changed is one that a person may notice. Against its float parent, on the test photos, under"
    " one runtime."
)


@dataclass(frozen=True, kw_only=True)
class FlipRow:
    """One photo whose prediction changed from the parent to the variant."""

    split_method: str
    variant: str
    parent: str
    runtime: str
    photo_id: str
    truth: str
    before: str
    after: str
    way: str


@dataclass(frozen=True, kw_only=True)
class FlipDetail:
    """One ledger photo by photo.

    Attributes:
        name: what changed into what.
        photos: the first of the photos that changed, those that turned wrong before all others.
        left_out: how many more there are.
        thumbnails: pictures as data addresses, beside ``photos``; empty without photos.
        classes: what changed for each class.
        confusions: of the parent and of the variant, on the test photos.
    """

    name: str
    photos: Table
    left_out: int
    thumbnails: tuple[str, ...]
    classes: Table
    confusions: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True)
class Flips:
    """What a report says of changed predictions."""

    rows: tuple[FlipRow, ...]
    table: Table | None
    details: tuple[FlipDetail, ...]
    meaning: str = MEANING


def build_flips(
    records: Sequence[Record],
    accuracies: Accuracies,
    rows: Sequence[VariantRow],
    choices: Sequence[Choice],
    photos: Mapping[str, Path] | None = None,
) -> Flips:
    """Return what changed between variants and their float parents.

    Photo by photo for the variants that were chosen or might be, else for the first ones.

    Args:
        records: what was measured.
        accuracies: the same predictions, found by row.
        rows: the variants.
        choices: which of them matter most.
        photos: files by photo; small pictures of those that changed are put in.
    """
    ledgers = flip_ledgers(records)
    wanted = {(row.variant, row.runtime, row.split_method): None for row in _chosen(choices)}
    first = [one for one in ledgers if (one.variant, one.runtime, one.split_method) in wanted]
    shown = (first or ledgers)[:MOST_LEDGERS]
    return Flips(
        rows=tuple(
            _row(ledger, number) for ledger in ledgers for number in range(len(ledger.flips))
        ),
        table=_table(ledgers) if ledgers else None,
        details=tuple(_detail(ledger, rows, accuracies, photos or {}) for ledger in shown),
    )


def _chosen(choices: Sequence[Choice]) -> list[VariantRow]:
    return [row for one in choices for row in (one.row, *one.rivals[:2]) if row]


def _table(ledgers: Sequence[FlipLedger]) -> Table:
    return Table(
        caption="Predictions that changed",
        headers=HEADERS,
        rows=tuple(
            (
                one.variant, one.parent, one.runtime, one.split_method, as_count(one.photos),
                as_count(len(one.flips)), as_count(one.count("right to wrong")),
                as_count(one.count("wrong to right")), as_count(one.count("wrong to wrong")),
                f"{100 * one.agreement:.1f} %",
            )
            for one in ledgers
        ),
        words=4,
    )  # fmt: skip


def _row(ledger: FlipLedger, number: int) -> FlipRow:
    flip = ledger.flips[number]
    return FlipRow(
        split_method=ledger.split_method,
        variant=ledger.variant,
        parent=ledger.parent,
        runtime=ledger.runtime,
        photo_id=flip.photo_id,
        truth=flip.truth,
        before=flip.before,
        after=flip.after,
        way=flip.way,
    )


def _detail(
    ledger: FlipLedger,
    rows: Sequence[VariantRow],
    accuracies: Accuracies,
    photos: Mapping[str, Path],
) -> FlipDetail:
    name = f"{ledger.variant} on {ledger.runtime}, {ledger.split_method} split"
    order = ("right to wrong", "wrong to wrong", "wrong to right")
    flips = sorted(ledger.flips, key=lambda flip: order.index(flip.way))
    shown = flips[:MOST_PHOTOS]
    return FlipDetail(
        name=name,
        photos=Table(
            caption=f"Photos that changed: {name}",
            headers=PHOTO_HEADERS,
            rows=tuple((one.photo_id, one.truth, one.before, one.after, one.way) for one in shown),
            words=5,
        ),
        left_out=len(flips) - len(shown),
        thumbnails=tuple(
            thumbnail(photos[one.photo_id]) if one.photo_id in photos else "" for one in shown
        )
        if photos
        else (),
        classes=_class_table(ledger, name),
        confusions=_confusions(ledger, rows, accuracies),
    )


def _class_table(ledger: FlipLedger, name: str) -> Table:
    return Table(
        caption=f"Classes, the greatest loss of F1 first: {name}",
        headers=CLASS_HEADERS,
        rows=tuple(
            (
                one.label, as_count(one.photos), as_share(one.f1_before), as_share(one.f1_after),
                as_count(one.right_to_wrong), as_count(one.wrong_to_right),
            )
            for one in ledger.classes
        ),
    )  # fmt: skip


def _confusions(
    ledger: FlipLedger, rows: Sequence[VariantRow], accuracies: Accuracies
) -> tuple[Chart, ...]:
    """Return the confusion matrices of parent and variant on the test photos."""
    charts = []
    for name in (ledger.parent, ledger.variant):
        found = [
            row
            for row in rows
            if (row.variant, row.runtime, row.split_method)
            == (name, ledger.runtime, ledger.split_method)
        ]
        record = accuracies.of(found[0], "test") if found else None
        if record:
            title = f"{name}, {ledger.split_method} test photos"
            charts.append(matrix_chart(record.labels, confusion_of(record), title))
    return tuple(charts)


def thumbnail(path: Path) -> str:
    """Return a small picture, square as networks see it, as a data address.

    Empty where the file is no readable picture.
    """
    from PIL import Image

    try:
        pixels = decode(path, PixelContract(height=THUMBNAIL_SIDE, width=THUMBNAIL_SIDE))
    except DataError:
        return ""
    drawn = io.BytesIO()
    Image.fromarray(pixels).save(drawn, format="JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(drawn.getvalue()).decode()
