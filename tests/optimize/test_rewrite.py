"""Rewrites by name: a network like ConvNeXt, an artifact that loads again, refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optimize import rewrite
from optimize.convert import load_keras
from optimize.finetune import Workshop
from optimize.rewrite import EXACT, REWRITES, Applied, rewrite_model
from optimize.rewrite_artifact import RewriteConfig, compared_pictures, rewrite_artifact
from optimize.rewrite_artifact import rewrite as technique
from optimize.rewrite_gelu import LARGEST_ERROR, exact_to_tanh_gelu
from optimize.rewrite_graph import build_model, read_graph
from tests.optimize.rewrite_cases import answers, network, shaken
from tests.tiny_models import LABELS, SIDE, pictures, write_parent
from train.artifact import Artifact, open_artifact
from train.backend import keras
from train.dataset import Dataset, Dirt, Photo
from train.errors import ConfigError, ConversionError, DataError
from train.networks import NETWORKS
from train.progress import Silent
from train.refit import with_validation_trained
from train.storage import digest_of_file


def small_convnext() -> Any:
    """Return one block between a stem and a step down, as ConvNeXt has them."""
    k = keras()
    pixels = k.Input((SIDE, SIDE, 3), name="pixels")
    maps = k.layers.Rescaling([1 / 50, 1 / 60, 1 / 70], [-2.0, -1.9, -1.8], name="rescale")(pixels)
    maps = k.layers.Conv2D(6, 4, 4, name="stem_conv")(maps)
    entry = k.layers.LayerNormalization(epsilon=1e-6, name="stem_norm")(maps)
    maps = k.layers.Conv2D(6, 7, padding="same", groups=6, name="block1a_depthwise")(entry)
    maps = k.layers.LayerNormalization(epsilon=1e-6, name="block1a_norm")(maps)
    maps = k.layers.Dense(24, name="block1a_expand")(maps)
    maps = k.layers.Activation("gelu", name="block1a_gelu")(maps)
    maps = k.layers.Dense(6, name="block1a_project")(maps)
    maps = k.layers.DepthwiseConv2D(1, use_bias=False, name="block1a_scale")(maps)
    maps = k.layers.Add(name="block1a_add")([entry, maps])
    maps = k.layers.LayerNormalization(epsilon=1e-6, name="block2_down_norm")(maps)
    maps = k.layers.Conv2D(8, 2, 2, name="block2_down_conv")(maps)
    features = k.layers.GlobalAveragePooling2D(name="features")(maps)
    scores = k.layers.Dense(len(LABELS), name="logits")(features)
    return shaken(k.Model(pixels, k.layers.Activation("softmax", name="probabilities")(scores)))


@pytest.fixture(scope="module")
def convnext(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_parent(tmp_path_factory.mktemp("rewrite") / "parent", small_convnext())


def test_the_rewrites_work_hand_in_hand(convnext: Artifact, tmp_path: Path) -> None:
    child = rewrite_artifact(convnext, pictures(6), tmp_path / "child")
    manifest = open_artifact(tmp_path / "child").manifest
    assert child.manifest == manifest
    assert manifest.variant == "tiny.rewritten.float.keras"
    assert manifest.steps[-1].technique == "rewrite"
    assert manifest.steps[-1].parent_sha256 == convnext.manifest.payload_sha256
    config = manifest.steps[-1].config
    assert config["rewrites"] == list(EXACT)
    assert config["applied"] == {
        "grouped-to-depthwise": ["block1a_depthwise"],
        "dense-to-convolution": ["block1a_expand", "block1a_project"],
        "fold-preprocessing": ["rescale"],
        "fold-layer-scale": ["block1a_scale"],
        "fold-layer-norm": ["block1a_norm", "block2_down_norm"],
        "split-depthwise": ["block1a_depthwise"],
    }
    model = load_keras(child)
    assert model.get_layer("features") and model.get_layer("block1a_depthwise_part7")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("DepthwiseConv2D") == 7  # the pieces; the scale is gone
    assert "Rescaling" not in kinds
    fed = pictures(6, seed=3).astype(np.float32)
    was, now = (np.asarray(net(fed)) for net in (load_keras(convnext), model))
    assert was.std() > 0.01
    assert np.abs(was - now).max() < 1e-5


def dataset_of(folder: Path, photo_id: str) -> Dataset:
    """Return one picture as a dataset."""
    path = folder / "photo.png"
    Image.fromarray(pictures(1)[0]).save(path)
    digest = digest_of_file(path)
    photo = Photo(photo_id=photo_id, path=path, label=LABELS[0], sender="s", sha256=digest)
    return Dataset(name="one", photos=(photo,), labels=LABELS, fingerprint=digest, dirt=Dirt())


def test_the_technique_compares_on_photos_of_the_validation_side(
    convnext: Artifact, tmp_path: Path
) -> None:
    def workshop(photo_id: str) -> Workshop:
        dataset = dataset_of(tmp_path, photo_id)
        return Workshop(dataset=dataset, checkpoints=tmp_path / "none", progress=Silent())

    (seen,) = convnext.split().validation
    config = RewriteConfig(rewrites="fold-layer-scale+fold-preprocessing")
    child = technique(convnext, tmp_path / "child", config, workshop(seen))
    found = child.manifest.steps[-1].config
    assert found["photos"] == 1
    assert found["applied"] == {
        "fold-preprocessing": ["rescale"],
        "fold-layer-scale": ["block1a_scale"],
    }
    with pytest.raises(DataError, match="no photo of its validation side"):
        technique(convnext, tmp_path / "other", config, workshop("train-00"))


def test_a_refitted_network_is_compared_on_photos_that_it_trained_on(
    convnext: Artifact, tmp_path: Path
) -> None:
    split = with_validation_trained(convnext.split())
    assert split.validation == ()
    refitted: Any = SimpleNamespace(split=lambda: split, manifest=convnext.manifest)
    found = compared_pictures(refitted, dataset_of(tmp_path, "train-00"), 4)
    assert (found == pictures(1)).all() and found.shape == (1, SIDE, SIDE, 3)


def test_equal_inputs_give_equal_files(convnext: Artifact, tmp_path: Path) -> None:
    first = rewrite_artifact(convnext, pictures(2), tmp_path / "a")
    second = rewrite_artifact(convnext, pictures(2), tmp_path / "b")
    assert first.manifest == second.manifest


def test_the_order_of_the_names_does_not_matter() -> None:
    model = small_convnext()
    names = ("split-depthwise", "grouped-to-depthwise")
    _, applied = rewrite_model(model, names)
    assert applied == (
        Applied(rewrite="grouped-to-depthwise", layers=("block1a_depthwise",)),
        Applied(rewrite="split-depthwise", layers=("block1a_depthwise",)),
    )


def test_a_rewrite_that_changes_answers_is_not_written(
    convnext: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: Any) -> Any:  # leaves out the scale instead of folding it
        return graph.without("block1a_scale"), ("block1a_scale",)

    monkeypatch.setitem(REWRITES, "fold-layer-scale", rewrite.Rewrite(wrong, exact=True))
    config = RewriteConfig(rewrites="fold-layer-scale")
    with pytest.raises(ConversionError, match=r"tiny\.float\.keras: rewritten, a probability of"):
        rewrite_artifact(convnext, pictures(4), tmp_path / "child", config)
    assert not (tmp_path / "child").exists()


def test_a_network_without_a_match_is_refused(convnext: Artifact, tmp_path: Path) -> None:
    config = RewriteConfig(rewrites="fold-batch-norm")
    with pytest.raises(ConversionError, match="none of fold-batch-norm matches"):
        rewrite_artifact(convnext, pictures(1), tmp_path / "child", config)


@pytest.mark.parametrize("shape", [(0, SIDE, SIDE, 3), (1, SIDE, SIDE + 1, 3), (SIDE, SIDE, 3)])
def test_pictures_of_another_shape_are_refused(
    convnext: Artifact, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ConversionError, match="the pictures are uint8"):
        rewrite_artifact(convnext, np.zeros(shape, np.uint8), tmp_path / "child")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rewrites": "fold"}, "rewrite 'fold' is not one of grouped-to-depthwise"),
        (
            {"rewrites": "split-depthwise+tanh-gelu"},
            "rewrites holds tanh-gelu, which a Keras artifact",
        ),
        ({"tolerance": 0.0}, r"tolerance must be in \(0, 1\), got 0.0"),
        ({"photos": 0}, "photos must be at least 1, got 0"),
    ],
)
def test_settings_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewriteConfig(**settings)


def test_tanh_gelu_errs_by_as_much_as_stated() -> None:
    def body(layers: Any, maps: Any) -> Any:
        return layers.Activation("gelu", name="gelu")(maps)

    model = network(body, channels=1, side=1)
    graph, where = exact_to_tanh_gelu(read_graph(model))
    assert where == ("gelu",)
    grid = np.linspace(-6, 6, 24_001, dtype=np.float32).reshape(-1, 1, 1, 1)
    error = np.abs(np.asarray(model(grid)) - np.asarray(build_model(graph)(grid)))
    # Not exact, and no worse than the constant says, to the last digit that it is given in.
    assert LARGEST_ERROR - 2e-6 < error.max() <= LARGEST_ERROR


def test_gelu_inside_a_convolution_is_found() -> None:
    model = network(lambda layers, maps: layers.Conv2D(4, 1, activation="gelu", name="c")(maps))
    rewritten, applied = rewrite_model(model, ["tanh-gelu"])
    assert applied == (Applied(rewrite="tanh-gelu", layers=("c",)),)
    assert 0.0 < np.abs(answers(rewritten) - answers(model)).max() <= LARGEST_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_of_ours_keeps_its_answers(name: str) -> None:
    model = shaken_statistics(NETWORKS[name](image_size=64, classes=5))
    rewritten, applied = rewrite_model(model)
    fed = pictures(3).repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)
    for layer in ("features", "logits"):
        was, now = (
            np.asarray(keras().Model(net.input, net.get_layer(layer).output)(fed))
            for net in (model, rewritten)
        )
        assert was.std(axis=0).max() > 1e-3 * np.abs(was).max()
        assert np.abs(was - now).max() < 1e-4 * np.abs(was).max()
    kinds = [type(layer).__name__ for layer in rewritten.layers]
    if name != "resnet50-v2":  # whose normalizations stand before ReLUs
        assert "BatchNormalization" not in kinds
    assert any(item.layers for item in applied)


def shaken_statistics(model: Any) -> Any:
    """Move normalizations and layer scales off the values that they begin with."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        parts = ("gamma", "variance", "scale/depthwise_kernel")
        if any(part in weight.name for part in parts):
            weight.assign(generator.uniform(0.7, 1.3, weight.shape))
        elif any(part in weight.name for part in ("beta", "mean", "bias")):
            weight.assign(generator.normal(0.0, 0.1, weight.shape))
    return model
