"""``threadlite rewrites``: what rewriting ConvNeXt-Tiny buys, against the converter's defaults."""

import argparse
import gzip
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from threadlite.options import add_columns, add_source, columns_of
from train.errors import UsageError

if TYPE_CHECKING:
    from bench.record import EnvironmentRecord, Record
    from train.artifact import Artifact
    from train.dataset import Dataset, Photo

ROUNDS, PHOTOS = 10, 64
THREADS = (2, 1)  # of the runtimes; the layers are profiled with the first
CALIBRATION = 4  # pictures for full integers: of weights that learned nothing, only time counts
CALIBRATION_OF_TRAINED = 64
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``threadlite rewrites`` and its words."""
    parser = commands.add_parser(
        "rewrites",
        help="measure what rewriting ConvNeXt-Tiny buys, against Keras' own by the defaults of"
        " TensorFlow Lite's converter; random weights, unless a trained network is given too",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument(
        "--image-size", type=int, default=224, metavar="N", help="rows and columns (default: 224)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help=f"turns of five timed calls each (default: {ROUNDS})",
    )
    parser.add_argument(
        "--photos",
        type=int,
        default=PHOTOS,
        help=f"photos to compare answers on (default: {PHOTOS})",
    )
    parser.add_argument(
        "--trained",
        type=Path,
        metavar="ARTIFACT",
        help="a trained convnext-tiny, whose variants are also judged on its test photos",
    )
    add_source(parser, required=False)
    add_columns(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write ``records.jsonl`` and ``report/`` into a new folder.

    Raises:
        UsageError: the folder exists, a number is below 1, or the trained network is another.
        ThreadliteError: a variant cannot be made.
    """
    from bench.environment import describe_environment
    from bench.record import write_records
    from bench.report import write_report
    from threadlite.commands import require_new
    from threadlite.console import Display
    from train.storage import whole_folder

    require_new(arguments.out)
    for name in ("rounds", "photos"):
        if getattr(arguments, name) < 1:
            raise UsageError(f"--{name} must be 1 or more, got {getattr(arguments, name)}")
    with Display() as display, whole_folder(arguments.out) as draft:
        machine = describe_environment()
        records = [machine, *measure_rewrites(arguments, display, machine)]
        write_records(draft / "records.jsonl", records)
        write_report(
            records,
            draft / "report",
            title="ConvNeXt-Tiny, rewritten for its runtimes",
            command="threadlite rewrites --out DIR",
        )
    sys.stdout.write(f"{len(records)} records and report in {arguments.out}\n")
    return 0


def measure_rewrites(
    arguments: argparse.Namespace, display: Any, environment: "EnvironmentRecord"
) -> "list[Record]":
    """Return the records of the untrained network's variants, and of the trained one's.

    Args:
        arguments: words of the command.
        display: shows progress.
        environment: of this machine.
    """
    import tempfile

    from train.artifact import open_artifact

    course = Course(arguments, environment, display)
    records: list[Record] = []
    with tempfile.TemporaryDirectory(prefix="threadlite-rewrites-") as scratch:
        folder = Path(scratch)
        records += course.untrained(folder)
        if arguments.trained is not None:
            trained = open_artifact(arguments.trained)
            records += course.trained(trained, folder / "trained")
    return records


def _make_untrained(
    arguments: argparse.Namespace, display: Any, folder: Path
) -> "tuple[Artifact, list[Artifact], Dataset]":
    """Return the untrained network, the variants of it and of its twin, and the photos."""
    from threadlite.convnext_variants import (
        build_twin,
        our_variants,
        twin_variants,
        untrained_artifact,
    )
    from train.dataset import DROPPED_LABELS, SourceOptions
    from train.pixels import load_pixels
    from train.sources import open_dataset
    from train.splits import select, split_photos

    display.begin("reading photos", 0)
    options = SourceOptions(
        **columns_of(arguments), dropped_labels=DROPPED_LABELS, empty_classes=False, seed=0
    )
    dataset = open_dataset(arguments.data or "garments", options)
    split = split_photos(dataset.photos, method="grouped", seed=0)
    display.say("ConvNeXt-Tiny of Keras, by the converter's defaults")
    twin = build_twin(arguments.image_size, len(dataset.labels))
    parent = untrained_artifact(twin, dataset, split, folder / "parent")
    photos = select(dataset.photos, split.train[:CALIBRATION])
    calibration = load_pixels(photos, parent.manifest.pixels)
    variants = [*twin_variants(twin, parent, calibration, folder)]
    display.say("ConvNeXt-Tiny of ours, rewritten")
    return parent, [*variants, *our_variants(parent, calibration, folder)], dataset


