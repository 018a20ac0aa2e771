import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.dataset import Photo
from train.errors import DataError
from train.pixels import PixelContract, decode, load_pixels
from train.storage import digest_of_file

CONTRACT = PixelContract(height=16, width=16)


def bytes_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def halves(mode: str, left: object, right: object) -> Image.Image:
    picture = Image.new(mode, (32, 32), left)
    picture.paste(right, (16, 0, 32, 32))
    return picture


def test_colours_and_places_survive() -> None:
    found = decode(bytes_of(halves("RGB", (255, 0, 0), (0, 0, 255))), CONTRACT)
    assert found.shape == (16, 16, 3)
    assert found.dtype == np.uint8
    assert found[8, 2].tolist() == [255, 0, 0]
    assert found[8, 13].tolist() == [0, 0, 255]


def test_whole_picture_is_stretched() -> None:
    picture = Image.new("RGB", (64, 8), (0, 255, 0))
    picture.paste((255, 0, 0), (0, 0, 32, 8))
    found = decode(bytes_of(picture), CONTRACT)
    assert found[:, 3].tolist() == [[255, 0, 0]] * 16
    assert found[:, 12].tolist() == [[0, 255, 0]] * 16


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to view
    upright = decode(bytes_of(halves("RGB", "red", "blue"), exif=exif.tobytes()), CONTRACT)
    assert upright[2, 8].tolist() == [255, 0, 0]  # the left half is now on top
    assert upright[13, 8].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("mode", "left", "right", "expected"),
    [
        ("L", 10, 200, ([10] * 3, [200] * 3)),
        ("LA", (10, 255), (200, 0), ([10] * 3, [255] * 3)),
        ("RGBA", (9, 8, 7, 255), (1, 2, 3, 0), ([9, 8, 7], [255] * 3)),
        ("1", 0, 1, ([0] * 3, [255] * 3)),
        ("I;16", 0, 65535, ([0] * 3, [255] * 3)),
    ],
)
def test_other_modes_become_rgb(
    mode: str, left: object, right: object, expected: tuple[list[int], list[int]]
) -> None:
    found = decode(bytes_of(halves(mode, left, right)), CONTRACT)
    assert found[8, 2].tolist() == expected[0]
    assert found[8, 13].tolist() == expected[1]


def test_cmyk_becomes_rgb() -> None:
    found = decode(bytes_of(Image.new("CMYK", (32, 32), (0, 0, 0, 255)), "JPEG"), CONTRACT)
    assert found.max() <= 8  # black ink; JPEG may miss by a few steps


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_said(content: bytes) -> None:
    with pytest.raises(DataError, match="not a readable picture"):
        decode(content, CONTRACT)


def test_truncated_picture_is_said() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = bytes_of(Image.fromarray(noise), "JPEG")
    with pytest.raises(DataError, match="not a readable picture"):
        decode(whole[: len(whole) // 2], CONTRACT)


def test_huge_picture_is_refused_before_it_is_decoded() -> None:
    bomb = bytes_of(Image.new("1", (9_000, 9_000)))
    assert len(bomb) < 50_000
    with pytest.raises(DataError, match=r"9000 x 9000 is over the limit"):
        decode(bomb, CONTRACT)


def made_photos(folder: Path, count: int) -> list[Photo]:
    photos = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
        photos.append(
            Photo(
                photo_id=str(number), path=path, label="x", sender="s", sha256=digest_of_file(path)
            )
        )
    return photos


def test_photos_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    photos = made_photos(tmp_path, 5)
    told: list[int] = []
    first = load_pixels(photos, CONTRACT, advance=told.append)
    assert first[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert sum(told) == 5
    for photo in photos:
        photo.path.unlink()
    assert np.array_equal(load_pixels(photos, CONTRACT), first)


@pytest.mark.parametrize("kept", [0, 100, 900], ids=["empty", "header cut", "pixels cut"])
def test_damaged_pixels_are_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    photos, lines = made_photos(tmp_path, 5), list[str]()
    first = load_pixels(photos, CONTRACT, say=lines.append).copy()
    (path,) = (tmp_path / "cache" / "pixels").iterdir()
    whole = path.read_bytes()
    assert lines == []
    path.write_bytes(whole[:kept])
    assert np.array_equal(load_pixels(photos, CONTRACT, say=lines.append), first)
    assert len(lines) == 1 and str(path) in lines[0] and "computed again" in lines[0]
    assert path.read_bytes() == whole


def test_another_size_is_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    photos = made_photos(tmp_path, 2)
    load_pixels(photos, CONTRACT)
    larger = PixelContract(height=24, width=20)
    assert load_pixels(photos, larger).shape == (2, 24, 20, 3)


def test_unreadable_photo_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    photos = made_photos(tmp_path, 3)
    photos[1].path.write_bytes(b"")
    with pytest.raises(DataError, match="not a readable picture"):
        load_pixels(photos, CONTRACT)
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def test_no_photos_is_an_error() -> None:
    with pytest.raises(DataError, match="selection is empty"):
        load_pixels([], CONTRACT)
