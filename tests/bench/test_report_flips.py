"""Mistakes in the report: which photos changed, and pictures of them only when asked for."""

import base64
import csv
import io
from pathlib import Path
from typing import Any

from PIL import Image

from bench.record import Record
from bench.report import write_report
from bench.report_content import Extras, build_report
from bench.report_flips import thumbnail
from tests.bench.gate_records import FLOAT, INT8, judged, machine, timed

PICTURE = '<img src="data:image/jpeg;base64,'


def records() -> list[Record]:
    """Return a parent and a variant: p1 breaks, p2 is mended, p3 is wrong another way."""
    made: list[Record] = [machine()]
    for variant, predictions, ms in ((FLOAT, "aacb", 9.0), (INT8, "abac", 3.0)):
        sides: list[Any] = [
            judged("aaaa", predictions, variant, side=one) for one in ("validation", "test")
        ]
        made += [*sides, timed([ms, ms], variant)]
    return made


def test_changed_photos_are_counted_and_listed_the_broken_ones_first() -> None:
    flips = build_report(records(), title="t").flips
    assert flips.table is not None
    (row,) = flips.table.rows
    assert row == (INT8, FLOAT, "litert 2.3.0", "grouped", "4", "3", "1", "1", "1", "25.0 %")
    (detail,) = flips.details
    assert detail.photos.rows == (
        ("p1", "a", "a", "b", "right to wrong"),
        ("p3", "a", "b", "c", "wrong to wrong"),
        ("p2", "a", "c", "a", "wrong to right"),
    )
    assert detail.thumbnails == () and detail.left_out == 0
    parent, variant = detail.confusions
    assert parent["description"] == f"{FLOAT}, grouped test photos"
    cells = variant["data"]["values"]
    assert {(cell["prediction"], cell["photos"]) for cell in cells} == {
        ("a", 2),
        ("b", 1),
        ("c", 1),
    }


def test_photos_go_into_the_page_only_when_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "p1.png"
    Image.new("RGB", (300, 200), (200, 30, 30)).save(picture)
    broken = tmp_path / "p2.png"
    broken.write_bytes(b"no picture")
    write_report(records(), tmp_path / "bare", title="t")
    assert PICTURE not in (tmp_path / "bare" / "report.html").read_text(encoding="utf-8")
    photos = {"p1": picture, "p2": broken}
    write_report(records(), tmp_path / "shown", title="t", extras=Extras(photos=photos))
    page = (tmp_path / "shown" / "report.html").read_text(encoding="utf-8")
    assert page.count(PICTURE) == 1
    with (tmp_path / "shown" / "flips.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["photo_id"] for line in lines] == ["p1", "p2", "p3"]


def test_a_thumbnail_is_small_and_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (300, 200), (200, 30, 30)).save(path)
    kind, _, content = thumbnail(path).partition(",")
    assert kind == "data:image/jpeg;base64" and len(content) < 4_000
    with Image.open(io.BytesIO(base64.b64decode(content))) as drawn:
        assert drawn.size == (96, 96)
        red, green, _ = drawn.getpixel((50, 50))  # type: ignore[misc]
        assert red > 150 > green
    assert thumbnail(tmp_path / "ghost.png") == ""


def test_without_a_parent_nothing_is_told(tmp_path: Path) -> None:
    write_report([machine(), judged("ab", "ab", INT8)], tmp_path, title="t")
    assert "Mistakes" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert not (tmp_path / "flips.csv").exists()
