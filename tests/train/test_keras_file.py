"""Keras files repeat byte for byte and run no code from outside."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from train.backend import keras
from train.errors import ArtifactError
from train.keras_file import load_keras, save_keras
from train.storage import digest_of_file

WRITER = """
import sys
from pathlib import Path
import numpy as np
from train.backend import keras
from train.keras_file import save_keras
k = keras()
for _ in range(int(sys.argv[2])):  # so that automatic layer names would differ, were any used
    k.layers.Conv2D(2, 3)
pixels = k.Input((8, 8, 3), name="pixels")
x = k.layers.Conv2D(4, 3, name="stem")(pixels)
x = k.layers.BatchNormalization(name="norm")(x)
x = k.layers.GlobalAveragePooling2D(name="features")(x)
model = k.Model(pixels, k.layers.Dense(2, name="logits")(x), name="tiny")
generator = np.random.default_rng(0)
model.set_weights([generator.normal(size=w.shape).astype("float32") for w in model.get_weights()])
save_keras(model, Path(sys.argv[1]))
"""


def _tiny_model():
    pixels = keras().Input((8, 8, 3), name="pixels")
    x = keras().layers.Conv2D(4, 3, name="stem")(pixels)
    x = keras().layers.GlobalAveragePooling2D(name="features")(x)
    return keras().Model(pixels, keras().layers.Dense(2, name="logits")(x), name="tiny")


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for number in (0, 3):
        target = str(tmp_path / f"{number}.keras")
        subprocess.run([sys.executable, "-c", WRITER, target, str(number)], check=True, cwd=root)
    assert digest_of_file(tmp_path / "0.keras") == digest_of_file(tmp_path / "3.keras")


def test_a_network_comes_back_with_its_weights_and_without_its_optimizer(tmp_path: Path) -> None:
    model = _tiny_model()
    save_keras(model, tmp_path / "plain.keras")
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 2)), verbose=0)
    before = model.get_weights()
    save_keras(model, tmp_path / "fitted.keras")
    found = load_keras(tmp_path / "fitted.keras")
    for ours, theirs in zip(before, found.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    sizes = [(tmp_path / name).stat().st_size for name in ("plain.keras", "fitted.keras")]
    assert sizes[0] == sizes[1]


def test_saving_twice_after_touching_the_clock_repeats(tmp_path: Path) -> None:
    model = _tiny_model()
    save_keras(model, tmp_path / "first.keras")
    save_keras(load_keras(tmp_path / "first.keras"), tmp_path / "second.keras")
    assert digest_of_file(tmp_path / "first.keras") == digest_of_file(tmp_path / "second.keras")


def test_lambda_layers_are_refused_by_name(tmp_path: Path) -> None:
    pixels = keras().Input((4,), name="pixels")
    model = keras().Model(pixels, keras().layers.Lambda(lambda x: x + 1, name="sneaky")(pixels))
    model.save(tmp_path / "model.keras", save_format="keras")
    with pytest.raises(ArtifactError, match="layer 'sneaky' is a Lambda"):
        load_keras(tmp_path / "model.keras")
    with pytest.raises(ArtifactError, match="layer 'sneaky' is a Lambda"):
        save_keras(model, tmp_path / "again.keras")
    assert not (tmp_path / "again.keras").exists()


def test_missing_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.keras"
    save_keras(_tiny_model(), whole)
    cut = tmp_path / "cut.keras"
    cut.write_bytes(whole.read_bytes()[:-200])
    empty = tmp_path / "empty.keras"
    empty.touch()
    for path in (tmp_path / "none.keras", cut, empty):
        with pytest.raises(ArtifactError, match=path.name):
            load_keras(path)


def rewritten(path: Path, **members: bytes) -> Path:
    """Return a copy of a Keras file with other members: config, weights, or one more."""
    names = {"config": "config.json", "weights": "model.weights.h5"}
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    found |= {names.get(key, key): content for key, content in members.items()}
    copy = path.with_name("rewritten.keras")
    with zipfile.ZipFile(copy, "w") as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return copy


def config_of(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_a_call_of_any_function_is_refused_before_it_writes_its_file(tmp_path: Path) -> None:
    """Keras itself runs a ``TFOpLambda`` with constant input while it opens the file."""
    save_keras(_tiny_model(), tmp_path / "plain.keras")
    config, marker = config_of(tmp_path / "plain.keras"), tmp_path / "written"
    call = {
        "module": "keras.layers",
        "class_name": "TFOpLambda",
        "config": {"name": "sneaky", "trainable": True, "dtype": "float32"}
        | {"function": "io.write_file"},
        "registered_name": None,
        "name": "sneaky",
        "inbound_nodes": [["_CONSTANT_VALUE", -1, str(marker), {"contents": "words"}]],
    }
    config["config"]["layers"].insert(1, call)
    path = rewritten(tmp_path / "plain.keras", config=json.dumps(config).encode())
    wanted = "layer 'sneaky' is a TFOpLambda that calls io.write_file, which is not known here"
    with pytest.raises(ArtifactError, match=wanted):
        load_keras(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "is nested too deeply"),
        ('{"class_name": "Lambda", "config": []}', "it holds 'Lambda', must be a functional"),
        ("3", "it holds 3, must be a functional network"),
        ("{", "not a readable Keras file"),
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path: Path, config: str, message: str) -> None:
    save_keras(_tiny_model(), tmp_path / "plain.keras")
    with pytest.raises(ArtifactError, match=message):
        load_keras(rewritten(tmp_path / "plain.keras", config=config.encode()))


def test_an_archive_of_other_members_or_another_ending_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.keras"
    save_keras(_tiny_model(), plain)
    with pytest.raises(ArtifactError, match=r"it must hold config\.json, .* and nothing else"):
        load_keras(rewritten(plain, **{"assets/x": b""}))
    with pytest.raises(ArtifactError, match=r"its name must end in \.keras"):
        load_keras(plain.rename(tmp_path / "plain.h5"))
    save_keras(_tiny_model(), plain)
    monkeypatch.setattr("train.keras_file._MAX_CONFIG_BYTES", 100)
    with pytest.raises(ArtifactError, match=r"config\.json takes [\d,]+ bytes, over 100"):
        load_keras(plain)


def test_weights_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    save_keras(_tiny_model(), tmp_path / "plain.keras")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/layers")
    with pytest.raises(ArtifactError, match="is a link to elsewhere"):
        load_keras(rewritten(tmp_path / "plain.keras", weights=stream.getvalue()))


def test_a_network_that_is_no_graph_is_not_saved(tmp_path: Path) -> None:
    module = keras()
    chain = module.Sequential([module.Input((3,)), module.layers.Dense(1)])
    with pytest.raises(ArtifactError, match="it holds 'Sequential', must be a functional network"):
        save_keras(chain, tmp_path / "chain.keras")
    assert not list(tmp_path.iterdir())
