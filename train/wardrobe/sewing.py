"""From outlines to pixels: pose a garment's shapes, rasterize them, dress them in cloth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from train.wardrobe.cloth import weave
from train.wardrobe.rooms import Floats, smooth_noise
from train.wardrobe.shapes import Ink, Points, Shape

Generator = np.random.Generator
_OVERSAMPLING = 3  # shapes are drawn this much larger and averaged down, for smooth edges
_PALE, _DARK = (0.93, 0.92, 0.88), (0.12, 0.11, 0.12)
_NEUTRAL = 120  # grey level that stands for a shade of 1.0


@dataclass(frozen=True, kw_only=True)
class Dyes:
    """The colours of one garment, each ``(3,)`` in [0, 1]."""

    cloth: Floats
    second: Floats
    trim: Floats
    imprint: Floats


@dataclass(frozen=True, kw_only=True)
class Garment:
    """A rendered garment without its surroundings.

    Attributes:
        picture: ``(height, width, 3)`` in [0, 1].
        cover: ``(height, width)``, 1 where the garment hides the ground.
    """

    picture: Floats
    cover: Floats


def pose(rng: Generator, *, height: int, width: int, turn: float) -> Points:
    """Return a 3 x 3 projection from a garment's box (about -0.5 to 0.5) to pixels.

    Args:
        rng: every random choice comes from it.
        height: rows of the picture.
        width: columns of the picture.
        turn: standard deviation of the rotation in radians.
    """
    angle = rng.normal(0.0, turn)
    if rng.random() < 0.02:
        angle += rng.choice([-1.0, 1.0]) * np.pi / 2
    cos, sin = np.cos(angle), np.sin(angle)
    size = rng.uniform(0.76, 0.98) * min(height, width)
    shear, squeeze = rng.normal(0.0, 0.05), rng.uniform(0.92, 1.09)
    spin = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    shape = np.array([[size * squeeze, size * shear, 0.0], [0.0, size / squeeze, 0.0], [0, 0, 1.0]])
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [*rng.uniform(-0.0017, 0.0017, 2), 1.0]])
    x = width * (0.5 + rng.uniform(-0.07, 0.07))
    y = height * (0.5 + rng.uniform(-0.07, 0.07))
    place = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
    return np.asarray(place @ tilt @ spin @ shape, dtype=np.float64)


def project(matrix: Points, points: Points) -> Points:
    """Return ``(point, 2)`` sent through a 3 x 3 projection."""
    ends = points @ matrix[:, :2].T + matrix[:, 2]
    return ends[:, :2] / ends[:, 2:]


def into_box(shapes: Sequence[Shape]) -> tuple[Points, float]:
    """Return the centre of the shapes' inked parts and the longer side of their box."""
    inked = np.concatenate([shape.points for shape in shapes if shape.ink is not None])
    low, high = inked.min(axis=0), inked.max(axis=0)
    return (low + high) / 2, float((high - low).max())


def _rumple(points: Points, waves: Points) -> Points:
    """Return ``points`` pushed about by slow waves, the same for all shapes of a garment."""
    pushes = waves[:, :2, None] * np.sin(points @ waves[:, 2:4].T + waves[:, 4]).T[:, None, :]
    moved: Points = points + pushes.sum(axis=0).T
    return moved


def _soft(points: Points) -> Points:
    """Return a closed outline with its corners cut once (Chaikin), as cloth has none."""
    following = np.roll(points, -1, axis=0)
    cut = np.stack([0.82 * points + 0.18 * following, 0.18 * points + 0.82 * following], axis=1)
    return cut.reshape(-1, 2)


