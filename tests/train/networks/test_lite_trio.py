"""lite-trio: each backbone computes and loads as it does alone."""

import numpy as np
import pytest

from train.backend import keras
from train.errors import ConfigError
from train.networks import NETWORKS
from train.networks.lite_trio import (
    BACKBONES,
    backbone_entries,
    build_lite_trio,
    from_keras_application,
)
from train.networks.square_root import EPSILON
from train.weights import named_variables


def test_features_are_roots_of_those_of_the_three_backbones_side_by_side() -> None:
    module = keras()
    trio = build_lite_trio(image_size=32, classes=3)
    variables = named_variables(trio)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    wanted, laid = [], 0
    for prefix, network in BACKBONES.items():
        alone = NETWORKS[network](image_size=32, classes=3)
        own = {name: variable.numpy() for name, variable in named_variables(alone).items()}
        entries = backbone_entries(prefix, own)
        assert set(entries) - set(variables) == {f"{prefix}logits/kernel", f"{prefix}logits/bias"}
        for name in set(entries) & set(variables):
            variables[name].assign(entries[name])
            laid += 1
        backbone = module.Model(alone.input, alone.get_layer("features").output)
        wanted.append(backbone(pixels, training=False).numpy())
    assert laid == len(variables) - 2  # all but the trio's own classifier
    features = module.Model(trio.input, trio.get_layer("features").output)
    found = features(pixels, training=False).numpy()
    assert found.shape == (2, 3840)
    assert all(part.std() > 0 for part in wanted)
    # The same operators on the same weights: only threads may split a sum another way.
    np.testing.assert_allclose(found**2 - EPSILON, np.concatenate(wanted, axis=1), atol=1e-5)


def test_weights_of_keras_applications_go_to_the_third_backbone() -> None:
    entries = {"Conv1/kernel": np.zeros(1), "predictions/kernel": np.zeros(1)}
    assert list(from_keras_application(entries)) == [
        "mobile_stem_conv/kernel",
        "predictions/kernel",
    ]


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="'lite9_' is not one of lite0_, lite2_, mobile_"):
        backbone_entries("lite9_", {})
