"""Two runs side by side: what moved from the old one to the new one, and what is noise.

F1 is compared photo by photo where both runs judged the same photos; else the two intervals are
laid side by side, which can only say that they do not overlap. Times are compared on one machine
alone, by the bootstrap over turns of calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.record import (
    AccuracyRecord,
    CostRecord,
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    Record,
    of_kind,
)
from bench.report_format import ABSENT, as_f1, as_megabytes, as_ms, as_points, listed
from bench.report_layout import Table
from bench.report_scores import change_between, score_of
from bench.scores import Difference, Scores
from bench.verdict import SpeedRatio, compare_speed

HEADERS = (
    "variant", "runtime", "split", "F1", "time", "F1, old", "F1, new", "change, points",
    "median ms, old", "new", "new / old", "MB, old", "new",
)  # fmt: skip
MEANING = (
    "New against old, variants paired by name, runtime, split and threads; intervals are 95 %."
    " Moved: the interval of the change does not hold 0; noise: it does. F1 is paired photo"
    " by photo; where the photos are not the same, only whether the two intervals overlap can be"
    " said, which is less. The intervals of times hold what varied within each run, and not what"
    " differed between the two (load, heat, clock): a small change of time that moved may be that."
)
SHOWN = 5
_Key = tuple[str, str, str, int | None]  # split, variant, runtime without version, threads


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One variant on one runtime in both runs; ``None``: not measured in both.

    Attributes:
        f1_says: ``moved``, ``noise``, ``unchanged``, or what two intervals of other photos say.
        f1_change: new less old, on the same photos.
        time_says: ``slower``, ``faster``, ``noise``, or why the times cannot be compared.
        ratio: new time over old.
    """

    split_method: str
    variant: str
    runtime: str
    threads: int | None
    f1_says: str
    f1_before: Scores | None
    f1_after: Scores | None
    f1_change: Difference | None
    time_says: str
    ms_before: float | None
    ms_after: float | None
    ratio: SpeedRatio | None
    bytes_before: int | None
    bytes_after: int | None


@dataclass(frozen=True, kw_only=True)
class Against:
    """What a report says of two runs.

    Attributes:
        old: what the old run is called.
        sentences: what moved and what cannot be compared.
    """

    old: str
    comparisons: tuple[Comparison, ...]
    sentences: tuple[str, ...]
    table: Table
    meaning: str = MEANING


