"""What is said against single layers, worked out by hand."""

import pytest

from bench.layer_verdict import layer_causes, layer_times_of, row_sentence
from bench.layers import LayerRow, RowTime
from bench.record_layers import LayerCount, LayerTimesRecord, OperatorTimes


def row(maccs: int, *times: tuple[float, float], peak: float | None = None) -> LayerRow:
    return LayerRow(
        layers=("c1",),
        kinds=("Conv2D",),
        maccs=maccs,
        uncounted=(),
        times=tuple(
            RowTime(
                operators=(),
                folded=(),
                median_us=us,
                share=share,
                maccs_per_second=None,
                peak_share=peak,
            )
            for us, share in times
        ),
    )


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (row(2, (40.0, 0.4)), "takes 40 % of the time for 2 % of the MACCs"),
        (row(30, (40.0, 0.4)), ""),  # in proportion
        (row(0, (12.0, 0.12)), "takes 12 % of the time for none of the MACCs"),
        (row(2, (9.0, 0.09)), ""),
        (
            row(2, (40.0, 0.4), peak=0.05),
            "takes 40 % of the time for 2 % of the MACCs; its MACCs run at 5.0 % of the fastest"
            " matrix product: it waits for memory or has no fast kernel",
        ),
        (row(2, (5.0, 0.05), peak=0.01), ""),
    ],
)
def test_time_is_held_against_work(one: LayerRow, says: str) -> None:
    assert row_sentence(one, 0, 100) == says


def test_a_layer_is_held_against_its_float_self() -> None:
    assert row_sentence(row(2, (12.0, 0.05), (10.0, 0.01)), 0, 100, beside=1) == (
        "slower than float (10 µs)"
    )
    assert row_sentence(row(2, (10.9, 0.05), (10.0, 0.01)), 0, 100, beside=1) == ""
    assert row_sentence(row(2, (12.0, 0.009), (1.0, 0.01)), 0, 100, beside=1) == ""


def record(variant: str, **times: float) -> LayerTimesRecord:
    return LayerTimesRecord(
        variant=variant,
        network_sha256="n" * 64,
        split_method="grouped",
        environment="e" * 16,
        runtime="litert 2.3.0",
        threads=1,
        calls_us=(1.0,),
        latencies_us=(1.0,),
        optimized={},
        inserted={},
        fused={},
        operators=tuple(
            OperatorTimes(
                name=name, operator="CONV", engine="cpu", kernels=("k",),
                sources=(f"net/{name}/Conv2D",), times_us=(us,),
            )
            for name, us in times.items()
        ),
        layers=tuple(
            LayerCount(name=name, kind="Conv2D", maccs=maccs)
            for name, maccs in (("a", 1), ("b", 89), ("c", 10))
        ),
        counted_from="keras",
    )  # fmt: skip


def test_the_worst_layers_come_first() -> None:
    parent = record("net.float.tflite", a=10.0, b=80.0, c=30.0)
    variant = record("net.int8.tflite", a=60.0, b=90.0, c=5.0)
    assert layer_causes(parent, variant) == (
        # 90 and 60 of 155 us; the 58 % of b are for 89 % of the MACCs.
        "b: slower than float (80 µs).",
        "a: takes 39 % of the time for 1 % of the MACCs; slower than float (10 µs).",
    )


def run_by(one: LayerTimesRecord, engines: str, **changes: object) -> LayerTimesRecord:
    """Return ``one`` with an engine for each operator: ``x`` XNNPACK, ``i`` the interpreter."""
    names = {"x": "xnnpack", "i": "interpreter"}
    operators = tuple(
        operator.model_copy(update={"engine": names[letter]})
        for operator, letter in zip(one.operators, engines, strict=True)
    )
    return one.model_copy(update={"operators": operators, **changes})


def test_what_runs_outside_the_delegate_comes_first() -> None:
    parent = run_by(record("net.float.tflite", a=10.0, b=80.0, c=10.0), "xxx", partitions=1)
    variant = run_by(record("net.int8.tflite", a=5.0, b=80.0, c=15.0), "ixi", partitions=1)
    assert layer_causes(parent, variant)[0] == (
        # 5 and 15 of 100 us.
        "2 of 3 operators run outside the delegate (2 CONV) and take 20 % of the time; a call"
        " enters it once."
    )
    split = run_by(variant, "xix", partitions=2)
    assert (
        "(1 CONV) and take 80 % of the time; a call enters it 2 times"
        in (layer_causes(parent, split)[0])
    )
    # The same share as the parent's explains nothing, nor does a runtime without a delegate.
    assert "outside" not in " ".join(layer_causes(split, split))
    assert "outside" not in " ".join(layer_causes(parent, run_by(split, "xix", partitions=0)))


def test_what_only_converts_is_named_where_there_is_more_of_it() -> None:
    parent = record("net.float.onnx", a=10.0, b=80.0)
    moved = {"inserted": {"CONV": 2}}  # the kind of all operators here
    variant = run_by(record("net.int8.onnx", a=5.0, b=15.0), "xx", **moved)
    assert layer_causes(parent, variant)[0] == (
        "2 operators of the graph as it runs only convert or move data (2 CONV) and take 100 % of"
        " the time."
    )
    assert "convert" not in " ".join(layer_causes(run_by(parent, "xx", **moved), variant))


def test_the_newest_record_of_a_variant_counts() -> None:
    old, new = record("net.float.tflite", a=1.0), record("net.float.tflite", a=2.0)
    assert layer_times_of([old, new], "net.float.tflite", "n" * 64) is new
    assert layer_times_of([old], "net.float.tflite", "m" * 64) is None
