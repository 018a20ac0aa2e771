"""What each command does, once its words are read."""

import shutil
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from threadlite.console import Display
from threadlite.options import columns_of, parse_settings, source_options
from train.dataset import Dataset, SourceOptions, fingerprint_of, restrict
from train.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from train.approaches import Approach
    from train.artifact import Artifact

NAMED_SOURCES = ("garments", "clothing")


def data(arguments: Namespace) -> int:
    """Describe a source of photos."""
    from rich.console import Console

    from threadlite.describe import describe_dataset

    with Display() as display:
        dataset = _open(arguments.data, source_options(arguments), display)
    describe_dataset(dataset, Console())
    return 0


def train(arguments: Namespace) -> int:
    """Train one approach."""
    approach = _approach(arguments)
    from optimize.distill import DistillConfig
    from optimize.techniques import checked_config
    from threadlite.training import train_or_distill
    from train.artifact import open_artifact
    from train.splits import restrict_split, split_photos
    from train.storage import digest_of, only_process
    from train.training import Training

    require_new(arguments.out)
    teachers = [open_artifact(folder) for folder in arguments.teacher]
    if arguments.distill and not teachers:
        raise UsageError("--distill says how to learn from teachers; name one with --teacher")
    config = checked_config("distill", DistillConfig, parse_settings(arguments.distill))
    with Display() as display:
        whole = _open(arguments.data, source_options(arguments), display)
        split = split_photos(whole.photos, method=arguments.split, seed=arguments.seed)
        dataset = _classes_of(approach, arguments, whole)
        training = Training(
            name=arguments.approach,
            approach=approach,
            dataset=dataset,
            split=restrict_split(split, dataset),
            seed=arguments.seed,
            weights=arguments.weights,
        )
        begun = arguments.out.parent / f".training-{arguments.out.name}"
        busy = f"{arguments.out}: another threadlite trains it; wait for it to end"
        with only_process(begun.with_name(f"{begun.name}.lock"), busy):
            taught = [str(config), *(teacher.manifest.payload_sha256 for teacher in teachers)]
            told = "-".join(
                (
                    training.key[:16],
                    *(("refit",) if arguments.refit else ()),
                    *((digest_of(taught)[:16],) if teachers else ()),
                )
            )
            artifact = train_or_distill(
                training,
                arguments.out,
                checkpoints=begun / told,
                refit=arguments.refit,
                teachers=teachers,
                config=config,
                progress=display,
            )
            shutil.rmtree(begun, ignore_errors=True)  # with other settings' that were given up
    _tell(f"{artifact.manifest.variant} in {arguments.out}")
    return 0


def crossval(arguments: Namespace) -> int:
    """Judge an approach on every photo, fold by fold."""
    approach = _approach(arguments)
    if arguments.folds < 2:
        raise UsageError(f"--folds must be 2 or more, got {arguments.folds}")
    from threadlite.crossval import run_crossval
    from train.splits import SplitMethod
    from train.storage import only_process

    both: tuple[SplitMethod, ...] = ("stratified", "grouped")
    busy = f"{arguments.out}: another threadlite works here; wait for it to end"
    with Display() as display, only_process(arguments.out / ".lock", busy):
        whole = _open(arguments.data, source_options(arguments), display)
        lines = run_crossval(
            name=arguments.approach,
            approach=approach,
            dataset=_classes_of(approach, arguments, whole),
            methods=both if arguments.split == "both" else (arguments.split,),
            folds=arguments.folds,
            seed=arguments.seed,
            weights=arguments.weights,
            folder=arguments.out,
            progress=display,
        )
    for line in lines:
        _tell(line)
    return 0


def optimize(arguments: Namespace) -> int:
    """Make a new artifact by one technique, or by several, one after the other."""
    if arguments.technique == "auto":
        return _optimize_automatically(arguments)
    if arguments.runtime is not None:
        return _rewrite_for_runtime(arguments)
    from threadlite.optimizing import lines_of, optimize_chain

    require_new(arguments.out)
    with Display() as display:
        made = optimize_chain(arguments, display)
    for line in lines_of(made):
        _tell(line)
    return 0


def _rewrite_for_runtime(arguments: Namespace) -> int:
    from threadlite.rewriting import rewrite_for_runtime

    require_new(arguments.out)
    with Display() as display:
        lines = rewrite_for_runtime(arguments, display)
    for line in lines:
        _tell(line)
    return 0