class _Run:
    """The latest record of each thing in one run."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.machines = {one.environment: one for one in of_kind(records, EnvironmentRecord)}
        self.times: dict[_Key, LatencyRecord] = {
            (one.split_method, one.variant, _name(one.runtime), one.threads): one
            for one in of_kind(records, LatencyRecord)
        }
        self.judged = {
            (one.split_method, one.variant, _name(one.runtime)): one
            for one in of_kind(records, AccuracyRecord)
            if one.side == "test"
        }
        self.costs = {(one.split_method, one.variant): one for one in of_kind(records, CostRecord)}
        self.failed = {(one.split_method, one.variant) for one in of_kind(records, FailureRecord)}

    @property
    def keys(self) -> dict[_Key, None]:
        """What was measured, in order: what was timed, then what was only judged."""
        timed = {key[:3] for key in self.times}
        return dict.fromkeys(
            (*self.times, *((*key, None) for key in self.judged if key not in timed))
        )

    def has(self, key: _Key) -> bool:
        """Return whether it was timed, or judged where one of the two runs timed nothing."""
        timed = key[:3] in {other[:3] for other in self.times}
        return key in self.times or (key[:3] in self.judged and (key[3] is None or not timed))


def compare_runs(records: Sequence[Record], old_records: Sequence[Record], old: str) -> Against:
    """Return what moved from ``old_records`` to ``records``.

    Args:
        records: of the new run.
        old_records: of the old one.
        old: what the old run is called.
    """
    new_run, old_run = _Run(records), _Run(old_records)
    both = [key for key in new_run.keys if old_run.has(key)]
    comparisons = tuple(_compare(key, new_run, old_run) for key in both)
    return Against(
        old=old,
        comparisons=comparisons,
        sentences=(*_findings(comparisons), *_unpaired(new_run, old_run)),
        table=Table(
            caption=f"New against old ({old})",
            headers=HEADERS,
            rows=tuple(_cells(one) for one in comparisons),
            words=5,
        ),
    )


def _compare(key: _Key, new: _Run, old: _Run) -> Comparison:
    split_method, variant, runtime, threads = key
    before, after = (run.judged.get((split_method, variant, runtime)) for run in (old, new))
    timed_before, timed_after = (run.times.get(key) for run in (old, new))
    weighed = [run.costs.get((split_method, variant)) for run in (old, new)]
    change = change_between(before, after) if before and after else None
    time_says, ratio = _times(timed_before, timed_after, old.machines, new.machines)
    return Comparison(
        split_method=split_method,
        variant=variant,
        runtime=_versions(timed_before or before, timed_after or after),
        threads=threads,
        f1_says=_f1_says(before, after, change),
        f1_before=score_of(before) if before else None,
        f1_after=score_of(after) if after else None,
        f1_change=change,
        time_says=time_says,
        ms_before=timed_before.median_ms if timed_before else None,
        ms_after=timed_after.median_ms if timed_after else None,
        ratio=ratio,
        bytes_before=weighed[0].file_bytes if weighed[0] else None,
        bytes_after=weighed[1].file_bytes if weighed[1] else None,
    )


def _f1_says(
    before: AccuracyRecord | None, after: AccuracyRecord | None, change: Difference | None
) -> str:
    if before is None or after is None:
        return ABSENT
    if change is not None:
        if change.low == change.high == 0.0:
            return "unchanged"
        return "noise" if change.low <= 0.0 <= change.high else "moved"
    if before.labels != after.labels:
        return "other classes: not compared"
    old, new = score_of(before), score_of(after)
    if old.low <= new.high and new.low <= old.high:
        return "other photos; intervals overlap"
    return "other photos; intervals apart"


def _times(
    before: LatencyRecord | None,
    after: LatencyRecord | None,
    old: Mapping[str, EnvironmentRecord],
    new: Mapping[str, EnvironmentRecord],
) -> tuple[str, SpeedRatio | None]:
    """Return what the times say, and their ratio where one machine took both."""
    if before is None or after is None:
        return ABSENT, None
    if not _same_machine(before.environment, after.environment, old, new):
        return "another machine: not compared", None
    shared = {"environment": after.environment, "runtime": after.runtime}
    ratio = compare_speed(before.model_copy(update=shared), after)
    if ratio.undecided:
        return "noise", ratio
    return "faster" if ratio.faster else "slower", ratio


def _same_machine(
    before: str,
    after: str,
    old: Mapping[str, EnvironmentRecord],
    new: Mapping[str, EnvironmentRecord],
) -> bool:
    """Return whether both are one kind of machine, whatever software it carried."""
    if before == after:
        return True
    one, other = old.get(before), new.get(after)
    if one is None or other is None:
        return False
    names = ("cpu", "cores", "memory_bytes", "cpu_features", "kept_awake")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _findings(comparisons: Sequence[Comparison]) -> list[str]:
    if not comparisons:
        return ["The two runs share no variant on one runtime and split: nothing is compared."]
    told = [one for one in comparisons if one.f1_change]
    groups = {
        "F1 rose": [one for one in told if one.f1_change and one.f1_change.low > 0.0],
        "F1 fell": [one for one in told if one.f1_change and one.f1_change.high < 0.0],
        "Faster": [one for one in comparisons if one.time_says == "faster"],
        "Slower": [one for one in comparisons if one.time_says == "slower"],
    }
    found = [
        f"{word}: {listed([_called(one) for one in group], SHOWN)}."
        for word, group in groups.items()
        if group
    ]
    noise = sum(one.f1_says == "noise" for one in comparisons)
    timed = [one for one in comparisons if one.ratio]
    still = sum(one.time_says == "noise" for one in timed)
    found.append(
        f"Noise: {noise} of {len(told)} changes of F1 and {still} of {len(timed)} of time. Of so"
        f" many comparisons, {0.05 * (len(told) + len(timed)):.1f} would be called moved by chance."
    )
    if any("machine" in one.time_says for one in comparisons):
        found.append(
            "Times that other machines took are shown side by side and not compared: what differs"
            " may be the machine."
        )
    return found


def _unpaired(new: _Run, old: _Run) -> list[str]:
    found = []
    for word, mine, theirs in (("new", new, old), ("old", old, new)):
        names = [f"{key[1]} on {key[2]} ({key[0]})" for key in mine.keys if not theirs.has(key)]
        if names:
            found.append(f"Only in the {word} run: {listed(names, SHOWN)}.")
        failed = sorted(f"{name} ({split})" for split, name in mine.failed - theirs.failed)
        if failed:
            found.append(f"Failed in the {word} run alone: {listed(failed, SHOWN)}.")
    return found


def _cells(one: Comparison) -> tuple[str, ...]:
    ratio = one.ratio
    return (
        one.variant,
        one.runtime,
        one.split_method,
        one.f1_says,
        one.time_says,
        as_f1(one.f1_before),
        as_f1(one.f1_after),
        as_points(one.f1_change),
        as_ms(one.ms_before),
        as_ms(one.ms_after),
        f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else ABSENT,
        as_megabytes(one.bytes_before),
        as_megabytes(one.bytes_after),
    )


def _called(one: Comparison) -> str:
    return f"{one.variant} on {one.runtime} ({one.split_method})"


def _name(runtime: str) -> str:
    """Return the runtime without its version."""
    return runtime.partition(" ")[0]


def _versions(
    before: AccuracyRecord | LatencyRecord | None, after: AccuracyRecord | LatencyRecord | None
) -> str:
    """Return the runtime, with both versions where they differ."""
    names = [one.runtime for one in (before, after) if one]
    if len(set(names)) < 2:
        return names[0] if names else ""
    return f"{names[0]}, now {names[1].partition(' ')[2]}"
