"""Costs: arithmetic written out, published totals, and nothing passed over in silence."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import cost as cost_module
from bench.cost import (
    LayerCost,
    count_file,
    count_layers,
    measure_cost,
    receptive_field,
    total_activation_bytes,
    total_flops,
    total_maccs,
    total_parameters,
    uncounted_kinds,
)
from bench.count_keras import COUNTED, ZERO_MACCS
from bench.count_keras_effects import EFFECTS
from bench.receptive import Span
from bench.weight_counts import WeightCounts
from train.artifact import Artifact
from train.backend import keras, tensorflow
from train.errors import ArtifactError


def _only(layer: Any, shape: tuple[int, ...]) -> LayerCost:
    """Return the cost of one layer on one input."""
    pixels = keras().Input(shape, name="pixels")
    return count_layers(keras().Model(pixels, layer(pixels)))[-1]


def _layers() -> Any:
    return keras().layers


def test_convolution() -> None:
    cost = _only(_layers().Conv2D(8, 3, strides=2, padding="same", name="conv"), (9, 9, 4))
    assert cost == LayerCost(
        name="conv",
        kind="Conv2D",
        output_shape=(1, 5, 5, 8),  # ceil(9 / 2) = 5
        maccs=5 * 5 * 8 * (3 * 3 * 4),  # 7,200
        parameters=3 * 3 * 4 * 8 + 8,  # kernel and bias
        activation_bytes=5 * 5 * 8 * 4,  # float32
        # Padding is 1 before and 1 after: the first kernel's middle is the first pixel's, 0.5.
        field=(Span(size=3, jump=2.0, start=0.5, extent=9),) * 2,
    )
    assert cost.flops == 2 * 7_200


def test_grouped_convolution_sums_only_its_own_channels() -> None:
    cost = _only(_layers().Conv2D(8, 3, groups=2), (6, 6, 4))
    assert cost.maccs == 4 * 4 * 8 * (3 * 3 * 2)


def test_dilated_convolution_has_no_more_products() -> None:
    cost = _only(_layers().Conv2D(8, 3, dilation_rate=2), (9, 9, 4))
    assert (cost.output_shape, cost.maccs) == ((1, 5, 5, 8), 5 * 5 * 8 * (3 * 3 * 4))


def test_one_dimensional_convolution() -> None:
    assert _only(_layers().Conv1D(6, 3), (10, 4)).maccs == 8 * 6 * (3 * 4)


def test_depthwise_convolution() -> None:
    cost = _only(_layers().DepthwiseConv2D(5, depth_multiplier=2, use_bias=False), (9, 7, 3))
    assert cost.output_shape == (1, 5, 3, 6)
    assert cost.maccs == 5 * 3 * 6 * (5 * 5)
    assert cost.parameters == 5 * 5 * 6


def test_separable_convolution_is_its_two_halves() -> None:
    cost = _only(_layers().SeparableConv2D(10, 3, depth_multiplier=2, padding="same"), (8, 8, 3))
    assert cost.maccs == 8 * 8 * (3 * 2) * (3 * 3) + 8 * 8 * (3 * 2) * 10
    assert cost.parameters == 3 * 3 * 3 * 2 + 6 * 10 + 10


def test_transposed_convolution_spreads_each_input_value() -> None:
    cost = _only(_layers().Conv2DTranspose(5, 3, strides=2, padding="same"), (4, 4, 6))
    assert cost.output_shape == (1, 8, 8, 5)
    assert cost.maccs == (4 * 4 * 6) * (3 * 3) * 5


@pytest.mark.parametrize(
    ("shape", "maccs"), [((20,), 20 * 7), ((4, 5, 20), 4 * 5 * 20 * 7)], ids=["flat", "each place"]
)
def test_dense(shape: tuple[int, ...], maccs: int) -> None:
    cost = _only(_layers().Dense(7), shape)
    assert (cost.maccs, cost.parameters) == (maccs, 20 * 7 + 7)


def test_channels_first_reads_the_channels_where_they_are() -> None:
    conv = _only(_layers().Conv2D(8, 3, data_format="channels_first"), (4, 9, 7))
    assert conv.maccs == (7 * 5 * 8) * (3 * 3 * 4)
    separable = _only(_layers().SeparableConv2D(8, 3, data_format="channels_first"), (4, 9, 7))
    assert separable.maccs == (7 * 5) * 4 * 9 + (7 * 5) * 4 * 8


def test_layers_without_products_are_in_the_table_with_zero() -> None:
    k = keras()
    pixels = k.Input((8, 8, 3), name="pixels")
    maps = k.layers.Rescaling(1 / 255, name="rescale")(pixels)
    maps = k.layers.BatchNormalization(name="norm")(maps)
    maps = k.layers.ReLU(6.0, name="relu")(maps)
    maps = k.layers.Add(name="add")([maps, pixels])
    flat = k.layers.GlobalAveragePooling2D(name="features")(maps)
    layers = count_layers(k.Model(pixels, k.layers.Dropout(0.2, name="dropout")(flat)))
    assert [layer.name for layer in layers] == [
        "pixels", "rescale", "norm", "relu", "add", "features", "dropout",
    ]  # fmt: skip
    assert {layer.maccs for layer in layers} == {0}
    assert total_parameters(layers) == 4 * 3  # scale, shift, moving mean, moving variance
    assert layers[-1].activation_bytes == 3 * 4


def test_every_zero_has_a_reason_and_no_kind_is_both() -> None:
    assert all(reason for reason in ZERO_MACCS.values())
    assert not set(COUNTED) & set(ZERO_MACCS)


@pytest.mark.parametrize("kind", [*COUNTED, *(kind for kind in ZERO_MACCS if "." not in kind)])
def test_every_kind_in_the_tables_is_a_keras_layer(kind: str) -> None:
    assert hasattr(_layers(), kind)


def test_an_unknown_kind_is_listed_by_name_and_number() -> None:
    k = keras()
    pixels = k.Input((8, 8, 3), name="pixels")
    maps = k.layers.ConvLSTM1D(2, 3)(pixels)
    first = k.layers.Softmax()(maps)
    layers = count_layers(k.Model(pixels, k.layers.UnitNormalization()(first)))
    assert uncounted_kinds(layers) == {"ConvLSTM1D": 1, "UnitNormalization": 1}
    assert layers[1].maccs is None
    assert total_maccs(layers) == 0
    assert total_parameters(layers) == layers[1].parameters > 0


def test_bare_operations_are_named_and_counted_like_layers() -> None:
    tf, k = tensorflow(), keras()
    weights = tf.ones((3, 5))
    pixels = k.Input((8, 8, 3), name="pixels")
    layers = count_layers(k.Model(pixels, tf.linalg.matmul(tf.nn.relu6(pixels * 2.0), weights)))
    assert [layer.kind for layer in layers[1:3]] == ["tf.math.multiply", "tf.nn.relu6"]
    assert uncounted_kinds(layers) == {"tf.linalg.matmul": 1}


def test_nested_models_are_opened_and_shared_layers_counted_once_in_weight() -> None:
    k = keras()
    body = k.Sequential([k.layers.Dense(6, input_shape=(6,), name="inner")], name="body")
    shared = k.layers.Dense(6, use_bias=False, name="shared")
    pixels = k.Input((6,), name="pixels")
    model = k.Model(pixels, body(shared(shared(pixels))))
    layers = count_layers(model)
    assert [(layer.name, layer.maccs, layer.parameters) for layer in layers] == [
        ("pixels", 0, 0),
        ("shared", 36, 36),
        ("shared", 36, 0),
        ("body/inner", 36, 42),
    ]
    assert total_parameters(layers) == model.count_params()


def test_half_precision_activations_take_half_the_bytes() -> None:
    cost = _only(_layers().Conv2D(8, 1, dtype="mixed_float16"), (4, 4, 3))
    assert cost.activation_bytes == 4 * 4 * 8 * 2


def test_a_model_without_a_graph_is_refused() -> None:
    class Plain(keras().Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(ArtifactError, match="'plain' is not a functional Keras model"):
        count_layers(Plain(name="plain"))


def test_a_model_of_any_size_is_refused_with_the_layer() -> None:
    k = keras()
    pixels = k.Input((None, None, 3), name="pixels")
    with pytest.raises(ArtifactError, match="layer 'pixels' has no fixed size"):
        count_layers(k.Model(pixels, k.layers.ReLU()(pixels)))


@pytest.mark.parametrize(
    ("build", "millions", "parameters", "field"),
    [
        (lambda k: k.applications.MobileNetV2(weights=None), 301, 3_538_984, 491),
        (lambda k: k.applications.ResNet50(weights=None), 3_858, 25_636_712, 483),
    ],
    ids=["MobileNetV2", "ResNet50"],
)
def test_published_totals(build: Any, millions: int, parameters: int, field: int) -> None:
    layers = count_layers(build(keras()))
    assert receptive_field(layers) == field  # Araujo et al. 2019
    assert total_maccs(layers) / 1e6 == pytest.approx(millions, rel=0.01)
    assert total_parameters(layers) == parameters  # as Keras documents them
    assert uncounted_kinds(layers) == {}


def test_efficientnet_lite0_as_published() -> None:
    from train.networks.efficientnet_lite import build_efficientnet_lite

    layers = count_layers(build_efficientnet_lite("lite0", image_size=224, classes=1000))
    # The published 407 million counts more than convolutions and dense layers; those sum to 385.
    assert total_maccs(layers) / 1e6 == pytest.approx(385, rel=0.01)
    assert uncounted_kinds(layers) == {}


def test_convnext_tiny_as_published() -> None:
    from train.networks.convnext import build_convnext_tiny

    layers = count_layers(build_convnext_tiny(image_size=224, classes=1000))
    assert total_maccs(layers) / 1e6 == pytest.approx(4_456, rel=0.01)
    assert uncounted_kinds(layers) == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet50", 3_858), ("convnext-tiny", 4_456), ("mobilenet-v2", 301),
        ("efficientnet-lite0", 385),
    ],
)  # fmt: skip
def test_published_totals_from_the_files_too(name: str, millions: int, tmp_path: Path) -> None:
    from optimize.convert import to_onnx, to_tflite
    from train.networks import NETWORKS

    model = NETWORKS[name](image_size=224, classes=1000)
    expected = total_maccs(count_layers(model))
    assert expected / 1e6 == pytest.approx(millions, rel=0.01)
    files = {
        tmp_path / "model.tflite": lambda: to_tflite(model),
        tmp_path / "model.onnx": lambda: to_onnx(model).SerializeToString(),
    }
    for path, make in files.items():
        path.write_bytes(make())
        found = count_file(path)
        assert total_maccs(found) == pytest.approx(expected, rel=1e-3), path.suffix
        assert uncounted_kinds(found) == {}, path.suffix


def test_measure_cost_counts_the_graph_and_weighs_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_artifact: Callable[..., Artifact]
) -> None:
    k = keras()
    pixels = k.Input((4,), name="pixels")
    model = k.Model(pixels, k.layers.Dense(3)(pixels))
    parent = fake_artifact(tmp_path / "parent", "net.float.keras", b"a Keras file")
    content = b"weights " * 1000
    variant = fake_artifact(tmp_path / "variant", "net.int8.tflite", content)
    opened: list[Path] = []
    monkeypatch.setattr(cost_module, "load_keras", lambda path: (opened.append(path), model)[1])
    held = WeightCounts(weights=12, zeros=5, most_distinct=4)
    monkeypatch.setattr(cost_module, "count_weights", lambda path: held)
    record = measure_cost(variant, parent, "e" * 16)
    assert opened == [parent.payload]
    assert (record.maccs, record.parameters, record.uncounted) == (12, 15, {})
    assert (record.file_bytes, record.flops) == (8000, 24)
    assert (record.activation_bytes, record.receptive_field) == (4 * (4 + 3), None)
    assert record.gzip_bytes == len(gzip.compress(content, 9, mtime=0)) < 100
    assert (record.variant, record.variant_sha256) == (
        "net.int8.tflite",
        variant.manifest.payload_sha256,
    )
    assert measure_cost(variant, parent, "e" * 16) == record
    assert (record.nonzero_parameters, record.distinct_weights) == (10, 4)
    assert record.step_seconds == {}


def test_measure_cost_says_when_the_parent_cannot_be_opened(
    tmp_path: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    parent = fake_artifact(tmp_path / "parent", "net.float.keras", b"no archive")
    with pytest.raises(ArtifactError, match=r"model\.keras"):
        measure_cost(parent, parent, "e" * 16)


def test_totals_are_sums_and_flops_are_twice_the_maccs() -> None:
    k = keras()
    pixels = k.Input((8, 8, 3), name="pixels")
    layers = count_layers(k.Model(pixels, k.layers.Dense(5)(k.layers.Conv2D(2, 3)(pixels))))
    maccs = 6 * 6 * 2 * 27 + 6 * 6 * 5 * 2
    assert (total_maccs(layers), total_flops(layers)) == (maccs, 2 * maccs)
    assert total_activation_bytes(layers) == 4 * (8 * 8 * 3 + 6 * 6 * 2 + 6 * 6 * 5)


def _fields(*layers: Any, shape: tuple[int, ...] = (16, 16, 3)) -> tuple[Span, ...]:
    k = keras()
    pixels = maps = k.Input(shape, name="pixels")
    for layer in layers:
        maps = layer(maps)
    return count_layers(k.Model(pixels, maps))[-1].field


def test_every_kind_with_an_effect_is_counted_or_known_to_be_free() -> None:
    assert set(EFFECTS) <= set(COUNTED) | set(ZERO_MACCS)


def test_fields_of_padded_cropped_and_pooled_maps() -> None:
    k = _layers()
    # A border of 1 before puts the first kernel's middle at the first pixel; the pool's first
    # window then covers kernels at 0.5 and 1.5.
    (rows, _) = _fields(k.ZeroPadding2D(1), k.Conv2D(2, 3), k.MaxPooling2D(2))
    assert (rows.size, rows.jump, rows.start) == (4, 2.0, 1.0)
    (rows, columns) = _fields(k.Cropping2D(((3, 1), (2, 2))))
    assert (rows.size, rows.start, columns.start) == (1, 3.5, 2.5)
    (rows, columns) = _fields(k.AveragePooling2D((16, 2)))  # the rows are pooled into one
    assert (rows.whole, rows.jump, columns.size) == (True, 0.0, 2)


def test_fields_of_dilated_and_upright_kernels() -> None:
    k = _layers()
    (rows, columns) = _fields(k.Conv2D(2, (3, 1), dilation_rate=2))
    assert (rows.size, rows.start) == (5, 2.5)  # 1 + (3 - 1) x 2, its middle at pixel 2
    assert (columns.size, columns.start) == (1, 0.5)
    (steps,) = _fields(k.Conv1D(2, 3, padding="causal"), shape=(16, 3))
    assert (steps.size, steps.start) == (3, -0.5)  # pixels -2, -1 and 0


def test_fields_of_enlarged_maps() -> None:
    k = _layers()
    (rows, _) = _fields(k.UpSampling2D(2))
    assert (rows.size, rows.jump, rows.start) == (1, 0.5, 0.25)
    (rows, _) = _fields(k.Conv2DTranspose(2, 2, strides=2))
    assert (rows.size, rows.jump, rows.start) == (1, 0.5, 0.25)  # each output from one input
    (rows, _) = _fields(k.Conv2DTranspose(2, 4, strides=2, padding="same"))
    assert (rows.size, rows.jump) == (2, 0.5)


def test_flattened_maps_and_gates_see_the_whole_picture() -> None:
    k = keras()
    flat = _fields(_layers().Conv2D(2, 3), _layers().Flatten(), _layers().Dense(3))
    assert [(span.size, span.jump, span.whole) for span in flat] == [(16, 0.0, True)] * 2
    pixels = k.Input((16, 16, 3), name="pixels")
    maps = k.layers.Conv2D(4, 3, strides=2, padding="same")(pixels)
    gate = k.layers.GlobalAveragePooling2D(keepdims=True)(maps)
    gated = k.layers.Conv2D(4, 3)(k.layers.Multiply()([maps, gate]))
    layers = count_layers(k.Model(pixels, gated))
    assert [(s.size, s.jump, s.start) for s in layers[-1].field] == [(16, 2.0, 8.0)] * 2
    assert receptive_field(layers) == 16


def test_a_residual_add_sees_its_larger_path() -> None:
    k = keras()
    pixels = k.Input((16, 16, 3), name="pixels")
    path = k.layers.Conv2D(4, 5, padding="same")(pixels)
    added = k.layers.Add()([k.layers.Conv2D(4, 1)(pixels), path])
    assert count_layers(k.Model(pixels, added))[-1].field == (
        Span(size=5, jump=1.0, start=0.5, extent=16),
    ) * 2  # fmt: skip


def test_an_uncounted_kind_is_taken_to_see_everything() -> None:
    k = _layers()
    assert all(span.whole for span in _fields(k.Conv2D(2, 3), k.UnitNormalization()))


def test_a_nested_model_called_twice_is_followed_each_time() -> None:
    k = keras()
    inner = k.Input((16, 16, 3), name="inner")
    body = k.Model(inner, k.layers.Conv2D(3, 3, padding="same", name="conv")(inner), name="body")
    pixels = k.Input((16, 16, 3), name="pixels")
    layers = count_layers(k.Model(pixels, k.layers.ReLU(name="relu")(body(body(pixels)))))
    assert [(layer.name, layer.field[0].size) for layer in layers] == [
        ("pixels", 1), ("body/conv", 3), ("body/conv", 5), ("relu", 5),
    ]  # fmt: skip


def test_mobilenet_v1_as_published() -> None:
    k = keras()
    pixels = k.Input((224, 224, 3), name="pixels")
    maps = k.layers.Conv2D(4, 3, 2, "same")(pixels)
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        maps = k.layers.Conv2D(4, 1)(k.layers.DepthwiseConv2D(3, stride, "same")(maps))
    layers = count_layers(k.Model(pixels, k.layers.GlobalAveragePooling2D()(maps)))
    assert receptive_field(layers) == 315  # Araujo et al. 2019
    assert layers[-2].field[0].jump == 32
    assert layers[-1].field[0].size == 224


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"costs are counted of \.keras, \.tflite, \.onnx"):
        count_file(tmp_path / "model.bin")
    with pytest.raises(ArtifactError, match="no such file"):
        count_file(tmp_path / "model.onnx")
