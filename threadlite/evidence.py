"""What the records tell of the variants of a bundle, for its README."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from train.artifact import Artifact

if TYPE_CHECKING:
    from bench.record import AccuracyRecord, LatencyRecord, Record
    from deploy.bundle_readme import Evidence, HostLatency, MeasuredF1


def measured_of(variants: Iterable[Artifact], records: "Sequence[Record]") -> "list[Record]":
    """Return the records of these variants, and the machines that made any: what evidence is of."""
    from bench.record import EnvironmentRecord

    payloads = {variant.manifest.payload_sha256 for variant in variants}
    return [
        record
        for record in records
        if isinstance(record, EnvironmentRecord)
        or getattr(record, "variant_sha256", "") in payloads
    ]


def evidence_of(variants: Iterable[Artifact], records: "Sequence[Record]") -> "Evidence":
    """Return what was measured of each variant, by the digest of its payload.

    Args:
        variants: those of the bundle.
        records: of any variants and machines; the last of a kind counts.
    """
    from bench.record import AccuracyRecord, EnvironmentRecord, LatencyRecord, of_kind
    from deploy.bundle_readme import VariantEvidence

    processors = {item.environment: item.cpu for item in of_kind(records, EnvironmentRecord)}
    found = {}
    for variant in variants:
        digest = variant.manifest.payload_sha256
        judged = [
            item
            for item in of_kind(records, AccuracyRecord)
            if item.variant_sha256 == digest and item.side == "test"
        ]
        timed = {
            (item.runtime, item.threads, item.environment): item
            for item in of_kind(records, LatencyRecord)
            if item.variant_sha256 == digest
        }
        found[digest] = VariantEvidence(
            accuracy=_f1_of(judged[-1]) if judged else None,
            latencies=tuple(_latency_of(item, processors) for item in timed.values()),
        )
    return found


def _f1_of(record: "AccuracyRecord") -> "MeasuredF1":
    from deploy.bundle_readme import MeasuredF1
    from train.metrics import class_scores, weighted_f1

    counts = (record.truths, record.predictions, len(record.labels))
    scores = class_scores(*counts)
    return MeasuredF1(
        runtime=record.runtime,
        split_method=record.split_method,
        weighted_f1=weighted_f1(*counts),
        class_f1=tuple(score.f1 for score in scores),
        class_photos=tuple(score.photos for score in scores),
    )


def _latency_of(record: "LatencyRecord", processors: dict[str, str]) -> "HostLatency":
    from deploy.bundle_readme import HostLatency

    return HostLatency(
        runtime=record.runtime,
        threads=record.threads,
        median_ms=record.median_ms,
        processor=processors.get(record.environment, "not recorded"),
    )
