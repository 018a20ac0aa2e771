"""``threadlite optimize auto``: tries sensible chains within a time, and recommends one.

Everything is judged on the validation photos, under the runtime of the format; the test photos
are not looked at. What was made and measured is kept in the folder by what went into it, so that
the same command goes on, with more time, where it was.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.environment import describe_environment
from bench.record import (
    AccuracyRecord,
    CostRecord,
    LatencyRecord,
    Record,
    of_kind,
    write_records,
)
from bench.report_format import as_points
from bench.scores import paired_difference, score
from optimize.techniques import base_of, find_technique, make_config
from threadlite.auto_choice import Goal, Rung, Tried, climb, ladders, summary
from threadlite.auto_deadline import Deadline, OutOfTime
from threadlite.auto_students import DISTILL, student_config, student_rung, taught_student
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from threadlite.options import parse_settings
from threadlite.plan import BenchSection, DataSection, Plan
from threadlite.plan_approach import ApproachSection
from threadlite.steps import Steps
from threadlite.timing import time_variants
from threadlite.variants import change_network, optimize_variant
from threadlite.workspace import Workspace
from train.approaches import APPROACHES
from train.artifact import MANIFEST_NAME, Artifact, open_artifact
from train.errors import ConfigError, ThreadliteError, UsageError
from train.storage import only_process, write_text
from train.variant import Format

INT8 = Rung(name="int8", settings={})
MAX_F1_DROP = 0.01
MINUTES = 60.0


def optimize_automatically(
    arguments: Namespace, display: Display, clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """Try chains within the time and return what is told of them, line by line.

    Args:
        arguments: words of the command: ``artifact``, ``format``, ``goal``, ``max_f1_drop``,
            ``minutes``, ``set``, ``out`` (a folder of an earlier call goes on), ``data`` and its
            columns.
        display: shows progress.
        clock: seconds that only grow.

    Raises:
        UsageError: a word is out of range, or ``out`` is something else.
        ConfigError: a setting is, or the network has no validation photos to choose by.
        ThreadliteError: the network itself cannot be converted or judged.
    """
    drop = MAX_F1_DROP if arguments.max_f1_drop is None else arguments.max_f1_drop
    minutes = MINUTES if arguments.minutes is None else arguments.minutes
    if not 0.0 <= drop < 1.0 or not minutes > 0.0:
        raise UsageError(
            f"--max-f1-drop must be in [0, 1) and --minutes above 0, got {drop} and {minutes}"
        )
    if (arguments.out / MANIFEST_NAME).exists():
        raise UsageError(f"--out {arguments.out} is an artifact; name a folder for many of them")
    settings = _checked(parse_settings(arguments.set), drop)
    parent = open_artifact(arguments.artifact)
    if not parent.split().validation:
        raise ConfigError(
            f"{parent.manifest.variant}: it was trained on its validation photos, and nothing else"
            " may choose; give a network that is no refit"
        )
    busy = f"{arguments.out}: another threadlite works here; wait for it to end"
    with only_process(arguments.out / ".lock", busy):
        search = _Search(
            parent=parent,
            steps=_steps(parent, arguments, display),
            target=arguments.format,
            goal=arguments.goal or "latency",
            max_f1_drop=drop,
            settings=settings,
        )
        search.run(Deadline(display, clock() + 60.0 * minutes, clock))
        return search.told(arguments.out)


@dataclass(kw_only=True)
class _Search:
    """What was tried so far."""

    parent: Artifact
    steps: Steps
    target: Format
    goal: Goal
    max_f1_drop: float
    settings: Mapping[str, Mapping[str, Any]]
    variants: dict[str, Artifact] = field(default_factory=dict)
    judged: dict[str, AccuracyRecord] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    finished: bool = False

    def run(self, deadline: Deadline) -> None:
        """Try the network in float and in int8 whatever the time, and the rest within it."""
        self.records.append(self.steps.environment)
        self._judge("float", self.steps.export(self.parent, self.target), self.parent)
        whole = self._attempt((), INT8, self.steps)
        limited = replace(self.steps, progress=deadline)
        selective = Rung(name="selective", settings={"max_f1_drop": self.max_f1_drop})
        try:
            last = INT8
            if not whole and self._within(deadline, (), selective, limited):
                last = selective
            self._climb(deadline, (), last, limited)
            student = student_rung(self.parent, self.goal, self.settings.get(DISTILL, {}))
            if student and self._within(deadline, (student,), last, limited):
                self._climb(deadline, (student,), last, limited)
            self.finished = True
        except OutOfTime:
            self.steps.progress.say("the time is over; the same command goes on where it was")

    def told(self, folder: Path) -> list[str]:
        """Measure what was made side by side, write the records, and return the summary."""
        names = list(self.variants)
        timed = time_variants(self.steps, [self.variants[name] for name in names])
        self.records += timed
        costs = {record.variant_sha256: record for record in of_kind(self.records, CostRecord)}
        tried = []
        for name, timing in zip(names, timed, strict=True):
            variant = self.variants[name]
            record = self.judged[name]
            cost = costs[variant.manifest.payload_sha256]
            milliseconds = timing.median_ms if isinstance(timing, LatencyRecord) else float("inf")
            tried.append(
                Tried(
                    label=name,
                    place=str(variant.folder),
                    f1=score(record).weighted_f1,
                    change=paired_difference(record, parent=self.judged["float"]),
                    weight=milliseconds if self.goal == "latency" else cost.gzip_bytes,
                )
            )
        write_records(folder / "records.jsonl", self.records)
        lines = summary(tried, tried[0], goal=self.goal, max_f1_drop=self.max_f1_drop)
        if self.goal == "latency":
            doubts = {doubt for one in of_kind(timed, LatencyRecord) for doubt in one.warnings}
            lines += [f"  doubtful times: {doubt}" for doubt in sorted(doubts)]
        if self.finished:
            self.steps.workspace.forget_checkpoints()
        else:
            lines.append("not all was tried in the time; the same command goes on where it was")
        write_text(folder / "summary.txt", "\n".join(lines) + "\n")
        return lines

    def _climb(self, deadline: Deadline, first: tuple[Rung, ...], last: Rung, steps: Steps) -> None:
        """Climb the goal's ladders on top of the parent, or of a student of it."""
        sizes = [int(rung.settings["image_size"]) for rung in first]
        climb(
            ladders(self.goal, *(sizes or [self.parent.manifest.pixels.height])),
            lambda rungs: self._within(deadline, (*first, *rungs), last, steps),
        )

    def _within(self, deadline: Deadline, rungs: Sequence[Rung], last: Rung, steps: Steps) -> bool:
        deadline.check()
        return self._attempt(rungs, last, steps)

    def _attempt(self, rungs: Sequence[Rung], last: Rung, steps: Steps) -> bool:
        """Make and judge one variant; return whether its F1 holds. A failure is a record."""
        label = " + ".join(str(rung) for rung in (*rungs, last))
        steps.progress.say(f"trying {label}")
        network = self.parent
        try:
            for rung in rungs:
                network = self._network(rung, network, steps)
            variant = optimize_variant(
                network,
                last.name,
                self._config(last),
                self.target,
                steps.dataset,
                steps.workspace,
                steps.progress,
            )
            record = self._judge(label, variant, network)
        except ThreadliteError as error:
            self._fail(label, error)
            return False
        change = paired_difference(record, parent=self.judged["float"])
        steps.progress.say(f"{label}: validation F1 {as_points(change)} points against float")
        return change.value >= -self.max_f1_drop

    def _network(self, rung: Rung, network: Artifact, steps: Steps) -> Artifact:
        """Make the network of one rung out of the one before it."""
        if rung.name == DISTILL:
            return taught_student(network, rung, self.settings.get(DISTILL, {}), steps)
        config = self._config(rung)
        return change_network(
            network, rung.name, config, steps.dataset, steps.workspace, steps.progress
        )

    def _judge(self, label: str, variant: Artifact, network: Artifact) -> AccuracyRecord:
        """Measure a variant's F1 on the validation photos, and its cost."""
        self.records += self.steps.cost(variant, network)
        (record,) = of_kind(self.steps.accuracy(variant, "validation"), AccuracyRecord)
        self.records.append(record)
        self.variants[label], self.judged[label] = variant, record
        return record

    def _fail(self, label: str, error: ThreadliteError) -> None:
        """Keep the record of a variant that could not be made or judged."""
        manifest = self.parent.manifest
        self.steps.progress.say(f"not made: {label}: {error}")
        self.records.append(
            self.steps.failure(
                error,
                f"{manifest.name.network}: {label}",
                manifest.split.method,
                network=manifest.payload_sha256,
            )
        )

    def _config(self, rung: Rung) -> Any:
        own = self.settings.get(base_of(rung.name), {})
        return make_config(rung.name, {**own, **rung.settings})


