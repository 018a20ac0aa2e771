"""Upper garments with an opening or a make of their own: shirt, blouse, blazer, outwear."""

from dataclasses import replace

import numpy as np

from train.wardrobe.details import buttons, collar, creases, folds, seam
from train.wardrobe.shapes import (
    Cut,
    Ink,
    Shape,
    about,
    chance,
    disc,
    flipped,
    inside_of_neck,
    mirrored,
    neckline,
    outline,
    sleeves,
    tailor,
    trunk,
)

Generator = np.random.Generator


def shirt(rng: Generator) -> list[Shape]:
    """A stiff collar, buttons from collar to hem, a rounded hem, mostly long sleeves."""
    cut = tailor(rng, depth=0.12, neckline=1.3, length=1.4, sag=0.1)
    short = chance(rng, 0.25)
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut))]
    length, cuff = (about(rng, 0.5), 0.32) if short else (about(rng, 1.15), 0.22)
    shapes += sleeves(rng, cut, length=length, cuff=cuff, cuff_ink=Ink.CLOTH, cuff_depth=0.11)
    for x in (-0.055, 0.055):
        shapes.append(seam((x, cut.depth), (x, cut.length + cut.sag), shade=0.62))
    ink = Ink.PALE if chance(rng, 0.6) else Ink.DARK
    shapes += buttons(0.0, cut.depth + 0.12, cut.length - 0.08, int(rng.integers(6, 8)), ink)
    for side in (1, -1):
        if chance(rng, 0.55):
            pocket = ((0.16, 0.42), (0.38, 0.42), (0.38, 0.66), (0.27, 0.7), (0.16, 0.66))
            shapes.append(seam(*((side * x, y) for x, y in (*pocket, pocket[0]))))
    return shapes + creases(rng, cut) + collar(cut, tip=about(rng, 0.16), ink=Ink.CLOTH)


def blouse(rng: Generator) -> list[Shape]:
    """Full sleeves gathered at the cuff, a tied or frilled neck, a waist and a flared hem."""
    cut = tailor(rng, depth=0.2, neckline=1.2, waist=0.37, waist_at=0.85, hem=0.56, length=1.2)
    cut = replace(cut, sag=0.05)
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut))]
    full = about(rng, 0.46)
    length = about(rng, 0.75, 0.3)
    shapes += sleeves(rng, cut, length=length, cuff=full, cuff_ink=Ink.TRIM, cuff_depth=0.0)
    shapes.append(seam((-cut.waist, cut.waist_at), (cut.waist, cut.waist_at), width=0.035))
    for x in np.linspace(-0.8, 0.8, 8):
        shapes.append(
            seam((x * cut.waist, cut.waist_at), (x * cut.hem, cut.length), shade=0.75, width=0.03)
        )
    if chance(rng, 0.5):
        shapes += _bow(cut, about(rng, 0.2, 0.2))
    else:
        shapes += _frill(rng, cut)
    return shapes + folds(rng, 3, half_width=0.3, top=0.4, bottom=0.8)


def _bow(cut: Cut, size: float) -> list[Shape]:
    y, shapes = cut.depth + 0.03, []
    for side in (1, -1):
        loop = outline((0.0, y), (size, y - 0.11), (1.1 * size, y + 0.06))
        tail = outline((0.0, y), (0.09, y + 0.01), (0.17, y + 0.42), (0.06, y + 0.4))
        shapes.append(Shape(points=flipped(tail, side), ink=Ink.TRIM, edge=0.5))
        shapes.append(Shape(points=flipped(loop, side), ink=Ink.TRIM, shade=1.08, edge=0.5))
    return [*shapes, Shape(points=disc(0.0, y, 0.045), ink=Ink.TRIM, shade=0.8)]


def _frill(rng: Generator, cut: Cut) -> list[Shape]:
    shapes = []
    rows = int(rng.integers(2, 4))
    for row in range(rows):
        y = cut.depth + 0.05 + 0.13 * row
        across = np.linspace(-1.0, 1.0, 17)
        wave = 0.035 * np.cos(across * 8 * np.pi)
        half = cut.neck + 0.09 - 0.03 * row
        lower = np.stack([across * half, y + 0.09 + wave], axis=1)
        upper = np.stack([across[::-1] * half, np.full(17, y - 0.02)], axis=1)
        shapes.append(Shape(points=np.concatenate([lower, upper]), ink=Ink.TRIM, edge=0.5))
    return shapes


