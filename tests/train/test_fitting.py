from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small_network import Cut, CutAfter, build_small
from train.approaches import Recipe
from train.augment import AugmentConfig
from train.backend import make_repeatable
from train.errors import ConfigError, DataError, WeightsError
from train.feeds import MapsFeed, PhotoFeed
from train.fitting import Fitted, fit_network, freeze
from train.forward import RELATIVE_TOLERANCE
from train.loop import Trainer
from train.networks import NETWORKS
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Silent
from train.training import Training
from train.trunk import cut, end_of_frozen

Make = Callable[..., Training]
CACHED = {"frozen": ("stem", "block1"), "cached_views": 2, "epochs": 2}


@pytest.fixture
def small(shapes_training: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make trainings of the small network, which stands in for custom-cnn."""
    monkeypatch.setitem(NETWORKS, "custom-cnn", build_small)
    yield shapes_training


def untrained(training: Training) -> Any:
    make_repeatable(training.seed)
    return build_small(image_size=training.recipe.image_size, classes=3)


def fit(training: Training, checkpoints: Path) -> Fitted:
    return fit_network(training, checkpoints=checkpoints, progress=Silent())


def whole_predictions(training: Training, fitted: Fitted, rows: Any) -> Any:
    """Return what the whole network says of the photos' pixels."""
    pixels = load_pixels(training.dataset.photos, training.contract)
    return predict(fitted.model, pixels[rows])


def test_sides_are_places_in_the_dataset(shapes_training: Make) -> None:
    training = shapes_training()
    photos = training.dataset.photos
    split = training.split.model_copy(
        update={
            "train": (photos[4].photo_id, photos[0].photo_id),
            "validation": (photos[2].photo_id,),
        }
    )
    rows = replace(training, split=split).rows()
    assert (rows.train.tolist(), rows.validation.tolist(), rows.classes) == ([4, 0], [2], 3)
    assert (rows.of_train(), rows.of_validation()) == ([1, 0], [2])  # disc, frame, stripe, disc...


@pytest.mark.parametrize(
    ("side", "said"),
    [((), "on 0 photos, and 0 that"), (("000", "ghost"), "on 2 photos, and 1 that")],
)
def test_photos_that_are_not_there_are_refused(
    shapes_training: Make, side: tuple[str, ...], said: str
) -> None:
    training = shapes_training()
    split = training.split.model_copy(update={"train": side})
    with pytest.raises(DataError, match=said):
        replace(training, split=split).rows()


def test_training_from_stored_maps(small: Make, tmp_path: Path) -> None:
    training = small(**CACHED)
    begun = untrained(training)
    fitted = fit(training, tmp_path / "ck")
    for layer in begun.layers:
        pairs = zip(
            layer.get_weights(), fitted.model.get_layer(layer.name).get_weights(), strict=True
        )
        same = [np.array_equal(before, after) for before, after in pairs]
        assert all(same) == (layer.name.startswith(("stem", "block1")) or not same), layer.name
    rows = training.rows()
    # 3 x 3 x 8 x 16 and two of 16 by the norm, 16 x 3 and 3 by the head.
    assert fitted.trainable_parameters == 1152 + 32 + 51
    assert fitted.runtime.startswith("litert ")
    assert fitted.head is None
    # Stored maps are off by a share of 1.5e-3 of the largest; the one convolution, the pooling and
    # the head that follow make of that the same share of their scores, which are a few units wide,
    # and a probability moves by at most a quarter as much as a score.
    whole, stored = whole_predictions(training, fitted, rows.validation), fitted.predict(
        rows.validation
    )  # fmt: skip
    assert np.abs(whole - stored).max() <= 10 * (RELATIVE_TOLERANCE + 2.0**-11)
    assert stored.shape == (len(rows.validation), 3)


def test_head_then_epochs_learn_from_stored_maps(small: Make, tmp_path: Path) -> None:
    changes = {"head_first": True, "head_views": 2, "freeze_batch_norm": True, "epochs": 3}
    training = small(**{**CACHED, **changes})
    fitted = fit(training, tmp_path / "ck")
    assert fitted.head is not None
    assert fitted.head_validation_f1 is not None
    scores = [entry.validation_f1 for entry in fitted.log if entry.validation_f1 is not None]
    assert len(scores) == 3
    assert fitted.head_validation_f1 > 0.5  # chance is 0.33
    assert max(scores) > 0.5  # the epochs build on the head


def test_cut_off_training_from_stored_maps_ends_with_the_same_weights(
    small: Make, tmp_path: Path
) -> None:
    training = small(**CACHED)
    whole = fit(training, tmp_path / "whole")
    with pytest.raises(Cut):
        fit_network(training, checkpoints=tmp_path / "cut", progress=CutAfter(1))
    resumed = fit(training, tmp_path / "cut")
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [entry.loss for entry in resumed.log] == [entry.loss for entry in whole.log]


def test_one_plain_view_trains_as_the_live_network_does(shapes_training: Make) -> None:
    """One epoch by stored maps of the photos themselves, and by the photos through all layers."""
    training = shapes_training(
        frozen=("stem", "block1"), epochs=1, optimizer="sgd", momentum=0.0, learning_rate=1e-2,
        dropout=0.0, warmup_epochs=0, average_weights=0.0,
        augment=AugmentConfig(
            min_area=1.0, max_aspect=1.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0
        ),
    )  # fmt: skip
    rows, recipe = training.rows(), training.recipe
    pixels = load_pixels(training.dataset.photos, training.contract)
    live, cached = untrained(training), untrained(training)
    before = live.get_weights()
    freeze(live, recipe)
    freeze(cached, recipe)
    trunk, rest = cut(cached, end_of_frozen(cached))
    maps = predict(trunk, pixels).astype(np.float16)
    feeds = (
        (live, PhotoFeed(rows, large=pixels, plain=pixels, recipe=recipe, seed=0)),
        (rest, MapsFeed(rows, views=[maps], recipe=recipe, seed=0)),
    )
    losses = [Trainer(part, feed, recipe, seed=0).run_epoch(0, Silent()) for part, feed in feeds]
    # float16 keeps 2^-11 of a map's value, 5e-4; six steps of gradients that are as far off leave
    # each change of a weight within some 1 % of the largest change of its kind.
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    moved = 0
    for start, one, other in zip(before, live.get_weights(), cached.get_weights(), strict=True):
        change = np.abs(one - start).max()
        moved += change > 0
        assert np.abs(one - other).max() <= 0.03 * change
    assert moved == 7  # a kernel, four of its norm, kernel and bias of the head


def test_head_alone_predicts_as_the_whole_network_does(small: Make, tmp_path: Path) -> None:
    training = small(epochs=0, head_first=True)
    fitted = fit(training, tmp_path / "ck")
    rows = training.rows()
    assert fitted.log == ()
    assert fitted.trainable_parameters == 16 * 3 + 3
    assert fitted.frozen_seconds > 0
    whole = whole_predictions(training, fitted, rows.validation)
    # As above; the kernel of a fitted head is some times steeper than that of a random one.
    np.testing.assert_allclose(fitted.predict(rows.validation), whole, atol=0.03)


def test_training_without_validation_keeps_its_last_epoch(small: Make, tmp_path: Path) -> None:
    training = small(epochs=2, head_first=True)
    bare = training.split.model_copy(update={"validation": ()})
    fitted = fit(replace(training, split=bare), tmp_path / "ck")
    assert fitted.head_validation_f1 is None
    assert [(entry.validation_f1, entry.best) for entry in fitted.log] == [(None, True)] * 2


def test_views_of_several_sizes_train_one_network(small: Make, tmp_path: Path) -> None:
    training = small(epochs=1, train_sizes=(32, 48))
    fitted = fit(training, tmp_path / "ck")
    assert fitted.model.input_shape == (None, 32, 32, 3)
    changed = [
        not np.array_equal(before, after)
        for before, after in zip(
            untrained(training).get_weights(), fitted.model.get_weights(), strict=True
        )
    ]
    assert all(changed)
    assert np.isfinite(fitted.log[0].loss)


def test_head_trained_by_steps_on_a_network_frozen_to_its_end(small: Make, tmp_path: Path) -> None:
    training = small(frozen=("stem", "block"), cached_views=1, epochs=1, mixup=0.2)
    fitted = fit(training, tmp_path / "ck")
    assert fitted.trainable_parameters == 51


def test_stored_maps_of_nothing_frozen_are_refused(small: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no layer is frozen from the input on"):
        fit(small(frozen=("block2",), cached_views=1), tmp_path / "ck")


def test_stored_maps_need_frozen_layers_and_one_size() -> None:
    for changes in ({}, {"frozen": ("stem",), "train_sizes": (32,)}):
        with pytest.raises(ValueError, match="cached_views are the maps of frozen layers"):
            Recipe.model_validate({"image_size": 32, "cached_views": 1, **changes})


def test_network_without_its_weights_is_trained_from_scratch(
    small: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Random layers are neither frozen nor fitted a head to: the manifest's recipe says so."""
    monkeypatch.setattr("train.fitting.has_published_weights", lambda network: True)
    meant = small(**CACHED, head_first=True, scratch_epochs=1, scratch_rate=1e-3)
    fitted = fit(meant, tmp_path)
    assert fitted.origin.loaded_parameters == 0
    assert (fitted.recipe.frozen, fitted.recipe.cached_views) == ((), 0)
    assert (fitted.head, len(fitted.log), fitted.runtime) == (None, 1, "")
    assert fitted.trainable_parameters == sum(
        int(np.prod(weight.shape)) for weight in fitted.model.trainable_weights
    )


def test_network_that_has_no_published_weights_keeps_its_recipe(
    small: Make, tmp_path: Path
) -> None:
    fitted = fit(small(**CACHED), tmp_path)
    assert fitted.recipe.frozen == ("stem", "block1")
    assert len(fitted.log) == 2


def test_frozen_layer_that_stays_random_is_refused(
    small: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Weights of the stem alone: block1 would be frozen as it was drawn."""
    monkeypatch.setattr("train.fitting.has_published_weights", lambda network: True)
    stem = {
        f"{layer.name}/{weight.name.split('/')[-1].split(':')[0]}": weight.numpy()
        for layer in untrained(small()).layers
        if layer.name.startswith("stem")
        for weight in layer.weights
    }
    np.savez(tmp_path / "stem.npz", **stem)
    training = replace(small(**CACHED), weights=str(tmp_path / "stem.npz"))
    with pytest.raises(WeightsError, match=r"would stay random \(first: block1.*stem\.npz"):
        fit(training, tmp_path / "ck")
    enough = replace(small(**{**CACHED, "frozen": ("stem",)}), weights=str(tmp_path / "stem.npz"))
    assert fit(enough, tmp_path / "ck2").origin.loaded_parameters > 0
