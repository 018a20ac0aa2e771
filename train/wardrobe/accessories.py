"""What is worn at either end: hats and shoes."""

from dataclasses import replace

import numpy as np

from train.wardrobe.details import seam
from train.wardrobe.shapes import (
    Ink,
    Points,
    Shape,
    about,
    chance,
    disc,
    flipped,
    moved,
    outline,
    ribbon,
)

Generator = np.random.Generator


def hat(rng: Generator) -> list[Shape]:
    """A cap with a peak, a knitted cap, or a hat with a brim all round."""
    kind = rng.integers(3)
    if kind == 0:
        return _cap(rng)
    return _beanie(rng) if kind == 1 else _brimmed(rng)


def _dome(half: float, height: float, power: float) -> Points:
    across = np.linspace(-1.0, 1.0, 21)
    return np.stack([across * half, -height * (1 - np.abs(across) ** power)], axis=1)


def _cap(rng: Generator) -> list[Shape]:
    height, side = about(rng, 0.55), int(rng.choice([1, -1]))
    reach = rng.uniform(0.15, 0.6)
    peak = outline(
        (-0.3 * side, 0.0),
        (0.45 * side, -0.04),
        ((0.5 + reach) * side, 0.1),
        ((0.4 + reach) * side, 0.22),
        (0.1 * side, 0.14),
    )
    shapes = [Shape(points=_dome(0.5, height, 2.4))]
    for x in (-0.25, 0.05, 0.3):
        shapes.append(seam((0.0, -height), (x * 0.9, -0.6 * height), (x * 1.2, -0.02)))
    ink = Ink.TRIM if chance(rng, 0.5) else Ink.CLOTH
    shapes.append(Shape(points=peak, ink=ink, shade=0.92, edge=0.45))
    shapes.append(Shape(points=disc(0.0, -height, 0.045), ink=ink))
    if chance(rng, 0.6):
        mark = disc(0.12 * side, -0.5 * height, about(rng, 0.13, 0.3), stretch=0.8)
        shapes.append(Shape(points=mark, ink=Ink.PRINT))
    return shapes


def _beanie(rng: Generator) -> list[Shape]:
    height, half = about(rng, 0.75, 0.12), about(rng, 0.48, 0.08)
    shapes = [Shape(points=_dome(half, height, 2.2))]
    for x in np.linspace(-0.85, 0.85, 11):
        shapes.append(seam((0.5 * x * half, -0.85 * height), (x * half, -0.05), shade=0.78))
    band = outline((-half, -0.14), (half, -0.14), (half + 0.02, 0.1), (-half - 0.02, 0.1))
    ink = Ink.TRIM if chance(rng, 0.5) else Ink.CLOTH
    shapes.append(Shape(points=band, ink=ink, shade=0.9, edge=0.5))
    if chance(rng, 0.5):
        shapes.append(Shape(points=disc(0.0, -height - 0.06, about(rng, 0.14)), ink=Ink.PALE))
    return shapes


def _brimmed(rng: Generator) -> list[Shape]:
    height, brim = about(rng, 0.42, 0.15), about(rng, 0.8, 0.12)
    tilt = about(rng, 0.3, 0.25)
    shapes = [Shape(points=disc(0.0, 0.0, brim, stretch=tilt), shade=0.92)]
    shapes.append(Shape(points=disc(0.0, 0.02, 0.45, stretch=tilt), ink=None, shade=0.7))
    crown = np.concatenate([_dome(0.42, height, 3.5), outline((0.2, 0.09), (-0.2, 0.09))])
    shapes.append(Shape(points=crown))
    band = outline((-0.42, -0.03), (-0.2, 0.06), (0.2, 0.06), (0.42, -0.03))
    shapes.append(Shape(points=band, ink=Ink.DARK if chance(rng, 0.5) else Ink.TRIM, width=0.1))
    return shapes


