"""What a model costs to run: MACCs, FLOPs, parameters, activation bytes, receptive field.

Counted from a Keras graph, or from a ``.tflite`` or ``.onnx`` file on its own; nothing is run.
The convention is that of ``bench.layer_cost``: one MACC is two FLOPs, and nothing is counted
beside MACCs. A file holds fewer parameters than its Keras network, since batch normalization is
folded into the kernels before it.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path

from bench.count_keras import count_layers
from bench.count_onnx import count_onnx
from bench.count_tflite import count_tflite
from bench.layer_cost import (
    LayerCost,
    receptive_field,
    total_activation_bytes,
    total_flops,
    total_maccs,
    total_parameters,
    uncounted_kinds,
)
from bench.record import CostRecord
from bench.subject import subject_of
from bench.weight_counts import count_weights
from train.artifact import Artifact
from train.errors import ArtifactError
from train.keras_file import load_keras

__all__ = [
    "LayerCost", "count_file", "count_layers", "count_onnx", "count_tflite", "measure_cost",
    "receptive_field", "total_activation_bytes", "total_flops", "total_maccs",
    "total_parameters", "uncounted_kinds", "weigh",
]  # fmt: skip

COUNTERS = {
    ".keras": lambda path: count_layers(load_keras(path)),
    ".tflite": count_tflite,
    ".onnx": count_onnx,
}


def count_file(path: Path) -> tuple[LayerCost, ...]:
    """Return the cost of every layer or operator of a model file, in order of execution.

    Raises:
        ArtifactError: the file is missing, of another kind, damaged, or its sizes are not fixed.
    """
    count = COUNTERS.get(path.suffix)
    if count is None:
        raise ArtifactError(
            f"{path}: costs are counted of {', '.join(COUNTERS)} files; convert it to one of them"
        )
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    return count(path)


def measure_cost(
    artifact: Artifact,
    keras_parent: Artifact,
    environment: str,
    *,
    step_seconds: Mapping[str, float] | None = None,
) -> CostRecord:
    """Return what a variant weighs: counts from the Keras graph, bytes from its own file.

    Args:
        artifact: the variant, in any format.
        keras_parent: the Keras artifact of the same structure that it was converted from.
        environment: name of the environment record.
        step_seconds: as of ``weigh``.

    Raises:
        ArtifactError: the Keras network or the file cannot be opened or counted.
    """
    layers = count_layers(load_keras(keras_parent.payload))
    return weigh(artifact, layers, environment, step_seconds=step_seconds)


def weigh(
    artifact: Artifact,
    layers: tuple[LayerCost, ...],
    environment: str,
    *,
    step_seconds: Mapping[str, float] | None = None,
) -> CostRecord:
    """Return what a variant weighs, its network counted before.

    Args:
        artifact: the variant, in any format.
        layers: of the Keras network of the same structure.
        environment: name of the environment record.
        step_seconds: wall time of each step after the training, by technique, where it is known.

    Raises:
        ArtifactError: the file cannot be opened or counted.
    """
    weights = count_weights(artifact.payload)
    parameters = total_parameters(layers)
    data = artifact.payload.read_bytes()
    return CostRecord(
        **subject_of(artifact.manifest, environment),
        maccs=total_maccs(layers),
        parameters=parameters,
        nonzero_parameters=parameters - weights.zeros,
        distinct_weights=weights.most_distinct,
        step_seconds=dict(step_seconds or {}),
        activation_bytes=total_activation_bytes(layers),
        receptive_field=receptive_field(layers),
        uncounted=uncounted_kinds(layers),
        file_bytes=len(data),
        gzip_bytes=len(gzip.compress(data, compresslevel=9, mtime=0)),
    )
