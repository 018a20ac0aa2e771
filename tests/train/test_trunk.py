from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small_network import Heard, build_small
from train import trunk as trunk_module
from train.approaches import Recipe
from train.augment import AugmentConfig
from train.backend import make_repeatable
from train.dataset import Dataset
from train.errors import ConfigError
from train.fitting import freeze
from train.forward import RELATIVE_TOLERANCE, Forward
from train.networks import NETWORKS
from train.pixels import PixelContract, load_pixels
from train.progress import Silent
from train.trunk import PhotoViews, cut, end_of_frozen, frozen_maps, larger

HALF_STEP = 2.0**-11  # of float16, relative: 10 bits after the leading one, rounded to nearest


def frozen(network: str, *prefixes: str, **changes: Any) -> Any:
    model = NETWORKS[network](image_size=32, classes=3)
    freeze(model, Recipe(image_size=32, frozen=prefixes, **changes))
    return model


@pytest.mark.parametrize(
    ("prefixes", "end"),
    [
        (("stem",), "stem_second_relu"),
        (("stem", "block1"), "block1a_relu"),
        # The shortcut of block 1 goes past its first convolution: the cut stays before the block.
        (("stem", "block1a_first"), "stem_second_relu"),
        (("stem", "block1", "block2"), "block2a_relu"),
        (("stem", "block1", "block2a_first", "block2a_shortcut"), "block1a_relu"),
        (("stem", "block"), "block4a_relu"),
        (("stem", "block", "logits"), "block4a_relu"),  # the loop needs ``features`` in the rest
    ],
)
def test_frozen_layers_end_where_no_shortcut_passes(prefixes: tuple[str, ...], end: str) -> None:
    assert end_of_frozen(frozen("custom-cnn", *prefixes)) == end


def test_other_shortcuts_are_not_cut_either() -> None:
    assert end_of_frozen(frozen("mobilenet-v2-0.5", "stem", "block1")).startswith("block1")
    model = frozen("mobilenet-v2-0.5", "stem", "block1", "block2a", "block2b_expand")
    assert end_of_frozen(model).startswith("block2a")


@pytest.mark.parametrize("prefixes", [("block1",), ("logits",)])
def test_nothing_frozen_from_the_input_on_is_refused(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="no layer is frozen from the input on"):
        end_of_frozen(frozen("custom-cnn", *prefixes))


def test_norms_alone_freeze_no_stage() -> None:
    with pytest.raises(ConfigError, match="set cached_views = 0"):
        end_of_frozen(frozen("custom-cnn", freeze_batch_norm=True))


@pytest.mark.parametrize("layer", ["stem_second_relu", "block2a_relu", "features"])
def test_a_cut_network_is_the_whole_one(layer: str) -> None:
    model = NETWORKS["custom-cnn"](image_size=32, classes=3)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    before, after = cut(model, layer)
    # The same operations one after the other: only float32's rounding may differ.
    np.testing.assert_allclose(after(before(pictures)), model(pictures), atol=1e-6)
    shared = {id(variable) for part in (before, after) for variable in part.variables}
    assert shared == {id(variable) for variable in model.variables}


@pytest.fixture
def small_trunk() -> Any:
    make_repeatable(0)
    model = build_small(image_size=32, classes=3)
    freeze(model, Recipe(image_size=32, frozen=("stem", "block1")))
    return cut(model, end_of_frozen(model))[0]


