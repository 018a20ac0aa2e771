"""Dyed and woven cloth: colours, and patterns laid in the garment's own coordinates."""

from collections.abc import Callable

import numpy as np

from train.wardrobe.rooms import Floats, smooth_noise

Generator = np.random.Generator

_HUES = (0.98, 0.0, 0.93, 0.06, 0.09, 0.14, 0.3, 0.4, 0.5, 0.57, 0.6, 0.64, 0.75)  # as dyed


def colour(rng: Generator, *, liveliness: float, hue: float | None = None) -> Floats:
    """Return an RGB colour ``(3,)`` in [0, 1].

    Args:
        rng: every random choice comes from it.
        liveliness: chance in [0, 1] of a bright hue rather than black, white, grey or denim.
        hue: preferred hue in [0, 1); ``None`` for any.
    """
    if rng.random() < liveliness:
        base = float(rng.choice(_HUES)) if hue is None else hue
        turn = base + rng.normal(0.0, 0.03)
        saturation, value = rng.uniform(0.2, 0.75), rng.uniform(0.35, 0.95)
    else:
        turn = float(rng.choice([0.08, 0.6, 0.63]))
        saturation = float(rng.choice([0.03, 0.08, 0.4]))
        value = float(rng.choice([0.15, 0.3, 0.55, 0.8, 0.93]))
    ramp = np.abs((turn * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0
    return np.asarray(value * (1.0 - saturation * (1.0 - ramp.clip(0.0, 1.0))), dtype=np.float32)


def _bands(wave: Floats, share: float) -> Floats:
    bands: Floats = 0.5 + 0.5 * np.tanh(4.5 * (wave - float(np.cos(np.pi * share))))
    return bands


def _plain(rng: Generator, x: Floats, y: Floats) -> Floats:
    return np.zeros_like(x)


def _stripes(rng: Generator, x: Floats, y: Floats) -> Floats:
    angle = rng.choice([0.0, 0.0, np.pi / 2, np.pi / 4])
    across = y * np.cos(angle) + x * np.sin(angle)
    return _bands(np.cos(rng.uniform(35.0, 75.0) * across), rng.uniform(0.25, 0.6))


def _checks(rng: Generator, x: Floats, y: Floats) -> Floats:
    pitch, share = rng.uniform(30.0, 60.0), rng.uniform(0.3, 0.5)
    return 0.5 * (_bands(np.cos(pitch * x), share) + _bands(np.cos(pitch * y), share))


def _dots(rng: Generator, x: Floats, y: Floats) -> Floats:
    pitch = rng.uniform(35.0, 65.0)
    return _bands(np.cos(pitch * x) * np.cos(pitch * y), rng.uniform(0.3, 0.4))


def _floral(rng: Generator, x: Floats, y: Floats) -> Floats:
    return _bands(1.6 * smooth_noise(rng, x.shape[0], x.shape[1], int(rng.integers(14, 26))), 0.38)


def _melange(rng: Generator, x: Floats, y: Floats) -> Floats:
    return 0.22 + rng.uniform(0.05, 0.2) * rng.normal(0.0, 1.0, x.shape).clip(-2, 2)


def _blocks(rng: Generator, x: Floats, y: Floats) -> Floats:
    return _bands((y - rng.uniform(-0.2, 0.2)) * rng.choice([-20.0, 20.0]), 0.5)


PATTERNS: dict[str, tuple[float, Callable[[Generator, Floats, Floats], Floats]]] = {
    "plain": (0.62, _plain),
    "stripes": (0.11, _stripes),
    "checks": (0.06, _checks),
    "dots": (0.05, _dots),
    "floral": (0.05, _floral),
    "melange": (0.08, _melange),
    "blocks": (0.03, _blocks),
}


def weave(rng: Generator, x: Floats, y: Floats, first: Floats, second: Floats) -> Floats:
    """Return cloth ``(height, width, 3)`` in two colours over garment coordinates ``x``, ``y``."""
    weights = [weight for weight, _ in PATTERNS.values()]
    _, pattern = list(PATTERNS.values())[int(rng.choice(len(weights), p=weights))]
    share = pattern(rng, x, y).astype(np.float32)[..., None]
    woven: Floats = first + (second - first) * share
    return woven
