"""``threadlite bench``: F1, latency and cost of variants, as records."""

from argparse import Namespace

from bench.accuracy import measure_accuracy
from bench.cost import measure_cost
from bench.environment import describe_environment
from bench.latency import measure_latencies
from bench.record import (
    FailureRecord,
    Record,
    write_records,
)
from bench.subject import subject_of, without_paths
from bench.verdict import verdict_records
from deploy.runtime import runtime_for
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from train.artifact import Artifact, open_artifact
from train.dataset import Dataset
from train.errors import ThreadliteError, UsageError
from train.pixels import load_pixels
from train.refit import unseen_or_train
from train.splits import select


def bench_artifacts(arguments: Namespace, display: Display) -> int:
    """Measure every variant given and write the records; return their number.

    A trained Keras network among them gives the MACCs and parameters of the variants made from
    it; it is not timed itself, for no phone runs it.

    Args:
        arguments: words of the command: ``artifacts``, ``out`` (must not exist), ``data``, its
            columns, ``threads`` and ``rounds``.
        display: shows progress.

    Raises:
        UsageError: there is no variant, they were trained on different photos, or ``rounds`` or
            ``threads`` is below 1.
        ConfigError: the photos are not theirs.
    """
    threads, rounds = arguments.threads, arguments.rounds
    if rounds < 1 or threads < 1:
        raise UsageError(f"--rounds and --threads must be 1 or more, got {rounds} and {threads}")
    given = [open_artifact(folder) for folder in arguments.artifacts]
    variants = [artifact for artifact in given if artifact.manifest.name.format != "keras"]
    if not variants:
        raise UsageError("bench needs a .tflite or .onnx artifact; see threadlite optimize")
    if len({variant.manifest.dataset.fingerprint for variant in variants}) > 1:
        raise UsageError("these variants were trained on different photos; bench them apart")
    parents = {a.manifest.payload_sha256: a for a in given if a not in variants}
    environment = describe_environment()
    machine = environment.environment
    records: list[Record] = [environment]
    dataset = reopen_dataset(variants[0], arguments, display)
    for variant in variants:
        parent = next(
            (parents[step.parent_sha256] for step in variant.manifest.steps
             if step.parent_sha256 in parents), None,
        )  # fmt: skip
        if parent is not None:
            records.append(measure_cost(variant, parent, machine))
        else:
            display.say(f"{variant.manifest.variant}: name its trained network too, for its cost")
        records += _accuracies(variant, dataset, machine, threads, display)
    pairs = [(variant, runtime_for(variant.manifest.name.format)) for variant in variants]
    display.begin("timing, turns", len(pairs) * rounds)
    picture = select(dataset.photos, unseen_or_train(variants[0].split())[:1])[0].path
    records += measure_latencies(
        pairs,
        threads=threads,
        rounds=rounds,
        environment=machine,
        picture=picture,
        advance=display.advance,
    )
    records += verdict_records(variants, records, environment)
    write_records(arguments.out, records)
    return len(records)


def _accuracies(
    variant: Artifact, dataset: Dataset, machine: str, threads: int, display: Display
) -> list[Record]:
    runtime = runtime_for(variant.manifest.name.format)
    records: list[Record] = []
    for side in ("validation", "test"):
        display.say(f"{side} F1 of {variant.manifest.variant} under {runtime}")
        photos = select(dataset.photos, getattr(variant.split(), side))
        if not photos:  # a refit trained on its validation photos
            continue
        pixels = load_pixels(photos, variant.manifest.pixels)
        try:
            records.append(
                measure_accuracy(
                    variant,
                    runtime,
                    photos,
                    pixels,
                    side="validation" if side == "validation" else "test",
                    environment=machine,
                    threads=threads,
                )
            )
        except ThreadliteError as error:
            records.append(
                FailureRecord(
                    **subject_of(variant.manifest, machine),
                    stage="accuracy",
                    runtime=runtime,
                    reason=without_paths(str(error)),
                )
            )
    return records