def _optimize_automatically(arguments: Namespace) -> int:
    from threadlite.auto import optimize_automatically

    with Display() as display:
        lines = optimize_automatically(arguments, display)
    for line in lines:
        _tell(line)
    return 0


def bench(arguments: Namespace) -> int:
    """Measure variants and write their records."""
    from threadlite.benching import bench_artifacts
    from threadlite.devices import bench_on_device

    require_new(arguments.out)
    measure = bench_on_device if arguments.device else bench_artifacts
    with Display() as display:
        count = measure(arguments, display)
    _tell(f"{count} records in {arguments.out}")
    return 0


def classify(arguments: Namespace) -> int:
    """Say what is in photos."""
    from threadlite.classify import classify_photos

    faults = 0
    for answer in classify_photos(arguments):
        faults += bool(answer.problem)
        if arguments.json:
            _tell(answer.as_json())
        elif not answer.problem:
            _tell(answer.as_line())
        if answer.problem:
            sys.stdout.flush()
            sys.stderr.write(f"threadlite: {answer.problem}\n")
    return 1 if faults else 0


def run(arguments: Namespace) -> int:
    """Carry out a plan."""
    from threadlite.plan import read_plan, with_weights
    from threadlite.run import run_plan

    plan = read_plan(arguments.plan)
    command = f"threadlite run plans/{arguments.plan.name}"
    if arguments.data:
        plan = plan.model_copy(
            update={"data": plan.data.model_copy(update={"source": arguments.data})}
        )
        command += " --data SOURCE"
    plan = with_weights(plan, arguments.weights)
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
    return 1 if outcome.failures and not outcome.bundles else 0


def doctor(arguments: Namespace) -> int:
    """Say what this machine and installation can do."""
    from threadlite.doctor import examine

    del arguments
    return examine()


def reopen_dataset(artifact: "Artifact", arguments: Namespace, display: Display) -> Dataset:
    """Open the photos that an artifact was trained on.

    Raises:
        UsageError: no source was given, and the artifact does not tell one that is known here.
        ConfigError: they are not the same photos.
    """
    manifest = artifact.manifest
    source = arguments.data or manifest.dataset.name
    if not arguments.data and source not in NAMED_SOURCES:
        raise UsageError(
            f"{artifact.folder} was trained on the folder {source!r}; say where it is with --data"
        )
    options = SourceOptions(
        **columns_of(arguments), dropped_labels=(), empty_classes=True, seed=manifest.seed
    )
    whole = _open(source, options, display)
    photos = tuple(photo for photo in whole.photos if photo.label in manifest.labels)
    fingerprint = fingerprint_of(photos)
    if fingerprint != manifest.dataset.fingerprint:
        raise ConfigError(
            f"--data {source}: these are not the photos that"
            f" {artifact.folder} was trained on (fingerprint {fingerprint[:12]}…,"
            f" trained on {manifest.dataset.fingerprint[:12]}…); give those"
        )
    return replace(whole, photos=photos, labels=manifest.labels, fingerprint=fingerprint)


def _approach(arguments: Namespace) -> "Approach":
    """Return the approach with what ``--set`` changes of its recipe."""
    from pydantic import ValidationError

    from threadlite.plan import explain
    from threadlite.plan_approach import override
    from train.approaches import approach_named

    approach = approach_named(arguments.approach)
    try:
        return override(approach, parse_settings(arguments.set))
    except ValidationError as error:
        raise UsageError(f"--set: {explain(error)}") from error


def _classes_of(approach: "Approach", arguments: Namespace, dataset: Dataset) -> Dataset:
    """Return the photos of the approach's own classes, unless ``--classes`` has chosen some."""
    return dataset if arguments.classes is not None else restrict(dataset, approach.classes)


def _open(source: str, options: SourceOptions, display: Display) -> Dataset:
    from train.sources import open_dataset

    display.begin("reading photos", 0)
    return open_dataset(source, options, advance=display.advance, received=display.received)


def require_new(path: Path) -> None:
    """Refuse an output that is there, or that could not be written after all the work."""
    from train.storage import require_writable

    if path.exists():
        raise UsageError(f"--out {path} exists already; choose another or remove it first")
    require_writable(path)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
