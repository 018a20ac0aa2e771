"""Soft upper garments, pulled over the head."""

from dataclasses import replace

import numpy as np

from train.wardrobe.details import buttons, chest_print, collar, creases, folds, rib, seam
from train.wardrobe.shapes import (
    Ink,
    Shape,
    about,
    chance,
    disc,
    flipped,
    inside_of_neck,
    moved,
    outline,
    sleeves,
    tailor,
    trunk,
)

Generator = np.random.Generator


def t_shirt(rng: Generator) -> list[Shape]:
    """Short sleeves, a ribbed round or V neck, often a print."""
    cut = tailor(rng, neckline=2.0 if chance(rng, 0.75) else 1.1, depth=0.15, length=1.3)
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut))]
    shapes += sleeves(rng, cut, length=about(rng, 0.42, 0.15), cuff=0.33)
    shapes.append(rib(cut, Ink.TRIM if chance(rng, 0.3) else Ink.CLOTH))
    if chance(rng, 0.55):
        shapes += chest_print(rng, about(rng, 0.5, 0.1), about(rng, 0.26, 0.2))
    return shapes + creases(rng, cut)


def longsleeve(rng: Generator) -> list[Shape]:
    """A T-shirt or jumper with sleeves to the wrist."""
    cut = tailor(rng, neckline=2.0 if chance(rng, 0.8) else 1.1, depth=0.14, length=1.3)
    cuffs = about(rng, 0.08) if chance(rng, 0.6) else 0.0
    ink = Ink.TRIM if chance(rng, 0.2) else Ink.CLOTH
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut))]
    shapes += sleeves(rng, cut, length=about(rng, 1.15), cuff=0.19, cuff_ink=ink, cuff_depth=cuffs)
    shapes.append(rib(cut, ink))
    if cuffs:
        shapes.append(seam((-cut.hem, cut.length - 0.1), (cut.hem, cut.length - 0.1)))
    if chance(rng, 0.35):
        shapes += chest_print(rng, about(rng, 0.5, 0.1), about(rng, 0.26, 0.2))
    return shapes + creases(rng, cut)


def polo(rng: Generator) -> list[Shape]:
    """Short sleeves with bands, a soft collar, a short placket with two or three buttons."""
    cut = tailor(rng, depth=0.13, neckline=1.3)
    ink = Ink.TRIM if chance(rng, 0.4) else Ink.CLOTH
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut))]
    shapes += sleeves(rng, cut, length=about(rng, 0.42), cuff=0.31, cuff_ink=ink, cuff_depth=0.07)
    end = cut.depth + about(rng, 0.32)
    strip = outline((-0.05, cut.depth), (0.05, cut.depth), (0.05, end), (-0.05, end))
    shapes.append(Shape(points=strip, ink=ink, shade=0.95, edge=0.5))
    shapes += buttons(0.0, cut.depth + 0.08, end - 0.06, int(rng.integers(2, 4)), Ink.PALE)
    shapes += collar(cut, tip=about(rng, 0.13), ink=ink)
    if chance(rng, 0.4):
        shapes.append(Shape(points=disc(0.24, 0.42, 0.045), ink=Ink.PRINT))
    return shapes + creases(rng, cut)


def undershirt(rng: Generator) -> list[Shape]:
    """A vest: wide straps, deep scooped neck and armholes, long and straight."""
    cut = tailor(rng, neck=0.19, depth=0.36, shoulder=0.34, slope=0.03, hollow=0.12, armpit=0.55)
    cut = replace(cut, length=about(rng, 1.5), waist=cut.chest * 0.95, hem=cut.chest)
    shapes = [inside_of_neck(cut), Shape(points=trunk(cut)), *creases(rng, cut)]
    shapes.append(rib(cut, Ink.TRIM if chance(rng, 0.4) else Ink.CLOTH))
    if chance(rng, 0.4):
        for x in np.linspace(-0.85, 0.85, 13):
            shapes.append(seam((x * cut.chest, 0.6), (x * cut.hem, cut.length), shade=0.85))
    if chance(rng, 0.35):
        shapes += chest_print(rng, about(rng, 0.75, 0.1), about(rng, 0.25, 0.2))
    return shapes


