"""Garments for the legs, and those that reach down to them: body, dress, skirt, shorts, pants."""

from dataclasses import replace

import numpy as np

from train.wardrobe.details import buttons, chest_print, folds, rib, seam
from train.wardrobe.shapes import (
    Ink,
    Points,
    Shape,
    about,
    chance,
    flipped,
    inside_of_neck,
    moved,
    neckline,
    outline,
    sleeves,
    tailor,
    trunk,
)

Generator = np.random.Generator


def body(rng: Generator) -> list[Shape]:
    """A one-piece that ends between the legs: bound leg openings and snaps at the crotch."""
    cut = tailor(rng, neck=0.2, depth=0.12, length=1.0, chest=0.42, shoulder=0.44, waist=0.42)
    sleeveless = chance(rng, 0.25)
    if sleeveless:
        cut = replace(cut, shoulder=0.3, hollow=0.09, depth=0.2)
    hip, end = cut.chest * about(rng, 1.02, 0.05), about(rng, 1.5, 0.06)
    side = outline((cut.shoulder, cut.slope), (cut.chest - 0.01, cut.armpit), (hip, 1.02))
    leg = outline((hip - 0.1, 1.16), (0.24, 1.32), (0.15, end - 0.04))
    right = np.concatenate([side, leg, outline((0.15, end))])
    front = np.concatenate([neckline(cut), right, right[::-1] * (-1.0, 1.0)])
    binding = Ink.TRIM if chance(rng, 0.5) else Ink.CLOTH
    shapes = [inside_of_neck(cut), Shape(points=front)]
    if not sleeveless:
        length = about(rng, 0.36, 0.1) if chance(rng, 0.55) else about(rng, 0.85, 0.08)
        shapes += sleeves(rng, cut, length=length, cuff=0.22, cuff_ink=binding, cuff_depth=0.05)
    for sign in (1, -1):
        edge = flipped(np.concatenate([outline((hip, 1.02)), leg]), sign)
        shapes.append(Shape(points=edge, ink=binding, width=0.055, shade=0.85))
        if chance(rng, 0.6):
            shapes.append(seam((sign * cut.neck, 0.0), (sign * (cut.shoulder - 0.02), 0.26)))
    shapes.append(rib(cut, binding))
    for x in (-0.09, 0.0, 0.09):
        shapes += buttons(x, end - 0.07, end - 0.07, 1, Ink.PALE)
    if chance(rng, 0.5):
        shapes += chest_print(rng, about(rng, 0.5, 0.1), about(rng, 0.24, 0.2))
    return shapes + folds(rng, 4, half_width=0.3, top=0.5, bottom=1.0)


def dress(rng: Generator) -> list[Shape]:
    """A bodice with a waist and a skirt in one piece; with or without short sleeves."""
    cut = tailor(rng, depth=0.2, neckline=float(rng.choice([1.1, 2.0, 4.0])), waist=0.34, hem=0.4)
    kind = rng.integers(3)
    if kind == 0:
        cut = replace(cut, shoulder=0.33, hollow=0.1, slope=0.04)
    waist_at, length = about(rng, 0.86, 0.1), about(rng, 2.05, 0.18)
    cut = replace(cut, length=waist_at, waist_at=waist_at - 0.08, hem=cut.waist)
    flare = cut.waist + rng.uniform(0.16, 0.5)
    shapes = [inside_of_neck(cut), _panel(cut.hem, flare, waist_at, length, sag=0.07)]
    shapes += _pleats(rng, cut.hem, flare, waist_at, length)
    shapes.append(Shape(points=trunk(cut)))
    if kind == 1:
        shapes += sleeves(rng, cut, length=about(rng, 0.38, 0.2), cuff=0.33)
    elif kind == 2:
        shapes += sleeves(rng, cut, length=about(rng, 0.9, 0.2), cuff=0.22)
    sash = Ink.TRIM if chance(rng, 0.5) else Ink.CLOTH
    band = outline((-cut.hem, waist_at), (cut.hem, waist_at))
    shapes.append(Shape(points=band, ink=sash, width=about(rng, 0.08, 0.3), shade=0.8))
    return shapes + folds(rng, 2, half_width=0.2, top=0.35, bottom=0.7)


