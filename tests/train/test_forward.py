from collections.abc import Callable

import numpy as np
import pytest

from tests.train.small_network import build_small
from train import forward
from train.backend import keras
from train.errors import ConversionError
from train.forward import RELATIVE_TOLERANCE, Forward, Maps, forward_of
from train.trunk import cut


@pytest.fixture(scope="module")
def samples() -> Maps:
    return np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trunk() -> Callable[[Maps], Maps]:
    keras().utils.set_random_seed(0)
    found, _ = cut(build_small(image_size=32, classes=3), "block1a_relu")
    return found  # type: ignore[no-any-return]


def outputs(trunk: Callable[[Maps], Maps], samples: Maps) -> Maps:
    return np.asarray(trunk(samples), dtype=np.float32)


def test_litert_is_taken_where_it_computes_what_keras_does(
    trunk: Callable[[Maps], Maps], samples: Maps
) -> None:
    found = forward_of(trunk, samples, threads=2)
    assert found.runtime.startswith("litert ")
    wanted = outputs(trunk, samples)
    maps = found.run(samples)
    assert maps.dtype == np.float32
    assert np.abs(maps - wanted).max() <= RELATIVE_TOLERANCE * np.abs(wanted).max()
    np.testing.assert_array_equal(found.run(samples[1:2]), maps[1:2])  # a batch of any size


def off_by(share: float) -> Callable[[Maps, Maps], Maps]:
    """Return what spoils one value, by a share of the largest one."""

    def spoil(maps: Maps, wanted: Maps) -> Maps:
        spoilt = maps.copy()
        spoilt.flat[0] += share * np.abs(wanted).max()
        return spoilt

    return spoil


@pytest.mark.parametrize(
    ("spoil", "trusted"),
    [
        (off_by(0.5 * RELATIVE_TOLERANCE), True),
        (off_by(2.0 * RELATIVE_TOLERANCE), False),
        (lambda maps, wanted: np.full_like(maps, np.nan), False),
        (lambda maps, wanted: maps[:, :-1], False),
    ],
    ids=["a little off", "off", "no numbers", "another shape"],
)
def test_a_runtime_is_judged_by_its_maps(
    spoil: Callable[[Maps, Maps], Maps],
    trusted: bool,
    trunk: Callable[[Maps], Maps],
    samples: Maps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = outputs(trunk, samples)
    fast = Forward(runtime="fast 1.0", run=lambda pictures: spoil(wanted, wanted))
    monkeypatch.setattr(forward, "_litert", lambda model, threads: fast)
    found = forward_of(trunk, samples, threads=2)
    assert found.runtime.startswith("fast" if trusted else "keras ")
    if not trusted:
        np.testing.assert_array_equal(found.run(samples), wanted)


def test_a_network_that_does_not_convert_stays_with_keras(
    trunk: Callable[[Maps], Maps], samples: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: object, threads: int) -> Forward:
        raise ConversionError("no such operator")

    monkeypatch.setattr(forward, "_litert", refuse)
    assert forward_of(trunk, samples, threads=2).runtime.startswith("keras ")
