"""Records of operators' times: what is computed from raw samples, by hand."""

import pytest
from pydantic import ValidationError

from bench.record_layers import LayerTimesRecord, OperatorTimes, PeakRecord

COMMON = {"variant": "net.float.tflite", "split_method": "grouped", "environment": "e" * 16}


def operator(name: str, *times: float, cost: float = 0.0) -> OperatorTimes:
    return OperatorTimes(
        name=name,
        operator="CONV_2D",
        engine="xnnpack",
        kernels=("Convolution",),
        sources=(name,),
        times_us=times,
        profiling_us=cost,
    )


def record(*operators: OperatorTimes, latency_us: float = 100.0) -> LayerTimesRecord:
    return LayerTimesRecord(
        **COMMON,
        runtime="litert 2.3.0",
        threads=1,
        calls_us=(110.0, 108.0, 500.0),
        latencies_us=(latency_us,),
        optimized={"Convolution": 2},
        inserted={},
        fused={},
        operators=operators,
    )


def test_a_disturbed_call_moves_no_median() -> None:
    found = record(operator("a", 60.0, 61.0, 400.0), operator("b", 38.0, 30.0, 39.0))
    assert [one.median_us for one in found.operators] == [61.0, 38.0]
    assert found.operators_us == 99.0
    assert found.costliest.name == "a"


def test_the_cost_of_profiling_is_taken_off_but_no_time_turns_negative() -> None:
    found = record(
        operator("a", 60.0, 61.0, 400.0, cost=2.5),
        operator("b", 2.0, 2.0, 2.0, cost=2.5),
        operator("folded"),
    )
    assert [one.median_us for one in found.operators] == [58.5, 0.0, 0.0]


def test_the_quickest_call_is_explained() -> None:
    # The second call was the quickest: 61 us, and 38 less 2 of profiling.
    operators = (operator("a", 60.0, 61.0, 400.0), operator("b", 20.0, 38.0, 39.0, cost=2.0))
    found = record(*operators, operator("folded")).model_copy(
        update={"latencies_us": (900.0, 100.0, 120.0)}
    )
    assert found.explained_share == pytest.approx(0.97)
    assert found.warnings == ()


def test_of_many_calls_the_quickest_tenth_is_explained() -> None:
    times = (60.0, 40.0, 42.0, *(61.0 for _ in range(17)))
    found = record(operator("a", 1.0, 2.0, 3.0)).model_copy(
        update={
            "calls_us": tuple(time + 5.0 for time in times),
            "operators": (operator("a", *times, cost=1.0),),
            "latencies_us": (90.0, *(50.0 for _ in range(17)), 45.0, 35.0),
        }
    )
    assert found.explained_share == pytest.approx(1.0)  # 39 and 41, of 35 and 45


def test_operators_that_explain_too_much_or_too_little_are_warned_of() -> None:
    times = operator("a", 100.0, 100.0, 100.0)
    assert record(times, latency_us=96.0).warnings == ()  # 104 %
    assert "add up to 111% of a call" in record(times, latency_us=90.0).warnings[0]
    assert "add up to 50% of a call" in record(times, latency_us=200.0).warnings[0]


@pytest.mark.parametrize("times", [(1.0, 2.0), ()])
def test_an_operator_is_timed_in_every_call(times: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="calls of 3"):
        record(operator("a", *times))


def test_records_read_back_as_written() -> None:
    found = record(operator("a", 60.0, 61.0, 400.0), operator("folded"))
    assert LayerTimesRecord.model_validate_json(found.model_dump_json()) == found


def test_lines_of_before_are_read() -> None:
    found = record(operator("a", 60.0, 61.0, 400.0)).model_dump(mode="json")
    for name in ("layers", "counted_from", "float_sha256", "compared_pictures"):
        del found[name]
    del found["operators"][0]["error"]
    old = LayerTimesRecord.model_validate(found)
    assert (old.layers, old.counted_from, old.operators[0].error) == ((), "", None)


def test_the_peak_is_that_of_the_fastest_product() -> None:
    peak = PeakRecord(
        environment="e" * 16,
        runtime="litert 2.3.0",
        threads=1,
        precision="float",
        maccs=64**3,
        kernels=("GEMM",),
        times_us=(8.0, 4.0, 100.0),
    )
    # 262,144 MACCs in 4 us.
    assert peak.maccs_per_second == pytest.approx(65.536e9)
    # Clocks of whole microseconds: a product of under one is told as 0.
    short = peak.model_copy(update={"times_us": (0.0,)})
    assert short.maccs_per_second == pytest.approx(262_144e6)
