"""What light and camera do to a picture: shade, cast shadows, exposure, tint, blur, noise."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from train.wardrobe.rooms import Floats, smooth_noise, turned_axes

Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One sender's lamp and phone.

    Attributes:
        warmth: white balance; positive is warm, about -0.12 to 0.12.
        exposure: brightness factor.
        noise: standard deviation of the sensor's noise, of full scale.
        blur: radius of the lens's blur in pixels.
        vignette: how much darker the corners are, in [0, 1).
        jpeg_quality: of the file, in [1, 95].
    """

    warmth: float
    exposure: float
    noise: float
    blur: float
    vignette: float
    jpeg_quality: int


def draw_camera(rng: Generator) -> Camera:
    """Return a sender's camera."""
    return Camera(
        warmth=float(rng.normal(0.0, 0.05)),
        exposure=float(rng.uniform(0.92, 1.2)),
        noise=float(rng.uniform(0.005, 0.03)),
        blur=float(rng.uniform(0.0, 0.6)),
        vignette=float(rng.uniform(0.0, 0.35)),
        jpeg_quality=int(rng.integers(72, 94)),
    )


def light_of(rng: Generator, height: int, width: int) -> Floats:
    """Return the lamp's brightness ``(height, width)``: a slope, clouds, sometimes a shadow."""
    along, across = turned_axes(rng, height, width)
    light = 1.0 + rng.uniform(-0.45, 0.45) * (along - along.mean())
    light = light + 0.08 * smooth_noise(rng, height, width, 3)
    if rng.random() < 0.35:
        edge = rng.uniform(0.1, 0.9) + 0.1 * np.sin(4 * along)
        softness = rng.uniform(8.0, 40.0)
        depth = rng.uniform(0.15, 0.4)
        light *= 1.0 - depth * (0.5 + 0.5 * np.tanh(0.5 * softness * (across - edge)))
    lit: Floats = light
    return lit


def take_photo(rng: Generator, scene: Floats, camera: Camera) -> Image.Image:
    """Return the scene ``(height, width, 3)`` as the camera sees it: 8-bit RGB."""
    height, width = scene.shape[:2]
    rows, columns = np.mgrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j]
    corners = 1.0 - camera.vignette * 0.5 * (rows**2 + columns**2)
    light = light_of(rng, height, width) * corners * camera.exposure * rng.uniform(0.85, 1.12)
    tint = camera.warmth + rng.normal(0.0, 0.015)
    colours = np.array([1.0 + tint, 1.0, 1.0 - tint], dtype=np.float32)
    seen = scene * light.astype(np.float32)[..., None] * colours
    seen += camera.noise * rng.standard_normal((height, width, 1), dtype=np.float32)
    photo = Image.fromarray((seen.clip(0.0, 1.0) * 255.0).round().astype(np.uint8))
    blur = camera.blur + rng.uniform(0.0, 0.3)
    return photo.filter(ImageFilter.GaussianBlur(blur)) if blur > 0.35 else photo
