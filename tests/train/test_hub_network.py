"""A hub's model becomes our own graph where both compute the same, and stays itself elsewhere."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.hub_models import SIZE, SMALL_STAGES, convnext_twin, save_averages
from train import hub_file
from train.backend import keras
from train.errors import ArtifactError, ConfigError, ConversionError, WeightsError
from train.hub import DEFAULT_HANDLE
from train.hub_match import entries_for, rendered_pictures, rounding_tolerance
from train.hub_network import network_from_hub
from train.networks import FROM_KERAS_APPLICATION, NETWORKS, convnext
from train.weight_places import describe_origin, named_variables
from train.weights import load_weights, network_with_weights, weights_identity

FIT_SIZE = 32


@pytest.fixture(autouse=True)
def small_convnext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convnext, "STAGES", SMALL_STAGES)


@pytest.fixture(scope="module")
def twin() -> Any:
    return convnext_twin()


@pytest.fixture(scope="module")
def published(twin: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "convnext_small_fe"
    twin.save(folder, save_format="tf")
    return folder


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_averages(tmp_path_factory.mktemp("hub") / "averages")


def own() -> Any:
    return convnext.build_convnext_tiny(image_size=SIZE, classes=3)


def test_auto_asks_the_hub_where_keras_file_cannot_be_had(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_OFFLINE", "1")
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "none"))
    words = {"image_size": SIZE, "classes": 3, "source": "auto"}
    _, origin = network_with_weights("convnext-tiny", **words)
    assert origin.loaded_parameters == 0
    assert (
        "TensorFlow Hub: https://tfhub.dev/sayakpaul/convnext_tiny_1k_224_fe/1 is in no cache"
        in (origin.source)
    )
    identity = weights_identity("convnext-tiny", "auto")
    assert identity.endswith(f"and {DEFAULT_HANDLE}")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    address = f"https://tfhub.dev/{DEFAULT_HANDLE}"
    key = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    shutil.copytree(published, tmp_path / key)
    _, origin = network_with_weights("convnext-tiny", **words)
    assert origin.source.startswith(f"hub {DEFAULT_HANDLE}, opened: features agree")
    assert weights_identity("convnext-tiny", "auto").startswith("hub ")


def test_a_model_of_a_known_network_is_opened(published: Path, twin: Any) -> None:
    model, origin = network_from_hub("convnext-tiny", str(published), image_size=SIZE, classes=3)
    assert origin.source.startswith("hub convnext_small_fe, opened: features agree within")
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.loaded_parameters == twin.count_params()
    pictures = rendered_pictures(SIZE).astype(np.float32)
    normalized = (pictures - convnext.MEAN_COLOUR) / np.array(convnext.COLOUR_DEVIATION)
    features = keras().Model(model.input, model.get_layer("features").output)
    wanted = np.asarray(twin(normalized.astype(np.float32)))
    bound = rounding_tolerance(model) * np.sqrt(np.mean(wanted**2))
    assert np.abs(np.asarray(features(pictures)) - wanted).max() <= bound
    # The opened graph is ours: another input size and no layer of the hub.
    photos = np.random.default_rng(0).integers(0, 256, (2, 48, 40, 3), np.uint8)
    source = f"hub:{published}"
    other, _ = network_with_weights(
        "convnext-tiny", image_size=FIT_SIZE, classes=2, source=source, pictures=lambda: photos
    )
    assert other.input_shape == (None, FIT_SIZE, FIT_SIZE, 3)
    assert not hub_file.holds_hub_model(other.get_config())


def test_keras_own_h5_file_loads_whole_with_its_nested_layers(twin: Any, tmp_path: Path) -> None:
    path = tmp_path / "convnext_tiny_notop.h5"
    twin.save_weights(path, save_format="h5")
    model = own()
    origin = load_weights(model, network="convnext-tiny", source=str(path))
    assert origin.loaded_parameters == twin.count_params()
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == ()
    wanted = entries_for(model, [(w.name, w.numpy()) for w in twin.weights], network=model.name)
    for name, array in wanted.items():
        np.testing.assert_array_equal(named_variables(model)[name].numpy(), array, err_msg=name)


def test_pixels_taken_another_way_are_noticed_and_the_model_stays_a_layer(published: Path) -> None:
    model, origin = network_from_hub(
        "convnext-tiny", f"{published}#unit", image_size=SIZE, classes=3
    )
    assert "as hub.KerasLayer, not opened: its variables fit convnext-tiny, yet" in origin.source
    assert "#pixels" in origin.source
    assert hub_file.holds_hub_model(model.get_config())
    with pytest.raises(WeightsError, match=f"pictures of {SIZE} pixels, got image_size 96"):
        network_from_hub("convnext-tiny", f"{published}#unit", image_size=96, classes=3)


def test_variables_of_other_names_and_order_are_matched_by_kind_shape_and_order(twin: Any) -> None:
    """In sayakpaul's files layer scales are bare variables that come first in their block."""
    named = [(weight.name, weight.numpy()) for weight in twin.weights]
    blocks = [[pair for pair in named if f"stage_{stage}_" in pair[0]] for stage in range(4)]
    renamed: list[tuple[str, Any]] = []
    for name, array in named:
        if any(name == block[0][0] for block in blocks):
            block = next(block for block in blocks if name == block[0][0])
            renamed += [("Variable:0", array) for key, array in block if "layer_scale" in key]
        if "layer_scale" not in name:
            renamed.append((f"layer_{len(renamed)}/{name.rpartition('/')[2]}", array))
    assert [name for name, _ in renamed] != [name for name, _ in named]
    by_name = entries_for(own(), named, network="convnext-tiny")
    by_order = entries_for(own(), renamed, network="convnext-tiny")
    assert by_name.keys() == by_order.keys()
    for name, array in by_name.items():
        np.testing.assert_array_equal(array, by_order[name], err_msg=name)
    with pytest.raises(WeightsError, match="no variable is left for"):
        entries_for(own(), renamed[:-3], network="convnext-tiny")
    with pytest.raises(WeightsError, match=r"1 of its .* variables have no counterpart"):
        entries_for(own(), [*renamed, ("x/kernel", np.zeros(5))], network="convnext-tiny")


