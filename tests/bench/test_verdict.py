"""Verdicts: ratios with intervals, and causes read off small files made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.latency import TURN_CALLS
from bench.loss import explain_loss
from bench.operators import OperatorCounts, count_operators, read_operators
from bench.record import AccuracyRecord, EnvironmentRecord, LatencyRecord
from bench.verdict import compare_speed, explain_slow, verdict_records
from train.backend import keras, tensorflow
from train.errors import ArtifactError, DataError

CLEAN = OperatorCounts(total={"CONV_2D": 5, "QUANTIZE": 2}, floating={})


def _record(latencies: Any, **changes: Any) -> LatencyRecord:
    fields: dict[str, Any] = {
        "variant": "net.float.tflite",
        "split_method": "grouped",
        "environment": "e" * 16,
        "runtime": "litert 2.3.0",
        "threads": 2,
        "warmup_runs": 20,
        "calls_per_turn": TURN_CALLS,
        "load_ms": 1.0,
        "latencies_ms": tuple(float(latency) for latency in latencies),
    }
    return LatencyRecord(**{**fields, **changes})


def _machine(*features: str) -> EnvironmentRecord:
    return EnvironmentRecord(
        environment="e" * 16,
        cpu="A CPU",
        cores=2,
        memory_bytes=2**33,
        cpu_features=features,
        system="Linux 6 x86_64",
        python="3.11.7",
        packages={},
    )


def _noisy(median: float, turns: int = 20, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    return median * generator.normal(1.0, 0.02, turns * TURN_CALLS)


def test_equal_times_have_a_ratio_without_width() -> None:
    ratio = compare_speed(_record([10.0] * 20), _record([5.0] * 20))
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    assert ratio.faster
    assert not ratio.undecided


def test_the_interval_holds_the_ratio_and_decides() -> None:
    slower = compare_speed(_record(_noisy(10.0)), _record(_noisy(12.0, seed=1)))
    assert 1.0 < slower.low < slower.value < slower.high
    assert not slower.faster
    assert not slower.undecided
    same = compare_speed(_record(_noisy(10.0)), _record(_noisy(10.0, seed=1)))
    assert same.undecided


def test_a_slow_patch_that_both_went_through_cancels_out() -> None:
    # Half the rounds run at half speed. Drawn apart, the ratio would spread from 0.4 to 1.6.
    rounds = np.repeat([1.0, 2.0] * 10, TURN_CALLS)
    ratio = compare_speed(_record(10.0 * rounds), _record(8.0 * rounds))
    assert (ratio.low, ratio.high) == pytest.approx((0.8, 0.8))
    apart = compare_speed(_record(10.0 * rounds), _record(8.0 * rounds[TURN_CALLS:]))
    assert apart.high - apart.low > 0.3


def test_the_ratio_repeats_and_takes_any_number_of_calls() -> None:
    parent, variant = _record(_noisy(10.0)[:7]), _record(_noisy(9.0)[:13])
    assert compare_speed(parent, variant) == compare_speed(parent, variant)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"environment": "f" * 16}, "environment"),
        ({"runtime": "onnxruntime 1.32.0"}, "runtime"),
        ({"threads": 1}, "threads"),
        ({"batch": 8}, "batch"),
    ],
)
def test_times_under_other_conditions_are_not_compared(change: dict[str, Any], word: str) -> None:
    with pytest.raises(DataError, match=rf"cannot be compared: {word} is"):
        compare_speed(_record([1.0]), _record([1.0], **change))


def test_nothing_is_explained_where_the_variant_is_faster() -> None:
    floating = OperatorCounts(total={"CONV_2D": 1}, floating={"CONV_2D": 1})
    assert explain_slow(_record([10.0] * 5), _record([5.0] * 5), floating, _machine()) == ()


def test_the_layers_are_causes() -> None:
    sentences = explain_slow(
        _record([10.0] * 5),
        _record([12.0] * 5, variant="net.int8.tflite"),
        CLEAN,
        _machine("avx512_vnni"),
        ("c1: slower than float (10 µs).",),
    )
    assert sentences[1:] == ("c1: slower than float (10 µs).",)


def test_slower_without_a_cause_says_so() -> None:
    sentences = explain_slow(
        _record([10.0] * 5),
        _record([12.0] * 5, variant="net.int8.tflite"),
        CLEAN,
        _machine("avx2", "avx512_vnni"),
    )
    assert sentences == (
        "net.int8.tflite takes 1.20 [1.20, 1.20] times as long as net.float.tflite on"
        " litert 2.3.0: it is slower.",
        "Neither the file nor the CPU's features explain it; the times of the single layers must.",
    )


def test_within_the_noise_says_so() -> None:
    sentences = explain_slow(
        _record(_noisy(10.0)), _record(_noisy(10.0, seed=1)), CLEAN, _machine("dotprod")
    )
    assert "no difference beyond the noise" in sentences[0]


@pytest.mark.parametrize(
    ("operators", "machine", "float_ms", "words"),
    [
        (
            OperatorCounts(
                total={"CONV_2D": 6, "SOFTMAX": 1}, floating={"SOFTMAX": 1, "CONV_2D": 2}
            ),
            _machine("avx_vnni"),
            10.0,
            "3 of 7 operators still compute in float (2 CONV_2D, 1 SOFTMAX).",
        ),
        (
            OperatorCounts(
                total={"Conv": 3, "QuantizeLinear": 4, "DequantizeLinear": 9}, floating={}
            ),
            _machine("avx_vnni"),
            10.0,
            "13 of 16 operators only convert between float and int8",
        ),
        (
            OperatorCounts(total={"Conv": 3, "Transpose": 5}, floating={}),
            _machine("avx_vnni"),
            10.0,
            "5 of 8 operators only transpose data",
        ),
        (CLEAN, _machine("avx", "avx2"), 10.0, "A CPU) has no int8 dot-product instructions"),
        (CLEAN, _machine(), 10.0, "does not tell whether the CPU has int8 instructions"),
        (CLEAN, _machine("avx_vnni"), 0.4, "A float call takes 0.40 ms"),
    ],
    ids=["float operators", "conversions", "transposes", "old CPU", "unknown CPU", "short call"],
)
def test_each_cause_alone_is_said_alone(
    operators: OperatorCounts, machine: EnvironmentRecord, float_ms: float, words: str
) -> None:
    sentences = explain_slow(_record([float_ms] * 5), _record([12.0] * 5), operators, machine)
    assert len(sentences) == 2
    assert words in sentences[1]


def test_what_the_records_warn_of_is_repeated_once() -> None:
    busy = {"warnings": ("other programs kept the CPU 50% busy",)}
    sentences = explain_slow(
        _record([1.0] * 5, **busy), _record([2.0] * 5, **busy), CLEAN, _machine("dotprod")
    )
    assert sentences[1:] == ("The times are doubtful: other programs kept the CPU 50% busy.",)


# --- what a file holds ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Any:
    k = keras()
    k.utils.set_random_seed(0)
    pixels = k.Input((8, 8, 3), batch_size=1, name="pixels")
    maps = k.layers.Conv2D(4, 3, activation="relu")(pixels)
    maps = k.layers.DepthwiseConv2D(3)(maps)
    flat = k.layers.Flatten()(maps)
    return k.Model(pixels, k.layers.Dense(2, activation="softmax")(flat))


@pytest.fixture(scope="module")
def tflite_files(network: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the network in float and in full int8."""
    tf, folder = tensorflow(), tmp_path_factory.mktemp("tflite")
    function = tf.function(lambda pixels: network(pixels, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32))
    generator = np.random.default_rng(0)
    pictures = generator.uniform(0, 255, (8, 1, 8, 8, 3)).astype(np.float32)
    files: dict[str, Path] = {}
    for name in ("float", "int8"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network)
        if name == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([picture] for picture in pictures)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        files[name] = folder / f"{name}.tflite"
        files[name].write_bytes(converter.convert())
    return files


