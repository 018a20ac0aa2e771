"""The joined table: who belongs to whom, and what each row takes, by hand."""

import pytest

from bench.layer_cost import LayerCost
from bench.layer_names import layers_in_file, layers_of
from bench.layers import join_layers, known_layers, most_expensive
from bench.record_layers import (
    LayerCount,
    LayerTimesRecord,
    OperatorError,
    OperatorTimes,
    PeakRecord,
)


def layer(name: str, kind: str, maccs: int | None) -> LayerCount:
    return LayerCount(name=name, kind=kind, maccs=maccs)


LAYERS = (
    layer("pixels", "InputLayer", 0),
    layer("c1", "Conv2D", 1_000),
    layer("r1", "ReLU", 0),
    layer("c2", "Conv2D", 3_000),
    layer("add", "Add", 0),
    layer("odd", "Odd", None),
    layer("probabilities", "Activation", 0),
)
NAMES = [layer.name for layer in LAYERS]


def op(*sources: str, us: float | None = 1.0, inserted: bool = False) -> OperatorTimes:
    return OperatorTimes(
        name=sources[0],
        operator="OP",
        engine="cpu",
        kernels=("k",),
        sources=sources,
        inserted=inserted,
        times_us=() if us is None else (us, us, us + 1),
    )


def record(variant: str, runtime: str, *operators: OperatorTimes) -> LayerTimesRecord:
    return LayerTimesRecord(
        variant=variant,
        split_method="grouped",
        environment="e" * 16,
        runtime=runtime,
        threads=1,
        calls_us=(1.0, 1.0, 1.0),
        latencies_us=(1.0,),
        optimized={},
        inserted={},
        fused={},
        operators=operators,
    )


TFLITE = record(
    "net.float.tflite",
    "litert 2.3.0",
    op("Cast", us=2.0),
    op("net/r1/Relu", "net/c1/Conv2D1", us=20.0),
    op("net/c2/Conv2D1", us=60.0),
    op("net/add/add", us=10.0),
    op("net/odd/Odd", us=None),
    op("StatefulPartitionedCall:0", us=8.0),
)
ONNX = record(
    "net.float.onnx",
    "onnxruntime 1.32.0",
    op("Cast", us=1.0),
    op("net/c1/Conv2D", "net/r1/Relu", us=9.0),
    op("net/c2/Conv2D_2", "net/add/add", us=30.0),
    op("ReorderOutput", us=5.0, inserted=True),
    op("net/odd/Odd", us=3.0),
    op("net/probabilities/Softmax", us=2.0),
)


def peak(precision: str) -> PeakRecord:
    return PeakRecord.model_validate(
        {
            **{"environment": "e" * 16, "runtime": "litert 2.3.0", "threads": 1},
            **{"precision": precision, "maccs": 1_000, "kernels": (), "times_us": (10.0,)},
        }
    )


def test_layers_and_operators_that_belong_together_share_a_row() -> None:
    rows = join_layers(LAYERS, [TFLITE, ONNX])
    assert [row.layers for row in rows] == [
        ("pixels",),
        ("c1", "r1"),
        ("c2", "add"),  # one node on ONNX Runtime, two operators on LiteRT
        ("odd",),
        ("probabilities",),
        (),  # the reorder is nobody's
    ]
    counts = [[len(time.operators) for time in row.times] for row in rows]
    assert counts == [[1, 1], [1, 1], [2, 1], [0, 1], [1, 1], [0, 1]]
    assert [row.many_to_many for row in rows] == [False, False, True, False, False, False]
    assert [len(row.times[0].folded) for row in rows] == [0, 0, 0, 1, 0, 0]
    assert rows[3].uncounted == ("odd",)
    assert rows[2].kinds == ("Conv2D", "Add")


def test_times_shares_and_speeds_of_a_row() -> None:
    rows = join_layers(LAYERS, [TFLITE, ONNX], [peak("int8"), peak("float")])
    whole = 2.0 + 20.0 + 60.0 + 10.0 + 8.0
    tflite, onnx = rows[2].times
    assert tflite.median_us == 70.0
    assert tflite.share == pytest.approx(70.0 / whole)
    # 3,000 MACCs in 70 us; the peak is 1,000 in 10 us.
    assert tflite.maccs_per_second == pytest.approx(3_000 / 70e-6)
    assert tflite.peak_share == pytest.approx((3_000 / 70) / (1_000 / 10))
    assert onnx.peak_share is None  # no peak was measured on that runtime
    assert rows[0].times[0].maccs_per_second is None  # it has no MACCs
    for number in range(2):
        assert sum(row.times[number].share for row in rows) == pytest.approx(1.0)


def test_each_layer_and_each_operator_stands_in_one_row() -> None:
    rows = join_layers(LAYERS, [TFLITE, ONNX])
    assert [name for row in rows for name in row.layers] == NAMES
    for number, whole in enumerate((TFLITE, ONNX)):
        stood = [
            one.name
            for row in rows
            for one in (*row.times[number].operators, *row.times[number].folded)
        ]
        assert sorted(stood) == sorted(one.name for one in whole.operators)