def top(rng: Generator) -> list[Shape]:
    """Thin straps over a low, straight or heart-shaped edge; often cropped or flared."""
    width, rise = about(rng, 0.42, 0.08), about(rng, 0.4, 0.2)
    length = rise + about(rng, 0.75, 0.3)
    hem = width * rng.uniform(0.85, 1.35)
    across = np.linspace(-1.0, 1.0, 13)
    heart = 0.1 * np.cos(across * 2 * np.pi) * (1 if chance(rng, 0.5) else 0)
    edge = np.stack([across * width * 0.8, rise + heart - 0.12 * np.abs(across)], axis=1)
    front = np.concatenate(
        [edge, outline((width, rise + 0.12), (hem, length), (-hem, length), (-width, rise + 0.12))]
    )
    shapes = [Shape(points=moved(edge, 0.0, 0.015), ink=Ink.INSIDE, edge=0.8)]
    for side in (1, -1):
        strap = outline((width * 0.62, rise - 0.06), (width * rng.uniform(0.4, 0.6), 0.0))
        back = outline((strap[1, 0], 0.0), (width * 0.5, rise + 0.05))
        shapes.append(Shape(points=flipped(back, side), width=0.045, shade=0.6))
        shapes.append(Shape(points=flipped(strap, side), width=0.05))
    shapes.append(Shape(points=front))
    shapes.append(Shape(points=moved(edge, 0.0, 0.02), ink=Ink.TRIM, width=0.05, shade=0.9))
    if chance(rng, 0.4):
        shapes.append(seam((-width, rise + 0.3), (width, rise + 0.3), width=0.04))
    return shapes + folds(rng, 4, half_width=0.7 * width, top=rise + 0.1, bottom=length - 0.25)


def hoodie(rng: Generator) -> list[Shape]:
    """A hood behind the neck, cords, a pouch or zip, ribbed cuffs and hem."""
    cut = tailor(rng, depth=0.18, neckline=1.5, chest=0.5, hem=0.46, neck=0.2)
    size, wide = about(rng, 0.42, 0.15), about(rng, 0.33)
    hood = outline((wide, 0.14), (wide + 0.03, -0.1), (0.7 * wide, -size), (0.0, -size - 0.06))
    shapes = [Shape(points=np.concatenate([hood, hood[::-1] * (-1.0, 1.0)]), shade=0.9)]
    opening = hood * (0.62, 0.68) + (0.0, 0.07)
    shapes.append(
        Shape(points=np.concatenate([opening, opening[::-1] * (-1.0, 1.0)]), ink=Ink.INSIDE)
    )
    shapes.append(Shape(points=trunk(cut)))
    shapes += sleeves(
        rng, cut, length=about(rng, 1.12), cuff=0.2, cuff_ink=Ink.CLOTH, cuff_depth=0.12
    )
    shapes.append(seam((-cut.hem, cut.length - 0.12), (cut.hem, cut.length - 0.12), shade=0.55))
    zipped = chance(rng, 0.4)
    if zipped:
        shapes.append(
            Shape(points=outline((0, cut.depth), (0, cut.length)), ink=Ink.DARK, width=0.035)
        )
    elif chance(rng, 0.4):
        shapes += chest_print(rng, 0.45, about(rng, 0.26, 0.2))
    y = cut.length - about(rng, 0.5)
    pouch = ((-0.2, y), (0.2, y), (0.33, y + 0.2), (0.33, y + 0.36), (-0.33, y + 0.36))
    shapes.append(seam(*pouch, (-0.33, y + 0.2), (-0.2, y), shade=0.5, width=0.03))
    for side in (1, -1):
        cord = outline((side * 0.1, cut.depth - 0.02), (side * 0.12, cut.depth + about(rng, 0.3)))
        shapes.append(Shape(points=cord, ink=Ink.PALE, width=0.03))
    return shapes + creases(rng, cut)