def _checked(settings: Mapping[str, Any], max_f1_drop: float) -> Mapping[str, Mapping[str, Any]]:
    """Return settings by technique, each tried once, before hours of work and not after.

    Raises:
        UsageError: a setting names no technique.
        ConfigError: it is unknown, of another type than its default or out of range.
    """
    for name, own in settings.items():
        if name != DISTILL:
            find_technique(name)
        if not isinstance(own, dict):
            raise UsageError(f"--set {name}: must read TECHNIQUE.KEY=VALUE, such as int8.photos=9")
        if name == DISTILL:
            student_config(own)
        else:
            make_config(name, own)
    make_config("selective", {**settings.get("selective", {}), "max_f1_drop": max_f1_drop})
    return settings


def _steps(parent: Artifact, arguments: Namespace, display: Display) -> Steps:
    """Return the steps that measure; of their plan only how to time is looked at."""
    workspace = Workspace(folder=arguments.out, done=lambda name, there: None)
    workspace.clean()
    plan = Plan(
        name="auto",
        title=f"{parent.manifest.variant}, optimized by itself",
        seed=parent.manifest.seed,
        data=DataSection(source=parent.manifest.dataset.name),
        approaches=(ApproachSection(name=next(iter(APPROACHES))),),
        bench=BenchSection(),
    )
    return Steps(
        plan=plan,
        dataset=reopen_dataset(parent, arguments, display),
        workspace=workspace,
        progress=display,
        environment=describe_environment(),
    )
