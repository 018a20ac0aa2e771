"""Verdicts in plain sentences: is a variant faster, and if not, why not?

Pure functions over records and operator counts: nothing here measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.layer_verdict import layer_causes, layer_times_of
from bench.loss import explain_loss
from bench.operators import OperatorCounts, read_operators
from bench.record import (
    AccuracyRecord,
    EnvironmentRecord,
    LatencyRecord,
    Record,
    VerdictRecord,
    of_kind,
)
from bench.record_layers import PeakRecord
from bench.subject import subject_of
from train.artifact import Artifact
from train.errors import DataError
from train.variant import Variant

INT8_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "dotprod", "i8mm"})
_CONVERTING = ("QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear")
_MOVING = ("TRANSPOSE", "Transpose")
_AT_THE_DOORS = 2  # one for the input and one for the output is what a model needs
_SHORT_CALL_MS = 1.0
_RESAMPLES = 2_000
_STAY_DENSE = {  # techniques that leave every multiplication where it was
    "tuned": "Fine-tuning alone moves weights and removes nothing: it may better the answers, and"
    " neither the file nor a call changes.",
    "pruned": "Zeros are stored and multiplied like other weights: pruning makes the compressed"
    " file smaller, not a call faster.",
    "clustered": "Shared weights are multiplied one by one: clustering makes the compressed file"
    " smaller, not a call faster.",
}


@dataclass(frozen=True, kw_only=True)
class SpeedRatio:
    """A variant's median time divided by its parent's; under 1 the variant is faster.

    Attributes:
        value: the ratio.
        low: lower end of its 95 % interval.
        high: upper end of it.
    """

    value: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """The variant is faster beyond the noise."""
        return self.high < 1.0

    @property
    def undecided(self) -> bool:
        """The interval holds 1: the times do not tell the two apart."""
        return self.low <= 1.0 <= self.high


def compare_speed(parent: LatencyRecord, variant: LatencyRecord, *, seed: int = 0) -> SpeedRatio:
    """Return how long a variant takes, as a share of its parent's time, with a 95 % interval.

    The bootstrap draws whole turns, whose calls resemble one another; where both have as many,
    the same rounds of both, so that what slowed a round down for both cancels out.

    Raises:
        DataError: the two come from another machine, runtime, number of threads or batch.
    """
    for name in ("environment", "runtime", "threads", "batch"):
        mine, theirs = getattr(variant, name), getattr(parent, name)
        if mine != theirs:
            raise DataError(
                f"{variant.variant} and {parent.variant} cannot be compared: {name} is {mine} and"
                f" {theirs}; time both in one run"
            )
    generator = np.random.default_rng(seed)
    above, below = np.asarray(variant.turns), np.asarray(parent.turns)
    draws = generator.integers(len(above), size=(_RESAMPLES, len(above)))
    other = (
        draws
        if len(above) == len(below)
        else generator.integers(len(below), size=(_RESAMPLES, len(below)))
    )
    ratios = _medians(above, draws) / _medians(below, other)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return SpeedRatio(value=variant.median_ms / parent.median_ms, low=float(low), high=float(high))


def verdict_records(
    artifacts: Sequence[Artifact],
    records: Sequence[Record],
    environment: EnvironmentRecord,
) -> list[VerdictRecord]:
    """Return a verdict on every variant that is slower or loses more than its float parent may.

    Args:
        artifacts: the variants, float ones among them.
        records: their times, of one run, those of their layers if measured, and their test
            predictions.
        environment: the machine that timed them.
    """
    timed = {(one.variant, one.network_sha256): one for one in of_kind(records, LatencyRecord)}
    judged = {
        (one.variant, one.network_sha256): one
        for one in of_kind(records, AccuracyRecord)
        if one.side == "test"
    }
    verdicts = []
    for artifact in artifacts:
        manifest = artifact.manifest
        name = _float_parent(manifest.name)
        if name == manifest.name:
            continue
        subject = subject_of(manifest, environment.environment)
        mine, parent = ((each, subject["network_sha256"]) for each in (manifest.variant, str(name)))
        operators = read_operators(artifact.payload)
        sentences: tuple[str, ...] = ()
        if mine in timed and parent in timed:
            layers = _layer_causes(records, parent, mine)
            sentences += (
                explain_slow(timed[parent], timed[mine], operators, environment, layers)
                if manifest.name.precision != "float"
                else _explain_float(timed[parent], timed[mine], operators, manifest.name, layers)
            )
        if mine in judged and parent in judged:
            sentences += explain_loss(judged[parent], judged[mine])
        if sentences:
            found = timed.get(mine) or judged[mine]
            verdicts.append(
                VerdictRecord(
                    **subject,
                    runtime=found.runtime,
                    parent=str(name),
                    sentences=sentences,
                    operators=operators.total,
                    float_operators=operators.floating,
                )
            )
    return verdicts


def _float_parent(name: Variant) -> Variant:
    """Return the float variant of the same form; for one in float, the plain network's."""
    if name.precision != "float":
        return name.as_format(name.format, precision="float")
    return Variant(network=name.network, format=name.format)