def test_a_float_tflite_computes_in_float(tflite_files: dict[str, Path]) -> None:
    read = read_operators(tflite_files["float"])
    expected = {
        "CONV_2D": 1,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "RESHAPE": 1,
        "SOFTMAX": 1,
    }
    assert read == OperatorCounts(total=expected, floating=expected)


def test_a_full_int8_tflite_computes_nothing_in_float(tflite_files: dict[str, Path]) -> None:
    read = read_operators(tflite_files["int8"])
    # uint8 pixels become int8 on the way in, int8 probabilities uint8 on the way out.
    assert read.total == {
        "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "QUANTIZE": 2, "RESHAPE": 1,
        "SOFTMAX": 1,
    }  # fmt: skip
    assert read.floating == {}
    assert count_operators(tflite_files["int8"]) == read.total


def _onnx(path: Path, *, quantized: bool) -> Path:
    """Write pixels -> (Q DQ) Conv Relu (Q DQ) Softmax, its weights behind a DQ of their own."""
    import onnx
    from onnx import TensorProto, helper

    scales = [("scale", TensorProto.FLOAT, [], [0.1]), ("zero", TensorProto.INT8, [], [0])]
    weights = ("weights", TensorProto.INT8 if quantized else TensorProto.FLOAT, [1, 1, 1, 1], [1])
    step = ["scale", "zero"]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["cast", *step], ["q1"]),
        helper.make_node("DequantizeLinear", ["q1", *step], ["d1"]),
        helper.make_node("DequantizeLinear", ["weights", *step], ["dw"]),
        helper.make_node("Conv", ["d1", "dw"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", *step], ["q2"]),
        helper.make_node("Transpose", ["q2"], ["turned"]),
        helper.make_node("DequantizeLinear", ["turned", *step], ["d2"]),
        helper.make_node("Identity", ["d2"], ["same"]),
        helper.make_node("Softmax", ["same"], ["out"]),
    ]
    if not quantized:
        nodes = [
            helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["cast", "weights"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["out"]),
        ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [helper.make_tensor(*value) for value in (*scales, weights)],
    )
    onnx.save(helper.make_model(graph), path)
    return path


def test_a_float_onnx_computes_in_float(tmp_path: Path) -> None:
    read = read_operators(_onnx(tmp_path / "m.onnx", quantized=False))
    assert read == OperatorCounts(
        total={"Cast": 1, "Conv": 1, "Relu": 1}, floating={"Cast": 1, "Conv": 1, "Relu": 1}
    )


def test_an_onnx_convolution_between_pairs_is_int8_and_softmax_is_not(tmp_path: Path) -> None:
    read = read_operators(_onnx(tmp_path / "m.onnx", quantized=True))
    assert read.total == {
        "Cast": 1, "Conv": 1, "DequantizeLinear": 3, "Identity": 1, "QuantizeLinear": 2, "Relu": 1,
        "Softmax": 1, "Transpose": 1,
    }  # fmt: skip
    assert read.floating == {"Cast": 1, "Softmax": 1}


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"not a model at all"])
def test_a_broken_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"model\{suffix}: not a readable {suffix} model"):
        read_operators(path)


