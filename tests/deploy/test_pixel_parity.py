"""Pixel parity: each way makes the pixels that its name says, and the arithmetic is by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.pixel_parity import (
    WAYS,
    Answers,
    WayParity,
    compare,
    made_by,
    measure_pixel_parity,
    read_pixel_parity,
)
from tests.tiny_models import LABELS
from train.artifact import Artifact
from train.dataset import Photo
from train.errors import ArtifactError
from train.pixels import PixelContract, Pixels, decode

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDS = sorted((REPOSITORY / "docs" / "results" / "pixels").glob("*.json"))
CONTRACT = PixelContract(height=32, width=32)
DECODERS = ("area (box)", "JPEG decoded at a fraction", "JPEG by the fast DCT, plain colour")


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=form, **options)
    return stream.getvalue()


def made(name: str, content: bytes) -> Pixels:
    return made_by(WAYS[name], [content], CONTRACT)[0]


def stripes() -> bytes:
    """Return columns of 0 and 255 in turns, twice as wide as the input."""
    columns = np.tile(np.array([0, 255], np.uint8), 32)
    return encoded(Image.fromarray(np.stack([np.tile(columns, (64, 1))] * 3, axis=2)), "PNG")


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("area (box)", 128),  # the mean of 0 and 255, rounded
        ("bilinear, not antialiased", 127),  # a sample lies midway of two columns; cut, not rounded
        ("nearest", 255),  # a sample falls on every second column
    ],
)
def test_stripes_show_what_a_resize_looks_at(name: str, level: int) -> None:
    found = made(name, stripes())[4:-4, 4:-4]
    assert np.abs(found.astype(int) - level).max() <= 1


def test_ways_without_antialiasing_see_what_they_skip_not() -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    picture[5::10, 5::10] = 255  # one pixel in a hundred is white
    content = encoded(Image.fromarray(picture), "PNG")
    smooth = made("area (box)", content).astype(int)
    assert smooth.min() == smooth.max() == 2  # 255 / 10 / 10, rounded after each of both passes
    assert made("nearest", content).max() == 255


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_turn_a_photo_upright(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, clockwise
    picture = Image.new("RGB", (160, 80), "teal")
    content = encoded(picture, "JPEG", exif=exif)
    way = WAYS[name]
    width, height = way.decode(content, CONTRACT).size
    assert height == 2 * width
    # The fast DCT rounds more coarsely: a flat colour comes out a level or two apart.
    assert np.abs(made(name, content).astype(int) - decode(content, CONTRACT)).max() <= 3


def test_a_jpeg_is_decoded_at_a_fraction_but_never_below_the_input() -> None:
    content = encoded(Image.new("RGB", (400, 200), "navy"), "JPEG")
    assert WAYS["JPEG decoded at a fraction"].decode(content, CONTRACT).size == (100, 50)


def test_a_png_is_decoded_as_ever_by_every_way() -> None:
    for name in DECODERS:
        assert WAYS[name].decode(stripes(), CONTRACT).size == (64, 64)


def test_comparison_by_hand() -> None:
    own = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
    other = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.3, 0.7]], np.float32)
    found = compare("area", Answers(own, np.array([0, 0, 1, 0])), other, 0.5)
    assert found.changed == 0.5
    assert (found.agreement, found.accuracy) == (0.75, 0.5)
    assert found.mean_difference == pytest.approx((0.0 + 0.2 + 0.1 + 0.0) / 4)
    assert found.max_difference == pytest.approx(0.2)


def test_flat_colours_are_the_same_in_every_way(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    photos = []
    for number, colour in enumerate(("teal", "salmon", "olive")):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(Image.new("RGB", (50, 70), colour), "PNG"))
        told = {"photo_id": str(number), "sender": "sender", "sha256": "0" * 64}
        photos.append(Photo(path=path, label=LABELS[number], **told))
    steps: list[int] = []
    found = measure_pixel_parity(variants["float.tflite"], photos, threads=1, advance=steps.append)
    assert [way.way for way in found.ways] == list(WAYS)
    assert {(way.agreement, way.changed) for way in found.ways} == {(1.0, 0.0)}
    assert {way.accuracy for way in found.ways} == {found.accuracy}
    assert max(way.max_difference for way in found.ways) < 1e-6
    assert (found.photos, sum(steps), found.split_method) == (3, 3, "grouped")
    parent = variants["float.keras"].manifest.payload_sha256
    assert (found.network_sha256, found.variant) == (parent, "tiny.float.tflite")
    record = tmp_path / "record.json"
    record.write_text(found.model_dump_json())
    assert read_pixel_parity(record) == found


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    way = WayParity(
        way="area", changed=1, agreement=1, accuracy=1, mean_difference=0, max_difference=0
    )
    (tmp_path / "way.json").write_text(way.model_dump_json())
    for name in ("way.json", "missing.json"):
        with pytest.raises(ArtifactError, match=r"is no record of `threadlite pixels`"):
            read_pixel_parity(tmp_path / name)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_page_on_deploying_says_what_the_record_says(path: Path) -> None:
    found = read_pixel_parity(path)
    text = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert f"{found.photos} test photos" in text and found.variant in text
    for way in found.ways:
        shares = (way.changed, way.agreement, way.accuracy)
        cells = " | ".join(f"{100 * share:.1f}" for share in shares)
        assert f"| {way.way} | {cells} | {way.mean_difference:.3f} |" in text
    assert f"right on {100 * found.accuracy:.1f} %" in text


def test_there_is_a_record() -> None:
    assert RECORDS
