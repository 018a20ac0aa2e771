from typing import Any

import numpy as np
import pytest

from train.backend import keras
from train.errors import DataError
from train.head_layers import Layers, spread
from train.networks.blocks import classifier, pixel_input


def layers_of(*, features: int = 4, hidden: int = 0, classes: int = 3) -> Layers:
    draw = np.random.default_rng(0).normal
    width = hidden or features
    return spread(
        draw(0.0, 1.0, (width, classes)),
        draw(0.0, 1.0, classes),
        known=np.arange(classes),
        classes=classes,
        hidden=(
            draw(0.0, 1.0, (features, hidden)).astype(np.float32),
            draw(0.0, 1.0, hidden).astype(np.float32),
        )
        if hidden
        else None,
    )


def small_network() -> Any:
    pixels, maps = pixel_input(image_size=32, scale=1 / 255, offset=0.0)
    maps = keras().layers.Conv2D(4, 3, strides=8, name="stem_conv")(maps)
    return classifier(pixels, maps, classes=3, name="small")


def test_scores_are_spread_over_all_classes() -> None:
    kernel, bias = np.array([[1.0, 5.0]]), np.array([4.0, 2.0])
    layers = spread(kernel, bias, known=np.array([0, 2]), classes=3)
    assert layers.kernel.tolist() == [[-2.0, 0.0, 2.0]]
    assert layers.bias.tolist() == [1.0, -10.0, -1.0]
    # At 1 the known scores were 5 and 7: the odds are exp(2) to 1.
    shares = layers.predict_proba(np.ones((1, 1), np.float32))[0]
    assert shares[2] / shares[0] == pytest.approx(np.exp(2.0))
    assert shares.sum() == pytest.approx(1.0)


def test_scaling_leaves_the_unseen_class_where_it_is() -> None:
    layers = spread(np.array([[1.0, 5.0]]), np.array([4.0, 2.0]), known=np.array([0, 2]), classes=3)
    half = layers.scaled(0.5, known=np.array([0, 2]))
    assert half.kernel.tolist() == [[-1.0, 0.0, 1.0]]
    assert half.bias.tolist() == [0.5, -10.0, -0.5]


def test_hidden_layer_is_a_relu() -> None:
    hidden = np.array([[1.0, -1.0]], np.float32), np.array([0.0, 1.0], np.float32)
    layers = spread(np.eye(2), np.zeros(2), known=np.arange(2), classes=2, hidden=hidden)
    # At 3: hidden 3 and max(0, -2) = 0, less their mean 1.5.
    assert layers.scores(np.array([[3.0]], np.float32)).tolist() == [[1.5, -1.5]]


@pytest.mark.parametrize("hidden", [0, 5])
def test_network_answers_as_its_head_does(hidden: int) -> None:
    model = small_network()
    stem = [value.copy() for value in model.get_layer("stem_conv").get_weights()]
    head = layers_of(hidden=hidden)
    done = head.put_into(model)
    assert (done is model) == (hidden == 0)
    names = [layer.name for layer in done.layers]
    assert names[-3:] == ["hidden" if hidden else "features", "logits", "probabilities"]
    for kept, value in zip(stem, done.get_layer("stem_conv").get_weights(), strict=True):
        np.testing.assert_array_equal(kept, value)
    pixels = np.random.default_rng(1).uniform(0, 255, (6, 32, 32, 3)).astype(np.float32)
    features = keras().Model(done.input, done.get_layer("features").output)(pixels).numpy()
    # Probabilities in float32: sums of at most 5 products of size below 10, so 1e-5 is ample.
    np.testing.assert_allclose(done(pixels).numpy(), head.predict_proba(features), atol=1e-5)


def test_hidden_layer_is_reused_replaced_and_taken_out() -> None:
    with_five = layers_of(hidden=5).put_into(small_network())
    assert layers_of(hidden=5).put_into(with_five) is with_five
    with_two = layers_of(hidden=2).put_into(with_five)
    assert with_two.get_layer("hidden").units == 2
    plain = layers_of().put_into(with_two)
    assert "hidden" not in [layer.name for layer in plain.layers]
    assert plain.output_shape == (None, 3)


@pytest.mark.parametrize(("features", "classes"), [(5, 3), (4, 2)])
def test_head_of_another_network_is_refused(features: int, classes: int) -> None:
    head = layers_of(features=features, classes=classes)
    with pytest.raises(DataError, match="does not fit small, which has 4 and 3"):
        head.put_into(small_network())