def test_every_truncated_tflite_is_refused_or_read_without_a_crash(
    tflite_files: dict[str, Path], tmp_path: Path
) -> None:
    data = tflite_files["float"].read_bytes()
    path = tmp_path / "cut.tflite"
    refused = 0
    for length in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        try:
            read_operators(path)
        except ArtifactError:
            refused += 1
    assert refused > 20


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"\.tflite and \.onnx files only"):
        count_operators(tmp_path / "model.keras")


def _timed_as(times: dict[str, float], fake_artifact: Any, folder: Path) -> Any:
    """Return artifacts of these names around one Relu, and records of their times."""
    model = _relu_onnx()
    artifacts = [fake_artifact(folder / name, name, model) for name in times]
    return artifacts, [
        _record(
            [times[artifact.manifest.variant]] * 20,
            variant=artifact.manifest.variant,
            variant_sha256=artifact.manifest.payload_sha256,
            network_sha256=artifact.manifest.payload_sha256,
            runtime="onnxruntime 1",
        )
        for artifact in artifacts
    ]


def test_verdicts_are_given_on_slow_int8_alone(fake_artifact: Any, tmp_path: Path) -> None:
    times = {
        **{"net.float.onnx": 10.0, "net.int8.onnx": 12.0},
        **{"fast.float.onnx": 10.0, "fast.int8.onnx": 5.0},
    }
    artifacts, records = _timed_as(times, fake_artifact, tmp_path)
    (verdict,) = verdict_records(artifacts, records, _machine("avx2"))
    assert verdict.variant == "net.int8.onnx"
    assert verdict.parent == "net.float.onnx"
    assert "takes 1.20 [1.20, 1.20] times as long" in verdict.sentences[0]
    assert any("no int8 dot-product instructions" in sentence for sentence in verdict.sentences)
    assert verdict.operators == {"Relu": 1}


