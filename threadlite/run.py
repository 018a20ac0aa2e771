"""A whole plan: train, optimize, deploy, bench and report, each step once."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import bench
from bench.environment import describe_environment
from bench.record import FailureRecord, ParityRecord, Record, of_kind, write_records
from deploy.parity import Parity, require_parity
from deploy.runtime import runtime_for
from optimize.techniques import Chain
from threadlite.plan import Plan
from threadlite.plan_approach import ApproachSection
from threadlite.steps import Steps
from threadlite.timing import time_layers, time_rewrites, time_variants
from threadlite.workspace import Workspace, digests_of, step_key
from train.artifact import Artifact
from train.errors import (
    ConfigError,
    ConversionError,
    ParityError,
    RuntimeFailure,
    ThreadliteError,
    WeightsError,
)
from train.progress import Progress
from train.sources import open_dataset
from train.splits import Split, SplitMethod
from train.storage import digest_of, only_process, require_writable
from train.variant import Format

RECORDS_NAME = "records.jsonl"
TEMPLATES = Path(bench.__file__).parent / "templates"


@dataclass(kw_only=True)
class Tally:
    """How many steps were done now, and how many were found done."""

    made: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def count(self, name: str, was_there: bool) -> None:
        """Take note of one step."""
        (self.found if was_there else self.made).append(name)


@dataclass(kw_only=True)
class Outcome:
    """What a run left.

    Attributes:
        report: the page to open.
        records: the file of all records.
        bundles: the folders that an app takes.
        failures: variants that could not be made or do not follow their parent.
        tally: what was done and what was found done.
    """

    report: Path
    records: Path
    bundles: list[Path]
    failures: list[FailureRecord]
    tally: Tally


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    progress: Progress,
    command: str,
    received: Callable[[int, int | None], None] | None = None,
) -> Outcome:
    """Carry out ``plan`` in ``folder``, going on from what is there.

    Args:
        plan: what to do.
        folder: the workspace; made where it is missing.
        progress: told of every step.
        command: how the user can make it again, for the report.
        received: told of a download: bytes so far, and in all where that is known.

    Raises:
        ThreadliteError: the photos cannot be read, a training fails, or the folder cannot be
            written. A variant that cannot be converted or run is a record, and the run goes on.
    """
    tally = Tally()
    workspace = Workspace(folder=folder, done=tally.count)
    require_writable(folder / RECORDS_NAME)
    lock = folder / ".lock"
    with only_process(lock, f"{folder}: another threadlite works here; wait for it to end"):
        return _run_alone(plan, workspace, tally, progress, command, received)


def _run_alone(
    plan: Plan,
    workspace: Workspace,
    tally: Tally,
    progress: Progress,
    command: str,
    received: Callable[[int, int | None], None] | None,
) -> Outcome:
    workspace.clean()
    options = plan.data.options(seed=plan.seed)
    progress.begin("reading photos", 0)
    dataset = open_dataset(plan.data.source, options, advance=progress.advance, received=received)
    environment = describe_environment()
    steps = Steps(
        plan=plan,
        dataset=dataset,
        workspace=workspace,
        progress=progress,
        environment=environment,
    )
    run = _Run(steps=steps, records=[environment])
    for method in plan.data.splits:
        split = steps.split(method)
        for section in plan.approaches:
            if section.splits is not None and method not in section.splits:
                continue
            run.train(section, split)
    for section in plan.approaches:
        for method in section.crossval:
            run.crossval(section, method)
    if plan.bench.rewrites and run.networks:
        run.take_new(time_rewrites(steps, run.networks))
    elif run.variants:
        run.take(time_variants(steps, run.variants))
        if plan.bench.layers:
            run.take(time_layers(steps, run.variants, run.networks))
        run.take(steps.verdicts(run.variants, run.records))
    run.bundle()
    workspace.forget_checkpoints()
    records = workspace.folder / RECORDS_NAME
    write_records(records, run.records)
    report = _report(plan, steps, run.records, command)
    failures = of_kind(run.records, FailureRecord)
    return Outcome(
        report=report, records=records, bundles=run.bundles, failures=failures, tally=tally
    )


@dataclass(kw_only=True)
class _Run:
    """What has come about so far."""

    steps: Steps
    records: list[Record]
    variants: list[Artifact] = field(default_factory=list)
    sound: dict[str, list[Artifact]] = field(default_factory=dict)
    trained: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    networks: list[Artifact] = field(default_factory=list)
    bundles: list[Path] = field(default_factory=list)

    def take(self, made: Sequence[Record]) -> None:
        """Keep records, in order."""
        self.records.extend(made)

    def take_new(self, made: Sequence[Record]) -> None:
        """Keep records that tell of no file or training that was measured before."""
        known = {_told(record) for record in self.records}
        self.take([record for record in made if _told(record) not in known])

    def bundle(self) -> None:
        """Write a bundle for each technique of each network, with what was measured of it."""
        for name, variants in self.sound.items():
            self.bundles.append(self.steps.bundle(name, variants, self.records))

    def train(self, section: ApproachSection, split: Split) -> None:
        """Train a network and make its variants; weights that cannot serve become a record."""
        try:
            artifact = self.steps.train(section, split, self._teachers_of(section, split))
        except WeightsError as error:
            self.take([self.steps.failure(error, section.called, split.method)])
            return
        self.trained[section.called, split.method] = artifact
        self.take(self.steps.training_record(artifact))
        self.make_variants(artifact, self.steps.plan.chains_of(section))

    def _teachers_of(self, section: ApproachSection, split: Split) -> list[Artifact]:
        """Return the teachers of a student; one that could not be trained is an error."""
        for name in section.teachers:
            if (name, split.method) not in self.trained:
                raise WeightsError(
                    f"{section.called}: its teacher {name} could not be trained under"
                    f" {split.method}; see the failure of {name}"
                )
        return [self.trained[name, split.method] for name in section.teachers]

    def crossval(self, section: ApproachSection, method: SplitMethod) -> None:
        """Cross-validate an approach; weights that cannot serve become a record."""
        try:
            self.take(self.steps.crossval(section, method))
        except WeightsError as error:
            self.take([self.steps.failure(error, section.called, method)])

    def make_variants(self, parent: Artifact, chains: Sequence[Chain]) -> None:
        """Make and judge every variant of a trained network; those that pass are bundled."""
        self.networks.append(parent)
        self._make_files(parent, parent, "float", "")
        for chain in chains:
            network = self._change(parent, chain)
            if network is not None:
                self._make_files(parent, network, chain.label, chain.file)

    def _change(self, trained: Artifact, chain: Chain) -> Artifact | None:
        """Make the network that a chain's files come from; a failure becomes a record."""
        network = trained
        try:
            for technique in chain.networks:
                network = self.steps.change(technique, network)
        except (ConversionError, ConfigError) as error:
            self._fail(error, trained, f"{chain.label}.keras")
            return None
        if network is not trained:
            self.networks.append(network)
        return network

    def _make_files(self, trained: Artifact, network: Artifact, label: str, technique: str) -> None:
        """Write ``network`` in every format, by a technique or in float, and judge the files."""
        make = (
            partial(self.steps.optimize, technique, network)
            if technique
            else partial(self.steps.export, network)
        )
        passed = []
        for target in self.steps.plan.deploy.formats:
            try:
                passed.append(self._judged(make(target), network, target))
            except (ConversionError, RuntimeFailure, ParityError) as error:
                self._fail(error, trained, f"{label}.{target}")
        if passed:
            method = trained.manifest.split.method
            self.sound[f"{trained.manifest.name.network}.{label}.{method}"] = passed

    def _judged(self, variant: Artifact, network: Artifact, target: Format) -> Artifact:
        """Judge a variant of ``network``; return it where it follows it."""
        judged = self.steps.parity(variant, network)
        self.take(judged)
        _require(judged)
        self.take(self.steps.cost(variant, network))
        if runtime_for(target) in self.steps.plan.bench.runtimes:
            sides = ("validation", "test") if variant.split().validation else ("test",)
            for side in sides:
                self.take(self.steps.accuracy(variant, side))
            self.variants.append(variant)
        return variant

    def _fail(self, error: ThreadliteError, trained: Artifact, name: str) -> None:
        manifest = trained.manifest
        self.take(
            [
                self.steps.failure(
                    error,
                    f"{manifest.name.network}.{name}",
                    manifest.split.method,
                    network=manifest.payload_sha256,
                )
            ]
        )


def _told(record: Record) -> tuple[object, ...]:
    """Return what a record tells of: its kind, and the subject in as far as it has one."""
    names = ("kind", "environment", "variant_sha256", "variant", "runtime", "threads", "side")
    return tuple(getattr(record, name, None) for name in (*names, "compared", "precision"))


def _require(judged: Sequence[Record]) -> None:
    for record in of_kind(judged, ParityRecord):
        fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(Parity)}
        require_parity([Parity(**fields)])


def _report(plan: Plan, steps: Steps, records: Sequence[Record], command: str) -> Path:
    """Write the report, unless the one of these records is there."""
    lines = digest_of([record.model_dump(mode="json") for record in records])
    inputs = {
        "records": lines, "title": plan.title, "command": command,
        "goals": plan.goals.model_dump(mode="json"), "templates": digests_of(TEMPLATES),
    }  # fmt: skip
    key = step_key("bench.report", inputs)

    def make(folder: Path) -> None:
        from bench.report import write_report
        from bench.report_content import Extras

        goals = Extras(under_ms=plan.goals.under_ms)
        write_report(records, folder, title=plan.title, command=command, extras=goals)

    return steps.workspace.only_folder("report", key, make) / "report.html"