def blazer(rng: Generator) -> list[Shape]:
    """Lapels over a deep V, one or two buttons, flapped pockets, a front that parts below."""
    cut = tailor(rng, depth=0.6, neckline=1.0, waist=0.42, hem=0.5, shoulder=0.53, length=1.45)
    shapes = [Shape(points=neckline(cut), ink=Ink.INSIDE), Shape(points=trunk(cut))]
    if chance(rng, 0.4):
        shapes[0] = replace(shapes[0], ink=Ink.PALE)
    shapes += sleeves(
        rng, cut, length=about(rng, 1.15), cuff=0.2, cuff_ink=Ink.CLOTH, cuff_depth=0.03
    )
    width = about(rng, 0.15, 0.2)
    for side in (1, -1):
        lapel = outline(
            (cut.neck, -0.04),
            (cut.neck + 0.08, 0.05),
            (cut.neck + width * 0.8, 0.2),
            (cut.neck + width * 0.6, 0.23),
            (cut.neck + width * 1.15, 0.26),
            (0.02, cut.depth),
        )
        shapes.append(Shape(points=flipped(lapel, side), shade=1.1, edge=0.42))
        y = about(rng, 1.0, 0.04)
        flap = outline((0.16, y), (0.38, y - 0.02), (0.38, y + 0.08), (0.16, y + 0.1))
        shapes.append(Shape(points=flipped(flap, side), shade=0.95, edge=0.45))
    parting = ((0.0, cut.depth), (0.02, cut.length - 0.25), (0.1, cut.length))
    shapes.append(seam(*parting, shade=0.4, width=0.03))
    ink = Ink.DARK if chance(rng, 0.6) else Ink.PALE
    count = int(rng.integers(1, 4))
    shapes += buttons(-0.05, cut.depth + 0.06, cut.depth + 0.06 + 0.17 * (count - 1), count, ink)
    if chance(rng, 0.6):
        shapes.append(seam((0.22, 0.45), (0.38, 0.42), shade=0.45, width=0.04))
    return shapes


def outwear(rng: Generator) -> list[Shape]:
    """A jacket or coat: stand-up collar, zip or double buttons, quilting or a belt."""
    quilted = chance(rng, 0.6)
    length = about(rng, 1.4, 0.08) if quilted else about(rng, 1.85, 0.1)
    cut = tailor(rng, depth=0.1, chest=0.54, waist=0.52, hem=0.55, shoulder=0.56, length=length)
    stand = mirrored([(0.2, -0.13), (0.24, 0.12), (0.1, 0.16)])
    shapes = [Shape(points=trunk(cut))]
    shapes += sleeves(
        rng, cut, length=about(rng, 1.12), cuff=0.26, cuff_ink=Ink.DARK, cuff_depth=0.05
    )
    if quilted:
        for y in np.arange(0.3, cut.length - 0.05, about(rng, 0.17)):
            shapes.append(seam((-0.56, y), (-0.3, y + 0.015), (0.56, y), shade=0.5))
    else:
        belt = outline((-cut.waist, 0.92), (cut.waist, 0.92), (cut.waist, 1.02), (-cut.waist, 1.02))
        shapes.append(Shape(points=belt, shade=0.8, edge=0.45))
        for x in (-0.13, 0.13):
            shapes += buttons(x, 0.35, 1.3, 4, Ink.DARK)
    zip_ink = Ink.DARK if chance(rng, 0.6) else Ink.PALE
    shapes.append(Shape(points=outline((0, 0), (0, cut.length)), ink=zip_ink, width=0.04))
    for side in (1, -1):
        shapes.append(seam((side * 0.22, 1.25), (side * 0.36, 1.02), shade=0.35, width=0.045))
    shapes.append(Shape(points=stand, shade=0.92, edge=0.45))
    return shapes + creases(rng, cut)