def rasterize(
    rng: Generator, shapes: Sequence[Shape], matrix: Points, *, height: int, width: int
) -> tuple[Floats, Floats]:
    """Draw shapes one over the other.

    Returns:
        The share of each ink, ``(ink, height, width)`` in [0, 1], and the shade
        ``(height, width)`` as a brightness factor.
    """
    large = (width * _OVERSAMPLING, height * _OVERSAMPLING)
    inks, shades = Image.new("L", large, 0), Image.new("L", large, _NEUTRAL)
    on_inks, on_shades = ImageDraw.Draw(inks), ImageDraw.Draw(shades)
    centre, size = into_box(shapes)
    amplitudes, pitches = rng.normal(0, 0.008, (3, 2)), rng.normal(0, 5, (3, 2))
    waves = np.concatenate([amplitudes, pitches, 6 * rng.random((3, 1))], axis=1)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2])))) * _OVERSAMPLING / size
    for shape in shapes:
        points = _soft(shape.points) if not shape.width and len(shape.points) > 3 else shape.points
        flat = project(matrix, _rumple((points - centre) / size, waves))
        _paint(on_inks, on_shades, shape, flat * _OVERSAMPLING, scale)
    codes = np.asarray(inks)
    layers = [
        np.asarray(Image.fromarray((codes == ink).view(np.uint8) * 255).reduce(_OVERSAMPLING))
        for ink in Ink
    ]
    shade = np.asarray(shades.reduce(_OVERSAMPLING), dtype=np.float32) / _NEUTRAL
    return np.stack(layers).astype(np.float32) / 255.0, shade


def _paint(
    on_inks: ImageDraw.ImageDraw,
    on_shades: ImageDraw.ImageDraw,
    shape: Shape,
    points: Points,
    scale: float,
) -> None:
    """Draw one shape at ``points``, in large pixels, ``scale`` of them to its own unit."""
    path = [(float(x), float(y)) for x, y in points]
    tone = min(255, int(_NEUTRAL * shape.shade))
    if shape.width:
        thick = max(2, round(shape.width * scale))
        on_shades.line(path, fill=tone, width=thick, joint="curve")
        if shape.ink is not None:
            on_inks.line(path, fill=int(shape.ink), width=thick, joint="curve")
        return
    on_shades.polygon(path, fill=tone)
    if shape.edge != 1.0:
        rim = max(2, round(0.02 * scale))
        on_shades.line([*path, path[0]], fill=int(tone * shape.edge), width=rim)
    if shape.ink is not None:
        on_inks.polygon(path, fill=int(shape.ink))


def sew(
    rng: Generator, shapes: Sequence[Shape], dyes: Dyes, matrix: Points, *, height: int, width: int
) -> Garment:
    """Return the garment as the light of a plain room shows it."""
    shares, shade = rasterize(rng, shapes, matrix, height=height, width=width)
    x, y = _own_coordinates(matrix, height, width)
    cloth = weave(rng, x, y, dyes.cloth, dyes.second)
    cover = 1.0 - shares[Ink.NOTHING]
    rest = [dyes.trim, dyes.cloth * 0.45, _PALE, _DARK, dyes.imprint]  # the inks after CLOTH
    flat = np.asarray(rest, dtype=np.float32)
    picture = np.tensordot(shares[Ink.TRIM :], flat, axes=(0, 0))
    picture += shares[Ink.CLOTH][..., None] * cloth
    picture /= np.maximum(cover, 1e-3)[..., None]
    volume = 0.72 + 0.33 * blurred(cover, 0.035 * width)
    wrinkles = 1.0 + rng.uniform(0.03, 0.1) * smooth_noise(rng, height, width, 9)
    return Garment(picture=picture * (shade * volume * wrinkles)[..., None], cover=cover)


def _own_coordinates(matrix: Points, height: int, width: int) -> tuple[Floats, Floats]:
    """Return where in the garment's box each pixel lies, each ``(height, width)``."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    back = np.linalg.inv(matrix).astype(np.float32)
    x, y, scale = (row[0] * columns + row[1] * rows + row[2] for row in back)
    return x / scale, y / scale


def blurred(values: Floats, radius: float) -> Floats:
    """Return ``(height, width)`` in [0, 1] blurred by a Gaussian of ``radius`` pixels."""
    image = Image.fromarray((values * 255).round().astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255


def lay(rng: Generator, garment: Garment, room: Floats) -> Floats:
    """Return the room with the garment and its soft shadow in it."""
    width = room.shape[1]
    radius = rng.uniform(0.008, 0.03) * width
    dx, dy = (int(step) for step in np.rint(rng.uniform(-0.02, 0.02, 2) * width))
    fallen = np.roll(blurred(garment.cover, radius), (dy, dx), axis=(0, 1))
    ground = room * (1.0 - rng.uniform(0.25, 0.6) * fallen)[..., None]
    cover = garment.cover[..., None]
    scene: Floats = ground * (1.0 - cover) + garment.picture * cover
    return scene
