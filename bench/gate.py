"""The gate: does a variant keep its goals?  Pass, fail or undecided, from records alone."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.flips import float_names
from bench.gate_checks import Check, Outcome, f1_check, failed_check, latency_check
from bench.gate_evidence import Evidence, Subject, comparable_times, evidence_on, subjects_of
from bench.record import Record
from train.errors import DataError, UsageError

_ITSELF = "it is the float network itself; hold it against an older run with --baseline"


@dataclass(frozen=True, kw_only=True)
class Goals:
    """What a variant may cost and must bring; ``None``: not asked.

    Attributes:
        max_f1_drop: weighted F1 that it may lose against its reference, in [0, 1].
        max_latency_ratio: its median time as a share of the reference's, above 0.
    """

    max_f1_drop: float | None = None
    max_latency_ratio: float | None = None

    def __post_init__(self) -> None:
        drop, ratio = self.max_f1_drop, self.max_latency_ratio
        if drop is None and ratio is None:
            raise UsageError("a gate needs a goal: --max-f1-drop, --max-latency-ratio or both")
        if drop is not None and not 0.0 <= drop <= 1.0:
            raise UsageError(f"--max-f1-drop must be in [0, 1], got {drop}; 0.01 is one point")
        if ratio is not None and not (ratio > 0.0 and math.isfinite(ratio)):
            raise UsageError(f"--max-latency-ratio must be above 0, got {ratio}; 0.5 is half")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One variant under one split against its reference.

    Attributes:
        reference: name of what it was held against.
        checks: one for each goal and each runtime or condition that it was measured under.
        doubts: what the records say against their own times.
    """

    variant: str
    split_method: str
    reference: str
    checks: tuple[Check, ...]
    doubts: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of the checks."""
        return worst(check.outcome for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """All judgements, and the variants that have none.

    Attributes:
        left_out: each with the reason; float networks, which the others are held against, are
            not among them.
    """

    judgements: tuple[Judgement, ...]
    left_out: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the judgements."""
        return worst(one.outcome for one in self.judgements)


def judge(
    records: Sequence[Record],
    goals: Goals,
    *,
    baseline: Sequence[Record] | None = None,
    variant: str = "",
) -> GateResult:
    """Return whether the variants keep the goals.

    Args:
        records: latencies and test predictions, of one or of several runs.
        goals: the bounds.
        baseline: records of an earlier run: each variant is held against the one of its name
            there. ``None``: each against its float parent in ``records``.
        variant: judge this one alone; empty: all that have a reference.

    Raises:
        DataError: nothing can be judged, a measurement is missing, or what was measured cannot
            be compared.
    """
    subjects = _subjects(records, variant)
    judgements: list[Judgement] = []
    left_out: dict[Subject, str] = {}
    for subject in subjects:
        mine = evidence_on(records, subject)
        theirs = _reference(records, baseline, subject, mine)
        if mine is None or isinstance(theirs, str):
            left_out[subject] = str(theirs)
        else:
            judgements.append(_judge_one(subject, mine, theirs, goals, baseline is not None))
    for subject in subjects_of(baseline or ()):
        if subject not in subjects and variant in ("", subject[1]):
            left_out[subject] = "the baseline has it, the records do not"
    if not judgements:
        reasons = "; ".join(_told(left_out)) or "the records hold neither times nor predictions"
        raise DataError(f"no variant can be judged: {reasons}")
    plain = {subject: why for subject, why in left_out.items() if why != _ITSELF}
    return GateResult(judgements=tuple(judgements), left_out=_told(plain))


def _subjects(records: Sequence[Record], variant: str) -> list[Subject]:
    """Return what is to be judged: ``variant`` under each split, or all where it is empty."""
    known = subjects_of(records)
    subjects = [one for one in known if variant in ("", one[1])]
    if variant and not subjects:
        names = ", ".join(sorted({name for _, name in known})) or "none"
        raise DataError(f"{variant} is not in the records; there are: {names}")
    return subjects


def _told(left_out: dict[Subject, str]) -> tuple[str, ...]:
    return tuple(f"{name} ({method} split): {why}" for (method, name), why in left_out.items())


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return fail before undecided before pass."""
    found = set(outcomes)
    if "fail" in found:
        return "fail"
    return "undecided" if "undecided" in found else "pass"


def _reference(
    records: Sequence[Record],
    baseline: Sequence[Record] | None,
    subject: Subject,
    mine: Evidence | None,
) -> Evidence | str:
    """Return what a variant is held against, or why there is nothing."""
    split_method, name = subject
    if baseline is not None:
        return evidence_on(baseline, subject) or "the baseline does not have it"
    try:
        others = float_names(name)
    except UsageError as error:
        return f"its float parent is not known: {error}"
    if not others:
        return _ITSELF
    network = mine.network_sha256 if mine else ""
    for other in others:
        found = evidence_on(records, (split_method, other), network=network or None)
        if found is not None:
            return found
    return f"its float parent {others[0]} is not in the records; bench both"


def _judge_one(
    subject: Subject, mine: Evidence, theirs: Evidence, goals: Goals, two_runs: bool
) -> Judgement:
    checks: list[Check] = []
    doubts: list[str] = []
    if goals.max_f1_drop is not None:
        checks += _f1_checks(mine, theirs, goals.max_f1_drop)
    if goals.max_latency_ratio is not None and not mine.timed and mine.failures:
        checks.append(failed_check("latency", mine))
    elif goals.max_latency_ratio is not None:
        _require_times(mine, theirs)
        pairs = comparable_times(mine, theirs)
        checks += [latency_check(one, other, goals.max_latency_ratio) for one, other in pairs]
        doubts += [warning for pair in pairs for one in pair for warning in one.warnings]
        if two_runs:
            doubts.append("the times are of two runs: what changed between them is in no interval")
    return Judgement(
        variant=mine.name,
        split_method=subject[0],
        reference=f"{theirs.name} of the baseline" if two_runs else theirs.name,
        checks=tuple(checks),
        doubts=tuple(dict.fromkeys(doubts)),
    )


def _f1_checks(mine: Evidence, theirs: Evidence, bound: float) -> list[Check]:
    if not mine.judged and mine.failures:
        return [failed_check("f1", mine)]
    shared = [name for name in mine.judged if name in theirs.judged]
    if not shared:
        raise DataError(
            f"{mine.name} and {theirs.name}: no test predictions of both under one runtime in the"
            " records; bench both on the same photos"
        )
    return [f1_check(mine.judged[name], theirs.judged[name], bound) for name in shared]


def _require_times(mine: Evidence, theirs: Evidence) -> None:
    for one in (mine, theirs):
        if not one.timed:
            raise DataError(f"{one.name}: the records hold no times of it; bench it again")
