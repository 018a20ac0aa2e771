"""Measurement records: immutable, one JSON line each, raw samples in them.

Statistics are computed from the samples when they are asked for, never stored beside them. A
variant that fails to convert or run is a record too, with its reason.
"""

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bench.record_base import MeasurementRecord
from bench.record_layers import LayerTimesRecord, PeakRecord
from bench.record_predictions import AccuracyRecord, CrossvalRecord
from bench.record_training import TrainingRecord
from train.errors import DataError
from train.storage import write_text

__all__ = [
    "AccuracyRecord", "CostRecord", "CrossvalRecord", "EnvironmentRecord", "FailureRecord",
    "LatencyRecord", "LayerTimesRecord",
    "MeasurementRecord", "ParityRecord", "PeakRecord", "Record", "TrainingRecord",
    "VerdictRecord", "of_kind", "read_records", "to_line", "write_records",
]  # fmt: skip

_T = TypeVar("_T")


class EnvironmentRecord(BaseModel):
    """The machine and the software that made the records that name it.

    Attributes:
        environment: digest of all other fields, first 16 hex digits.
        cpu: the processor's own name; x86 times are never phone times.
        cpu_features: the instruction sets that matter to the runtimes, such as ``avx512_vnni``.
        kept_awake: whether the cores were kept from sleeping between calls; ``None`` in records of
            before, and of devices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["environment"] = "environment"
    environment: str
    cpu: str
    cores: int
    memory_bytes: int
    cpu_features: tuple[str, ...]
    system: str
    python: str
    packages: dict[str, str]
    kept_awake: bool | None = None


class CostRecord(MeasurementRecord):
    """What a variant weighs, counted and not timed. One MACC is two FLOPs.

    Attributes:
        maccs: multiply-accumulates of one call.
        parameters: weights of the Keras network, trained or not.
        activation_bytes: outputs of all its layers together; ``None`` in records of before.
        receptive_field: pixels that the last maps see, along the longer axis; ``None`` where
            there are no maps, and in records of before.
        uncounted: layers whose MACCs are not known, by kind.
        file_bytes: size of the variant's own file.
        gzip_bytes: size of it compressed.
        nonzero_parameters: parameters less the zeros that the file's kernels hold; ``None`` in
            records of before.
        distinct_weights: distinct numbers in the file's kernel that has the most; likewise.
        step_seconds: wall time of each step after the training that led to it, by technique, as
            far as it is known.
    """

    kind: Literal["cost"] = "cost"
    maccs: int
    parameters: int
    activation_bytes: int | None = None
    receptive_field: int | None = None
    uncounted: dict[str, int]
    file_bytes: int
    gzip_bytes: int
    nonzero_parameters: int | None = None
    distinct_weights: int | None = None
    step_seconds: dict[str, float] = Field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Floating-point operations of the counted layers: two for each MACC."""
        return 2 * self.maccs


class LatencyRecord(MeasurementRecord):
    """Every timed call of one variant on one runtime.

    Attributes:
        runtime: name and version: ``litert 2.3.0``.
        threads: threads the runtime was given.
        warmup_runs: calls before the first timed one of the first process.
        calls_per_turn: timed calls in a row between the turns of other variants.
        processes: that the calls were made in, one after another, as many turns in each as can be.
        batch: pictures in one call.
        copy_gbs: how fast one core copied some megabytes between the rounds, the median of all in
            10⁹ bytes a second: the state of the caches that it shares. ``None``: not measured.
        load_ms: from the file to a model that can be called, the runtime's library loaded before.
        cold_start_ms: from a process without the library to the model's first answer; Python's own
            start is not in it, and the files may lie in the system's cache. ``None`` where it was
            not measured, and in records of before.
        base_rss_bytes: memory that the process held before it loaded the runtime; ``None``
            likewise.
        peak_rss_bytes: the most that it held, ``base_rss_bytes`` in it; ``None`` likewise.
        latencies_ms: every timed call, in the order made.
        warnings: what makes these times doubtful, in words.
    """

    kind: Literal["latency"] = "latency"
    runtime: str
    threads: int = Field(ge=1)
    warmup_runs: int = Field(ge=0)
    calls_per_turn: int = Field(default=1, ge=1)
    processes: int = Field(default=1, ge=1)
    batch: int = Field(default=1, ge=1)
    copy_gbs: float | None = Field(default=None, gt=0)
    load_ms: float = Field(ge=0)
    cold_start_ms: float | None = Field(default=None, ge=0)
    base_rss_bytes: int | None = Field(default=None, ge=0)
    peak_rss_bytes: int | None = Field(default=None, ge=0)
    latencies_ms: tuple[float, ...] = Field(min_length=1)
    warnings: tuple[str, ...] = ()

    @property
    def median_ms(self) -> float:
        """Median duration of one call."""
        return statistics.median(self.latencies_ms)

    @property
    def held_bytes(self) -> int | None:
        """The most memory that the runtime and the model held; ``None``: not measured."""
        if self.peak_rss_bytes is None or self.base_rss_bytes is None:
            return None
        return max(0, self.peak_rss_bytes - self.base_rss_bytes)

    def quantile_ms(self, share: float) -> float:
        """Return the duration that ``share`` of the calls keep within, in [0, 1].

        Between two calls it is interpolated linearly.
        """
        ordered = sorted(self.latencies_ms)
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    @property
    def turns(self) -> tuple[tuple[float, ...], ...]:
        """The calls by turns; each call its own turn where they do not divide."""
        whole = len(self.latencies_ms) % self.calls_per_turn == 0
        size = self.calls_per_turn if whole else 1
        starts = range(0, len(self.latencies_ms), size)
        return tuple(self.latencies_ms[start : start + size] for start in starts)