def shoes(rng: Generator) -> list[Shape]:
    """One shoe from the side or a pair: side by side from above, or one behind the other."""
    if chance(rng, 0.4):
        return _pair_from_above(rng)
    kind = int(rng.integers(3))
    front = _side_view(rng, kind)
    if chance(rng, 0.45):
        return front
    shift = (rng.uniform(-0.3, 0.3), rng.uniform(-0.42, -0.25))
    behind = [
        replace(shape, points=moved(shape.points, *shift), shade=0.85 * shape.shade)
        for shape in front
    ]
    return behind + front


def _side_view(rng: Generator, kind: int) -> list[Shape]:
    rise = (0.34, 0.85, 0.3)[kind] * rng.uniform(0.9, 1.15)  # sneaker, boot, heeled shoe
    heel = 0.26 if kind == 2 else 0.0
    upper = outline(
        (-0.5, -rise - heel),
        (-0.1, -rise - heel + 0.05),
        (0.05, -0.3 - 0.5 * heel),
        (0.35, -0.2),
        (0.58, -0.08),
        (0.58, 0.02),
        (0.1, 0.02 - 0.4 * heel),
        (-0.52, 0.02 - heel),
    )
    shapes = [Shape(points=upper, edge=0.5)]
    if kind == 2:
        spike = outline((-0.52, -heel), (-0.36, -heel), (-0.42, 0.05), (-0.48, 0.05))
        shapes.append(Shape(points=spike, ink=Ink.DARK))
        sole = ribbon(outline((-0.5, -heel + 0.03), (0.1, 0.01), (0.58, 0.04)), [0.06, 0.05, 0.04])
    else:
        thick = about(rng, 0.11, 0.3)
        sole = outline((-0.55, 0.0), (0.6, 0.0), (0.61, thick), (-0.54, thick))
    shapes.append(Shape(points=sole, ink=Ink.PALE if chance(rng, 0.6) else Ink.DARK, edge=0.6))
    mouth = ribbon(moved(upper[[0, 1]], 0.0, 0.02), [0.07, 0.07])
    shapes.append(Shape(points=mouth, ink=Ink.INSIDE))
    if kind != 2:
        for step in np.linspace(0.0, 1.0, 4 if kind == 0 else 6):
            start = (1 - step) * upper[1] + step * outline((0.22, -0.24))[0]
            lace = np.stack([start, start + outline((-0.13, 0.07))[0]])
            shapes.append(Shape(points=lace, ink=Ink.PALE, width=0.035))
        shapes.append(seam((-0.25, -0.02), (-0.22, -0.3), width=0.04, shade=0.55))
    return shapes


def _pair_from_above(rng: Generator) -> list[Shape]:
    apart, toes, open_to = about(rng, 0.27), rng.uniform(-0.2, 0.25), rng.uniform(0.0, 0.25)
    laced, sole = chance(rng, 0.5), Ink.PALE if chance(rng, 0.5) else Ink.DARK
    single = outline(
        (0.0, -0.62),
        (0.2, -0.5),
        (0.24, -0.2),
        (0.17, 0.15),
        (0.18, 0.5),
        (0.0, 0.62),
        (-0.18, 0.5),
        (-0.15, 0.15),
        (-0.2, -0.2),
        (-0.18, -0.5),
    )
    parts = [
        Shape(points=single * (1.12, 1.06), ink=sole),
        Shape(points=single),
        Shape(points=disc(0.0, 0.3 - open_to / 2, 0.13, stretch=1.6 + open_to), ink=Ink.INSIDE),
    ]
    for y in (-0.3, -0.2, -0.1) if laced else ():
        parts.append(Shape(points=outline((-0.12, y), (0.12, y)), ink=Ink.PALE, width=0.035))
    shapes: list[Shape] = []
    for side in (1, -1):
        turn = np.array([[np.cos(toes), np.sin(toes)], [-np.sin(toes), np.cos(toes)]])
        for part in parts:
            placed = flipped(moved(part.points @ turn, apart, 0.0), side)
            shapes.append(replace(part, points=placed))
    return shapes
