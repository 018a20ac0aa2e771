"""The ledger: what each step of a variant's name bought, by hand."""

from typing import Any

import pytest

from bench.record import CostRecord, LatencyRecord, Record
from bench.report_content import build_report
from bench.report_ledger import lineage
from tests.bench.gate_records import judged, machine, timed
from train.variant import parse_variant

TRUTHS = "ab" * 20
PLAIN, PRUNED = "net.float.tflite", "net.pruned.float.tflite"
SHIPPED = "net.pruned.int8.tflite"


def measured(
    variant: str, ms: float, size: int, *, gzip_bytes: int = 0, **cost_fields: Any
) -> list[Record]:
    """Return a variant that is right on every photo."""
    cost = CostRecord(
        variant=variant, network_sha256="n" * 64, split_method="grouped", environment="e" * 16,
        maccs=1, parameters=1, uncounted={}, file_bytes=size,
        gzip_bytes=gzip_bytes or size, **cost_fields,
    )  # fmt: skip
    sides: list[Any] = [judged(TRUTHS, TRUTHS, variant, side=one) for one in ("validation", "test")]
    return [machine(), cost, *sides, timed([ms, ms, ms], variant)]


def test_the_steps_are_those_of_the_name_in_order() -> None:
    steps = lineage(parse_variant("net.pruned.clustered.int8.tflite"))
    assert [(word, str(name)) for word, name in steps] == [
        ("as trained", "net.float.tflite"),
        ("pruned", "net.pruned.float.tflite"),
        ("clustered", "net.pruned.clustered.float.tflite"),
        ("int8", "net.pruned.clustered.int8.tflite"),
    ]
    assert len(lineage(parse_variant("net.float.onnx"))) == 1


def test_every_step_to_the_shipped_variant_by_hand() -> None:
    records = [
        *measured(PLAIN, 20.0, 4_000_000),
        *measured(PRUNED, 16.0, 3_000_000),
        *measured(SHIPPED, 4.0, 1_000_000),
    ]
    report = build_report(records, title="t")
    assert report.choices[0].row is not None and report.choices[0].row.variant == SHIPPED
    assert report.ledger.table is not None
    assert [row[1] for row in report.ledger.table.rows] == ["pruned", "int8"]
    # 20 ms to 16 ms is 1.25 times as fast, 4 MB to 3 MB is 75 %.
    assert report.ledger.table.rows[0][4:] == (
        "20.0", "16.0", "1.25×", "4.00", "3.00", "75 %", "4.00", "3.00", "n/a", "n/a",  # noqa: RUF001
        "n/a", "n/a", "0.0 [0.0, 0.0]", *["1.000 [1.000, 1.000]"] * 2, "n/a", "faster and smaller",
    )  # fmt: skip
    latency, size, f1 = report.ledger.charts
    bars = latency["data"]["values"]
    assert [(bar["step"], bar["start"], bar["end"], bar["kind"]) for bar in bars] == [
        ("as trained", 0.0, 20.0, "total"),
        ("pruned", 20.0, 16.0, "gain"),
        ("int8", 16.0, 4.0, "gain"),
        ("result", 0.0, 4.0, "total"),
    ]
    assert [bar["end"] for bar in size["data"]["values"]] == [4.0, 3.0, 1.0, 1.0]
    assert {bar["kind"] for bar in f1["data"]["values"]} == {"total"}  # noise


def test_the_memory_of_each_step_is_told() -> None:
    base, held = 10_000_000, {PLAIN: 30_000_000, SHIPPED: 12_500_000}
    records: list[Record] = []
    for name, size in ((PLAIN, 4_000_000), (SHIPPED, 1_000_000)):
        memory = {"base_rss_bytes": base, "peak_rss_bytes": base + held[name]}
        records += [
            one.model_copy(update=memory) if isinstance(one, LatencyRecord) else one
            for one in measured(name, 20.0, size)
        ]
    table = build_report(records, title="t").ledger.table
    assert table is not None and table.rows[0][12:14] == ("30.00", "12.50")


def test_a_step_that_was_not_measured_is_told_with_the_next() -> None:
    records = [*measured(PLAIN, 20.0, 4_000_000), *measured(SHIPPED, 4.0, 1_000_000)]
    table = build_report(records, title="t").ledger.table
    assert table is not None
    assert [row[1] for row in table.rows] == ["pruned + int8"]


def bought(*records: list[Record]) -> list[tuple[str, ...]]:
    table = build_report([one for some in records for one in some], title="t").ledger.table
    assert table is not None
    return [(row[1], *row[14:16], *row[19:]) for row in table.rows]


def test_a_step_says_what_it_bought_and_that_it_bought_nothing() -> None:
    size = 4_000_000
    steps = bought(
        measured(PLAIN, 20.0, size, nonzero_parameters=900, distinct_weights=800),
        measured(
            PRUNED, 20.0, size, gzip_bytes=2_000_000, nonzero_parameters=400,
            distinct_weights=700, step_seconds={"prune": 300.0, "convert": 9.0},
        ),
        measured(
            SHIPPED, 4.0, 1_000_000, gzip_bytes=600_000, nonzero_parameters=400,
            distinct_weights=255, step_seconds={"prune": 300.0, "int8": 30.0},
        ),
    )  # fmt: skip
    assert steps == [
        ("pruned", "0.00", "700", "309",
         "zeros are still stored and multiplied: gzip shrinks, latency does not"),
        ("int8", "0.00", "255", "30", "faster and smaller"),
    ]  # fmt: skip
    shared = "net.clustered.int8.tflite"
    told = bought(measured(PLAIN, 20.0, size), measured(shared, 20.0, size, gzip_bytes=2_000_000))
    assert told[0][-1].startswith("shared weights are still stored and multiplied")
    told = bought(measured(PLAIN, 20.0, size), measured(SHIPPED, 19.9, size))
    assert told[0][-1] == "nothing: neither time nor bytes nor F1"


def test_a_network_as_trained_has_no_steps() -> None:
    report = build_report(measured(PLAIN, 20.0, 4_000_000), title="t")
    assert report.ledger.table is None and report.ledger.charts == ()


@pytest.mark.parametrize("name", ["odd", "net.int8.tflite"])
def test_a_variant_without_a_known_parent_has_no_steps(name: str) -> None:
    assert build_report(measured(name, 4.0, 1_000_000), title="t").ledger.table is None