def test_a_model_that_would_match_stays_a_layer_where_that_is_asked(published: Path) -> None:
    model, origin = network_from_hub(
        "convnext-tiny", f"{published}#layer", image_size=SIZE, classes=3
    )
    assert hub_file.holds_hub_model(model.get_config())
    assert origin.source == (
        "hub convnext_small_fe as hub.KerasLayer, not opened: it was asked to stay a layer (#layer)"
    )


@pytest.mark.parametrize("network", ["custom-cnn", "efficientnet-lite0"])
def test_a_network_that_keras_does_not_publish_leaves_a_foreign_model_a_layer(
    averages: Path, network: str
) -> None:
    assert network not in FROM_KERAS_APPLICATION
    model, origin = network_from_hub(network, str(averages), image_size=FIT_SIZE, classes=2)
    assert "as hub.KerasLayer, not opened: no variable is left for stem_" in origin.source
    assert hub_file.holds_hub_model(model.get_config())


def test_a_network_that_keras_does_not_publish_is_matched_by_our_own_names() -> None:
    built = NETWORKS["custom-cnn"](image_size=FIT_SIZE, classes=2)
    named = [(f"{name}:0", value.numpy()) for name, value in named_variables(built).items()]
    backbone = [pair for pair in named if not pair[0].startswith("logits/")]
    entries = entries_for(built, backbone, network="custom-cnn")
    assert [f"{name}:0" for name in entries] == [name for name, _ in backbone]


def test_a_model_of_pictures_too_small_for_our_graph_stays_a_layer(averages: Path) -> None:
    def refuse(**sizes: int) -> None:
        raise ConfigError("image_size must be at least 32 pixels, got 16")

    _, origin = network_from_hub(
        "convnext-tiny", str(averages), image_size=FIT_SIZE, classes=2, build=refuse
    )
    assert "not opened: convnext-tiny cannot be built for its pictures: image_size" in origin.source


def test_a_model_of_no_known_network_trains_as_a_frozen_layer(averages: Path) -> None:
    model, origin = network_from_hub("convnext-tiny", str(averages), image_size=FIT_SIZE, classes=2)
    assert origin.source.startswith("hub averages as hub.KerasLayer, not opened: ")
    assert (origin.loaded_parameters, origin.total_parameters) == (15, 15 + 5 * 2 + 2)
    assert describe_origin(origin)[1] == "stayed random: logits"
    assert [variable.name for variable in model.trainable_variables] == [
        "logits/kernel:0", "logits/bias:0",
    ]  # fmt: skip
    assert set(named_variables(model)) >= {"logits/kernel", "hub/matrix"}
    truths = np.array([0, 1] * 8)
    pixels = np.where(truths[:, None, None, None] == 1, 220.0, 30.0) * np.ones(
        (FIT_SIZE,) * 2 + (3,)
    )
    model.compile(keras().optimizers.legacy.Adam(0.1), "sparse_categorical_crossentropy")
    model.fit(pixels, truths, epochs=20, verbose=0)
    assert (model(pixels).numpy().argmax(axis=1) == truths).all()
    np.testing.assert_array_equal(
        named_variables(model)["hub/matrix"].numpy(),
        np.arange(15, dtype=np.float32).reshape(3, 5) / 15,
    )


