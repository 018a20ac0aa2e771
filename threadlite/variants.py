"""Variants of a trained network: what names one, how it is made, and what it is compared on."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.runtime import open_runtime, runtime_for
from optimize.convert import export_float
from optimize.finetune import Workshop
from optimize.quantize import choose_calibration
from optimize.techniques import Chain, find_technique, word_of
from threadlite.workspace import Workspace, step_key
from train.artifact import HISTORY_NAME, Artifact, open_artifact
from train.dataset import Dataset
from train.errors import ConversionError
from train.metrics import weighted_f1
from train.pixels import load_pixels
from train.progress import Progress, Silent
from train.refit import unseen_or_train
from train.splits import Split, select
from train.storage import digest_of, plain_write_errors, write_text
from train.training import truths_of
from train.variant import Format

SCORING_THREADS = 2


def identity_of(artifact: Artifact) -> str:
    """Return a digest of all that an artifact is: payload, labels, photos, split and steps."""
    return digest_of(artifact.manifest.model_dump(mode="json"))


def parity_ids(split: Split, count: int) -> list[str]:
    """Return photos to compare variants on, of ``unseen_or_train``, the same every time.

    Ids often begin with the class, so the first ones would be of a few classes alone.
    """
    ids = sorted(unseen_or_train(split))
    return sorted(random.Random(0).sample(ids, min(count, len(ids))))


def optimize_artifact(
    parent: Artifact,
    name: str,
    target: Format,
    dataset: Dataset,
    config: Any,
    folder: Path,
    *,
    state: Path,
    progress: Progress,
) -> Artifact:
    """Apply the technique ``name``, calibrating on training photos drawn as ``config`` says.

    Args:
        parent: a Keras artifact.
        name: of a technique that writes a file.
        target: the file's format.
        dataset: the photos that the parent was trained on.
        config: of the technique.
        folder: of the new artifact; must not exist.
        state: what a technique that searches goes on from when it was killed.
        progress: told of what a search scores.
    """
    technique = find_technique(name)
    ids = choose_calibration(parent.split().train, config)
    pixels = load_pixels(select(dataset.photos, ids), parent.manifest.pixels)
    judged: dict[str, Any] = {}
    if technique.judged:
        score = validation_scorer(parent, name, target, dataset, progress)
        judged = {"score": score, "state": state, "progress": progress}
    made: Artifact = technique.apply(parent, target, pixels, ids, folder, config, **judged)
    return made


def validation_scorer(
    parent: Artifact, technique: str, target: Format, dataset: Dataset, progress: Progress
) -> Callable[[Path], float]:
    """Return what gives a model file's weighted F1 on the validation photos.

    Args:
        parent: the network that the files are made from.
        technique: that asks for it.
        target: format of the files, which decides the runtime.
        dataset: the photos that the parent was trained on.
        progress: told of every score.

    Raises:
        ConversionError: the parent trained on its validation photos: nothing may choose by them.
    """
    photos = select(dataset.photos, parent.split().validation)
    if not photos:
        raise ConversionError(
            f"{parent.manifest.variant}: {technique} chooses by validation photos, and this"
            " network was trained on them; use int8, or a network that is no refit"
        )
    labels = parent.manifest.labels
    truths, pixels = truths_of(photos, labels), load_pixels(photos, parent.manifest.pixels)
    runtime = runtime_for(target)

    def score(model: Path) -> float:
        with open_runtime(model, runtime, threads=SCORING_THREADS) as opened:
            answers = opened.predict(pixels).argmax(axis=1).tolist()
        found = weighted_f1(truths, answers, len(labels))
        progress.say(f"{technique}: a variant of validation F1 {found:.3f} under {runtime}")
        return found

    return score


def export_variant(parent: Artifact, target: Format, workspace: Workspace) -> Artifact:
    """Write a network in float in another format, unless it is done."""
    key = step_key("optimize.convert", {"parent": identity_of(parent), "target": target})
    name = f"{parent.manifest.name.as_format(target)}.{parent.manifest.split.method}"
    made = timed(workspace, lambda folder: export_float(parent, target, folder))
    return workspace.artifact(name, key, made)


def optimize_variant(
    parent: Artifact,
    technique: str,
    config: Any,
    target: Format,
    dataset: Dataset,
    workspace: Workspace,
    progress: Progress | None = None,
) -> Artifact:
    """Apply a technique that writes a file, unless it is done; a search cut off goes on."""
    inputs = {"parent": identity_of(parent), "target": target, "config": asdict(config)}
    key = step_key(find_technique(technique).apply.__module__, inputs)
    name = f"{parent.manifest.name.as_format(target)}.{technique}.{parent.manifest.split.method}"

    def make(folder: Path) -> Artifact:
        state, told = workspace.checkpoints(key) / "search.json", progress or Silent()
        return optimize_artifact(
            parent, technique, target, dataset, config, folder, state=state, progress=told
        )

    return workspace.artifact(name, key, timed(workspace, make))


def change_network(
    parent: Artifact,
    technique: str,
    config: Any,
    dataset: Dataset,
    workspace: Workspace,
    progress: Progress,
) -> Artifact:
    """Apply a technique that makes a Keras network, unless it is done; cut off, it goes on."""
    apply = find_technique(technique).apply
    inputs = {"parent": identity_of(parent), "config": asdict(config)}
    key = step_key(apply.__module__, inputs)

    def make(folder: Path) -> Artifact:
        checkpoints = workspace.checkpoints(key)
        workshop = Workshop(dataset=dataset, checkpoints=checkpoints, progress=progress)
        made: Artifact = apply(parent, folder, config, workshop)
        return made

    name = parent.manifest.name
    words = (name.network, *name.techniques, word_of(technique))
    method = parent.manifest.split.method
    return workspace.artifact(f"{'.'.join(words)}.{method}", key, timed(workspace, make))


def timed(workspace: Workspace, make: Callable[[Path], Artifact]) -> Callable[[Path], Artifact]:
    """Return ``make``, which also leaves in the workspace how long it took.

    Of a fine-tuning that was cut off and went on, all its epochs count.
    """

    def made(folder: Path) -> Artifact:
        start = time.monotonic()
        artifact = make(folder)
        seconds = max(time.monotonic() - start, _epoch_seconds(artifact))
        write_text(_seconds_file(workspace, artifact.manifest.payload_sha256), f"{seconds:.3f}\n")
        return artifact

    return made


def step_seconds(workspace: Workspace, artifact: Artifact) -> dict[str, float]:
    """Return the wall time of each step after the training, as far as it was made here."""
    steps = artifact.manifest.steps
    made = [step.parent_sha256 for step in steps[2:]] + [artifact.manifest.payload_sha256]
    found = {}
    for step, sha256 in zip(steps[1:], made, strict=False):
        file = _seconds_file(workspace, str(sha256))
        if file.exists():
            found[step.technique] = float(file.read_text(encoding="utf-8"))
    return found


def _seconds_file(workspace: Workspace, sha256: str) -> Path:
    return workspace.folder / "seconds" / f"{sha256}.txt"


def _epoch_seconds(artifact: Artifact) -> float:
    history = artifact.folder / HISTORY_NAME
    if not history.exists():  # a file for a runtime has none
        return 0.0
    epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"]
    return sum(float(epoch["seconds"]) for epoch in epochs)


def optimize_by_chain(
    parent: Artifact,
    chain: Chain,
    configs: Mapping[str, Any],
    *,
    target: Format,
    dataset: Dataset,
    folder: Path,
    workspace: Workspace,
    progress: Progress,
) -> Artifact:
    """Apply all of a chain and write what comes of it to ``folder``.

    Args:
        parent: a Keras artifact.
        chain: what is done to it.
        configs: of each technique of the chain.
        target: format of the file; a chain that ends in a Keras network leaves it one.
        dataset: the photos that the parent was trained on.
        folder: of the new artifact; must not exist.
        workspace: keeps what lies on the way.
        progress: told of every step.
    """
    network = parent
    for name in chain.networks:
        network = change_network(network, name, configs[name], dataset, workspace, progress)
    if chain.file:
        return optimize_artifact(
            network,
            chain.file,
            target,
            dataset,
            configs[chain.file],
            folder,
            state=workspace.checkpoints(chain.file) / "search.json",
            progress=progress,
        )
    with plain_write_errors(folder):
        network.folder.rename(folder)
    return open_artifact(folder)