class ParityRecord(MeasurementRecord):
    """How far a variant's outputs lie from its Keras parent's on real photos.

    Attributes:
        compared: the ``probabilities``, or the ``features`` that its head is fed.
        images: photos compared.
        max_difference: greatest difference of one probability, in [0, 1]; of one feature, as a
            share of the largest.
        argmax_agreement: share of photos with the same top class, in [0, 1]; of features, with the
            same largest one.
        tolerance: bound on ``max_difference``; 1 bounds nothing.
        min_agreement: bound on ``argmax_agreement``; 0 bounds nothing.
        passed: whether both bounds hold.
    """

    kind: Literal["parity"] = "parity"
    compared: Literal["probabilities", "features"] = "probabilities"
    runtime: str
    images: int
    max_difference: float
    argmax_agreement: float
    tolerance: float
    min_agreement: float
    passed: bool


class VerdictRecord(MeasurementRecord):
    """Why a variant is not faster than its float parent, and what its file holds.

    Attributes:
        runtime: name and version: ``litert 2.3.0``.
        parent: name of the float variant that it was compared with.
        sentences: the reasons found, in words.
        operators: operators of the file, by name.
        float_operators: those of them that compute in float.
    """

    kind: Literal["verdict"] = "verdict"
    runtime: str
    parent: str
    sentences: tuple[str, ...] = Field(min_length=1)
    operators: dict[str, int]
    float_operators: dict[str, int]


class FailureRecord(MeasurementRecord):
    """A variant that could not be made or run, and why."""

    kind: Literal["failure"] = "failure"
    stage: str
    runtime: str = ""
    reason: str


Record = Annotated[
    EnvironmentRecord
    | TrainingRecord
    | CrossvalRecord
    | CostRecord
    | AccuracyRecord
    | LatencyRecord
    | LayerTimesRecord
    | PeakRecord
    | ParityRecord
    | VerdictRecord
    | FailureRecord,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Record)


def to_line(record: Record) -> str:
    """Return ``record`` as one line of JSON with its newline."""
    return _ADAPTER.dump_json(record).decode() + "\n"


def read_records(path: Path) -> tuple[list[Record], list[str]]:
    """Return the records of a JSON-lines file, and warnings on what was passed over.

    A last line without its newline is what a killed run leaves: it is passed over with a
    warning. Any other broken line is an error.

    Raises:
        DataError: the file cannot be read, or a whole line is not a record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable records: {error}") from error
    records: list[Record] = []
    warnings: list[str] = []
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # JSON leaves other line separators raw
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            warnings.append(f"{path.name}: line {number} was cut off (a killed run); passed over")
            continue
        try:
            records.append(_ADAPTER.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{path}: line {number}: {where}: {first['msg']}") from error
    return records, warnings


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write all records, whole or not at all."""
    write_text(path, "".join(to_line(record) for record in records))


def of_kind(records: Sequence[Record], kind: type[_T]) -> list[_T]:
    """Return the records of one class, in order."""
    return [record for record in records if isinstance(record, kind)]
