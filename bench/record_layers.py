"""Records of single operators' times, and of what a machine can do at best."""

import statistics
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.record_base import MeasurementRecord

MAX_UNEXPLAINED = 0.05  # of a call: operators may add up to so much more or less


class OperatorError(BaseModel):
    """How far an operator's output lies from the float model's, over all pictures compared.

    It holds what the operators before it have added: all of them are in the variant's numbers.

    Attributes:
        signal_power: sum of squares of the float values.
        noise_power: sum of squares of the differences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    signal_power: float = Field(ge=0)
    noise_power: float = Field(ge=0)


def _quickest_tenth(times_us: Sequence[float]) -> list[int]:
    """Return the places of the quickest calls: a tenth of them, at least one."""
    return sorted(range(len(times_us)), key=times_us.__getitem__)[: max(1, len(times_us) // 10)]


class OperatorTimes(BaseModel):
    """Every profiled run of one operator.

    Attributes:
        name: of its first output tensor (LiteRT) or of the node as optimized (ONNX Runtime).
        operator: its kind in the file (``CONV_2D``) or in the optimized graph (``QLinearConv``);
            empty for a kernel that belongs to no one operator.
        engine: what ran it: ``xnnpack``, ``interpreter`` or an execution provider.
        kernels: the kernels that ran, in order; empty where the runtime folded it into another.
        sources: what in the file it was made from: tensor names (LiteRT), nodes (ONNX).
        inserted: it stands in no file: the runtime put it there.
        times_us: one for each profiled call, in whole microseconds; empty where it was folded.
        profiling_us: what profiling itself added to each of them, as measured.
        error: of its output; ``None`` where it was not compared with a float model's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    operator: str
    engine: str
    kernels: tuple[str, ...]
    sources: tuple[str, ...]
    inserted: bool = False
    times_us: tuple[float, ...]
    profiling_us: float = Field(default=0.0, ge=0)
    error: OperatorError | None = None

    @property
    def median_us(self) -> float:
        """Median time in one call, without that of profiling; 0 where it was folded."""
        if not self.times_us:
            return 0.0
        return max(0.0, statistics.median(self.times_us) - self.profiling_us)


class LayerCount(BaseModel):
    """A layer of the network and what one call of it costs.

    Attributes:
        name: behind the names of the models that it is nested in.
        kind: its class (``Conv2D``), or the operator that tells of it; empty where neither does.
        maccs: multiply-accumulates; ``None`` where they are not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    maccs: int | None = Field(ge=0)


class LayerTimesRecord(MeasurementRecord):
    """Every operator of one variant on one runtime, timed inside whole calls, batch 1.

    Attributes:
        runtime: name and version: ``litert 2.3.0``.
        threads: threads the runtime was given.
        calls_us: each profiled call as a whole, by the runtime's own clock; the sum of the
            operators where they ran alone.
        latencies_us: calls without profiling, in turns with the profiled ones.
        partitions: times that one call handed over to a delegate; 0 without one.
        optimized: nodes of the graph as the runtime runs it, by name.
        inserted: those of them that only convert, move or reorder, by name.
        fused: operators of the file that run inside another one, by name.
        operators: in order of execution.
        layers: of the network, in order of execution, with their MACCs; empty in records of
            before.
        counted_from: what told the layers: the ``keras`` network, or the names and operators of
            the ``file``; empty without layers.
        float_sha256: payload of the float model that the outputs were compared with; empty where
            they were not.
        compared_pictures: pictures that they were compared on.
        no_profiler: why the runtime's own profiler could not be used: each operator was then timed
            alone, as a model of its own. Empty where it was used.
    """

    kind: Literal["layer_times"] = "layer_times"
    runtime: str
    threads: int = Field(ge=1)
    calls_us: tuple[float, ...] = Field(min_length=1)
    latencies_us: tuple[float, ...] = Field(min_length=1)
    partitions: int = Field(default=0, ge=0)
    optimized: dict[str, int]
    inserted: dict[str, int]
    fused: dict[str, int]
    operators: tuple[OperatorTimes, ...] = Field(min_length=1)
    layers: tuple[LayerCount, ...] = ()
    counted_from: Literal["", "keras", "file"] = ""
    float_sha256: str = ""
    compared_pictures: int = Field(default=0, ge=0)
    no_profiler: str = ""

    @model_validator(mode="after")
    def _times_every_call(self) -> Self:
        lengths = {len(one.times_us) for one in self.operators} - {0}
        if lengths != {len(self.calls_us)}:
            raise ValueError(
                f"operators were timed in {sorted(lengths)} calls of {len(self.calls_us)}"
            )
        return self

    @property
    def operators_us(self) -> float:
        """Time in all operators together: their medians, of which a disturbed call moves none."""
        return sum(one.median_us for one in self.operators)

    @property
    def explained_share(self) -> float:
        """Time in the operators of quick profiled calls, over quick calls without profiling.

        The mean of the quickest tenth of either: other programs stretch calls at random, and
        these least.
        """
        timed = [one for one in self.operators if one.times_us]
        profiling = sum(one.profiling_us for one in timed)
        inside = [
            sum(one.times_us[call] for one in timed) - profiling
            for call in _quickest_tenth(self.calls_us)
        ]
        bare = [self.latencies_us[call] for call in _quickest_tenth(self.latencies_us)]
        return statistics.mean(inside) / statistics.mean(bare)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes these times doubtful, in words, with what to do."""
        share = self.explained_share
        if self.no_profiler:
            return (
                "each operator was timed alone, as a model of its own, and they add up to"
                f" {share:.0%} of a call: what a whole call fuses or keeps in the caches is not in"
                f" these times ({self.no_profiler})",
            )
        if abs(share - 1.0) <= MAX_UNEXPLAINED:
            return ()
        return (
            f"the operators add up to {share:.0%} of a call without profiling: profiling slows"
            " short operators down, and other programs slow all of them; read their shares, not"
            " their microseconds, or close other programs and measure again",
        )

    @property
    def costliest(self) -> OperatorTimes:
        """The operator that takes longest."""
        return max(self.operators, key=lambda one: one.median_us)


class PeakRecord(BaseModel):
    """The fastest matrix product of one runtime on one machine: no layer can do better.

    Attributes:
        environment: ``EnvironmentRecord.environment`` of the machine that made it.
        precision: ``float`` or ``int8``.
        maccs: of one product.
        kernels: what ran it.
        times_us: every timed product.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    kind: Literal["peak"] = "peak"
    environment: str
    runtime: str
    threads: int = Field(ge=1)
    precision: Literal["float", "int8"]
    maccs: int = Field(ge=1)
    kernels: tuple[str, ...]
    times_us: tuple[float, ...] = Field(min_length=1)

    @property
    def maccs_per_second(self) -> float:
        """MACCs a second of the fastest product; one of under a microsecond counts as one."""
        return self.maccs / (max(1.0, min(self.times_us)) * 1e-6)