def test_an_int8_variant_is_held_against_the_int8_peak() -> None:
    slow, fast = peak("float"), peak("int8").model_copy(update={"times_us": (5.0,)})
    int8 = record("net.int8.tflite", "litert 2.3.0", op("net/c1/Conv2D", us=20.0))
    rows = join_layers(LAYERS, [int8], [slow, fast])
    (row,) = [row for row in rows if "c1" in row.layers]
    assert row.times[0].peak_share == pytest.approx((1_000 / 20) / (1_000 / 5))


@pytest.mark.parametrize(
    ("source", "layers"),
    [
        ("net/c1/Conv2D", ("c1",)),
        ("StatefulPartitionedCall/net/c1/Conv2D", ("c1",)),
        ("net/inner/c1/Conv2D", ("inner/c1",)),  # the longest name is meant
        ("c1", ("c1",)),
        ("net/c1x/Conv2D", ()),
    ],
)
def test_layers_are_found_by_whole_parts_of_names(source: str, layers: tuple[str, ...]) -> None:
    between = [op("c1"), op(source), op("c1")]
    assert layers_of(between, ["c1", "inner/c1"])[1] == layers


def test_without_any_name_nothing_is_joined() -> None:
    assert layers_of([op("a"), op("b")], ["c1"]) == [(), ()]


# --- layers of records alone ---------------------------------------------------------------------


def counted(record: LayerTimesRecord, origin: str, *layers: LayerCount) -> LayerTimesRecord:
    return record.model_copy(update={"layers": layers, "counted_from": origin})


def test_the_network_tells_its_layers_before_any_file_does() -> None:
    file = counted(TFLITE, "file", layer("c1", "CONV_2D", 7))
    assert known_layers([file, counted(ONNX, "keras", *LAYERS)]) == LAYERS
    # Of several files the first tells of a layer; those behind add what it lacks.
    other = counted(ONNX, "file", layer("c1", "Conv", 8), layer("c2", "Conv", 9))
    found = known_layers([file, other])
    assert [(one.name, one.maccs) for one in found[:2]] == [("c1", 7), ("c2", 9)]
    assert {one.name for one in found[2:]} == {"r1", "add", "odd", "probabilities"}


def test_records_of_before_tell_layers_by_names_alone() -> None:
    found = known_layers([TFLITE])
    assert [one.name for one in found] == ["r1", "c1", "c2", "add", "odd"]
    assert {one.maccs for one in found} == {None}


def test_a_file_tells_layers_and_maccs_by_its_names() -> None:
    def cost(name: str, kind: str, maccs: int | None) -> LayerCost:
        return LayerCost(
            name=name, kind=kind, output_shape=(1,), maccs=maccs, parameters=0, activation_bytes=4
        )

    found = layers_in_file(
        [
            cost("CAST", "CAST", 0),
            cost("net/r1/Relu;net/c1/Conv2D", "CONV_2D", 10),
            cost("net/c2/Conv2D", "CONV_2D", 20),
            cost("net/c2/Reshape", "RESHAPE", 0),
            cost("net/c2/again", "CONV_2D", 5),  # called twice
            cost("odd", "CUSTOM", None),
        ]
    )
    assert [(one.name, one.kind, one.maccs) for one in found] == [
        ("r1", "CONV_2D", 10),
        ("c1", "", 0),
        ("c2", "CONV_2D", 25),
        ("odd", "CUSTOM", None),
    ]


def test_the_most_expensive_layer_has_its_time_and_its_share_of_the_maccs() -> None:
    found = most_expensive(counted(TFLITE, "keras", *LAYERS))
    assert (found.name, found.kinds, found.median_us) == ("c2", ("Conv2D",), 60.0)
    assert found.share == pytest.approx(60.0 / 100.0)
    assert (found.maccs, found.macc_share) == (3_000, 0.75)
    assert most_expensive(TFLITE).name == "c2"  # a record of before
    assert most_expensive(TFLITE).macc_share is None


def test_a_row_bears_the_error_of_the_last_operator_compared() -> None:
    def with_error(one: OperatorTimes, signal: float, noise: float) -> OperatorTimes:
        error = OperatorError(signal_power=signal, noise_power=noise)
        return one.model_copy(update={"error": error})

    compared = record(
        "net.int8.tflite",
        "litert 2.3.0",
        with_error(op("net/c1/Conv2D"), 100.0, 1.0),
        with_error(op("net/c2/Conv2D"), 1.0, 1.0),
        with_error(op("net/add/add"), 1_000.0, 1.0),
    )
    rows = {row.layers: row.times[0] for row in join_layers(LAYERS, [compared, ONNX])}
    assert rows["c1", "r1"].sqnr_db == pytest.approx(20.0)  # 10 log10(100)
    assert rows["c2", "add"].sqnr_db == pytest.approx(30.0)
    assert rows[("odd",)].sqnr_db is None


def test_a_name_of_another_grammar_is_held_against_no_peak() -> None:
    odd = record("odd", "litert 2.3.0", op("net/c1/Conv2D", us=20.0))
    rows = join_layers(LAYERS, [odd], [peak("float"), peak("int8")])
    assert {row.times[0].peak_share for row in rows} == {None}
