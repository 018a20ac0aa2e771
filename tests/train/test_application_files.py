"""Keras' newer files of its own networks and of ours: what they load, and what is refused."""

import importlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.train.hub_models import SMALL_STAGES, convnext_twin
from train.backend import keras
from train.errors import WeightsError
from train.head_layers import Layers
from train.networks import NETWORKS, convnext, resnet50, resnet50_v2
from train.weights import describe_origin, load_weights, named_variables

SIZE = 32
SMALL_STAGE = (resnet50.Stage(number=2, channels=4, blocks=2),)


def small_resnet(version: int) -> Any:
    """Return Keras' own ResNet with one stage of two narrow blocks."""
    keras()
    from tf_keras.src.applications import resnet

    stack = resnet.stack1 if version == 1 else resnet.stack2
    return resnet.ResNet(
        lambda maps: stack(maps, 4, 2, stride1=1, name="conv2"),
        preact=version == 2,
        use_bias=True,
        include_top=False,
        weights=None,
        input_shape=(SIZE, SIZE, 3),
    )


def mobilenet() -> Any:
    return keras().applications.MobileNetV2(
        weights=None, include_top=False, alpha=0.5, input_shape=(SIZE, SIZE, 3)
    )


TWINS: dict[str, Callable[[], Any]] = {
    "mobilenet-v2-0.5": mobilenet,
    "resnet50": lambda: small_resnet(1),
    "resnet50-v2": lambda: small_resnet(2),
    "convnext-tiny": convnext_twin,
}


@pytest.fixture(autouse=True)
def small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convnext, "STAGES", SMALL_STAGES)
    monkeypatch.setattr(resnet50, "STAGES", SMALL_STAGE)
    monkeypatch.setattr(resnet50_v2, "STAGES", SMALL_STAGE)