@pytest.fixture
def views(shapes: Dataset) -> PhotoViews:
    return PhotoViews(
        photos=shapes.photos[:40],  # more than a batch of 32
        contract=PixelContract(height=32, width=32),
        margin=1.25,
        augment=AugmentConfig(),
        seed=0,
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "maps"


@pytest.fixture
def plain_forward(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run trunks by Keras, converting nothing; return the sizes of the batches that were run."""
    ran: list[int] = []

    def run(model: Any, pictures: Any) -> Any:
        ran.append(len(pictures))
        return np.asarray(model(pictures), dtype=np.float32)

    def forward_of(model: Any, samples: Any, *, threads: int) -> Forward:
        return Forward(runtime="plain 1", run=lambda pictures: run(model, pictures))

    monkeypatch.setattr(trunk_module, "forward_of", forward_of)
    return ran


def stored(cache: Path) -> set[Path]:
    return set(cache.rglob("*.npy"))


def test_maps_on_disk_are_those_of_keras(small_trunk: Any, views: PhotoViews, cache: Path) -> None:
    found = frozen_maps(small_trunk, views, views=2, progress=Silent())
    pixels = load_pixels(views.photos, views.contract).astype(np.float32)
    wanted = np.asarray(small_trunk(pixels))
    assert [view.shape for view in found.views] == [wanted.shape] * 2
    assert {view.dtype for view in found.views} == {np.dtype(np.float16)}
    bound = (RELATIVE_TOLERANCE + HALF_STEP) * np.abs(wanted).max()
    assert np.abs(found.views[0] - wanted).max() <= bound
    assert np.abs(found.views[1] - wanted).max() > bound  # a random view
    assert found.runtime.startswith("litert ")
    assert found.seconds > 0


def test_maps_are_computed_once(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int]
) -> None:
    first = frozen_maps(small_trunk, views, views=2, progress=Silent())
    assert plain_forward == [32, 8, 32, 8]
    again = frozen_maps(small_trunk, views, views=2, progress=Silent())
    assert plain_forward == [32, 8, 32, 8]
    assert (again.runtime, again.seconds) == (first.runtime, first.seconds)
    for one, other in zip(first.views, again.views, strict=True):
        np.testing.assert_array_equal(one, other)


def test_views_that_a_killed_run_left_are_kept(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int]
) -> None:
    whole = frozen_maps(small_trunk, views, views=2, progress=Silent())
    (random_view,) = (path for path in stored(cache) if path.name.startswith("view-"))
    random_view.unlink()
    plain_forward.clear()
    plain = frozen_maps(small_trunk, views, views=1, progress=Silent())
    assert plain_forward == []
    assert plain.runtime == "plain 1"
    both = frozen_maps(small_trunk, views, views=2, progress=Silent())
    assert plain_forward == [32, 8]
    np.testing.assert_array_equal(both.views[1], whole.views[1])


def test_a_kill_between_the_maps_and_their_note_is_mended(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int]
) -> None:
    frozen_maps(small_trunk, views, views=1, progress=Silent())
    for path in cache.rglob("*.json"):
        path.unlink()
    assert frozen_maps(small_trunk, views, views=1, progress=Silent()).runtime == "plain 1"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"runtime": "plain 1"}'])
def test_a_damaged_note_is_said_and_its_maps_are_computed_again(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int], content: bytes
) -> None:
    frozen_maps(small_trunk, views, views=2, progress=Silent())
    (note,) = cache.rglob("plain.json")
    note.write_bytes(content)
    plain_forward.clear()
    heard = Heard()
    assert frozen_maps(small_trunk, views, views=2, progress=heard).runtime == "plain 1"
    assert plain_forward == [32, 8]
    assert heard.lines == [f"{note} in the cache is damaged: what it tells of is computed again"]


@pytest.mark.parametrize("kept", [0, 60, 5_000], ids=["empty", "header cut", "maps cut"])
@pytest.mark.parametrize("pattern", ["plain.npy", "view-*.npy"])
def test_damaged_maps_are_said_and_computed_again(
    small_trunk: Any,
    views: PhotoViews,
    cache: Path,
    plain_forward: list[int],
    pattern: str,
    kept: int,
) -> None:
    frozen_maps(small_trunk, views, views=2, progress=Silent())
    (path,) = cache.rglob(pattern)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    plain_forward.clear()
    heard = Heard()
    frozen_maps(small_trunk, views, views=2, progress=heard)
    assert plain_forward == [32, 8]
    assert len(heard.lines) == 1 and heard.lines[0].startswith(f"{path} in the cache is damaged")
    assert path.read_bytes() == whole


def test_damaged_pixels_under_maps_are_said(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int]
) -> None:
    frozen_maps(small_trunk, views, views=2, progress=Silent())
    for path in (*cache.rglob("*.npy"), *(cache.parent / "pixels").iterdir()):
        path.write_bytes(b"junk")
    heard = Heard()
    frozen_maps(small_trunk, views, views=2, progress=heard)
    assert sum("/pixels/" in line for line in heard.lines) == 2  # of the input's size, and larger
    assert sum("/maps/" in line for line in heard.lines) == 2


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        (lambda views: replace(views, seed=1), 1),
        (lambda views: replace(views, margin=1.5), 1),
        (lambda views: replace(views, augment=AugmentConfig(flip=False)), 1),
        (lambda views: replace(views, photos=views.photos[1:]), 2),
        (lambda views: replace(views, photos=views.photos[::-1]), 2),
    ],
    ids=["seed", "margin", "augment", "fewer photos", "other order"],
)
def test_other_views_and_photos_have_files_of_their_own(
    change: Callable[[PhotoViews], PhotoViews],
    fresh: int,
    small_trunk: Any,
    views: PhotoViews,
    cache: Path,
    plain_forward: list[int],
) -> None:
    few = replace(views, photos=views.photos[:6])
    frozen_maps(small_trunk, few, views=2, progress=Silent())
    before = stored(cache)
    frozen_maps(small_trunk, change(few), views=2, progress=Silent())
    assert len(stored(cache) - before) == fresh  # the photos themselves depend on no view


def test_other_weights_have_files_of_their_own(
    small_trunk: Any, views: PhotoViews, cache: Path, plain_forward: list[int]
) -> None:
    few = replace(views, photos=views.photos[:6])
    frozen_maps(small_trunk, few, views=1, progress=Silent())
    weights = small_trunk.get_weights()
    weights[0].flat[0] += 1e-3
    small_trunk.set_weights(weights)
    frozen_maps(small_trunk, few, views=1, progress=Silent())
    assert len(stored(cache)) == 2


def test_photos_to_crop_are_larger_by_the_margin() -> None:
    assert larger(PixelContract(height=32, width=64), 1.25) == PixelContract(height=40, width=80)
