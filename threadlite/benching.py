"""``threadlite bench``: F1, latency, layers and cost of variants, as records."""

import statistics
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.accuracy import measure_accuracy
from bench.cost import LayerCost, count_file, weigh
from bench.environment import describe_environment
from bench.latency import measure_latencies
from bench.measure_layers import layer_records, network_of
from bench.record import (
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    Record,
    of_kind,
    write_records,
)
from bench.steadiness import median_interval
from bench.subject import subject_of, without_paths
from bench.training import training_record
from bench.verdict import verdict_records
from deploy.runtime import runtime_for
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from threadlite.devices import thread_counts
from threadlite.variants import parity_ids
from train.artifact import HISTORY_NAME, MANIFEST_NAME, Artifact, Manifest, open_artifact
from train.dataset import Dataset, Photo
from train.errors import ArtifactError, ThreadliteError, UsageError
from train.pixels import load_pixels
from train.refit import unseen_or_train
from train.splits import select

Side = Literal["validation", "test"]
SIDES: tuple[Side, ...] = ("validation", "test")
COMPARED_PHOTOS = 4  # that the error of every layer is measured on


def bench_artifacts(arguments: Namespace, display: Display) -> int:
    """Measure every variant given and write the records; return their number.

    A trained Keras network among them gives the MACCs and parameters of the variants made from
    it, and their training, taken for one of this machine; it is not timed itself, for no phone
    runs it. A variant that is damaged, or that its runtime cannot run, costs one failure with its
    reason; the others go on.

    Args:
        arguments: words of the command: ``artifacts``, ``out`` (must not exist), ``data``, its
            columns, ``threads``, ``sweep``, ``rounds``, ``layers`` and ``no_f1``.
        display: shows progress.

    Raises:
        UsageError: there is no variant, they were trained on different photos, or ``rounds`` or
            ``threads`` is below 1.
        ArtifactError: a folder is no artifact, or no variant is whole.
        ConfigError: the photos are not theirs.
    """
    threads, rounds = arguments.threads, arguments.rounds
    if rounds < 1 or threads < 1:
        raise UsageError(f"--rounds and --threads must be 1 or more, got {rounds} and {threads}")
    session = _Session(arguments, describe_environment(), display)
    given = session.opened()
    variants = [artifact for artifact in given if artifact.manifest.name.format != "keras"]
    if not variants:
        raise UsageError("bench needs a .tflite or .onnx artifact; see threadlite optimize")
    if len({variant.manifest.dataset.fingerprint for variant in variants}) > 1:
        raise UsageError("these variants were trained on different photos; bench them apart")
    networks = [artifact for artifact in given if artifact not in variants]
    dataset = reopen_dataset(variants[0], arguments, display)
    for network in networks:
        session.tell_training(network)
    alive = session.time(variants, dataset)
    for variant in alive:
        session.weigh(variant, networks)
        if not arguments.no_f1:
            session.judge(variant, dataset)
    if arguments.layers and alive:
        session.profile(alive, networks, dataset)
    session.explain(alive)
    write_records(arguments.out, session.records)
    return len(session.records)


