"""Outlines of cloth: the few forms that every rendered garment is sewn from.

Coordinates are the garment's own: x to the right with 0 on its axis, y down from the neck or the
waistband, one unit about the width of a grown-up's shoulders. Nothing here knows about pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # (point, 2)


class Ink(IntEnum):
    """What a shape is made of; the number is its value in the map of inks."""

    NOTHING = 0
    CLOTH = 1
    TRIM = 2
    INSIDE = 3
    PALE = 4
    DARK = 5
    PRINT = 6


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One painted piece; later pieces lie on earlier ones.

    Attributes:
        points: ``(point, 2)`` outline or line.
        ink: what it is made of; ``None`` only shades what lies below.
        shade: brightness factor in [0, 2).
        width: 0 for a filled outline, else the thickness of a line.
        edge: brightness factor of a filled outline's rim; 1 for none.
    """

    points: Points
    ink: Ink | None = Ink.CLOTH
    shade: float = 1.0
    width: float = 0.0
    edge: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Measures of an upper garment's trunk; half-widths, and depths below the neck."""

    neck: float = 0.17
    depth: float = 0.14
    neckline: float = 2.0  # exponent: 1 a V, 2 round, 5 square
    shoulder: float = 0.5
    slope: float = 0.1
    hollow: float = 0.02  # how far the armhole cuts in
    armpit: float = 0.42
    chest: float = 0.47
    waist: float = 0.45
    waist_at: float = 0.9
    hem: float = 0.47
    length: float = 1.35
    sag: float = 0.02  # how far the hem's middle hangs below its ends


def about(rng: np.random.Generator, value: float, spread: float = 0.1) -> float:
    """Return ``value`` changed by at most the fraction ``spread``."""
    return value * float(rng.uniform(1.0 - spread, 1.0 + spread))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with ``probability`` in [0, 1]."""
    return bool(rng.random() < probability)


def outline(*points: tuple[float, float]) -> Points:
    """Return the points as an array of ``(point, 2)``."""
    return np.array(points, dtype=np.float64)


def mirrored(right: Sequence[tuple[float, float]]) -> Points:
    """Return a closed outline from its right half, listed from top to bottom."""
    half = np.array(right, dtype=np.float64)
    return np.concatenate([half, half[::-1] * (-1.0, 1.0)])


def flipped(points: Points, side: int) -> Points:
    """Return ``points`` on the right (``side`` 1) or their mirror image (-1)."""
    return points * (float(side), 1.0)


def moved(points: Points, x: float, y: float) -> Points:
    """Return ``points`` shifted by ``(x, y)``."""
    shifted: Points = points + np.array((x, y))
    return shifted


def disc(x: float, y: float, radius: float, *, stretch: float = 1.0) -> Points:
    """Return an ellipse around ``(x, y)``; ``stretch`` is its height over its width."""
    angles = np.linspace(0.0, 2 * np.pi, 20, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * stretch * np.sin(angles)], axis=1)


def neckline(cut: Cut, *, depth: float | None = None) -> Points:
    """Return the front's neckline from the left shoulder to the right one."""
    across = np.linspace(-1.0, 1.0, 13)
    drop = (1.0 - np.abs(across) ** cut.neckline) * (cut.depth if depth is None else depth)
    return np.stack([across * cut.neck, drop], axis=1)


def trunk(cut: Cut) -> Points:
    """Return the closed outline of a trunk without sleeves."""
    between = 0.5 * (cut.shoulder + cut.chest) - cut.hollow
    side = outline(
        (cut.shoulder, cut.slope),
        (between, 0.35 * cut.slope + 0.65 * cut.armpit),
        (cut.chest, cut.armpit),
        (cut.waist, cut.waist_at),
        (cut.hem, cut.length),
    )
    across = np.linspace(0.8, -0.8, 7)
    bottom = np.stack([across * cut.hem, cut.length + cut.sag * (1 - across**2)], axis=1)
    return np.concatenate([neckline(cut), side, bottom, side[::-1] * (-1.0, 1.0)])