def explain_slow(
    parent: LatencyRecord,
    variant: LatencyRecord,
    operators: OperatorCounts,
    environment: EnvironmentRecord | None,
    layers: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return why a variant is not faster than its float parent, in plain sentences.

    Args:
        parent: times of the float variant.
        variant: times of the variant, same machine, runtime and threads.
        operators: what the variant's file holds.
        environment: the machine that made both; ``None`` where its int8 kernels do not matter.
        layers: what the times of single layers tell (``bench.layer_verdict``).

    Returns:
        Nothing where the variant is faster beyond the noise; else what was found, then every
        cause that can be read off the file and the machine.

    Raises:
        DataError: the two records cannot be compared.
    """
    ratio = compare_speed(parent, variant)
    if ratio.faster:
        return ()
    causes = (
        *_file_causes(operators),
        *(_machine_causes(environment) if environment else ()),
        *layers,
        *_short_call(parent),
        *_doubts(parent, variant),
    )
    unknown = (
        "Neither the file nor the CPU's features explain it; the times of the single layers must.",
    )
    return (_finding(ratio, parent, variant), *(causes or unknown))


def _explain_float(
    parent: LatencyRecord,
    variant: LatencyRecord,
    operators: OperatorCounts,
    name: Variant,
    layers: Sequence[str],
) -> tuple[str, ...]:
    """Return why a float variant is not faster than the plain network."""
    dense = [_STAY_DENSE[word] for word in name.techniques if word in _STAY_DENSE]
    moved = OperatorCounts(total=operators.total, floating={})  # that it is in float is no fault
    return explain_slow(parent, variant, moved, None, (*dense, *layers))


def _layer_causes(
    records: Sequence[Record], parent: tuple[str, str], mine: tuple[str, str]
) -> tuple[str, ...]:
    """Return what the layers' times tell of a variant; nothing where they were not measured."""
    above, below = layer_times_of(records, *parent), layer_times_of(records, *mine)
    if above is None or below is None:
        return ()
    return layer_causes(above, below, of_kind(records, PeakRecord))


def _finding(ratio: SpeedRatio, parent: LatencyRecord, variant: LatencyRecord) -> str:
    measured = (
        f"{variant.variant} takes {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] times as"
        f" long as {parent.variant} on {variant.runtime}"
    )
    if ratio.undecided:
        return f"{measured}: no difference beyond the noise; more rounds would tell them apart."
    return f"{measured}: it is slower."


def _file_causes(operators: OperatorCounts) -> list[str]:
    """Return what the operators of an int8 file give away."""
    total = sum(operators.total.values())
    floating = sum(operators.floating.values())
    converting = sum(operators.total.get(name, 0) for name in _CONVERTING)
    moving = sum(operators.total.get(name, 0) for name in _MOVING)
    causes: list[str] = []
    if floating:
        causes.append(
            f"{floating} of {total} operators still compute in float"
            f" ({_listed(operators.floating)})."
        )
    if converting > _AT_THE_DOORS:
        causes.append(
            f"{converting} of {total} operators only convert between float and int8; each that"
            " the runtime cannot fuse into a neighbour is one more pass over the data."
        )
    if moving > _AT_THE_DOORS:
        causes.append(
            f"{moving} of {total} operators only transpose data from one layout to another."
        )
    return causes


def _machine_causes(environment: EnvironmentRecord) -> list[str]:
    features = set(environment.cpu_features)
    if not features:
        return [f"{environment.system} does not tell whether the CPU has int8 instructions."]
    if features & INT8_DOT_PRODUCTS:
        return []
    return [
        f"This CPU ({environment.cpu}) has no int8 dot-product instructions (VNNI on x86, dotprod"
        " on ARM): int8 is worked in wider numbers there and gains little over float."
    ]


def _short_call(parent: LatencyRecord) -> list[str]:
    if parent.median_ms >= _SHORT_CALL_MS:
        return []
    return [
        f"A float call takes {parent.median_ms:.2f} ms: what every call costs, whatever the model,"
        " weighs as much as the arithmetic that int8 saves."
    ]


def _doubts(parent: LatencyRecord, variant: LatencyRecord) -> list[str]:
    """Return what the records themselves say against their times, each once."""
    warnings = dict.fromkeys((*parent.warnings, *variant.warnings))
    return [f"The times are doubtful: {warning}." for warning in warnings]


def _listed(counts: dict[str, int]) -> str:
    """Return ``3 ADD, 1 SOFTMAX``, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {name}" for name, number in ordered)


def _medians(
    turns: npt.NDArray[np.float64], draws: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the median of each resample of whole turns."""
    return np.asarray(np.median(turns[draws].reshape(len(draws), -1), axis=1))
