"""Renaming entries of a weights file, layer by layer."""

import numpy as np

from train.networks.application_names import translated


def test_known_layers_are_renamed_and_others_kept() -> None:
    kernel, other = np.zeros((3, 3, 3, 2)), np.zeros(2)
    found = translated({"Conv1/kernel": kernel, "top/gamma": other}, {"Conv1": "stem_conv"})
    assert found == {"stem_conv/kernel": kernel, "top/gamma": other}


def test_a_depthwise_kernel_goes_by_either_name() -> None:
    kernel = np.zeros((3, 3, 8, 1))
    for name in ("kernel", "depthwise_kernel"):
        found = translated({f"dw/{name}": kernel}, {"dw": "block1a_depthwise"})
        assert list(found) == ["block1a_depthwise/depthwise_kernel"]


def test_arrays_are_reshaped_by_the_name_that_the_layer_has_here() -> None:
    found = translated(
        {"dense/kernel": np.arange(6).reshape(2, 3)},
        {"dense": "block1a_expand_conv"},
        lambda layer, variable, array: (variable, array[None, None]),
    )
    assert found["block1a_expand_conv/kernel"].shape == (1, 1, 2, 3)


def test_an_entry_without_a_layer_keeps_its_name() -> None:
    assert list(translated({"kernel": np.zeros(1)}, {"": "stem_conv"})) == ["stem_conv/kernel"]