def shaken(model: Any) -> Any:
    """Return the model, no two of whose arrays are alike."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.5, 1.5, one.shape) for one in model.get_weights()])
    return model


def own(network: str) -> Any:
    return NETWORKS[network](image_size=SIZE, classes=3)


def loaded(network: str, path: Path) -> tuple[dict[str, Any], Any]:
    model = own(network)
    origin = load_weights(model, network=network, source=str(path))
    arrays = {
        name: variable.numpy()
        for name, variable in named_variables(model).items()
        if name not in origin.random_variables
    }
    return arrays, origin


def refused(network: str, path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        loaded(network, path)
    return str(caught.value)


def require_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)


@pytest.mark.parametrize("network", list(TWINS))
def test_a_keras_file_loads_what_the_older_file_of_the_same_network_loads(
    network: str, tmp_path: Path
) -> None:
    twin = shaken(TWINS[network]())
    twin.save(tmp_path / "twin.keras")
    twin.save_weights(tmp_path / "twin.h5", save_format="h5")
    arrays, origin = loaded(network, tmp_path / "twin.keras")
    older, of_older = loaded(network, tmp_path / "twin.h5")
    require_same(arrays, older)
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == of_older.unused_entries
    assert origin.source == "file twin.keras"


def test_a_network_inside_another_is_read_too(tmp_path: Path) -> None:
    module, twin = keras(), shaken(mobilenet())
    layers = [twin, module.layers.GlobalAveragePooling2D(), module.layers.Dense(3)]
    outer = module.Sequential(layers)
    outer.save(tmp_path / "outer.keras")
    outer.save_weights(tmp_path / "outer.h5", save_format="h5")
    outer.save_weights(tmp_path / "outer.weights.h5")
    arrays, origin = loaded("mobilenet-v2-0.5", tmp_path / "outer.keras")
    require_same(arrays, loaded("mobilenet-v2-0.5", tmp_path / "outer.h5")[0])
    assert origin.loaded_parameters == twin.count_params()
    assert [name.split("/")[0] for name in origin.unused_entries] == [layers[-1].name] * 2
    told = refused("mobilenet-v2-0.5", tmp_path / "outer.weights.h5")
    assert "no layer names, and its functional is a network of its own; save the whole as" in told


@pytest.mark.parametrize(("ending", "note"), [("weights.h5", ", read by position"), ("keras", "")])
def test_how_our_own_file_was_read_is_told(ending: str, note: str, tmp_path: Path) -> None:
    model = shaken(own("resnet50"))
    path = tmp_path / f"own.{ending}"
    model.save(path) if ending == "keras" else model.save_weights(path)
    arrays, origin = loaded("resnet50", path)
    require_same(arrays, {name: each.numpy() for name, each in named_variables(model).items()})
    assert describe_origin(origin)[0].startswith(f"weights: file own.{ending}{note} (unknown): ")


@pytest.mark.parametrize(
    ("network", "difference"),
    [
        ("mobilenet-v2-0.5", "it has no rescaling (layer rescale)"),
        # It fits by number and shape, but its first kernel takes blue, green, red.
        ("resnet50", "it has no rescaling (layer rescale)"),
        ("convnext-tiny", "its sequential is a network of its own"),
    ],
)
def test_a_foreign_file_without_names_is_refused(
    network: str, difference: str, tmp_path: Path
) -> None:
    TWINS[network]().save_weights(tmp_path / "twin.weights.h5")
    told = refused(network, tmp_path / "twin.weights.h5")
    assert "twin.weights.h5: it has no layer names, " in told
    assert difference in told
    assert "as .keras or .h5, which have names" in told


def test_a_file_of_our_graph_at_another_width_or_of_a_part_of_it_is_refused(tmp_path: Path) -> None:
    NETWORKS["mobilenet-v2"](image_size=SIZE, classes=3).save_weights(tmp_path / "wide.weights.h5")
    assert ("its conv2d holds (3, 3, 3, 32), layer stem_conv takes (3, 3, 3, 16); save") in refused(
        "mobilenet-v2-0.5", tmp_path / "wide.weights.h5"
    )
    model = own("resnet50")
    module, cut = keras(), model.get_layer("block2b_first_relu").output
    entry = module.Input(cut.shape[1:])
    maps = model.get_layer("block2b_second_conv")(entry)
    module.Model(entry, maps).save_weights(tmp_path / "tail.weights.h5")
    assert "it has no rescaling" in refused("resnet50", tmp_path / "tail.weights.h5")
    with h5py.File(tmp_path / "more.weights.h5", "w") as file:
        model.save_weights(tmp_path / "whole.weights.h5")
        with h5py.File(tmp_path / "whole.weights.h5") as whole:
            whole.copy("layers", file)
        file.create_group("layers/dropout/vars")
    told = refused("resnet50", tmp_path / "more.weights.h5")
    assert "must be just those of resnet50, and that has no dropout" in told


def test_a_hidden_layer_in_the_head_makes_no_other_graph(tmp_path: Path) -> None:
    model = shaken(own("resnet50"))
    features = model.get_layer("features").output.shape[-1]
    hidden = np.ones((features, 4), np.float32), np.zeros(4, np.float32)
    head = Layers(kernel=np.ones((4, 3), np.float32), bias=np.zeros(3, np.float32), hidden=hidden)
    head.put_into(model).save_weights(tmp_path / "hidden.weights.h5")
    arrays, origin = loaded("resnet50", tmp_path / "hidden.weights.h5")
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == ("dense/0", "dense/1", "dense_1/0", "dense_1/1")
    require_same(arrays, {name: named_variables(model)[name].numpy() for name in arrays})


# Keras 3.15 writes its variables through a conversion that NumPy 2 wants otherwise.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_files_of_keras_3_load_by_name(ending: str, tmp_path: Path) -> None:
    """Keras 3 writes the name of each layer to its group."""
    newer = importlib.import_module("keras")
    twin = newer.applications.MobileNetV2(
        weights=None, include_top=False, alpha=0.5, input_shape=(SIZE, SIZE, 3)
    )
    path = tmp_path / f"newer.{ending}"
    shaken(twin)
    twin.save(path) if ending == "keras" else twin.save_weights(path)
    arrays, origin = loaded("mobilenet-v2-0.5", path)
    assert origin.source == f"file newer.{ending}"
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == ()
    stem, deep = twin.get_layer("bn_Conv1"), twin.get_layer("block_16_depthwise")
    np.testing.assert_array_equal(arrays["stem_bn/moving_variance"], stem.moving_variance)
    np.testing.assert_array_equal(arrays["stem_bn/beta"], stem.beta)
    np.testing.assert_array_equal(arrays["block7a_depthwise/depthwise_kernel"], deep.kernel)


def test_lambda_layers_are_left_out_and_that_is_told(tmp_path: Path) -> None:
    module, twin = keras(), mobilenet()
    turned = module.layers.Lambda(lambda pixels: pixels[..., ::-1])(twin.input)
    module.Model(twin.input, twin(turned)).save(tmp_path / "turned.keras")
    _, origin = loaded("mobilenet-v2-0.5", tmp_path / "turned.keras")
    assert origin.source == "file turned.keras, without its Lambda layers, which are code"
    assert origin.loaded_parameters == twin.count_params()


def test_an_older_file_under_the_newer_ending_is_told_apart(tmp_path: Path) -> None:
    own("resnet50").save_weights(tmp_path / "old.h5", save_format="h5")
    path = (tmp_path / "old.h5").rename(tmp_path / "old.weights.h5")
    assert "an older file's name must end in .h5" in refused("resnet50", path)


def test_a_configuration_without_layers_is_told(tmp_path: Path) -> None:
    model = own("resnet50")
    model.save(tmp_path / "own.keras")
    with zipfile.ZipFile(tmp_path / "own.keras") as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(tmp_path / "class.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"units": 3}}))
        archive.writestr("model.weights.h5", weights)
    assert "its config.json lists no layers" in refused("resnet50", tmp_path / "class.keras")