@dataclass(frozen=True)
class Course:
    """The measurements, in order."""

    arguments: argparse.Namespace
    environment: "EnvironmentRecord"
    display: Any

    def untrained(self, folder: Path) -> "Iterator[Record]":
        """Yield cost, parity, times and layers: what hangs on no training.

        Args:
            folder: where the variants are made.
        """
        from bench.layer_times import measure_layer_times
        from bench.roofline import PRECISIONS, measure_peak
        from threadlite.rewrites_page import PROFILED
        from train.splits import select

        parent, variants, dataset = _make_untrained(self.arguments, self.display, folder)
        yield from self._costs(parent, variants)
        photos = select(dataset.photos, parent.split().validation[: self.arguments.photos])
        yield from self._parities(parent, variants, photos)
        yield from self._features(parent, variants, photos, folder)
        yield from self._latencies(variants, photos[0].path)
        profiled = [variant for variant in variants if variant.manifest.variant in PROFILED]
        self.display.begin("timing operators", len(profiled))
        yield from measure_layer_times(
            self._on_runtimes(profiled),
            threads=THREADS[0],
            environment=self.environment.environment,
            picture=photos[0].path,
            advance=self.display.advance,
        )
        for runtime in ("litert", "onnxruntime"):
            for precision in PRECISIONS:
                yield measure_peak(
                    runtime,
                    precision,
                    threads=THREADS[0],
                    environment=self.environment.environment,
                )

    def trained(self, parent: "Artifact", folder: Path) -> "Iterator[Record]":
        """Yield cost, parity, times and the answers to the test photos.

        Args:
            parent: the trained network.
            folder: where the variants are made.
        """
        from bench.accuracy import measure_accuracy
        from bench.training import training_record
        from deploy.runtime import runtime_for
        from threadlite.commands import reopen_dataset
        from threadlite.convnext_variants import our_variants
        from train.pixels import load_pixels
        from train.refit import unseen_or_train
        from train.splits import select

        photos = reopen_dataset(parent, self.arguments, self.display).photos
        trained_on = select(photos, parent.split().train[:CALIBRATION_OF_TRAINED])
        calibration = load_pixels(trained_on, parent.manifest.pixels)
        variants = [*our_variants(parent, calibration, folder)]
        yield training_record(parent, environment=self.environment.environment)
        yield from self._costs(parent, variants)
        compared = select(photos, unseen_or_train(parent.split())[: self.arguments.photos])
        yield from self._parities(parent, variants, compared)
        yield from self._features(parent, variants, compared, folder)
        yield from self._latencies(variants, compared[0].path)
        judged = select(photos, parent.split().test)
        pixels = load_pixels(judged, parent.manifest.pixels)
        for variant in variants:
            self.display.say(f"test F1 of {variant.manifest.variant}")
            yield measure_accuracy(
                variant,
                runtime_for(variant.manifest.name.format),
                judged,
                pixels,
                side="test",
                environment=self.environment.environment,
                threads=THREADS[0],
            )

    def _costs(self, parent: "Artifact", variants: "Sequence[Artifact]") -> "Iterator[Record]":
        """Yield the bytes of each variant, with the counts of the network that all were made of."""
        from bench.cost import measure_cost
        from bench.subject import subject_of

        machine = self.environment.environment
        counted = measure_cost(parent, parent, machine)
        for variant in variants:
            content = variant.payload.read_bytes()
            sizes = {
                "file_bytes": len(content),
                "gzip_bytes": len(gzip.compress(content, compresslevel=9, mtime=0)),
            }
            yield counted.model_copy(update={**subject_of(variant.manifest, machine), **sizes})

    def _parities(
        self, parent: "Artifact", variants: "Sequence[Artifact]", photos: "Sequence[Photo]"
    ) -> "Iterator[Record]":
        from bench.parity import parity_record
        from train.keras_file import load_keras
        from train.pixels import load_pixels
        from train.predict import predict

        pixels = load_pixels(photos, parent.manifest.pixels)
        expected = predict(load_keras(parent.payload), pixels)
        for variant in variants:
            self.display.say(f"answers of {variant.manifest.variant}")
            yield parity_record(
                variant,
                parent,
                pixels,
                environment=self.environment.environment,
                threads=THREADS[0],
                expected=expected,
            )

    def _features(
        self, parent: "Artifact", made: "Sequence[Artifact]", photos: "Sequence[Photo]", at: Path
    ) -> "Iterator[Record]":
        """Yield how far the features of the rewritten float files lie from the network's."""
        from bench.parity import features_record
        from threadlite.convnext_variants import compare_features
        from train.pixels import load_pixels

        self.display.say(f"features of {parent.manifest.variant}, rewritten")
        pixels = load_pixels(photos, parent.manifest.pixels)
        for variant, features in compare_features(parent, self._on_runtimes(made), pixels, at):
            machine = self.environment.environment
            yield features_record(variant, *features, environment=machine)

    def _latencies(self, variants: "Sequence[Artifact]", picture: Path) -> "Iterator[Record]":
        """Time all variants in turns, whatever runtime they are for."""
        from bench.latency import measure_latencies

        for threads in THREADS:
            self.display.begin("timing, turns", len(variants) * self.arguments.rounds)
            yield from measure_latencies(
                self._on_runtimes(variants),
                threads=threads,
                rounds=self.arguments.rounds,
                environment=self.environment.environment,
                picture=picture,
                advance=self.display.advance,
            )

    def _on_runtimes(self, variants: "Sequence[Artifact]") -> "list[tuple[Artifact, str]]":
        from deploy.runtime import runtime_for

        return [(variant, runtime_for(variant.manifest.name.format)) for variant in variants]
