"""The layers in the report: rows of two runtimes joined by name, shares and culprits by hand."""

from typing import Any

import pytest

from bench.record import CostRecord, LayerTimesRecord, PeakRecord, Record, VerdictRecord
from bench.record_layers import LayerCount, OperatorError, OperatorTimes
from bench.report_content import build_report
from tests.bench.gate_records import machine

COMMON: dict[str, Any] = {
    "network_sha256": "n" * 64, "split_method": "grouped", "environment": "e" * 16,
}  # fmt: skip
LITERT, ONNX = "litert 2.3.0", "onnxruntime 1.32.0"


def profiled(variant: str, runtime: str, *operators: tuple[str, float]) -> LayerTimesRecord:
    whole = sum(us for _, us in operators)
    return LayerTimesRecord(
        **COMMON,
        variant=variant,
        runtime=runtime,
        threads=2,
        calls_us=(whole,),
        latencies_us=(whole,),
        optimized={},
        inserted={},
        fused={},
        operators=tuple(
            OperatorTimes(
                name=source, operator="CONV", engine="cpu", kernels=("k",), sources=(source,),
                times_us=(us,),
            )
            for source, us in operators
        ),
    )  # fmt: skip


FLOAT = profiled("net.float.tflite", LITERT, ("net/c1/Conv2D", 80.0), ("net/c2/Conv2D", 20.0))
INT8 = profiled(
    "net.int8.tflite", LITERT, ("Cast", 1.0), ("net/c1/Conv2D1", 40.0), ("net/c2/Conv2D", 59.0)
)
INT8_ONNX = profiled("net.int8.onnx", ONNX, ("net/c1/Conv2D", 30.0), ("net/c2/Conv2D_2", 70.0))


def layers(*records: Record) -> Any:
    return build_report([machine(), *records], title="t").layers


def test_two_runtimes_of_one_variant_stand_side_by_side() -> None:
    float_section, int8_section = layers(FLOAT, INT8, INT8_ONNX)
    assert float_section.name == "net.float, grouped split, A CPU, 2 threads"
    headers = int8_section.table.headers
    rows = {row[0]: dict(zip(headers, row, strict=False)) for row in int8_section.table.rows}
    assert set(rows) == {"c1", "c2", "(CONV)"}  # the cast was made from no layer
    assert rows["c1"][f"{LITERT}, µs"] == "40.0" and rows["c1"][f"{ONNX}, µs"] == "30.0"
    marked = rows["c2"][f"{LITERT}: marked"]
    assert marked == "takes 59 % of the time; slower than float (20 µs)"
    assert rows["c1"][f"{LITERT}: marked"] == "takes 40 % of the time"
    assert rows["(CONV)"][f"{ONNX}: operators"] == "n/a"
    assert int8_section.brief.rows[0][0] == "c2"
    bars = int8_section.charts[0]["data"]["values"]
    assert sum(bar["us"] for bar in bars if bar["runtime"] == LITERT) == 100.0
    assert "c2 (59.0 %)" in int8_section.sentences[0]


def test_the_verdict_and_the_peak_are_told() -> None:
    cost = CostRecord(
        **COMMON, variant="net.int8.tflite", maccs=1_000_000, parameters=1, uncounted={},
        file_bytes=1, gzip_bytes=1,
    )  # fmt: skip
    peak = PeakRecord(
        environment="e" * 16, runtime=LITERT, threads=2, precision="int8", maccs=4_000_000,
        kernels=(), times_us=(100.0,),
    )  # fmt: skip
    verdict = VerdictRecord(
        **COMMON, variant="net.int8.tflite", runtime=LITERT, parent="net.float.tflite",
        sentences=("It is slower.", "A cast."), operators={}, float_operators={},
    )  # fmt: skip
    (section,) = layers(INT8, cost, peak, verdict)
    # 1 million MACCs in 100 us beside 4 million in 100 us.
    assert "run at 25 % of the speed" in section.sentences[0]
    assert section.sentences[-1] == "It is slower. A cast."


def counted(record: LayerTimesRecord, noise: float) -> LayerTimesRecord:
    error = OperatorError(signal_power=100.0, noise_power=noise)
    return record.model_copy(
        update={
            "layers": (
                LayerCount(name="c1", kind="Conv2D", maccs=9_800_000),
                LayerCount(name="c2", kind="Conv2D", maccs=200_000),
            ),
            "counted_from": "keras",
            "operators": tuple(one.model_copy(update={"error": error}) for one in record.operators),
        }
    )


def test_maccs_peak_and_error_stand_beside_the_time() -> None:
    peak = PeakRecord(
        environment="e" * 16, runtime=LITERT, threads=2, precision="int8", maccs=1_000_000,
        kernels=(), times_us=(1.0,),
    )  # fmt: skip
    (section,) = layers(counted(INT8, noise=1.0), counted(INT8_ONNX, noise=10.0), peak)
    headers = section.table.headers
    assert headers[5:] == (
        "MACCs, 10⁶",
        *(f"{LITERT}, µs", "share", "of peak", "SQNR, dB"),
        *(f"{ONNX}, µs", "share", "SQNR, dB"),  # no peak was measured there
    )
    rows = {row[0]: row for row in section.table.rows}
    # 9.8 million MACCs in 40 us are 245 a us of 1,000,000; 10 log10 of 100 and of 10.
    assert rows["c1"][5:] == ("9.80", "40.0", "40.0 %", "24.5 %", "20.0", "30.0", "30.0 %", "10.0")
    assert rows["c2"][2].startswith("takes 59 % of the time for 2 % of the MACCs; its MACCs run")
    assert rows["(CONV)"][5] == "n/a"
    time, maccs, error = section.charts
    assert [point["maccs"] for point in maccs["data"]["values"]] == [9.8, 0.2, 0.0]
    assert {point["sqnr"] for point in error["data"]["values"]} == {20.0, 10.0}
    marks = [point["mark"] for point in time["data"]["values"] if point["layer"].endswith("c2")]
    assert all(mark.startswith("takes") for mark in marks)


def test_layers_that_cannot_be_told_apart_are_named() -> None:
    joined = profiled("net.int8.onnx", ONNX, ("net/c1/Conv2D", 30.0))
    both = joined.operators[0].model_copy(update={"sources": ("net/c1/Conv2D", "net/c2/Conv2D")})
    fused = joined.model_copy(update={"operators": (both,)})
    (section,) = layers(INT8, fused)
    assert any("cannot be told apart, in: c1, c2." in one for one in section.sentences)


def test_without_profiles_there_is_no_section() -> None:
    assert layers() == ()


def test_a_name_of_another_grammar_is_told_without_a_parent() -> None:
    (section,) = layers(profiled("odd.int8.tflite.x", LITERT, ("net/c1/Conv2D", 10.0)))
    assert section.table.rows[0][0] == "c1"


@pytest.mark.parametrize("other", [{"environment": "f" * 16}, {"split_method": "stratified"}])
def test_other_machines_and_splits_have_sections_of_their_own(other: dict[str, Any]) -> None:
    sections = layers(INT8, INT8_ONNX.model_copy(update=other))
    assert len({section.name for section in sections}) == 2
    titles = [chart["description"] for section in sections for chart in section.charts]
    assert len(set(titles)) == len(titles)
