"""Which layer a group is and what its arrays are called, by numbers and names alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.errors import WeightsError
from train.stored_layers import (
    KnownLayer,
    StoredLayer,
    kind_of,
    layers_of_config,
    named_by_config,
    named_by_group,
)

NONE = type("Model", (), {"layers": ()})()
PATH = Path("made.keras")


def group(*shapes: tuple[int, ...], name: str = "") -> StoredLayer:
    return StoredLayer(arrays=tuple(np.zeros(shape) for shape in shapes), name=name)


def layer(class_name: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **settings}}


@pytest.mark.parametrize(
    ("class_name", "kind"),
    [
        ("DepthwiseConv2D", "depthwise_conv2d"),
        ("ReLU", "re_lu"),
        ("TFOpLambda", "tf_op_lambda"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
    ],
)
def test_groups_are_called_by_class_as_keras_does(class_name: str, kind: str) -> None:
    assert kind_of(class_name) == kind


def test_layers_are_counted_by_class_within_their_own_network() -> None:
    inner = layer("Functional", "inner", layers=[layer("Conv2D", "a"), layer("Conv2D", "b")])
    layers = layers_of_config([layer("Conv2D", "first"), inner, layer("Conv2D", "last")])
    assert [(group, known.name) for group, known in layers] == [
        ("conv2d", "first"), ("functional", "inner"), ("functional/conv2d", "a"),
        ("functional/conv2d_1", "b"), ("conv2d_1", "last"),
    ]  # fmt: skip


def known(kind: str, name: str, **settings: Any) -> KnownLayer:
    return KnownLayer(name=name, kind=kind, settings=settings)


def test_a_layer_without_some_of_its_variables_names_the_others_rightly() -> None:
    stored = {"batch_normalization": group((2,), (2,), (2,)), "conv2d": group((1, 1, 2, 2), (2,))}
    layers = {
        "batch_normalization": known("batch_normalization", "bn", scale=False),
        "conv2d": known("conv2d", "conv", use_bias=False),  # and yet two arrays: not guessed at
    }
    assert list(named_by_config(stored, layers, NONE, PATH)) == [
        "bn/beta", "bn/moving_mean", "bn/moving_variance", "conv/0", "conv/1",
    ]  # fmt: skip


def test_without_settings_the_number_of_arrays_must_leave_no_doubt() -> None:
    stored = {
        "batch_normalization_7": group((2,), (2,), name="plain"),
        "functional/batch_normalization": group((2,), (2,), (2,), name="doubtful"),
        "dense": group((2, 2), name="kernel_only"),
        "strange": group((2,), name="odd"),
    }
    assert list(named_by_group(stored, PATH)) == [
        "plain/moving_mean", "plain/moving_variance", "doubtful/0", "doubtful/1", "doubtful/2",
        "kernel_only/kernel", "odd/0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "rule"),
    [
        ({"dense": group((2, 2)), "other": group((2,))}, "its group other is no layer of its"),
        ({"dense": group((2, 2), name="b")}, "its group dense is no layer of its config.json"),
        ({}, "layer a of its config.json has no group dense, as where networks .* share layers"),
    ],
)
def test_weights_that_are_not_of_the_configuration_are_refused(
    stored: dict[str, StoredLayer], rule: str
) -> None:
    layers = {"dense": known("dense", "a", use_bias=False)}
    with pytest.raises(WeightsError, match=rf"made\.keras: {rule}"):
        named_by_config(stored, layers, NONE, PATH)


def test_two_layers_of_one_name_are_refused() -> None:
    stored = {"dense": group((2, 2), name="a"), "functional/dense": group((2, 2), name="a")}
    with pytest.raises(WeightsError, match="two of its layers are called a; save the inner"):
        named_by_group(stored, PATH)
