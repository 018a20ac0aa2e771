"""Models of TensorFlow Hub: found and opened as a feature extractor."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train.hub_models import save_averages
from train import hub
from train.errors import UsageError, WeightsError
from train.hub import digest_of_model, hub_identity, hub_layer, open_hub
from train.weights import weights_identity

HANDLE = "somebody/averages/1"
ADDRESS = f"https://tfhub.dev/{HANDLE}"


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_averages(tmp_path_factory.mktemp("hub") / "averages")


def test_a_folder_is_opened_and_named_without_its_path(averages: Path) -> None:
    model = open_hub(str(averages))
    assert (model.label, model.inputs) == ("hub averages", "unit")
    assert hub_identity(str(averages)) == f"hub {model.sha256} unit"
    assert weights_identity("convnext-tiny", f"hub:{averages}") == f"hub {model.sha256} unit"
    layer = hub_layer(model)
    # White in [0, 1] is 1 in each channel: a feature is the sum of its column of 0..14, over 15.
    white = np.ones((1, 4, 4, 3), np.float32)
    np.testing.assert_allclose(layer(white)[0], [1.0, 1.2, 1.4, 1.6, 1.8], rtol=1e-6)


def test_what_pixels_are_taken_as_stands_behind_the_handle(averages: Path) -> None:
    assert open_hub(f"{averages}#pixels").inputs == "pixels"
    for words in ("bgr", "unit,pixels", "layer,bgr"):
        with pytest.raises(UsageError, match=r"is not one of imagenet, unit.* there may be layer"):
            open_hub(f"{averages}#{words}")
    assert hub._split("")[1] == "imagenet"


@pytest.mark.parametrize(
    ("words", "inputs", "stays"),
    [("", "unit", False), ("#layer", "unit", True), ("#pixels,layer", "pixels", True)],
)
def test_that_a_model_stays_a_layer_stands_there_too(
    averages: Path, words: str, inputs: str, stays: bool
) -> None:
    model = open_hub(f"{averages}{words}")
    assert (model.inputs, model.stays_layer) == (inputs, stays)
    wanted = f"hub {model.sha256} {inputs} layer" if stays else f"hub {model.sha256} {inputs}"
    assert hub_identity(f"{averages}{words}") == wanted


def test_a_model_in_tensorflow_hubs_own_cache_serves_offline(
    averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_OFFLINE", "1")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    key = hashlib.sha1(ADDRESS.encode(), usedforsecurity=False).hexdigest()
    shutil.copytree(averages, tmp_path / key)
    assert open_hub(HANDLE).label == f"hub {HANDLE}"
    assert open_hub(ADDRESS).sha256 == digest_of_model(averages)
    assert open_hub("somebody/averages").folder == tmp_path / key  # the first version
    with pytest.raises(WeightsError, match=r"other/1 is in no cache .*hub:FOLDER.*--weights none"):
        open_hub("somebody/other/1")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    rule = r"a hub's model is a folder with saved_model\.pb in it, .* give the folder"
    with pytest.raises(WeightsError, match=rule):
        open_hub(str(tmp_path))
    with pytest.raises(WeightsError, match=rule):
        weights_identity("convnext-tiny", f"hub:{tmp_path}")


def test_a_link_in_a_model_is_refused(averages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    shutil.copytree(averages, folder)
    inner = next((folder / "variables").glob("*.index"))
    inner.unlink()
    inner.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="is a link"):
        open_hub(str(folder))
