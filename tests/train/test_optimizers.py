import math
from typing import Any

import numpy as np
import pytest

from train.approaches import Recipe
from train.backend import tensorflow
from train.optimizers import make_optimizer, make_schedule

RECIPE = Recipe(image_size=32, epochs=5, learning_rate=0.1, warmup_epochs=0.0)


def recipe_with(**settings: Any) -> Recipe:
    return RECIPE.model_copy(update=settings)


def rates(recipe: Recipe, *steps: int, factor: float = 1.0) -> list[float]:
    schedule = make_schedule(recipe, rate_factor=factor, steps_per_epoch=10)
    return [float(schedule(step)) for step in steps]


def stepped(recipe: Recipe, name: str, gradients: tuple[float, ...]) -> list[float]:
    """Return a weight of 1 after each step with these gradients."""
    tf = tensorflow()
    weight = tf.Variable([1.0], name=name)
    optimizer = make_optimizer(recipe, rate_factor=1.0, steps_per_epoch=1_000_000)
    optimizer.build([weight])
    found = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant([gradient]), weight)])
        found.append(float(weight[0]))
    return found


def test_rate_falls_along_half_a_cosine_to_a_hundredth() -> None:
    # halfway: 0.99 * 0.5 + 0.01 = 0.505 of the peak
    assert rates(RECIPE, 0, 25, 50, 60) == pytest.approx([0.1, 0.0505, 0.001, 0.001])


def test_rate_rises_in_a_straight_line_first() -> None:
    recipe = recipe_with(warmup_epochs=1.0)
    assert rates(recipe, 0, 5, 10) == pytest.approx([0.0, 0.05, 0.1])
    assert rates(recipe, 30, 50) == pytest.approx([0.0505, 0.001])  # halfway of the 40 left; end


def test_a_constant_rate_stays_at_its_peak() -> None:
    flat = recipe_with(schedule="constant")
    assert rates(flat, 0, 25, 50, 60) == pytest.approx([0.1] * 4)
    warmed = recipe_with(schedule="constant", warmup_epochs=1.0)
    assert rates(warmed, 0, 5, 10, 30, 50) == pytest.approx([0.0, 0.05, 0.1, 0.1, 0.1])


def test_warm_up_may_last_a_fraction_of_an_epoch_or_all_of_them() -> None:
    assert rates(recipe_with(warmup_epochs=0.5), 0, 5) == pytest.approx([0.0, 0.1])
    assert rates(recipe_with(warmup_epochs=5.0), 0, 25, 50) == pytest.approx([0.0, 0.05, 0.1])


def test_rate_factor_scales_the_whole_curve() -> None:
    assert rates(RECIPE, 0, 25, factor=4.0) == pytest.approx([0.4, 0.202])


def test_sgd_steps_as_nesterov_says() -> None:
    recipe = recipe_with(optimizer="sgd", momentum=0.5, weight_decay=0.0)
    # velocity v = 0.5 v - 0.1 g; weight += 0.5 v - 0.1 g
    # g = 1: v = -0.1,  weight 1 - 0.05 - 0.1 = 0.85
    # g = 2: v = -0.25, weight 0.85 - 0.125 - 0.2 = 0.525
    found = stepped(recipe, "kernel", (1.0, 2.0))
    assert found == pytest.approx([0.85, 0.525], rel=1e-5)


def test_sgd_without_momentum_follows_the_gradient() -> None:
    recipe = recipe_with(optimizer="sgd", momentum=0.0, weight_decay=0.0)
    assert stepped(recipe, "kernel", (1.0, 2.0)) == pytest.approx([0.9, 0.7], rel=1e-5)


def test_adamw_begins_with_a_step_of_the_rate() -> None:
    # The first step of Adam is rate * g / (|g| + epsilon'), whatever the gradient: 0.1.
    assert stepped(recipe_with(weight_decay=0.0), "kernel", (3.0,)) == pytest.approx(
        [0.9], rel=1e-4
    )


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("kernel", ["a/kernel", "a/depthwise_kernel"])
def test_kernels_decay_apart_from_the_gradient(name: str, kernel: str) -> None:
    recipe = recipe_with(optimizer=name, weight_decay=0.2)
    # No gradient: the weight loses rate * decay = 0.02 of itself a step.
    assert stepped(recipe, kernel, (0.0, 0.0)) == pytest.approx([0.98, 0.9604], rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("other", ["kernel_7/bias", "a/gamma", "a/beta", "layer_scale/weight"])
def test_all_else_does_not_decay(name: str, other: str) -> None:
    recipe = recipe_with(optimizer=name, weight_decay=0.2)
    assert stepped(recipe, other, (0.0,)) == [1.0]


def test_steps_after_the_last_keep_the_last_rate() -> None:
    assert all(math.isclose(rate, 0.001, rel_tol=1e-5) for rate in rates(RECIPE, 50, 1_000))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_state_goes_on_from_a_checkpoint(name: str, tmp_path: Any) -> None:
    tf = tensorflow()
    recipe = recipe_with(optimizer=name, weight_decay=0.1)

    def training() -> tuple[Any, Any, Any]:
        weight = tf.Variable([1.0, -2.0], name="kernel")
        optimizer = make_optimizer(recipe, rate_factor=1.0, steps_per_epoch=3)
        optimizer.build([weight])
        return weight, optimizer, tf.train.Checkpoint(weight=weight, optimizer=optimizer)

    gradients = [tf.constant([0.5, -1.0]), tf.constant([2.0, 0.1])] * 2
    weight, optimizer, _ = training()
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, weight)])
    begun, first, state = training()
    for gradient in gradients[:2]:
        first.apply_gradients([(gradient, begun)])
    state.write(str(tmp_path / "state"))
    resumed, second, state = training()
    state.read(str(tmp_path / "state")).assert_consumed()
    for gradient in gradients[2:]:
        second.apply_gradients([(gradient, resumed)])
    assert np.array_equal(resumed.numpy(), weight.numpy())