def stored(averages: Path, folder: Path) -> tuple[Any, Path]:
    model, _ = network_from_hub("convnext-tiny", str(averages), image_size=FIT_SIZE, classes=2)
    folder.mkdir()
    path = folder / "model.keras"
    model.save(path, save_format="keras")
    hub_file.keep_hub_models(path, folder)
    return model, path


def test_a_kept_network_is_moved_and_opened_without_the_first_folder(
    averages: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(averages, source)
    model, path = stored(source, tmp_path / "kept")
    shutil.rmtree(source)
    assert str(tmp_path).encode() not in path.read_bytes()
    moved = tmp_path / "moved"
    path.parent.rename(moved)
    with hub_file.opened_hub_models(moved / "model.keras") as whole:
        again = keras().models.load_model(whole, compile=False)
    picture = rendered_pictures(FIT_SIZE).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(again(picture)), np.asarray(model(picture)))


def test_a_kept_network_whose_hub_model_is_gone_or_changed_is_refused(
    averages: Path, tmp_path: Path
) -> None:
    _, path = stored(averages, tmp_path / "kept")
    kept = next(path.parent.glob("hub-*"))
    data = next(kept.rglob("*.data-*"))
    data.write_bytes(data.read_bytes()[::-1])
    with (
        pytest.raises(ArtifactError, match="is damaged: it has another digest"),
        hub_file.opened_hub_models(path),
    ):
        pass
    shutil.rmtree(kept)
    with (
        pytest.raises(ArtifactError, match=r"needs the hub's model 'hub-.*copy the whole artifact"),
        hub_file.opened_hub_models(path),
    ):
        pass


def test_a_file_that_names_a_model_elsewhere_is_refused(averages: Path, tmp_path: Path) -> None:
    model, _ = network_from_hub("convnext-tiny", str(averages), image_size=FIT_SIZE, classes=2)
    path = tmp_path / "foreign.keras"
    model.save(path, save_format="keras")  # holds the full path of the folder
    with (
        pytest.raises(ArtifactError, match="needs the hub's model"),
        hub_file.opened_hub_models(path),
    ):
        pass


def test_a_network_without_a_hub_model_is_kept_as_it_is(tmp_path: Path) -> None:
    module = keras()
    path = tmp_path / "plain.keras"
    module.Sequential([module.Input((3,)), module.layers.Dense(1)]).save(path, save_format="keras")
    before = path.read_bytes()
    hub_file.keep_hub_models(path, tmp_path)
    with hub_file.opened_hub_models(path) as whole:
        assert whole == path
    assert path.read_bytes() == before


def test_variables_that_are_no_numbers_are_refused(averages: Path, tmp_path: Path) -> None:
    from train.backend import tensorflow

    tf = tensorflow()
    loaded = tf.saved_model.load(str(averages))
    loaded.matrix.assign(loaded.matrix * np.nan)
    tf.saved_model.save(loaded, str(tmp_path / "nan"))
    with pytest.raises(WeightsError, match=r"hub nan: .*other than finite numbers"):
        network_from_hub("convnext-tiny", str(tmp_path / "nan"), image_size=FIT_SIZE, classes=2)


def test_both_kinds_export(averages: Path, published: Path) -> None:
    from optimize.convert import to_onnx, to_tflite

    closed, _ = network_from_hub("convnext-tiny", str(averages), image_size=SIZE, classes=3)
    opened, _ = network_from_hub("convnext-tiny", str(published), image_size=SIZE, classes=3)
    for model in (closed, opened):
        assert b"TFL3" in to_tflite(model)[:16]
        assert to_onnx(model).graph.node


def test_grouped_convolution_in_a_closed_model_is_refused_for_onnx(published: Path) -> None:
    """Keras' ConvNeXt convolves by groups, which TensorFlow puts into a function of its own."""
    from optimize.convert import to_onnx, to_tflite

    model, _ = network_from_hub("convnext-tiny", f"{published}#layer", image_size=SIZE, classes=3)
    assert b"TFL3" in to_tflite(model)[:16]
    with pytest.raises(ConversionError, match="PartitionedCall have no counterpart in ONNX"):
        to_onnx(model)
