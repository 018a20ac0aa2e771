"""Shrinking: which channels stay, the graph built again, the artifact."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cost import count_layers, total_maccs
from optimize.shrink import ShrinkConfig, shrink, shrink_network
from optimize.shrink_choice import (
    keep_budget,
    keep_uniform,
    l1_scores,
    norm_scores,
    rounded,
    taylor_scores,
)
from optimize.shrink_coupling import Coupling, Group, LayerChannels, couple, maccs_of
from optimize.shrink_rebuild import rebuild
from tests.optimize.colours import workshop, write_dataset, write_small
from tests.tiny_models import SIDE, pictures, tiny_network
from train.backend import keras, tensorflow
from train.errors import ArtifactError, ConfigError, ConversionError
from train.keras_file import load_keras


def numbers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def two_groups() -> Coupling:
    """A convolution of 4 and one of 6 channels on a pixel, 10 positions, and one class."""
    pixel, first, second, last = numbers(0), numbers(1, 2, 3, 4), numbers(5, 6, 7, 8, 9, 10), [11]
    layers = (("a", pixel, first), ("b", first, second), ("logits", second, numbers(*last)))
    return Coupling(
        layers=tuple(
            LayerChannels(name=name, kind="Conv2D", inputs=given, outputs=made, maccs_each=10)
            for name, given, made in layers
        ),
        groups=(Group(layers=("a",), channels=first), Group(layers=("b",), channels=second)),
        size=12,
    )


SCORES = np.array([0, 4.0, 1.0, 3.0, 2.0, 0.5, 6.0, 5.0, 7.0, 1.5, 8.0, 0])


def test_a_uniform_ratio_takes_the_least_of_every_group() -> None:
    kept = keep_uniform(two_groups(), SCORES, ratio=0.5, multiple=1)
    assert np.flatnonzero(kept).tolist() == [0, 1, 3, 6, 8, 10, 11]
    # 3 of 6 rounded up to a multiple of 2 is 4, and 2 of 4 stay 2.
    kept = keep_uniform(two_groups(), SCORES, ratio=0.5, multiple=2)
    assert np.flatnonzero(kept).tolist() == [0, 1, 3, 6, 7, 8, 10, 11]


def test_a_budget_takes_the_least_of_all_until_it_is_met() -> None:
    coupling = two_groups()
    # 10 x (1 x 4 + 4 x 6 + 6 x 1) = 340 MACCs. Without the three least (0.5, 1.0, 1.5) three of 4
    # and four of 6 stay: 10 x (3 + 12 + 4) = 190, while two of them off leave 10 x (3 + 15 + 5).
    kept = keep_budget(coupling, SCORES, share=0.56, least=0.0, multiple=1)
    assert maccs_of(coupling, kept) == 190
    assert np.flatnonzero(kept).tolist() == [0, 1, 3, 4, 6, 7, 8, 10, 11]
    assert (
        maccs_of(coupling, keep_budget(coupling, SCORES, share=0.7, least=0.0, multiple=1)) == 230
    )
    assert keep_budget(coupling, SCORES, share=1.0, least=0.0, multiple=1).all()


def test_a_budget_below_what_must_stay_is_refused() -> None:
    # least = 0.75 leaves 3 of 4 and 5 (4.5 rounded up) of 6: 10 x (3 + 15 + 5) = 230 of 340.
    with pytest.raises(ConfigError, match=r"maccs 0\.5 cannot be reached: .* 0\.677 of the MACCs"):
        keep_budget(two_groups(), SCORES, share=0.5, least=0.75, multiple=1)


def test_rounding_goes_up_to_a_multiple_but_not_past_the_whole() -> None:
    assert [rounded(20, wanted, 8) for wanted in (0.0, 0.1, 8.0, 8.1, 17.0)] == [8, 8, 8, 16, 20]
    assert rounded(10, 0.7 * 10, 7) == 7
    assert rounded(4, 0.0, 1) == 1


def one_convolution() -> Any:
    layers = keras().layers
    pixels = layers.Input((2, 2, 1))
    maps = layers.Conv2D(2, 1, use_bias=False, name="conv")(pixels)
    maps = layers.BatchNormalization(name="norm", epsilon=0.0)(maps)
    features = layers.GlobalAveragePooling2D(name="features")(maps)
    logits = layers.Dense(2, name="logits")(features)
    model = keras().Model(pixels, layers.Activation("softmax")(logits))
    model.get_layer("conv").set_weights([np.array([1.0, -3.0]).reshape(1, 1, 1, 2)])
    norm = [np.array(value) for value in ([0.5, -1.5], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0])]
    model.get_layer("norm").set_weights(norm)  # gamma, beta, mean, variance
    model.get_layer("logits").set_weights([np.array([[1.0, 0.0], [1.0, 0.0]]), np.zeros(2)])
    return model


def test_norms_of_kernels_and_scales_are_one_on_average() -> None:
    model = one_convolution()
    coupling = couple(model)
    channels = coupling.groups[0].channels
    assert l1_scores(model, coupling)[channels].tolist() == [0.5, 1.5]  # 1 and 3 over their mean
    assert norm_scores(model, coupling)[channels].tolist() == [0.5, 1.5]  # 0.5 and 1.5 over 1


def test_taylor_is_the_squared_change_of_the_loss_to_first_order() -> None:
    model = one_convolution()
    coupling = couple(model)
    tf = tensorflow()
    batch = (tf.ones((1, 2, 2, 1)), tf.constant([0]))
    found = taylor_scores(model, coupling, [batch], tf)[coupling.groups[0].channels]
    # Channel outputs: 0.5 x 1 + 1 = 1.5 and -1.5 x -3 = 4.5; logits 6 and 0. Both channels push
    # the logit of the true class: d loss / d output = p - 1. The change is output x that.
    slope = 1 / (1 + np.exp(-6.0)) - 1
    np.testing.assert_allclose(found, np.square([1.5 * slope, 4.5 * slope]), rtol=1e-3)


def added(kernels: list[list[float]]) -> Any:
    """A network whose two 1 x 1 convolutions make two channels each, which are added."""
    layers = keras().layers
    pixels = layers.Input((1, 1, 1))
    sides = [
        layers.BatchNormalization(name=f"norm{place}", epsilon=0.0)(
            layers.Conv2D(2, 1, use_bias=False, name=f"conv{place}")(pixels)
        )
        for place in range(2)
    ]
    features = layers.GlobalAveragePooling2D(name="features")(layers.Add(name="sum")(sides))
    logits = layers.Dense(2, name="logits", use_bias=False)(features)
    model = keras().Model(pixels, layers.Activation("softmax")(logits))
    for place, kernel in enumerate(kernels):
        model.get_layer(f"conv{place}").set_weights([np.array(kernel).reshape(1, 1, 1, 2)])
        norm = [np.array(value) for value in ([1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])]
        model.get_layer(f"norm{place}").set_weights(norm)
    model.get_layer("logits").set_weights([np.array([[1.0, 0.0], [1.0, 0.0]])])
    return model


def test_taylor_of_an_added_channel_is_the_sum_of_what_is_added() -> None:
    model = added([[0.5, -1.0], [0.25, 2.0]])
    coupling = couple(model)
    (group,) = coupling.groups
    tf = tensorflow()
    batch = (tf.ones((1, 1, 1, 1)), tf.constant([0]))
    found = taylor_scores(model, coupling, [batch], tf)[group.channels]
    # The sums are 0.75 and 1; logits 1.75 and 0; d loss / d channel = p - 1 for both of them.
    slope = 1 / (1 + np.exp(-1.75)) - 1
    wanted = [0.5**2 + 0.25**2, 1.0**2 + 2.0**2]
    np.testing.assert_allclose(found, np.array(wanted) * slope**2, rtol=1e-3)


def test_photos_are_asked_for_where_channels_are_judged_on_them() -> None:
    with pytest.raises(ConfigError, match="importance = 'taylor' needs photos; choose norm or l1"):
        shrink_network(tiny_network(), ShrinkConfig())


def test_shrinking_by_nothing_gives_identical_outputs() -> None:
    model = tiny_network()
    shrunk = shrink_network(model, ShrinkConfig(maccs=1.0, importance="norm"))
    photos = pictures(4).astype(np.float32)
    assert np.array_equal(np.asarray(shrunk.model(photos)), np.asarray(model(photos)))
    assert shrunk.maccs_after == shrunk.maccs_before
    assert shrunk.channels == {}


def mixed_network() -> Any:
    """Residual, depthwise and concatenated parts with weights from a fixed generator."""
    layers = keras().layers
    pixels = layers.Input((SIDE, SIDE, 3))
    entry = layers.ReLU()(layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(pixels))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(16, 1, name="wide")(entry)))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="deep")(x)
    x = layers.BatchNormalization(name="deep_bn")(x)
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, name="narrow")(layers.ReLU()(x)))
    x = layers.Concatenate()([layers.Add()([x, entry]), layers.Conv2D(4, 1, name="side")(entry)])
    x = layers.GlobalAveragePooling2D(name="features")(x)
    logits = layers.Dense(3, name="logits")(x)
    model = keras().Model(pixels, layers.Activation("softmax")(logits))
    generator = np.random.default_rng(0)
    for weight in model.weights:
        spread = generator.normal(0.0, 0.1, weight.shape)
        weight.assign(1.0 + np.abs(spread) if "variance" in weight.name else spread)
    return model


def test_channels_that_are_zero_go_without_a_trace() -> None:
    model = mixed_network()
    coupling = couple(model)
    kept = coupling.all_kept()
    for group in coupling.groups:
        kept[group.channels[::3]] = False
    for layer in coupling.layers:
        if layer.kind in ("Conv2D", "BatchNormalization"):
            source = model.get_layer(layer.name)
            for weight in source.trainable_weights:
                weight.assign(weight.numpy() * kept[layer.outputs])
    photos = pictures(4).astype(np.float32)
    smaller = rebuild(model, coupling, kept)
    # Sums of fewer terms, the zeros left out, round in another order: a few units of 2**-24.
    np.testing.assert_allclose(np.asarray(smaller(photos)), np.asarray(model(photos)), atol=1e-5)
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    assert smaller.get_layer("deep").depthwise_kernel.shape == (3, 3, 10, 1)  # 16 less 6
    assert smaller.get_layer("logits").kernel.shape == (5 + 2, 3)  # 8 less 3, and 4 less 2
    assert total_maccs(count_layers(smaller)) == maccs_of(coupling, kept)


def test_the_weights_of_what_stays_are_those_of_the_parent() -> None:
    model = one_convolution()
    shrunk = shrink_network(model, ShrinkConfig(ratio=0.5, importance="l1", multiple=1))
    assert shrunk.model.get_layer("conv").get_weights()[0].ravel().tolist() == [-3.0]
    assert [w.tolist() for w in shrunk.model.get_layer("norm").get_weights()] == [
        [-1.5], [0.0], [0.0], [1.0]
    ]  # fmt: skip
    assert (shrunk.maccs_before, shrunk.maccs_after) == (4 * 2 + 4, 4 + 2)
    assert shrunk.channels == {"conv": (1, 2)}


def test_a_network_without_free_channels_is_refused() -> None:
    layers = keras().layers
    pixels = layers.Input((2, 2, 3))
    features = layers.GlobalAveragePooling2D(name="features")(pixels)
    model = keras().Model(pixels, layers.Dense(2, name="logits")(features))
    with pytest.raises(ConversionError, match="no channel can be removed"):
        shrink_network(model, ShrinkConfig())


def test_the_artifact_is_smaller_and_says_how(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "photos")
    parent = write_small(tmp_path / "parent", dataset)
    config = ShrinkConfig(epochs=0, maccs=0.6, multiple=2, photos=12)
    made = shrink(parent, tmp_path / "made", config, workshop(dataset, tmp_path / "ck"))
    assert made.manifest.variant == "small.shrunk.float.keras"
    step = made.manifest.steps[1]
    assert (step.technique, step.parent_sha256) == ("shrink", parent.manifest.payload_sha256)
    before, after = (
        total_maccs(count_layers(load_keras(artifact.payload))) for artifact in (parent, made)
    )
    assert (step.config["maccs_before"], step.config["maccs_after"]) == (before, after)
    assert after <= 0.6 * before
    with pytest.raises(ArtifactError, match="exists already"):
        shrink(parent, tmp_path / "made", config, workshop(dataset, tmp_path / "ck"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"maccs": 0.0}, r"maccs must be a share in \(0, 1\], got 0\.0"),
        ({"ratio": 1.0}, r"ratio must be in \[0, 1\), got 1\.0"),
        ({"importance": "age"}, "importance must be taylor, norm or l1, got 'age'"),
        ({"least": -0.1}, r"least must be in \[0, 1\]"),
        ({"multiple": 0}, "multiple and photos must be 1 or more"),
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate must be above 0, got 0\.0"),
    ],
)
def test_settings_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ShrinkConfig(**settings)
