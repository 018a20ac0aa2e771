"""Where a garment lies: floors, sheets, carpets and walls, with things left about.

Pictures here are float arrays of ``(height, width, 3)``, values in [0, 1].
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Floats = npt.NDArray[np.floating[Any]]
Generator = np.random.Generator


def smooth_noise(rng: Generator, height: int, width: int, cells: int) -> Floats:
    """Return ``(height, width)`` of cloudy noise, about ``cells`` clouds across, within [-1, 1]."""
    coarse = rng.uniform(-1.0, 1.0, (cells + 2, cells + 2)).astype(np.float32)
    fine = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float32).clip(-1.0, 1.0)


def turned_axes(rng: Generator, height: int, width: int) -> tuple[Floats, Floats]:
    """Return two axes over the picture, turned by a random angle; the width spans one unit."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / width
    angle = float(rng.integers(2)) * np.pi / 2 + rng.normal(0.0, 0.25)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return columns * cos + rows * sin, rows * cos - columns * sin


def _plain(rng: Generator, height: int, width: int) -> Floats:
    return 1.0 + 0.04 * smooth_noise(rng, height, width, 3)


def _gradient(rng: Generator, height: int, width: int) -> Floats:
    along, _ = turned_axes(rng, height, width)
    tones: Floats = 1.0 + rng.uniform(0.2, 0.6) * (along - along.mean())
    return tones


def _boards(rng: Generator, height: int, width: int) -> Floats:
    along, across = turned_axes(rng, height, width)
    row = (across / rng.uniform(0.13, 0.32) + 50.0 + rng.random()) % 100.0
    number = row.astype(np.int64)
    tones = rng.uniform(-0.12, 0.12, 100)[number]
    shifted = along * 1.7 + rng.random(100)[number]
    grain = 0.05 * np.sin(90 * across + 9 * np.sin(3 * shifted + number))
    gaps = np.minimum(row % 1.0, 0.25 * (shifted % 1.0)) < 0.035
    boards: Floats = (1.0 + tones + grain) * np.where(gaps, 0.65, 1.0)
    return boards


def _tiles(rng: Generator, height: int, width: int) -> Floats:
    along, across = turned_axes(rng, height, width)
    size = rng.uniform(0.25, 0.6)
    first, second = (along / size + 50.3) % 100.0, (across / size + 50.6) % 100.0
    number = first.astype(np.int64) * 7 + second.astype(np.int64) * 13
    tones = rng.uniform(-0.06, 0.06, 101)[number % 101]
    joints = np.minimum(first % 1.0, second % 1.0) < 0.02 / size
    glaze = 1.0 + tones + 0.03 * smooth_noise(rng, height, width, 12)
    tiles: Floats = glaze * np.where(joints, 0.72, 1.0)
    return tiles


def _carpet(rng: Generator, height: int, width: int) -> Floats:
    pile = rng.normal(0.0, rng.uniform(0.04, 0.14), (height, width))
    return 1.0 + pile + 0.1 * smooth_noise(rng, height, width, int(rng.integers(6, 30)))


def _sheet(rng: Generator, height: int, width: int) -> Floats:
    along, across = turned_axes(rng, height, width)
    bent = along + 0.15 * smooth_noise(rng, height, width, 3)
    ripples = np.sin(rng.uniform(8, 30) * bent + 3 * smooth_noise(rng, height, width, 4))
    return 1.0 + 0.12 * ripples + 0.1 * smooth_noise(rng, height, width, 5) * across


def _patterned(rng: Generator, height: int, width: int) -> Floats:
    along, across = turned_axes(rng, height, width)
    pitch = rng.uniform(18.0, 45.0)
    waves = np.sin(pitch * along) * np.sin(pitch * across)
    waves = np.sin(pitch * along) if rng.random() < 0.3 else waves
    tones: Floats = 1.0 + rng.uniform(0.08, 0.2) * np.tanh(3 * waves)
    return tones


# Woods, whites, greys, cloths: what floors, sheets and walls are made of.
_GROUNDS = (
    (0.93, 0.92, 0.90),
    (0.85, 0.80, 0.72),
    (0.76, 0.62, 0.46),
    (0.58, 0.42, 0.29),
    (0.36, 0.25, 0.18),
    (0.62, 0.63, 0.65),
    (0.40, 0.41, 0.43),
    (0.14, 0.14, 0.16),
    (0.72, 0.16, 0.15),
    (0.45, 0.10, 0.20),
    (0.80, 0.66, 0.68),
    (0.30, 0.40, 0.58),
    (0.60, 0.70, 0.66),
    (0.24, 0.36, 0.28),
    (0.80, 0.74, 0.40),
)
_WOODS = 6  # the first of them: floorboards


def ground_colour(rng: Generator, kind: str) -> Floats:
    """Return a colour ``(3,)`` in [0, 1] for a background of ``kind``, as homes have them."""
    choices = _GROUNDS[:_WOODS] if kind == "boards" else _GROUNDS
    base = np.array(choices[int(rng.integers(len(choices)))])
    return (base + rng.normal(0.0, 0.03, 3)).clip(0.05, 0.97).astype(np.float32)


ROOMS: dict[str, Callable[[Generator, int, int], Floats]] = {
    "plain": _plain,
    "gradient": _gradient,
    "boards": _boards,
    "tiles": _tiles,
    "carpet": _carpet,
    "sheet": _sheet,
    "patterned": _patterned,
}


def paint_room(
    rng: Generator, kind: str, colour: Floats, *, height: int, width: int, clutter: int
) -> Floats:
    """Return a background.

    Args:
        rng: every random choice comes from it.
        kind: a key of ``ROOMS``.
        colour: ``(3,)`` main colour in [0, 1].
        height: rows.
        width: columns.
        clutter: how many things lie about near the rim.
    """
    tones = ROOMS[kind](rng, height, width)
    picture: Floats = tones.astype(np.float32)[..., None] * colour
    if clutter:
        flat = Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))
        draw = ImageDraw.Draw(flat)
        for _ in range(clutter):
            _drop_thing(rng, draw, height, width)
        picture = np.asarray(flat, dtype=np.float32) / 255
    return picture


def _drop_thing(rng: Generator, draw: ImageDraw.ImageDraw, height: int, width: int) -> None:
    """Paint a box, a round thing, a cable or another cloth's corner at the rim."""
    angle = rng.uniform(0, 2 * np.pi)
    x = width * (0.5 + 0.55 * np.cos(angle))
    y = height * (0.5 + 0.55 * np.sin(angle))
    size = rng.uniform(0.06, 0.2) * width
    ink = tuple(int(value) for value in rng.integers(20, 236) + rng.integers(-20, 20, 3))
    kind = rng.integers(3)
    if kind == 0:
        spin = rng.uniform(0, np.pi) + np.arange(4) * np.pi / 2
        corners = zip(x + size * np.cos(spin), y + size * np.sin(spin), strict=True)
        draw.polygon([(float(a), float(b)) for a, b in corners], fill=ink)
    elif kind == 1:
        draw.ellipse([x - size, y - size, x + size, y + size], fill=ink)
    else:
        steps = np.cumsum(rng.normal(0, 0.12 * width, (6, 2)), axis=0) + np.array((x, y))
        draw.line([(float(a), float(b)) for a, b in steps], fill=ink, width=int(rng.integers(2, 6)))
