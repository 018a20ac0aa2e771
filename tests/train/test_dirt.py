import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.dirt import conflicting_duplicates, exact_duplicates, near_duplicates, near_pairs
from train.pixels import PixelContract, decode
from train.scan import inspect_file, scan_files


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))


def picture(seed: int, size: int = 96) -> Image.Image:
    """Blurred noise: no two seeds look alike, and JPEG keeps what is there."""
    noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def _cmyk(path: Path) -> None:
    picture(1).convert("CMYK").save(path, "JPEG")


def _grey(path: Path) -> None:
    picture(1).convert("L").save(path, "JPEG")


def _black_and_white(path: Path) -> None:
    picture(1).convert("1").save(path, "PNG")


def _alpha(path: Path) -> None:
    picture(1).convert("RGBA").save(path, "PNG")


def _palette(path: Path) -> None:
    picture(1).convert("P").save(path, "PNG")


def _grey16(path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(path, "PNG")


def _colour16(path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 65536, (32, 32, 3)).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(png(32, 32, raw, depth=16))


def _rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1).save(path, "JPEG", exif=exif)


def _plain(path: Path) -> None:
    picture(1).save(path, "JPEG")


def png(width: int, height: int, raw: bytes, *, depth: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("make", "conversion"),
    [
        (_plain, ""),
        (_cmyk, "CMYK"),
        (_grey, "greyscale"),
        (_black_and_white, "greyscale"),
        (_alpha, "alpha"),
        (_palette, "palette"),
        (_grey16, "16-bit, greyscale"),
        (_colour16, "16-bit"),
        (_rotated, "EXIF-rotated"),
    ],
)
def test_convertible_pictures_are_readable_and_named(
    make: Callable[[Path], None], conversion: str, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    make(path)
    facts = inspect_file(path)
    assert (facts.problem, facts.conversion) == ("", conversion)
    assert decode(path, PixelContract(height=16, width=16)).shape == (16, 16, 3)


def _zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    _plain(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _text(path: Path) -> None:
    path.write_text("not a picture at all", encoding="utf-8")


def _bomb(width: int, height: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(png(width, height, b"\0")) and None


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_zero_bytes, "zero bytes"),
        (_truncated, "truncated"),
        (_text, "not a picture"),
        (_bomb(8_001, 8_000), "8001 x 8000 pixels: a decompression bomb"),  # over 64 megapixels
        (_bomb(10_000, 10_000), "10000 x 10000 pixels: a decompression bomb"),  # Pillow warns
        (_bomb(60_000, 60_000), "a decompression bomb"),  # Pillow refuses
    ],
)
def test_unreadable_files_say_why(
    make: Callable[[Path], None], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    make(path)
    assert scan_files([path])[path].problem == problem


def test_a_bomb_is_refused_before_its_pixels_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(9_000, 9_000, bytes(9_000 * 3 + 1)))

    def load(self: Image.Image) -> None:
        raise AssertionError("the bomb was decoded")

    monkeypatch.setattr(Image.Image, "load", load)
    assert "bomb" in inspect_file(path).problem


def test_a_pipe_or_a_missing_file_is_a_problem_and_not_a_wait(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    gone = tmp_path / "gone.jpg"
    facts = scan_files([pipe, gone])
    assert facts[pipe].problem == "not a regular file"
    assert facts[gone].problem == "No such file or directory"


def test_pillow_warnings_do_not_reach_the_user(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    path.write_bytes(png(10_000, 10_000, b"\0"))
    with pytest.warns(Image.DecompressionBombWarning), Image.open(path):
        pass  # the file does make Pillow warn
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        scan_files([path])
    assert seen == []


def _looks(path: Path) -> str:
    return inspect_file(path).perceptual_hash


def test_saved_again_smaller_or_brighter_looks_the_same_and_another_does_not(
    tmp_path: Path,
) -> None:
    original = picture(1, size=200)
    copies = {
        "original": original,
        "small": original.resize((100, 100)),
        "bright": original.point(lambda level: min(255, level * 1.1)),
        "other": picture(2, size=200),
    }
    for name, copy in copies.items():
        copy.save(tmp_path / f"{name}.jpg", quality=50 if name == "small" else 95)
    digests = {name: name for name in copies}
    looks = {name: _looks(tmp_path / f"{name}.jpg") for name in copies}
    assert near_duplicates(digests, looks) == (("bright", "original", "small"),)


def test_a_flat_picture_has_no_look(tmp_path: Path) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (50, 50), (200, 10, 10)).save(path)
    facts = inspect_file(path)
    assert (facts.problem, facts.perceptual_hash) == ("", "")


def test_near_pairs_count_bits_over_all_words() -> None:
    ones = (1 << 24) - 1  # 24 bits apart: the most that counts as near
    hashes = np.array(
        [[0, 0, 0, 0], [0, ones, 0, 0], [1, ones, 0, 0], [~0 % 2**64] * 4], dtype=np.uint64
    )
    # 0-1: 24 bits, near. 0-2: 25, not. 1-2: 1, near. 3: 232 at least from all.
    assert near_pairs(hashes) == [(0, 1), (1, 2)]


def test_near_pairs_across_blocks_match_a_plain_count() -> None:
    hashes = np.random.default_rng(3).integers(0, 2**63, (700, 1), dtype=np.uint64)
    numbers = [int(value) for value in hashes[:, 0]]
    expected = [
        (i, j)
        for i in range(len(numbers))
        for j in range(i + 1, len(numbers))
        if (numbers[i] ^ numbers[j]).bit_count() <= 14
    ]
    assert expected
    assert sorted(near_pairs(hashes, most_bits=14)) == expected


def test_exact_copies_are_grouped_and_not_called_near() -> None:
    digests = {"b": "1", "a": "1", "c": "2"}
    assert exact_duplicates(digests) == (("a", "b"),)
    assert near_duplicates(digests, {"1": "0" * 64, "2": "f" * 64}) == ()
    assert near_duplicates(digests, {"1": "0" * 64, "2": "0" * 64}) == (("a", "b", "c"),)


def test_only_groups_of_two_labels_conflict() -> None:
    labels = {"a": "Hat", "b": "Shirt", "c": "Hat"}
    groups = (("a", "b"), ("a", "c"), ("b", "unlabelled"))
    assert conflicting_duplicates(groups, labels) == (("a", "b"),)
