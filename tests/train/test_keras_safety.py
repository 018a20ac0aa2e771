"""Only what our networks are made of may stand in a Keras file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.networks.test_conversion import reopened, shrunken
from train.backend import keras
from train.errors import ArtifactError
from train.head_layers import Layers
from train.keras_file import load_keras, save_keras
from train.keras_safety import require_known_classes
from train.networks import NETWORKS

__all__ = ["shrunken"]


@pytest.mark.usefixtures("shrunken")
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_is_saved_and_opened(network: str, tmp_path: Path) -> None:
    assert reopened(network, tmp_path).output_shape == (None, 5)


@pytest.mark.usefixtures("shrunken")
def test_a_network_with_a_hidden_layer_in_its_head_is_saved_and_opened(tmp_path: Path) -> None:
    model = NETWORKS["custom-cnn"](image_size=32, classes=3)
    width = model.get_layer("features").output.shape[-1]
    arrays = [np.zeros(shape, np.float32) for shape in ((4, 3), 3, (width, 4), 4)]
    head = Layers(kernel=arrays[0], bias=arrays[1], hidden=(arrays[2], arrays[3]))
    save_keras(head.put_into(model), tmp_path / "hidden.keras")
    assert load_keras(tmp_path / "hidden.keras").get_layer("hidden").units == 4


def part(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": name,
        "config": {"name": "odd", **config},
        "registered_name": None,
    }


def network(*layers: Any) -> dict[str, Any]:
    return {
        "module": "tf_keras.src.engine.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {"name": "net", "layers": list(layers)},
    }


HUB = "tensorflow_hub.keras_layer"
HUB_LAYER = part("KerasLayer", HUB, handle="hub-0") | {"registered_name": "KerasLayer"}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (part("Lambda"), "is a Lambda, which holds code"),
        (part("TFOpLambda", function="io.write_file"), "TFOpLambda that calls io.write_file"),
        (part("SlicingOpLambda", function="__getitem__"), "is a SlicingOpLambda that calls"),
        (part("ClassMethod"), "is a ClassMethod, which is not known here"),
        (part("InstanceMethod"), "is a InstanceMethod, which is not known here"),
        (part("InstanceProperty"), "is a InstanceProperty"),
        (part("Conv2D", None), "is a Conv2D of None"),
        (part("Conv2D", "keras.layers.experimental"), "is a Conv2D of keras.layers.experimental"),
        (part("system", "os"), "is a system of os"),
        (part("function", "builtins"), "is a function of builtins"),
        (part("__lambda__"), "is a __lambda__"),
        (part("KerasLayer", HUB, handle="hub-0"), "is a KerasLayer of tensorflow_hub"),
        (part("Dense") | {"registered_name": "Custom>Dense"}, "is a Dense"),
        (part("Dense") | {"class_name": ["Dense"]}, "is a nameless class"),
        (part("Dense") | {"config": [], "name": "odd"}, "is a Dense without settings"),
        (part("Dense", activation="deserialize"), "has the activation 'deserialize'"),
        (part("Dense", activation=part("Zeros", "keras.initializers")), "the activation a dict"),
        (part("Dense", kernel_initializer="zeros"), "has the initializer 'zeros'"),
        (part("Dense", kernel_initializer=part("Load", "os")), "is a Load of os"),
        (part("Dense", kernel_regularizer="l2"), "has a kernel_regularizer"),
        (part("Dense", bias_constraint=part("NonNeg")), "has a bias_constraint"),
        (part("Dense", dtype=part("Policy", "keras.mixed_precision")), "is a Policy"),
        (HUB_LAYER | {"config": {"name": "odd"}}, "is a KerasLayer with other settings"),
        (part("KerasLayer", HUB, handle=[]) | {"registered_name": "KerasLayer"}, "other settings"),
        (
            part("KerasLayer", HUB, handle="x", load_options={})
            | {"registered_name": "KerasLayer"},
            "with other settings than dtype, handle, name, trainable",
        ),
    ],
)
def test_what_is_not_ours_is_refused_at_any_depth(layer: Any, message: str) -> None:
    for config in (network(layer), network(part("Dense"), network([[{"deep": layer}]]))):
        with pytest.raises(ArtifactError, match=rf"^net\.keras: layer 'odd' .*{message}") as found:
            require_known_classes(config, "net.keras")
        assert "build the network from the layers Activation, Add" in str(found.value)


def test_what_is_ours_passes() -> None:
    require_known_classes(network(part("Dense", activation="gelu"), HUB_LAYER), "net.keras")


def test_a_configuration_deeper_than_pythons_stack_is_read_through() -> None:
    deep: Any = part("Lambda")
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(ArtifactError, match="is a Lambda"):
        require_known_classes(network(deep), "net.keras")


def test_layers_that_tensorflow_makes_out_of_operators_are_not_saved(tmp_path: Path) -> None:
    pixels = keras().Input((4, 4, 3), name="pixels")
    for maps, kind in ((pixels + 1.0, "TFOpLambda"), (pixels[:, 0], "SlicingOpLambda")):
        with pytest.raises(ArtifactError, match=f"is a {kind} of .* that calls"):
            save_keras(keras().Model(pixels, maps), tmp_path / "net.keras")
    assert not list(tmp_path.iterdir())
