"""What a bundle's README is told: F1 on test photos and host times of that very variant."""

import pytest

from bench.record import AccuracyRecord, EnvironmentRecord, LatencyRecord, Record
from bench.subject import subject_of
from deploy.bundle_readme import HostLatency
from tests.tiny_models import LABELS, shared_variants
from threadlite.evidence import evidence_of
from train.artifact import Artifact


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")["int8.tflite"]


def records(variant: Artifact) -> list[Record]:
    subject = subject_of(variant.manifest, "host")
    machine = EnvironmentRecord(
        environment="host",
        cpu="Abacus",
        cores=1,
        memory_bytes=1,
        cpu_features=(),
        system="Linux",
        python="3.11",
        packages={},
    )
    predicted = {
        "labels": LABELS,
        "photo_ids": ("a", "b", "c"),
        "senders": ("s", "s", "s"),
        "truths": (0, 0, 1),
        "predictions": (0, 1, 1),
        "runtime": "litert 2",
    }
    time = LatencyRecord(
        **subject, runtime="litert 2", threads=2, warmup_runs=0, load_ms=1.0, latencies_ms=(1, 3, 2)
    )
    return [
        machine,
        AccuracyRecord(**subject, side="test", **predicted),
        AccuracyRecord(**subject, side="validation", **{**predicted, "predictions": (2, 2, 2)}),
        time,
        time.model_copy(update={"variant_sha256": "0" * 64, "latencies_ms": (99.0,)}),
    ]


def test_f1_and_median_by_hand(variant: Artifact) -> None:
    found = evidence_of([variant], records(variant))[variant.manifest.payload_sha256]
    assert found.accuracy is not None
    # Hat: precision 1, recall 1/2; Shirt: precision 1/2, recall 1: F1 2/3 both. Shoes: none.
    assert found.accuracy.class_f1 == pytest.approx((2 / 3, 2 / 3, 0.0))
    assert found.accuracy.class_photos == (2, 1, 0)
    assert found.accuracy.weighted_f1 == pytest.approx(2 / 3)
    assert found.latencies == (
        HostLatency(runtime="litert 2", threads=2, median_ms=2.0, processor="Abacus"),
    )


def test_nothing_measured_is_nothing_said(variant: Artifact) -> None:
    found = evidence_of([variant], [])[variant.manifest.payload_sha256]
    assert (found.accuracy, found.latencies) == (None, ())
