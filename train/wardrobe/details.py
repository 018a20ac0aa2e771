"""What is sewn, pressed or printed onto an outline: seams, buttons, collars, creases, prints."""

import numpy as np

from train.wardrobe.shapes import Cut, Ink, Shape, chance, disc, flipped, moved, neckline, outline


def seam(*points: tuple[float, float], width: float = 0.022, shade: float = 0.6) -> Shape:
    """Return a line that darkens (or, above 1, lightens) the cloth below it."""
    return Shape(points=outline(*points), ink=None, width=width, shade=shade)


def buttons(x: float, top: float, bottom: float, count: int, ink: Ink) -> list[Shape]:
    """Return ``count`` buttons one below the other."""
    heights = np.linspace(top, bottom, count)
    return [Shape(points=disc(x, float(y), 0.03), ink=ink, edge=0.5) for y in heights]


def collar(cut: Cut, *, tip: float, ink: Ink) -> list[Shape]:
    """Return a shirt's collar: a stand and two points of length ``tip``."""
    depth = cut.depth
    shapes = []
    for side in (1, -1):
        wing = outline(
            (cut.neck - 0.03, -0.06),
            (cut.neck + 0.06, 0.03),
            (0.6 * cut.neck + 0.06, depth + tip),
            (0.0, depth + 0.01),
            (0.45 * cut.neck, 0.55 * depth),
        )
        shapes.append(Shape(points=flipped(wing, side), ink=ink, shade=1.08, edge=0.5))
    return shapes


def folds(
    rng: np.random.Generator, count: int, *, half_width: float, top: float, bottom: float
) -> list[Shape]:
    """Return soft creases at random places within a box."""
    shapes = []
    for _ in range(count):
        x, y = rng.uniform(-half_width, half_width), rng.uniform(top, bottom)
        dx, dy = rng.uniform(-0.2, 0.2), rng.uniform(0.05, 0.3)
        shade = float(rng.choice([0.8, 0.87, 1.12]))
        shapes.append(seam((x, y), (x + 0.5 * dx, y + 0.6 * dy), (x + dx, y + dy), shade=shade))
    return shapes


def rib(cut: Cut, ink: Ink) -> Shape:
    """Return the ribbed band around a neck."""
    return Shape(points=moved(neckline(cut), 0.0, 0.015), ink=ink, width=0.05, shade=0.85)


def chest_print(rng: np.random.Generator, y: float, size: float) -> list[Shape]:
    """Return a print on the chest: lines of lettering, a badge or a picture."""
    kind, shapes = rng.integers(3), []
    if kind == 0:
        for row in range(int(rng.integers(1, 4))):
            x = -size * rng.uniform(0.7, 1.0)
            while x < size * 0.8:
                step = rng.uniform(0.04, 0.12)
                line = outline((x, y + 0.12 * row), (x + step, y + 0.12 * row))
                shapes.append(Shape(points=line, ink=Ink.PRINT, width=0.07))
                x += step + 0.04
    elif kind == 1:
        shapes.append(Shape(points=disc(0, y + 0.1, size * 0.8), ink=Ink.PRINT, edge=0.7))
        shapes.append(Shape(points=disc(0, y + 0.1, size * 0.45), ink=Ink.TRIM, edge=0.7))
    else:
        for _ in range(5):
            x, dy = rng.uniform(-size, size), rng.uniform(-0.1, 0.3)
            ink = Ink.PRINT if chance(rng, 0.6) else Ink.TRIM
            blot = disc(x * 0.7, y + dy, rng.uniform(0.06, 0.15), stretch=rng.uniform(0.5, 1.6))
            shapes.append(Shape(points=blot, ink=ink, edge=0.8))
    return shapes


def creases(rng: np.random.Generator, cut: Cut) -> list[Shape]:
    """Return a few creases below a trunk's chest."""
    count = int(rng.integers(2, 7))
    return folds(rng, count, half_width=0.8 * cut.waist, top=0.5, bottom=cut.length - 0.3)
