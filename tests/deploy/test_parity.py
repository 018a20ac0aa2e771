"""Parity: measured on the runtime, judged by bounds, refused in words."""

import dataclasses

import numpy as np
import pytest

from deploy.parity import (
    FLOAT_BOUNDS,
    INTEGER_BOUNDS,
    Parity,
    ParityBounds,
    bounds_for,
    check_parity,
    require_parity,
)
from optimize.convert import load_keras
from tests.tiny_models import pictures
from train.artifact import Artifact
from train.errors import ConfigError, ParityError
from train.predict import predict

PHOTOS = pictures(40, seed=1)
GOOD = Parity(
    variant="net.int8.onnx",
    runtime="onnxruntime 1",
    images=200,
    max_difference=0.25,
    argmax_agreement=0.95,
    tolerance=0.5,
    min_agreement=0.9,
)


@pytest.fixture(scope="module")
def expected(parent: Artifact) -> np.ndarray:
    return predict(load_keras(parent), PHOTOS)


def test_the_tiny_network_gives_every_answer(expected: np.ndarray) -> None:
    # Otherwise agreement on the answer would be agreement by default.
    assert set(expected.argmax(axis=1)) == {0, 1, 2}


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_float_variants_agree_to_rounding(
    variants: dict[str, Artifact], expected: np.ndarray, target: str
) -> None:
    found = check_parity(variants[f"float.{target}"], expected, PHOTOS, threads=1)
    assert (found.images, found.argmax_agreement, found.passed) == (40, 1.0, True)
    # Five layers of sums of at most 72 terms: 5 * sqrt(72) * 2^-24 * 10 / 4 = 6e-6 of probability.
    assert found.max_difference < 1e-5
    assert found.tolerance == FLOAT_BOUNDS.max_difference


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_int8_variants_keep_the_answer(
    variants: dict[str, Artifact], expected: np.ndarray, target: str
) -> None:
    found = check_parity(variants[f"int8.{target}"], expected, PHOTOS)
    assert found.passed
    assert found.argmax_agreement >= 0.9
    assert 1e-5 < found.max_difference < 0.25  # 8 bits round: neither equal nor elsewhere


def test_another_parent_is_refused(variants: dict[str, Artifact], expected: np.ndarray) -> None:
    swapped = expected[:, [1, 2, 0]]
    for key in ("float.onnx", "int8.tflite"):
        found = check_parity(variants[key], swapped, PHOTOS)
        with pytest.raises(ParityError, match=key.replace(".", r"\.")):
            require_parity([found])


def test_shapes_that_differ_are_refused(
    variants: dict[str, Artifact], expected: np.ndarray
) -> None:
    for probabilities, photos in (
        (expected[:, :2], PHOTOS),
        (expected[:5], PHOTOS),
        (expected[:0], PHOTOS[:0]),
    ):
        with pytest.raises(ParityError, match="the parent's probabilities are"):
            check_parity(variants["float.onnx"], probabilities, photos)


def test_values_that_are_no_numbers_count_as_the_greatest_difference(
    variants: dict[str, Artifact], expected: np.ndarray
) -> None:
    broken = np.full_like(expected, np.nan)
    found = check_parity(variants["float.onnx"], broken, PHOTOS)
    assert found.max_difference == 1.0
    assert not found.passed


def test_both_bounds_must_hold() -> None:
    require_parity([GOOD])
    require_parity([dataclasses.replace(GOOD, max_difference=0.5, argmax_agreement=0.9)])
    for worse in ({"max_difference": 0.51}, {"argmax_agreement": 0.89}):
        with pytest.raises(ParityError):
            require_parity([GOOD, dataclasses.replace(GOOD, **worse)])


def test_the_refusal_names_variant_photos_figures_bounds_and_cure() -> None:
    with pytest.raises(ParityError) as raised:
        require_parity([dataclasses.replace(GOOD, argmax_agreement=0.625)])
    for part in (
        "net.int8.onnx on onnxruntime 1",
        "on 200 photos",
        "agrees on 62.5%",
        "at least 90.0%",
        "differs by 0.25",
        "at most 0.5",
        "calibrate on more photos",
    ):
        assert part in str(raised.value)


def test_bounds_follow_the_precision_and_check_themselves() -> None:
    assert bounds_for("float") is FLOAT_BOUNDS
    assert bounds_for("int8") is INTEGER_BOUNDS
    with pytest.raises(ConfigError, match=r"min_agreement must be in \[0, 1\], got 90"):
        ParityBounds(max_difference=0.1, min_agreement=90)
