"""The steps of a run: each names all that goes into it, and is done once for equal inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deploy
from bench.record import EnvironmentRecord, FailureRecord, Record
from bench.subject import without_paths
from bench.training import training_record
from deploy.pixel_parity import PixelParity, measure_pixel_parity, read_pixel_parity
from deploy.runtime import runtime_for
from threadlite.code import code_digest
from threadlite.crossval import crossval_records
from threadlite.evidence import evidence_of, measured_of
from threadlite.plan import Plan
from threadlite.plan_approach import ApproachSection
from threadlite.training import train_in
from threadlite.variants import (
    change_network,
    export_variant,
    identity_of,
    optimize_variant,
    parity_ids,
    step_seconds,
)
from threadlite.workspace import Workspace, digests_of, step_key
from train.artifact import Artifact
from train.crossval import CrossValidation
from train.dataset import Dataset, Photo, restrict
from train.errors import ThreadliteError
from train.pixels import load_pixels
from train.progress import Progress
from train.splits import (
    Split,
    SplitMethod,
    read_split,
    restrict_split,
    select,
    split_photos,
    write_split,
)
from train.storage import digest_of, whole_file, write_text
from train.training import Training
from train.variant import Format

SNIPPETS = Path(deploy.__file__).parent / "snippets"


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps of one plan on one dataset, in one workspace."""

    plan: Plan
    dataset: Dataset
    workspace: Workspace
    progress: Progress
    environment: EnvironmentRecord

    def split(self, method: SplitMethod) -> Split:
        """Divide the photos."""
        inputs = {
            "dataset": self.dataset.fingerprint, "method": method, "seed": self.plan.seed
        }  # fmt: skip

        def make(path: Path) -> None:
            divided = split_photos(self.dataset.photos, method=method, seed=self.plan.seed)
            with whole_file(path) as draft:
                write_split(draft, divided)

        key = step_key("train.splits", inputs)
        return read_split(self.workspace.file(f"splits/{method}.json", key, make))

    def train(
        self, section: ApproachSection, split: Split, teachers: Sequence[Artifact] = ()
    ) -> Artifact:
        """Train one approach under one split; a training that was cut off goes on."""
        approach = section.resolve()
        dataset = self.photos_of(approach.classes)
        training = Training(
            name=section.called,
            approach=approach,
            dataset=dataset,
            split=restrict_split(split, dataset),
            seed=self.plan.seed,
            weights=section.weights,
        )
        return train_in(
            self.workspace,
            training,
            f"{section.called}.{split.method}",
            refit=section.refit,
            teachers=teachers,
            config=section.lesson(),
            progress=self.progress,
        )

    def crossval(self, section: ApproachSection, method: SplitMethod) -> list[Record]:
        """Cross-validate one approach; folds that are done are not trained again."""
        approach = section.resolve()
        task = CrossValidation(
            name=section.called,
            approach=approach,
            dataset=self.photos_of(approach.classes),
            method=method,
            folds=self.plan.folds,
            seed=self.plan.seed,
            weights=section.weights,
        )
        return crossval_records(task, self.workspace, machine=self._machine, progress=self.progress)

    def photos_of(self, classes: str) -> Dataset:
        """Return the photos of an approach's classes."""
        return self.dataset if classes == "all" else restrict(self.dataset, classes)

    def training_record(self, artifact: Artifact) -> list[Record]:
        """Record a training, right after it, with the machine that it ran on."""
        manifest = artifact.manifest
        inputs = {"network": identity_of(artifact)}
        return self.workspace.records(
            f"training.{manifest.approach}.{manifest.split.method}",
            step_key("bench.training", inputs),
            lambda: [training_record(artifact, environment=self._machine)],
        )

    def export(self, parent: Artifact, target: Format) -> Artifact:
        """Convert a trained network in float."""
        return export_variant(parent, target, self.workspace)

    def change(self, technique: str, parent: Artifact) -> Artifact:
        """Make another network out of a trained one; a fine-tuning that was cut off goes on."""
        config = self.plan.optimize.config_of(technique)
        return change_network(
            parent, technique, config, self.dataset, self.workspace, self.progress
        )

    def optimize(self, technique: str, parent: Artifact, target: Format) -> Artifact:
        """Apply a technique that writes a file to a network."""
        config = self.plan.optimize.config_of(technique)
        return optimize_variant(parent, technique, config, target, self.dataset, self.workspace)

    def parity(self, variant: Artifact, parent: Artifact) -> list[Record]:
        """Compare a variant with the network it was made from, on validation photos."""

        def make() -> list[Record]:
            from bench.parity import parity_record

            ids = parity_ids(variant.split(), self.plan.deploy.parity_photos)
            photos = select(self.dataset.photos, ids)
            pixels = load_pixels(photos, variant.manifest.pixels)
            return [
                parity_record(
                    variant, parent, pixels, environment=self._machine, threads=self._threads
                )
            ]

        inputs = {
            "parent": identity_of(parent), "photos": self.plan.deploy.parity_photos
        }  # fmt: skip
        return self._records("parity", variant, "bench.parity", inputs, make)

    def cost(self, variant: Artifact, parent: Artifact) -> list[Record]:
        """Count a variant's MACCs, parameters and bytes."""

        def make() -> list[Record]:
            from bench.cost import measure_cost

            seconds = step_seconds(self.workspace, variant)
            return [measure_cost(variant, parent, self._machine, step_seconds=seconds)]

        inputs = {"parent": identity_of(parent)}
        return self._records("cost", variant, "bench.cost", inputs, make)

    def accuracy(self, variant: Artifact, side: Any) -> list[Record]:
        """Judge a variant under its own runtime on ``validation`` or ``test``."""
        runtime = runtime_for(variant.manifest.name.format)

        def make() -> list[Record]:
            from bench.accuracy import measure_accuracy

            photos = self._side(variant, side)
            pixels = load_pixels(photos, variant.manifest.pixels)
            self.progress.say(f"{side} F1 of {variant.manifest.variant} under {runtime}")
            return [
                measure_accuracy(
                    variant,
                    runtime,
                    photos,
                    pixels,
                    side=side,
                    environment=self._machine,
                    threads=self._threads,
                )
            ]

        return self._records(f"{side}-f1", variant, "bench.accuracy", {"side": side}, make)

    def verdicts(self, variants: Sequence[Artifact], records: Sequence[Record]) -> list[Record]:
        """Say why a variant is slower, or loses more, than its float parent may, where it is so."""

        def make() -> list[Record]:
            from bench.verdict import verdict_records

            return [*verdict_records(variants, records, self.environment)]

        inputs = {"records": digest_of([record.model_dump(mode="json") for record in records])}
        return self.workspace.records("verdicts", step_key("bench.verdict", inputs), make)

    def bundle(self, name: str, variants: Sequence[Artifact], records: Sequence[Record]) -> Path:
        """Write the folder that an app takes, with what ``records`` measured of its variants."""
        measured = measured_of(variants, records)
        pixels = self._pixels(variants[0]) if self.plan.deploy.pixels else None
        key = step_key(
            "deploy.bundle",
            {
                **({"pixels": pixels.model_dump_json()} if pixels else {}),
                "variants": [identity_of(variant) for variant in variants],
                "measured": digest_of([record.model_dump(mode="json") for record in measured]),
                "evidence": code_digest("threadlite.evidence"),
                "templates": digests_of(SNIPPETS),
            },
        )

        def make(folder: Path) -> None:
            from deploy.bundle import write_bundle

            evidence = evidence_of(variants, measured)
            write_bundle(variants, folder, evidence=evidence, pixel_parity=pixels)

        return self.workspace.only_folder(f"bundles/{name}", key, make)

    def _pixels(self, variant: Artifact) -> PixelParity:
        """Measure how pixels that are made in other ways move the answers on the test photos."""
        manifest = variant.manifest

        def make(path: Path) -> None:
            photos = self._side(variant, "test")
            self.progress.begin(f"pixels of {manifest.variant}", len(photos))
            found = measure_pixel_parity(
                variant, photos, threads=self._threads, advance=self.progress.advance
            )
            write_text(path, found.model_dump_json(indent=1) + "\n")

        inputs = {"variant": identity_of(variant), "threads": self._threads}
        name = f"records/pixels-{manifest.name.network}-{manifest.split.method}.json"
        return read_pixel_parity(
            self.workspace.file(name, step_key("deploy.pixel_parity", inputs), make)
        )

    def failure(
        self, error: ThreadliteError, name: str, method: SplitMethod, *, network: str = ""
    ) -> FailureRecord:
        """Return the record of a variant or a network that could not be made or judged."""
        return FailureRecord(
            variant=name,
            network_sha256=network,
            split_method=method,
            environment=self._machine,
            stage=type(error).__name__,
            reason=without_paths(str(error)),
        )

    @property
    def _machine(self) -> str:
        return self.environment.environment

    @property
    def _threads(self) -> int:
        return self.plan.bench.threads

    def _side(self, artifact: Artifact, side: str) -> list[Photo]:
        return select(self.dataset.photos, getattr(artifact.split(), side))

    def _records(
        self,
        what: str,
        artifact: Artifact,
        module: str,
        inputs: dict[str, Any],
        make: Callable[[], list[Record]],
    ) -> list[Record]:
        whole = {
            **inputs,
            "variant": identity_of(artifact),
            "machine": self._machine,
            "threads": self._threads,
        }
        name = f"{what}.{artifact.manifest.variant}.{artifact.manifest.split.method}"
        return self.workspace.records(name, step_key(module, whole), make)
