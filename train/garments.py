"""The embedded dataset ``garments``: 17 classes of rendered clothes, the same on every machine.

It stands in for photos where none can be had, so that the whole way from training to a measured
phone model can be walked offline. Its figures are about the tool, not about clothes. The classes
carry the names of the clothing dataset, so that plans fit both.

Pictures depend only on the seed, the class and the index, never on the order of rendering.
"""

import csv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from train.errors import UsageError
from train.wardrobe import DRAWINGS
from train.wardrobe.cloth import colour
from train.wardrobe.light import Camera, draw_camera, take_photo
from train.wardrobe.rooms import ROOMS, Floats, ground_colour, paint_room
from train.wardrobe.sewing import Dyes, lay, pose, sew

GARMENTS_VERSION = 1  # raise when a picture of the same seed changes: caches are keyed by it
GARMENT_COUNTS = {
    "Blazer": 72,
    "Blouse": 75,
    "Body": 66,
    "Dress": 95,
    "Hat": 70,
    "Hoodie": 77,
    "Longsleeve": 113,
    "Outwear": 93,
    "Pants": 108,
    "Polo": 81,
    "Shirt": 99,
    "Shoes": 106,
    "Shorts": 86,
    "Skirt": 75,
    "T-Shirt": 118,
    "Top": 72,
    "Undershirt": 75,
}
SENDERS = 40
_SIDE = 160  # pixels of a square picture's side
_SENDER_KEY = 1_000_003  # keeps the senders' random streams apart from the pictures'


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Somebody who sends pictures: a home, a wardrobe and a phone.

    Attributes:
        rooms: kinds of background at home, keys of ``ROOMS``.
        ground: the backgrounds' colours, one for each of ``rooms``.
        clutter: mean number of things lying about.
        hue: favourite hue of clothes, in [0, 1).
        liveliness: chance of a bright colour.
        turn: standard deviation of the garments' rotation, in radians.
        portrait: the phone is held upright: pictures are taller than wide.
        camera: lamp and phone.
    """

    rooms: tuple[str, ...]
    ground: tuple[Floats, ...]
    clutter: float
    hue: float
    liveliness: float
    turn: float
    portrait: bool
    camera: Camera


def draw_sender(number: int, seed: int) -> Sender:
    """Return sender ``number``, in [0, ``SENDERS``)."""
    rng = np.random.default_rng([seed, _SENDER_KEY, number])
    kinds = int(rng.integers(2, 5))
    rooms = tuple(str(kind) for kind in rng.choice(list(ROOMS), size=kinds, replace=False))
    return Sender(
        rooms=rooms,
        ground=tuple(ground_colour(rng, kind) for kind in rooms),
        clutter=float(rng.choice([0.0, 0.3, 0.8, 1.6])),
        hue=float(rng.random()),
        liveliness=float(rng.uniform(0.35, 0.75)),
        turn=float(rng.uniform(0.04, 0.17)),
        portrait=bool(rng.random() < 0.5),
        camera=draw_camera(rng),
    )


def sender_of(label: str, index: int, seed: int) -> int:
    """Return the number of the sender of a picture; low numbers send more."""
    rng = np.random.default_rng([seed, _class_number(label), index, 1])
    return int(SENDERS * rng.random() ** 1.6)


def render_picture(label: str, index: int, seed: int) -> Image.Image:
    """Return picture ``index`` of class ``label`` as 8-bit RGB, before JPEG.

    Args:
        label: a key of ``GARMENT_COUNTS``.
        index: any number from 0.
        seed: of the dataset, from 0.

    Raises:
        UsageError: there is no such class.
    """
    rng = np.random.default_rng([seed, _class_number(label), index])
    sender = draw_sender(sender_of(label, index, seed), seed)
    height, width = (192, 144) if sender.portrait else (_SIDE, _SIDE)
    choice = int(rng.integers(len(sender.rooms)))
    clutter = int(rng.poisson(sender.clutter))
    ground = np.clip(sender.ground[choice] * rng.uniform(0.85, 1.15), 0.05, 0.97)
    room = paint_room(
        rng, sender.rooms[choice], ground, height=height, width=width, clutter=clutter
    )
    shapes = DRAWINGS[label](rng)
    matrix = pose(rng, height=height, width=width, turn=sender.turn)
    dyes = _draw_dyes(rng, sender, ground)
    garment = sew(rng, shapes, dyes, matrix, height=height, width=width)
    return take_photo(rng, lay(rng, garment, room), sender.camera)


def render_garments(
    folder: Path, *, seed: int = 0, advance: Callable[[int], None] | None = None
) -> None:
    """Write ``images.csv`` and ``images/<id>.jpg`` into an existing folder.

    Args:
        folder: an empty folder.
        seed: of every picture, from 0.
        advance: called with the number of pictures just written, for a progress bar.
    """
    images = folder / "images"
    images.mkdir()
    wanted = [(label, index) for label, count in GARMENT_COUNTS.items() for index in range(count)]

    def write(item: tuple[str, int]) -> tuple[str, int, str, bool]:
        label, index = item
        name = f"{label.lower()}-{index:03d}"
        sender = sender_of(label, index, seed)
        quality = draw_sender(sender, seed).camera.jpeg_quality
        render_picture(label, index, seed).save(images / f"{name}.jpg", quality=quality)
        return name, sender, label, sender % 5 == 0

    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "sender_id", "label", "kids"])
        with ThreadPoolExecutor(max_workers=2) as pool:
            for row in pool.map(write, wanted):
                table.writerow(row)
                if advance is not None:
                    advance(1)


def _class_number(label: str) -> int:
    if label not in DRAWINGS:
        raise UsageError(f"garments: no class {label!r}; the classes are {', '.join(DRAWINGS)}")
    return list(DRAWINGS).index(label)


def _draw_dyes(rng: np.random.Generator, sender: Sender, ground: Floats) -> Dyes:
    """Return colours for a garment that does not vanish into the ground."""
    hue = sender.hue if rng.random() < 0.4 else None
    cloth = _apart(rng, sender, hue, ground, 0.42)
    return Dyes(
        cloth=cloth,
        second=_apart(rng, sender, None, cloth, 0.3),
        trim=_apart(rng, sender, None, cloth, 0.25),
        imprint=_apart(rng, sender, None, cloth, 0.5),
    )


def _apart(
    rng: np.random.Generator, sender: Sender, hue: float | None, other: Floats, distance: float
) -> Floats:
    """Return a colour at least ``distance`` (Euclidean, RGB in [0, 1]) from ``other``."""
    for _ in range(12):
        drawn = colour(rng, liveliness=sender.liveliness, hue=hue)
        if float(np.linalg.norm(drawn - other)) >= distance:
            return drawn
    return np.where(other > 0.5, other - 0.45, other + 0.45)