class _Session:
    """One run of the command: what it was told, and what it has recorded."""

    def __init__(
        self, arguments: Namespace, environment: EnvironmentRecord, display: Display
    ) -> None:
        self._arguments, self._environment, self._display = arguments, environment, display
        self._machine = environment.environment
        self._counted: dict[str, tuple[LayerCost, ...]] = {}
        self.records: list[Record] = [environment]

    def opened(self) -> list[Artifact]:
        """Return the artifacts that are whole; each damaged one beside them is a failure.

        Raises:
            ArtifactError: a folder is no artifact, or none is whole.
        """
        found: list[Artifact] = []
        errors: dict[Path, ArtifactError] = {}
        for folder in self._arguments.artifacts:
            try:
                found.append(open_artifact(folder))
            except ArtifactError as error:
                if not (folder / MANIFEST_NAME).is_file():
                    raise
                errors[folder] = error
        if errors and not found:
            raise next(iter(errors.values()))
        self._add([damaged(folder, error, self._machine) for folder, error in errors.items()])
        return found

    def tell_training(self, network: Artifact) -> None:
        """Record how a network was trained; what a technique has made of it, no training did."""
        if len(network.manifest.steps) == 1 and (network.folder / HISTORY_NAME).is_file():
            self._add([training_record(network, environment=self._machine)])

    def time(self, variants: Sequence[Artifact], dataset: Dataset) -> list[Artifact]:
        """Time all variants, interleaved, and return those that can be run.

        With ``--sweep`` all are timed with each number of threads, the one asked for last.
        """
        picture = select(dataset.photos, unseen_or_train(variants[0].split())[:1])[0].path
        alive = list(variants)
        for threads in thread_counts(self._arguments):
            found = self._timed(alive, threads, picture)
            self._add(found)
            timed = of_kind(found, LatencyRecord)
            for line in dict.fromkeys(line for one in timed for line in timing_lines(one)):
                self._display.say(line)  # a doubt that all share is said once
            pairs = zip(alive, found, strict=True)
            alive = [one for one, record in pairs if not isinstance(record, FailureRecord)]
        return alive

    def _timed(
        self, variants: Sequence[Artifact], threads: int, picture: Path
    ) -> list[LatencyRecord | FailureRecord]:
        pairs = [(variant, runtime_for(variant.manifest.name.format)) for variant in variants]
        rounds = self._arguments.rounds
        self._display.begin(f"timing, {threads} threads, turns", len(pairs) * rounds)
        return measure_latencies(
            pairs,
            threads=threads,
            rounds=rounds,
            environment=self._machine,
            picture=picture,
            advance=self._display.advance,
        )

    def weigh(self, variant: Artifact, networks: Sequence[Artifact]) -> None:
        """Count a variant's MACCs and bytes, where its network was named too."""
        parent = network_of(variant, {one.manifest.payload_sha256: one for one in networks})
        if parent is None:
            self._display.say(
                f"{variant.manifest.variant}: name its trained network too, for its cost"
            )
            return
        self._attempt(
            variant, "cost", lambda: [weigh(variant, self._layers_of(parent), self._machine)]
        )

    def _layers_of(self, network: Artifact) -> tuple[LayerCost, ...]:
        """Return a network's layers, counted once for all of its variants."""
        digest = network.manifest.payload_sha256
        if digest not in self._counted:
            self._counted[digest] = count_file(network.payload)
        return self._counted[digest]

    def judge(self, variant: Artifact, dataset: Dataset) -> None:
        """Record what a variant predicts of the validation and the test photos."""
        for side in SIDES:
            photos = select(dataset.photos, getattr(variant.split(), side))
            if photos:  # a refit trained on its validation photos
                self._attempt(variant, "accuracy", partial(self._predicted, variant, side, photos))

    def _predicted(self, variant: Artifact, side: Side, photos: Sequence[Photo]) -> list[Record]:
        runtime = runtime_for(variant.manifest.name.format)
        self._display.say(f"{side} F1 of {variant.manifest.variant} under {runtime}")
        pixels = load_pixels(photos, variant.manifest.pixels)
        return [
            measure_accuracy(
                variant,
                runtime,
                photos,
                pixels,
                side=side,
                environment=self._machine,
                threads=self._arguments.threads,
            )
        ]

    def profile(
        self, variants: Sequence[Artifact], networks: Sequence[Artifact], dataset: Dataset
    ) -> None:
        """Time every layer of every variant, and measure its error."""
        ids = parity_ids(variants[0].split(), COMPARED_PHOTOS)
        self._display.begin("layers, variants", len(variants))
        found = layer_records(
            variants,
            networks,
            photos=[photo.path for photo in select(dataset.photos, ids)],
            threads=self._arguments.threads,
            environment=self._machine,
            advance=self._display.advance,
        )
        self._add(found)

    def explain(self, variants: Sequence[Artifact]) -> None:
        """Record why a variant is slower, or loses more, than its float parent may."""
        found = tuple(self.records)
        for variant in variants:
            judged = partial(verdict_records, [variant], found, self._environment)
            self._attempt(variant, "verdict", judged)

    def _attempt(
        self, variant: Artifact, stage: str, measure: Callable[[], Sequence[Record]]
    ) -> None:
        """Record what ``measure`` gives; what goes wrong is the variant's failure alone."""
        try:
            self._add(measure())
        except ThreadliteError as error:
            failure = FailureRecord(
                **subject_of(variant.manifest, self._machine),
                stage=stage,
                runtime=runtime_for(variant.manifest.name.format),
                reason=without_paths(str(error)),
            )
            self._add([failure])

    def _add(self, found: Sequence[Record]) -> None:
        """Keep records, and say at once what failed."""
        self.records += found
        for failed in of_kind(found, FailureRecord):
            self._display.say(f"{failed.variant}: {failed.stage} failed: {failed.reason}")


def timing_lines(record: LatencyRecord) -> list[str]:
    """Return one variant's times for a person, a line, and each doubt about them, a line."""
    low, high = median_interval([statistics.median(turn) for turn in record.turns])
    says = [
        f"median {record.median_ms:.2f} ms [{low:.2f}, {high:.2f}]",
        f"p90 {record.quantile_ms(0.9):.2f}, p99 {record.quantile_ms(0.99):.2f}",
        f"load {record.load_ms:.0f} ms",
    ]
    if record.cold_start_ms is not None:
        says.append(f"cold start {record.cold_start_ms:.0f} ms")
    if record.held_bytes is not None:
        says.append(f"at most {record.held_bytes / 1e6:.0f} MB for runtime and model")
    doubts = [f"  doubtful: {warning}" for warning in record.warnings]
    return [f"{record.variant}, threads {record.threads}: {'; '.join(says)}", *doubts]


def damaged(folder: Path, error: ArtifactError, machine: str) -> FailureRecord:
    """Return the record of an artifact that cannot be opened, named as far as it tells.

    Args:
        folder: of the artifact.
        error: why it cannot.
        machine: name of the environment record.
    """
    reason = without_paths(str(error))
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError):
        return FailureRecord(
            variant=folder.name,
            split_method="unknown",
            environment=machine,
            stage="opening",
            reason=reason,
        )
    return FailureRecord(**subject_of(manifest, machine), stage="opening", reason=reason)
