"""Ten thousand imagined records, for the test of large reports."""

import random
from collections.abc import Iterator
from typing import Any

from bench.record import CostRecord, LatencyRecord, ParityRecord, Record
from tests.bench.gate_records import LABELS, judged, machine

TECHNIQUES = ("", ".pruned", ".clustered", ".distilled", ".shrunk")
PHOTOS = 40


def many_records(count: int) -> list[Record]:
    """Return ``count`` records of variants of ever other predictions and times."""
    found: list[Record] = [machine()]
    variants = _variants(random.Random(0))
    while len(found) < count:
        found += next(variants)
    return found[:count]


def _variants(chance: random.Random) -> Iterator[list[Record]]:
    truths = "".join(chance.choices(LABELS, k=PHOTOS))
    number = 0
    while True:
        suffix, runtime = (("tflite", "litert 2.3.0"), ("onnx", "onnxruntime 1.32.0"))[number % 2]
        precision = ("float", "int8")[number // 2 % 2]
        network = f"net{number // 20}"
        variant = f"{network}{TECHNIQUES[number // 4 % 5]}.{precision}.{suffix}"
        shared: dict[str, Any] = {
            "variant": variant, "network_sha256": network, "split_method": "grouped",
            "environment": "e" * 16,
        }  # fmt: skip
        ms = chance.uniform(5, 50)
        yield [
            CostRecord(
                **shared, maccs=84_000_000 + number, parameters=400_000, uncounted={},
                file_bytes=1_600_000 + number, gzip_bytes=1_500_000,
            ),
            *(_judged(truths, chance, side, runtime, shared) for side in ("validation", "test")),
            LatencyRecord(
                **shared, runtime=runtime, threads=2, warmup_runs=3, load_ms=1.0,
                latencies_ms=(ms, 1.1 * ms, 1.2 * ms),
            ),
            ParityRecord(
                **shared, runtime=runtime, images=8, max_difference=0.5, argmax_agreement=0.75,
                tolerance=0.1, min_agreement=0.9, passed=True,
            ),
        ]  # fmt: skip
        number += 1


def _judged(
    truths: str, chance: random.Random, side: str, runtime: str, shared: dict[str, Any]
) -> Record:
    guesses = "".join(one if chance.random() < 0.8 else chance.choice(LABELS) for one in truths)
    return judged(truths, guesses, side=side, runtime=runtime, **shared)