def test_a_float_variant_is_held_against_the_plain_network(
    fake_artifact: Any, tmp_path: Path
) -> None:
    times = {
        "net.float.onnx": 10.0,
        "net.rewritten.float.onnx": 5.0,
        "net.pruned.float.onnx": 10.0,
        "net.shrunk.float.onnx": 11.0,
        "net.pruned.int8.onnx": 12.0,
    }
    artifacts, records = _timed_as(times, fake_artifact, tmp_path)
    verdicts = verdict_records(artifacts, records, _machine("avx2"))
    assert [(one.variant, one.parent) for one in verdicts] == [
        ("net.pruned.float.onnx", "net.float.onnx"),
        ("net.shrunk.float.onnx", "net.float.onnx"),
        ("net.pruned.int8.onnx", "net.pruned.float.onnx"),
    ]
    pruned, shrunk, quantized = (" ".join(one.sentences) for one in verdicts)
    assert "Zeros are stored and multiplied" in pruned
    assert "compute in float" not in pruned and "int8" not in pruned
    assert "Neither the file nor the CPU's features explain it" in shrunk
    assert "int8 dot-product" in quantized and "Zeros" not in quantized


def _relu_onnx() -> bytes:
    """The smallest graph there is: one Relu."""
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    return bytes(helper.make_model(graph).SerializeToString())


def _judged(predictions: list[int], variant: str = "net.int8.tflite") -> AccuracyRecord:
    truths = [0, 1] * 20
    return AccuracyRecord(
        variant=variant,
        split_method="grouped",
        environment="e" * 16,
        runtime="litert 2.3.0",
        side="test",
        labels=("Hat", "Shoes"),
        photo_ids=tuple(f"p{number}" for number in range(40)),
        senders=tuple(f"s{number % 20}" for number in range(40)),
        truths=tuple(truths),
        predictions=tuple(predictions),
    )


def test_a_loss_within_the_goal_is_no_verdict() -> None:
    right = [0, 1] * 20
    assert explain_loss(_judged(right, "net.float.tflite"), _judged(right)) == ()


def test_a_loss_beyond_the_goal_is_explained() -> None:
    right = [0, 1] * 20
    wrong = [0] * 8 + right[8:]  # four of the Shoes are taken for Hats: 4 of 40
    loss, flips = explain_loss(_judged(right, "net.float.tflite"), _judged(wrong))
    # Hat: P 20/24, R 1, F 10/11; Shoes: P 1, R 16/20, F 8/9; the mean is 0.899, 10.1 points less.
    assert "loses 10.1 points of weighted F1 against net.float.tflite" in loss
    assert "4 went from right to wrong and 0 from wrong to right" in flips
    assert "lost in Shoes (4)" in flips
