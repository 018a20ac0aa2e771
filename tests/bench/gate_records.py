"""Records of imagined variants, for tests of the gate and of the flip ledger."""

from typing import Any

from bench.record import AccuracyRecord, EnvironmentRecord, FailureRecord, LatencyRecord

LABELS = ("a", "b", "c")
FLOAT, INT8 = "net.float.tflite", "net.int8.tflite"


def judged(truths: str, predictions: str, variant: str = INT8, **changes: Any) -> AccuracyRecord:
    """Return test predictions, a letter a photo, each photo of a sender of its own."""
    numbers = range(len(truths))
    fields: dict[str, Any] = {
        "variant": variant,
        "network_sha256": "n" * 64,
        "split_method": "grouped",
        "environment": "e" * 16,
        "runtime": "litert 2.3.0",
        "side": "test",
        "labels": LABELS,
        "photo_ids": tuple(f"p{number}" for number in numbers),
        "senders": tuple(f"s{number}" for number in numbers),
        "truths": tuple(LABELS.index(letter) for letter in truths),
        "predictions": tuple(LABELS.index(letter) for letter in predictions),
    }
    return AccuracyRecord(**{**fields, **changes})


def timed(latencies_ms: Any, variant: str = INT8, **changes: Any) -> LatencyRecord:
    """Return times, each call a turn of its own."""
    fields: dict[str, Any] = {
        "variant": variant,
        "network_sha256": "n" * 64,
        "split_method": "grouped",
        "environment": "e" * 16,
        "runtime": "litert 2.3.0",
        "threads": 2,
        "warmup_runs": 20,
        "load_ms": 1.0,
        "latencies_ms": tuple(float(latency) for latency in latencies_ms),
    }
    return LatencyRecord(**{**fields, **changes})


def failed(variant: str = INT8, **changes: Any) -> FailureRecord:
    """Return a variant that the runtime refused."""
    fields: dict[str, Any] = {
        "variant": variant,
        "network_sha256": "n" * 64,
        "split_method": "grouped",
        "environment": "e" * 16,
        "stage": "latency",
        "runtime": "litert 2.3.0",
        "reason": "it was killed by SIGSEGV",
    }
    return FailureRecord(**{**fields, **changes})


def machine(environment: str = "e" * 16, **changes: Any) -> EnvironmentRecord:
    """Return a machine."""
    fields: dict[str, Any] = {
        "environment": environment,
        "cpu": "A CPU",
        "cores": 2,
        "memory_bytes": 2**33,
        "cpu_features": ("avx2",),
        "system": "Linux 6 x86_64",
        "python": "3.11.7",
        "packages": {"numpy": "2.0"},
    }
    return EnvironmentRecord(**{**fields, **changes})
