"""TFLite files on their own: the figures of the Keras graph, and clear words on broken files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cost import (
    LayerCost,
    count_layers,
    receptive_field,
    total_maccs,
    total_parameters,
    uncounted_kinds,
)
from bench.count_tflite import COUNTED, ZERO_MACCS, count_tflite
from optimize.convert import to_tflite
from tests.tiny_models import shared_variants
from train.artifact import Artifact
from train.backend import keras, tensorflow
from train.errors import ArtifactError
from train.keras_file import load_keras


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture
def converted(tmp_path: Path) -> Callable[[Any], tuple[LayerCost, ...]]:
    def convert(model: Any) -> tuple[LayerCost, ...]:
        path = tmp_path / "model.tflite"
        path.write_bytes(to_tflite(model))
        return count_tflite(path)

    return convert


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_file_has_the_maccs_and_the_field_of_its_network(
    variants: dict[str, Artifact], kind: str
) -> None:
    network = count_layers(load_keras(variants["float.keras"].payload))
    file = count_tflite(variants[f"{kind}.tflite"].payload)
    assert total_maccs(file) == total_maccs(network)
    assert receptive_field(file) == receptive_field(network)
    assert uncounted_kinds(file) == {}
    # Three convolutions with folded biases, a depthwise one and a dense one: kernel, then bias.
    weights = (9 * 3 * 8 + 8) + 2 * (9 * 8 * 8 + 8) + (9 * 8 + 8) + (8 * 3 + 3)
    assert total_parameters(file) == weights


def test_bytes_and_names_of_operators(variants: dict[str, Artifact]) -> None:
    float32 = {cost.kind: cost for cost in count_tflite(variants["float.tflite"].payload)}
    int8 = {cost.kind: cost for cost in count_tflite(variants["int8.tflite"].payload)}
    pooled = float32["MEAN"]
    assert (pooled.name, pooled.output_shape) == ("tiny/features/Mean", (1, 8))
    assert (pooled.activation_bytes, int8["MEAN"].activation_bytes) == (8 * 4, 8)
    assert (pooled.field[0].size, pooled.field[0].jump) == (32, 0.0)


def test_every_counted_layer_of_keras_is_counted_alike(
    converted: Callable[[Any], tuple[LayerCost, ...]],
) -> None:
    k = keras()
    pixels = k.Input((12, 10, 4), name="pixels")
    maps = k.layers.Conv2D(8, 3, strides=2, padding="same", groups=2)(pixels)
    maps = k.layers.DepthwiseConv2D((3, 1), depth_multiplier=2)(maps)
    maps = k.layers.SeparableConv2D(6, 3, padding="same")(maps)
    maps = k.layers.Conv2DTranspose(5, 3, strides=2, padding="same")(maps)
    maps = k.layers.Cropping2D(((1, 1), (2, 1)))(maps)
    maps = k.layers.MaxPooling2D(2)(k.layers.ZeroPadding2D(1)(maps))
    maps = k.layers.UpSampling2D(2)(k.layers.Dense(7)(maps))
    model = k.Model(pixels, k.layers.Dense(3)(k.layers.Flatten()(maps)))
    network, file = count_layers(model), converted(model)
    maccs = (
        6 * 5 * 8 * (9 * 2)  # two groups of 2 channels
        + 4 * 5 * 16 * 3
        + 4 * 5 * 16 * 9 + 4 * 5 * 16 * 6
        + 4 * 5 * 6 * 9 * 5  # each input value is spread over 9 positions of 5 channels
        + 4 * 4 * 5 * 7  # 8 x 10 cut to 6 x 7, framed to 8 x 9, pooled to 4 x 4
        + 8 * 8 * 7 * 3
    )  # fmt: skip
    assert total_maccs(network) == total_maccs(file) == maccs
    assert network[-1].field == file[-1].field
    enlarged = next(cost for cost in file if cost.kind.startswith("RESIZE"))
    assert enlarged.field == network[-3].field


def test_a_product_of_two_maps_sees_everything(
    converted: Callable[[Any], tuple[LayerCost, ...]],
) -> None:
    k, tf = keras(), tensorflow()
    pixels = k.Input((6, 5, 3), name="pixels")
    rows = k.layers.Reshape((30, 3))(pixels)
    model = k.Model(pixels, tf.linalg.matmul(rows, rows, transpose_b=True))
    file = converted(model)
    product = next(cost for cost in file if cost.kind == "BATCH_MATMUL")
    assert product.maccs == 30 * 30 * 3
    assert all(span.whole for span in product.field)


def test_an_operator_that_is_not_counted_is_listed(
    converted: Callable[[Any], tuple[LayerCost, ...]],
) -> None:
    k, tf = keras(), tensorflow()
    pixels = k.Input((6, 5, 3), name="pixels")
    file = converted(k.Model(pixels, tf.math.atan2(pixels, pixels + 1.0)))
    assert uncounted_kinds(file) == {"ATAN2": 1}
    assert [cost.maccs for cost in file if cost.kind == "ATAN2"] == [None]


def test_every_kind_stands_in_one_table_and_in_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    free = [kind for kinds in ZERO_MACCS.values() for kind in kinds]
    assert len(free) == len(set(free)) and not set(free) & set(COUNTED)
    assert all(hasattr(schema.BuiltinOperator, kind) for kind in (*free, *COUNTED))


def test_a_size_that_is_not_fixed_is_refused(tmp_path: Path) -> None:
    k, tf = keras(), tensorflow()
    pixels = k.Input((None, None, 3), name="pixels")
    converter = tf.lite.TFLiteConverter.from_keras_model(
        k.Model(pixels, k.layers.Conv2D(2, 3)(pixels))
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ArtifactError, match="has no fixed size; convert with static shapes"):
        count_tflite(path)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x1c\0\0\0TFL3"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="make the artifact again"):
        count_tflite(path)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_damaged_files_are_counted_or_refused(
    variants: dict[str, Artifact], tmp_path: Path, target: str
) -> None:
    from bench.cost import count_file

    content = variants[f"float.{target}"].payload.read_bytes()
    generator, path = np.random.default_rng(0), tmp_path / f"model.{target}"
    damaged = [content[: int(cut)] for cut in generator.integers(0, len(content), 50)]
    for _ in range(50):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 200):
            changed[place] = int(generator.integers(256))
        damaged.append(bytes(changed))
    refused = 0
    for number, bad in enumerate(damaged):
        path.write_bytes(bad)
        try:
            count_file(path)
        except ArtifactError as error:
            refused += 1
            assert "make the artifact again" in str(error), number
    assert refused > 50  # all that were cut short in the graph, and most of the others