def skirt(rng: Generator) -> list[Shape]:
    """A waistband over one flared or straight panel, often pleated or in tiers."""
    waist, length = about(rng, 0.36), about(rng, 1.0, 0.3)
    flare = waist + (rng.uniform(0.2, 0.5) if chance(rng, 0.7) else rng.uniform(0.03, 0.12))
    shapes = [_panel(waist, flare, 0.0, length, sag=0.25 * (flare - waist))]
    shapes += _pleats(rng, waist, flare, 0.1, length)
    if chance(rng, 0.3):
        for part in (0.4, 0.7):
            half = waist + part * (flare - waist)
            shapes.append(seam((-half, part * length), (half, part * length), width=0.04))
    ink = Ink.TRIM if chance(rng, 0.35) else Ink.CLOTH
    return [*shapes, _waistband(waist, about(rng, 0.1, 0.2), ink)]


def shorts(rng: Generator) -> list[Shape]:
    """Two short legs below a waistband."""
    return _trousers(rng, length=about(rng, 0.85, 0.16), taper=rng.uniform(0.9, 1.15))


def pants(rng: Generator) -> list[Shape]:
    """Two long legs below a waistband."""
    return _trousers(rng, length=about(rng, 1.95, 0.1), taper=rng.uniform(0.5, 0.95))


def _panel(top: float, bottom: float, start: float, end: float, *, sag: float) -> Shape:
    across = np.linspace(1.0, -1.0, 11)
    hem = np.stack([across * bottom, end - sag * across**2], axis=1)
    middle = 0.5 * (top + bottom) + 0.03
    sides = [(top, start), (middle, 0.5 * (start + end))]
    right = np.array(sides)
    return Shape(points=np.concatenate([right, hem, right[::-1] * (-1.0, 1.0)]))


def _pleats(rng: Generator, top: float, bottom: float, start: float, end: float) -> list[Shape]:
    count = int(rng.integers(0, 10))
    return [
        seam((x * top, start + 0.05), (x * bottom * 0.97, end - 0.08), shade=0.76, width=0.03)
        for x in np.linspace(-0.8, 0.8, count)
    ]


def _waistband(half: float, height: float, ink: Ink) -> Shape:
    band = outline((half, -0.01), (half + 0.01, height), (-half - 0.01, height), (-half, -0.01))
    return Shape(points=band, ink=ink, shade=0.88, edge=0.45)


def _leg(side: int, waist: float, crotch: float, end: float, hem: float, lean: float) -> Points:
    foot = waist * 0.62 + lean
    leg = outline(
        (0.0, 0.0),
        (waist, 0.0),
        (waist + 0.07, 0.4 * crotch + 0.1),
        (waist + 0.06 + 0.2 * lean, crotch),
        (foot + hem, end),
        (foot - hem, end),
        (0.015, crotch),
    )
    return flipped(leg, side)


def _trousers(rng: Generator, *, length: float, taper: float) -> list[Shape]:
    waist, crotch = about(rng, 0.38, 0.08), about(rng, 0.56, 0.08)
    hem = about(rng, 0.5 * waist, 0.08) * taper
    lean = rng.uniform(-0.03, 0.3) * max(length - crotch, 0.3)
    shapes: list[Shape] = []
    for side in (1, -1):
        spread = lean + rng.uniform(-0.04, 0.04)
        end = length + rng.uniform(-0.03, 0.03)
        leg = _leg(side, waist, crotch, end, hem, spread)
        shapes.append(Shape(points=leg, shade=float(rng.uniform(0.92, 1.04))))
        turn = moved(leg[[4, 5]], 0.0, -0.05)
        shapes.append(Shape(points=turn, ink=None, width=0.025, shade=0.6))
        pocket = ((waist * 0.55, 0.1), (waist * 0.72, 0.22), (waist + 0.03, 0.27))
        shapes.append(seam(*((side * x, y) for x, y in pocket), shade=0.5))
        if chance(rng, 0.2):
            shapes.append(Shape(points=leg[[2, 3, 4]], ink=Ink.PALE, width=0.07))
    shapes.append(seam((0.0, 0.08), (0.0, crotch), width=0.03, shade=0.5))
    shapes.append(_waistband(waist, about(rng, 0.1, 0.2), Ink.CLOTH))
    if chance(rng, 0.5):
        shapes += buttons(0.0, 0.05, 0.05, 1, Ink.PALE)
    else:
        for side in (1, -1):
            tie = outline((0.02 * side, 0.08), (0.09 * side, about(rng, 0.32)))
            shapes.append(Shape(points=tie, ink=Ink.PALE, width=0.025))
    lines = int(rng.integers(2, 6))
    return shapes + folds(rng, lines, half_width=0.3, top=0.2, bottom=max(length - 0.5, 0.25))