def inside_of_neck(cut: Cut) -> Shape:
    """Return what shows of the back's inside through the neck; painted before the trunk."""
    back = neckline(cut, depth=min(0.04, 0.3 * cut.depth))
    return Shape(
        points=np.concatenate([back, moved(neckline(cut)[::-1], 0.0, 0.02)]),
        ink=Ink.INSIDE,
        edge=0.8,
    )


def ribbon(centre: Points, widths: Sequence[float]) -> Points:
    """Return the outline of a band along ``centre`` with the given width at each point."""
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * (np.array(widths)[:, None] / 2)
    return np.concatenate([centre + across, (centre - across)[::-1]])


def sleeve(
    cut: Cut, side: int, *, length: float, cuff: float, angle: float, bend: float = 0.0
) -> tuple[Points, Points]:
    """Return a sleeve's outline and the line of its cuff.

    Args:
        cut: the trunk that it is sewn to.
        side: 1 right, -1 left.
        length: from the shoulder's seam to the cuff.
        cuff: width at the cuff.
        angle: from hanging straight down, in radians, outward positive.
        bend: how much further out (or in, negative) the forearm points, in radians.
    """
    drop = cut.armpit - cut.slope
    start = outline((cut.shoulder - 0.3 * drop, 0.5 * (cut.slope + cut.armpit) - 0.02))[0]
    upper = outline((np.sin(angle), np.cos(angle)))[0]
    lower = outline((np.sin(angle + bend), np.cos(angle + bend)))[0]
    elbow = start + upper * (0.5 * length)
    centre = np.stack([start, start + 0.25 * length * upper, elbow, elbow + 0.5 * length * lower])
    line = ribbon(centre, [0.95 * drop, 0.5 * (drop + cuff) + 0.03, 0.4 * drop + 0.6 * cuff, cuff])
    return flipped(line, side), flipped(line[[3, 4]], side)


def sleeves(
    rng: np.random.Generator,
    cut: Cut,
    *,
    length: float,
    cuff: float,
    cuff_ink: Ink | None = None,
    cuff_depth: float = 0.0,
) -> list[Shape]:
    """Return both sleeves, each with its own pose, and their cuffs if ``cuff_depth`` is not 0."""
    shapes: list[Shape] = []
    common = rng.uniform(0.15, 0.85) if length > 0.5 else rng.uniform(0.5, 1.05)
    bent = chance(rng, 0.35) and length > 0.8
    for side in (1, -1):
        angle = common + rng.uniform(-0.12, 0.12)
        bend = rng.uniform(-0.9, 0.5) if bent else rng.uniform(-0.15, 0.15)
        line, end = sleeve(cut, side, length=length, cuff=cuff, angle=angle, bend=bend)
        shapes.append(Shape(points=line, shade=float(rng.uniform(0.82, 0.98))))
        if cuff_depth:
            inward = line[[2, 5]] * (float(side), 1.0) - line[[3, 4]] * (float(side), 1.0)
            inward *= cuff_depth / np.linalg.norm(inward, axis=1, keepdims=True)
            band = np.concatenate([end, (end + flipped(inward, side))[::-1]])
            shapes.append(Shape(points=band, ink=cuff_ink, shade=0.9, edge=0.6))
    return shapes


def tailor(rng: np.random.Generator, **measures: float) -> Cut:
    """Return a cut with these measures, varied in size and proportion."""
    plain = Cut(**measures)
    wide = rng.uniform(0.88, 1.14)
    return replace(
        plain,
        shoulder=plain.shoulder * about(rng, wide, 0.04),
        chest=plain.chest * wide,
        waist=plain.waist * about(rng, wide, 0.05),
        hem=plain.hem * about(rng, wide, 0.06),
        length=about(rng, plain.length, 0.1),
        depth=about(rng, plain.depth, 0.2),
    )
