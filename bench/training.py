"""What a training left behind, as a record."""

import json

from bench.record import TrainingRecord
from bench.subject import subject_of
from train.artifact import HISTORY_NAME, Artifact
from train.errors import ArtifactError


def training_record(artifact: Artifact, *, environment: str) -> TrainingRecord:
    """Return the record of the training that made ``artifact``.

    Args:
        artifact: a trained Keras network, with its ``history.json``.
        environment: digest of the machine.

    Raises:
        ArtifactError: the history is missing or broken.
    """
    path = artifact.folder / HISTORY_NAME
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
        epochs = history["epochs"]
        losses = tuple(float(epoch["loss"]) for epoch in epochs)
        judged = (epoch["validation_f1"] for epoch in epochs)
        scores = tuple(float(f1) for f1 in judged if f1 is not None)
        seconds = tuple(float(epoch["seconds"]) for epoch in epochs)
        head_f1, images = history["head_validation_f1"], int(history["images_per_epoch"])
        feature_seconds = float(history.get("feature_seconds", 0.0))
        trainable = int(history.get("trainable_parameters", 0))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a readable history; train again") from error
    manifest, split = artifact.manifest, artifact.split()
    return TrainingRecord(
        **subject_of(manifest, environment),
        approach=manifest.approach,
        recipe=manifest.steps[0].config,
        dataset=manifest.dataset.name,
        dataset_fingerprint=manifest.dataset.fingerprint,
        photos={side: len(getattr(split, side)) for side in ("train", "validation", "test")},
        labels=manifest.labels,
        seed=manifest.seed,
        weights_source=manifest.weights.source,
        weights_coverage=manifest.weights.loaded_parameters / manifest.weights.total_parameters,
        head_validation_f1=head_f1,
        train_losses=losses,
        validation_f1s=scores,
        epoch_seconds=seconds,
        images_per_epoch=images,
        feature_runtime=str(history.get("feature_runtime", "")),
        feature_seconds=feature_seconds,
        trainable_parameters=trainable,
    )
