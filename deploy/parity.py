"""Parity: does a variant compute what its Keras parent computes?

Both see the same real photos. For float variants the probabilities must agree to within
rounding; for integers, which round every tensor to 8 bits, the answer must.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.loaded import Probabilities
from deploy.runtime import open_runtime, runtime_for
from train.artifact import Artifact
from train.errors import ConfigError, ParityError
from train.pixels import Pixels


@dataclass(frozen=True, kw_only=True)
class ParityBounds:
    """How far a variant may lie from its parent.

    Attributes:
        max_difference: greatest difference of one probability, in [0, 1].
        min_agreement: least share of photos with the same top class, in [0, 1].
    """

    max_difference: float
    min_agreement: float

    def __post_init__(self) -> None:
        for name in ("max_difference", "min_agreement"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} must be in [0, 1], got {value}")


# A float32 sum of n = 10^4 terms taken in another order differs by about sqrt(n) * 2^-24 = 6e-6
# of its size; 60 layers in a row make that at most 4e-4 of the logits, which reach about 10; and
# a softmax passes on at most a quarter: 4e-4 * 10 / 4 = 1e-3. A top class can then change only
# where the parent's two best lie within twice that, so agreement needs no bound of its own.
FLOAT_BOUNDS = ParityBounds(max_difference=1e-3, min_agreement=0.0)
# Eight bits may move a probability far where the parent is torn between two classes; a broken
# conversion shows in the answers: chance agreement is 1 in the number of classes.
INTEGER_BOUNDS = ParityBounds(max_difference=1.0, min_agreement=0.90)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a variant lies from its Keras parent.

    Attributes:
        variant: its name.
        runtime: what ran it: ``litert 2.3.0``.
        images: number of photos compared.
        max_difference: greatest difference of one probability, in [0, 1].
        argmax_agreement: share of photos with the same top class, in [0, 1].
        tolerance: bound on ``max_difference``.
        min_agreement: bound on ``argmax_agreement``.
    """

    variant: str
    runtime: str
    images: int
    max_difference: float
    argmax_agreement: float
    tolerance: float
    min_agreement: float

    @property
    def passed(self) -> bool:
        """Whether both bounds hold."""
        close = self.max_difference <= self.tolerance
        return close and self.argmax_agreement >= self.min_agreement


def bounds_for(precision: str) -> ParityBounds:
    """Return the default bounds of a precision (see ``train.variant.PRECISIONS``)."""
    return FLOAT_BOUNDS if precision == "float" else INTEGER_BOUNDS


def check_parity(
    variant: Artifact,
    parent_probabilities: Probabilities,
    pixels: Pixels,
    *,
    threads: int = 2,
    bounds: ParityBounds | None = None,
) -> Parity:
    """Run ``variant`` on ``pixels`` and compare it with its parent.

    Args:
        variant: a ``.tflite`` or ``.onnx`` artifact.
        parent_probabilities: ``(n, classes)``, from ``train.predict`` on the same pixels.
        pixels: ``(n, height, width, 3)`` uint8, real photos, at least one.
        threads: threads of the runtime.
        bounds: the default of the variant's precision if ``None``.

    Raises:
        ParityError: there is nothing to compare, or the shapes differ.
        RuntimeFailure: the variant cannot be loaded or run.
    """
    name = variant.manifest.name
    bounds = bounds or bounds_for(name.precision)
    with open_runtime(variant.payload, runtime_for(name.format), threads=threads) as runtime:
        expected = (len(pixels), runtime.classes)
        if not len(pixels) or parent_probabilities.shape != expected:
            raise ParityError(
                f"{name}: the parent's probabilities are {parent_probabilities.shape}, must be"
                f" {expected} with at least one photo"
            )
        found = runtime.predict(pixels)
        ran_on = runtime.name
    return Parity(
        variant=str(name),
        runtime=ran_on,
        images=len(pixels),
        max_difference=_greatest_difference(found, parent_probabilities),
        argmax_agreement=float((found.argmax(1) == parent_probabilities.argmax(1)).mean()),
        tolerance=bounds.max_difference,
        min_agreement=bounds.min_agreement,
    )


def require_parity(parities: Sequence[Parity]) -> None:
    """Refuse variants that do not compute what their parent computes.

    Raises:
        ParityError: names the first that fails, its figures, its bounds and the cure.
    """
    for parity in parities:
        if not parity.passed:
            raise ParityError(
                f"{parity.variant} on {parity.runtime} differs from its Keras parent: on"
                f" {parity.images} photos its top class agrees on {parity.argmax_agreement:.1%}"
                f" (at least {parity.min_agreement:.1%}) and a probability differs by"
                f" {parity.max_difference:.2g} (at most {parity.tolerance:.2g});"
                " calibrate on more photos, keep it in float, or loosen the bounds"
            )


def _greatest_difference(found: Probabilities, expected: Probabilities) -> float:
    """Return the greatest difference; 1, the greatest there is, where a value is no number."""
    difference = float(np.abs(found - expected).max())
    return difference if np.isfinite(difference) else 1.0
