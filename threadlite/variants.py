"""Variants of a trained network: what names one, how it is made, and what it is compared on."""

import random
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from optimize.convert import export_float
from optimize.finetune import Workshop
from optimize.quantize import choose_calibration
from optimize.techniques import TECHNIQUES, Chain
from threadlite.workspace import Workspace, step_key
from train.artifact import Artifact, open_artifact
from train.dataset import Dataset
from train.pixels import load_pixels
from train.progress import Progress
from train.refit import unseen_or_train
from train.splits import Split, select
from train.storage import digest_of, plain_write_errors
from train.variant import Format


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
    parent: Artifact, technique: str, target: Format, dataset: Dataset, config: Any, folder: Path
) -> Artifact:
    """Apply ``technique``, calibrating on training photos drawn as ``config`` says."""
    ids = choose_calibration(parent.split().train, config)
    pixels = load_pixels(select(dataset.photos, ids), parent.manifest.pixels)
    made: Artifact = TECHNIQUES[technique].apply(parent, target, pixels, ids, folder, config)
    return made


def export_variant(parent: Artifact, target: Format, workspace: Workspace) -> Artifact:
    """Write a network in float in another format, unless it is done."""
    key = step_key("optimize.convert", {"parent": identity_of(parent), "target": target})
    name = f"{parent.manifest.name.as_format(target)}.{parent.manifest.split.method}"
    return workspace.artifact(name, key, lambda folder: export_float(parent, target, folder))


def optimize_variant(
    parent: Artifact,
    technique: str,
    config: Any,
    target: Format,
    dataset: Dataset,
    workspace: Workspace,
) -> Artifact:
    """Apply a technique that writes a file, unless it is done."""
    inputs = {"parent": identity_of(parent), "target": target, "config": asdict(config)}
    key = step_key(TECHNIQUES[technique].apply.__module__, inputs)
    name = f"{parent.manifest.name.as_format(target)}.{technique}.{parent.manifest.split.method}"
    return workspace.artifact(
        name, key, partial(optimize_artifact, parent, technique, target, dataset, config)
    )


def change_network(
    parent: Artifact,
    technique: str,
    config: Any,
    dataset: Dataset,
    workspace: Workspace,
    progress: Progress,
) -> Artifact:
    """Apply a technique that makes a Keras network, unless it is done; cut off, it goes on."""
    apply = TECHNIQUES[technique].apply
    inputs = {"parent": identity_of(parent), "config": asdict(config)}
    key = step_key(apply.__module__, inputs)

    def make(folder: Path) -> Artifact:
        checkpoints = workspace.checkpoints(key)
        workshop = Workshop(dataset=dataset, checkpoints=checkpoints, progress=progress)
        made: Artifact = apply(parent, folder, config, workshop)
        return made

    name = parent.manifest.name
    words = (name.network, *name.techniques, TECHNIQUES[technique].word)
    method = parent.manifest.split.method
    return workspace.artifact(f"{'.'.join(words)}.{method}", key, make)


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
        return optimize_artifact(network, chain.file, target, dataset, configs[chain.file], folder)
    with plain_write_errors(folder):
        network.folder.rename(folder)
    return open_artifact(folder)
