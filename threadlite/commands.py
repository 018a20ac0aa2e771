"""What each command does, once its words are read."""

import shlex
import sys
import tomllib
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threadlite.console import Display
from train.dataset import DROPPED_LABELS, Dataset, SourceOptions
from train.errors import ConfigError, UsageError


def data(arguments: Namespace) -> int:
    """Describe a source of photos."""
    from rich.console import Console

    from threadlite.describe import describe_dataset

    with Display() as display:
        dataset = _open(arguments.data, _source_options(arguments), display)
    describe_dataset(dataset, Console())
    return 0


def train(arguments: Namespace) -> int:
    """Train one approach."""
    from pydantic import ValidationError

    from threadlite.plan import explain, override
    from train.approaches import approach_named
    from train.fit import Training, train_approach
    from train.splits import split_photos

    approach = approach_named(arguments.approach)
    try:
        approach = override(approach, parse_settings(arguments.set))
    except ValidationError as error:
        raise UsageError(f"--set: {explain(error)}") from error
    _require_absent(arguments.out)
    with Display() as display:
        dataset = _open(arguments.data, _source_options(arguments), display)
        split = split_photos(dataset.photos, method=arguments.split, seed=arguments.seed)
        training = Training(
            name=arguments.approach,
            approach=approach,
            dataset=dataset,
            split=split,
            seed=arguments.seed,
            weights=arguments.weights,
        )
        checkpoints = arguments.out.parent / f".training-{arguments.out.name}"
        artifact = train_approach(
            training, arguments.out, checkpoints=checkpoints, progress=display
        )
    _tell(f"{artifact.manifest.variant} in {arguments.out}")
    return 0


def optimize(arguments: Namespace) -> int:
    """Make a new artifact by one technique."""
    from optimize.techniques import make_config
    from threadlite.steps import optimize_artifact
    from train.artifact import open_artifact

    config = make_config(arguments.technique, parse_settings(arguments.set))
    _require_absent(arguments.out)
    parent = open_artifact(arguments.artifact)
    with Display() as display:
        dataset = reopen_dataset(parent, arguments.data, display)
        made = optimize_artifact(
            parent, arguments.technique, arguments.format, dataset, arguments.out, config
        )
    _tell(f"{made.manifest.variant} in {arguments.out}")
    return 0


def deploy(arguments: Namespace) -> int:
    """Check variants against their parent and bundle them."""
    from threadlite.deploying import deploy_bundle

    _require_absent(arguments.out)
    with Display() as display:
        deploy_bundle(
            arguments.artifacts,
            arguments.out,
            parent=arguments.parent,
            source=arguments.data,
            threads=arguments.threads,
            display=display,
        )
    _tell(f"bundle in {arguments.out}")
    return 0


def bench(arguments: Namespace) -> int:
    """Measure variants and write their records."""
    from threadlite.benching import bench_artifacts

    _require_absent(arguments.out)
    with Display() as display:
        count = bench_artifacts(
            arguments.artifacts,
            arguments.out,
            source=arguments.data,
            threads=arguments.threads,
            rounds=arguments.rounds,
            display=display,
        )
    _tell(f"{count} records in {arguments.out}")
    return 0


def report(arguments: Namespace) -> int:
    """Make the report out of records."""
    from bench.record import Record, read_records, to_line
    from bench.report import write_report

    _require_absent(arguments.out)
    records: list[Record] = []
    warnings: list[str] = []
    for path in arguments.records:
        found, doubts = read_records(path)
        records += found
        warnings += doubts
    records = list({to_line(record): record for record in records}.values())
    command = shlex.join(["threadlite", "report", *map(str, arguments.records)])
    write_report(records, arguments.out, title=arguments.title, warnings=warnings, command=command)
    _tell(f"report in {arguments.out / 'report.html'}")
    return 0


def run(arguments: Namespace) -> int:
    """Carry out a plan."""
    from threadlite.plan import read_plan
    from threadlite.run import run_plan

    plan = read_plan(arguments.plan)
    command = f"threadlite run {arguments.plan.name}"
    if arguments.data:
        plan = plan.model_copy(
            update={"data": plan.data.model_copy(update={"source": arguments.data})}
        )
        command += " --data SOURCE"
    folder = arguments.out or Path("runs") / plan.name
    with Display() as display:
        outcome = run_plan(
            plan, folder, progress=display, command=command, received=display.received
        )
    tally = outcome.tally
    for failed in outcome.failures:
        _tell(f"not made: {failed.variant} ({failed.split_method}): {failed.reason}")
    _tell(f"{len(tally.made)} steps done, {len(tally.found)} found done")
    _tell(f"records: {outcome.records}")
    for bundle in outcome.bundles:
        _tell(f"bundle:  {bundle}")
    _tell(f"report:  {outcome.report}")
    return 0


def doctor(arguments: Namespace) -> int:
    """Say what this machine and installation can do."""
    from threadlite.doctor import examine

    del arguments
    return examine()


def reopen_dataset(artifact: Any, source: str | None, display: Display) -> Dataset:
    """Open the photos that an artifact was trained on.

    Raises:
        ConfigError: they are not the same photos.
    """
    manifest = artifact.manifest
    options = SourceOptions(
        classes=",".join(manifest.labels), dropped_labels=(), seed=manifest.seed
    )
    dataset = _open(source or manifest.dataset.name, options, display)
    if dataset.fingerprint != manifest.dataset.fingerprint:
        raise ConfigError(
            f"--data {source or manifest.dataset.name}: these are not the photos that"
            f" {artifact.folder} was trained on (fingerprint {dataset.fingerprint[:12]}…,"
            f" trained on {manifest.dataset.fingerprint[:12]}…); give those"
        )
    return dataset


def _open(source: str, options: SourceOptions, display: Display) -> Dataset:
    from train.sources import open_dataset

    display.begin("reading photos", 0)
    return open_dataset(source, options, advance=display.advance, received=display.received)


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` words as nested settings; values are TOML, bare words are text.

    Raises:
        UsageError: a word has no ``=`` or no key.
    """
    settings: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            raise UsageError(f"--set {word!r} must read KEY=VALUE, such as epochs=5")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        place = settings
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return settings


def _source_options(arguments: Namespace) -> SourceOptions:
    dropped = arguments.drop
    return SourceOptions(
        image_column=arguments.image_column,
        label_column=arguments.label_column,
        sender_column=arguments.sender_column,
        classes=arguments.classes,
        dropped_labels=DROPPED_LABELS if dropped is None else tuple(dropped.split(",")),
        seed=arguments.seed,
    )


def _require_absent(path: Path) -> None:
    if path.exists():
        raise UsageError(f"--out {path} exists already; choose another or remove it first")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
