"""Training in fake 8 bits: the arithmetic by hand, what is stored, and both runtimes after it."""

from pathlib import Path

import numpy as np
import pytest

from deploy.parity import check_parity
from optimize.quantize import quantize_int8
from optimize.quantize_aware import (
    QuantizeAwareConfig,
    is_stored,
    quantize_aware,
    tell_apart,
)
from optimize.quantize_aware_layers import emulated, fake_int8_weights, fake_uint8
from optimize.quantize_litert import input_quantization
from optimize.rewrite_graph import read_graph
from tests.optimize.colours import workshop, write_dataset, write_small
from tests.tiny_models import FORMATS, tiny_network, write_parent
from tests.train.small_network import Cut, CutAfter
from train.artifact import Artifact
from train.backend import keras, tensorflow
from train.dataset import Dataset
from train.errors import ConfigError
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Silent
from train.splits import select

CONFIG = QuantizeAwareConfig(epochs=2, learning_rate=0.01)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture(scope="module")
def small(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_small(tmp_path_factory.mktemp("small") / "net", dataset)


@pytest.fixture(scope="module")
def aware(small: Artifact, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("aware")
    return quantize_aware(small, folder / "made", CONFIG, workshop(dataset, folder / "ck"))


def test_weights_are_rounded_to_multiples_of_their_channels_scale() -> None:
    # Scales are 1.27 / 127 = 0.01 and 254 / 127 = 2; a channel of zeros stays zero.
    kernel = np.array([[1.27, 3.1, 0.0], [-0.344, -254.0, 0.0]], np.float32)
    found = fake_int8_weights(tensorflow().constant(kernel)).numpy()
    np.testing.assert_allclose(found, [[1.27, 4.0, 0.0], [-0.34, -254.0, 0.0]], rtol=1e-6)


def test_every_channel_of_a_depthwise_kernel_has_a_scale() -> None:
    kernel = np.array([[127.0, 1.27], [0.4, 0.006]], np.float32).reshape(2, 1, 2, 1)
    found = fake_int8_weights(tensorflow().constant(kernel), depthwise=True).numpy()
    np.testing.assert_allclose(found.reshape(2, 2), [[127.0, 1.27], [0.0, 0.01]], rtol=1e-6)


def test_values_are_rounded_cut_off_and_zero_is_exact() -> None:
    tf = tensorflow()
    values = tf.Variable([0.0, 0.4, 0.6, 300.0, -30.0, 1.5])
    with tf.GradientTape() as tape:  # from -10 to 245: scale 1, zero at place 10
        found = fake_uint8(values, -10.0, 245.0)
    np.testing.assert_allclose(found, [0.0, 0.0, 1.0, 245.0, -10.0, 2.0], atol=1e-5)
    gradient = tape.gradient(found, values).numpy()
    assert gradient.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]  # none through what is cut off
    np.testing.assert_allclose(fake_uint8(tf.constant([3.0]), 5.0, 255.0), [3.0])  # 0 is in it
    assert fake_uint8(tf.constant([3.0]), 0.0, 0.0).numpy().tolist() == [0.0]


def test_ranges_are_the_mean_of_the_batches_seen() -> None:
    layer = emulated("ReLU", stored=True)(name="relu")
    for high in (2.0, 4.0):
        layer(tensorflow().constant([[-1.0, high]]), training=True)
    assert [float(value) for value in layer.get_weights()] == [0.0, 3.0, 2.0]
    layer(tensorflow().constant([[-1.0, 99.0]]), training=False)
    assert float(layer.high) == 3.0


def test_what_is_computed_along_with_the_next_layer_is_not_stored(small: Artifact) -> None:
    graph = read_graph(load_keras(small.payload))
    stored = [name for name, node in graph.nodes.items() if is_stored(graph, node)]
    assert stored == [
        "pixels", "rescale", "stem_relu", "block1a_bn", "block1a_relu", "block2a_relu", "features"
    ]  # fmt: skip


def test_the_toolkit_rounds_weights_alike() -> None:
    tensorflow()
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantizers,
    )

    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    layer = keras().layers.Conv2D(5, 3)
    layer.build((None, 8, 8, 4))
    quantizer = default_8bit_quantizers.Default8BitConvWeightsQuantizer()
    variables = quantizer.build(kernel.shape, "kernel", layer)
    theirs = quantizer(tensorflow().constant(kernel), True, weights=variables).numpy()
    ours = fake_int8_weights(tensorflow().constant(kernel)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_what_learned_is_a_plain_network_that_both_runtimes_take_in_int8(
    small: Artifact, aware: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    assert aware.manifest.variant == "small.aware.float.keras"
    step = aware.manifest.steps[-1]
    assert step.config["emulated"] == {
        "Activation": 1, "Add": 1, "BatchNormalization": 3, "Conv2D": 3, "Dense": 1,
        "GlobalAveragePooling2D": 1, "ReLU": 3, "Rescaling": 1,
    }  # fmt: skip
    before, after = load_keras(small.payload), load_keras(aware.payload)
    assert [layer.name for layer in after.layers] == [layer.name for layer in before.layers]
    kernels = [model.get_layer("stem_conv").kernel.numpy() for model in (before, after)]
    assert not np.allclose(*kernels)
    ids = aware.split().train
    pixels = load_pixels(select(dataset.photos, ids), aware.manifest.pixels)
    exact = predict(after, pixels)
    spread = float(np.ptp(exact, axis=0).max())
    for target in FORMATS:
        made = quantize_int8(aware, target, pixels, ids, tmp_path / target)
        assert made.manifest.variant == f"small.aware.int8.{target}"
        if target == "tflite":
            assert input_quantization(made.payload.read_bytes()) == (1.0, 0)
        # 8 steps of the output (1/256) for roundings, and a part of what tells photos apart.
        found = check_parity(made, exact, pixels).max_difference
        assert found < 8 / 256 + 0.3 * spread


def test_a_cut_off_training_ends_with_the_same_bytes(
    small: Artifact, aware: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(Cut):
        quantize_aware(
            small, tmp_path / "cut", CONFIG, workshop(dataset, tmp_path / "ck", CutAfter(1))
        )
    cut = quantize_aware(small, tmp_path / "cut", CONFIG, workshop(dataset, tmp_path / "ck"))
    assert cut.manifest == aware.manifest


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_layers_that_are_not_known_are_named_before_anything_starts(
    dataset: Dataset, tmp_path: Path
) -> None:
    k, said = keras(), Said()
    pixels = k.Input((32, 32, 3), name="pixels")
    maps = k.layers.Conv2D(4, 3, name="conv")(pixels)
    maps = k.layers.LayerNormalization(name="norm")(maps)
    maps = k.layers.Activation("gelu", name="bend")(maps)
    features = k.layers.GlobalAveragePooling2D(name="features")(maps)
    logits = k.layers.Dense(3, name="logits")(features)
    model = k.Model(pixels, k.layers.Activation("softmax", name="probabilities")(logits))
    parent = write_parent(tmp_path / "net", model)
    with pytest.raises(ConfigError) as caught:
        quantize_aware(parent, tmp_path / "out", CONFIG, workshop(dataset, tmp_path / "ck", said))
    message = str(caught.value)
    assert "does not know LayerNormalization (norm), Activation with gelu (bend); quan" in message
    assert "int8, or selective" in message
    assert said.lines == [
        "tiny: in fake 8 bits: 1 Conv2D, 1 GlobalAveragePooling2D, 1 Dense, 1 Activation",
        "tiny: not known in 8 bits: LayerNormalization (norm), Activation with gelu (bend)",
    ]
    assert tell_apart(tiny_network())[1] == []


def test_without_epochs_there_is_nothing_to_do() -> None:
    with pytest.raises(ConfigError, match="epochs must be 1 or more, got 0: quantize-aware is"):
        QuantizeAwareConfig(epochs=0)
