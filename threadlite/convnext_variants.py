"""ConvNeXt-Tiny and its twin of Keras Applications, with the same weights, as variants to time.

The weights are random where no file of them can be had: a call takes as long with them, and the
answers of two forms of one network can be compared; what they are worth cannot.
"""

import tempfile
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from deploy.loaded import Probabilities
from deploy.runtime import open_runtime
from optimize.convert import export_float, load_keras, write_tflite
from optimize.converter_defaults import DEFAULT_PRECISIONS, default_tflite
from optimize.rewrite_artifact import TECHNIQUE_WORD
from optimize.rewrite_runtime import (
    CALIBRATED,
    INT8,
    RUNTIME_REWRITES,
    build_file,
    rewrite_file,
    write_rewritten,
)
from train.artifact import Artifact, DatasetReference, Step, derive_artifact, write_artifact
from train.backend import keras
from train.dataset import Dataset
from train.keras_file import save_keras
from train.networks import NETWORKS
from train.pixels import PixelContract, Pixels
from train.predict import predict
from train.splits import Split
from train.trunk import cut
from train.variant import Variant
from train.weights import load_weights

NETWORK = "convnext-tiny"
UNTRAINED = f"{NETWORK}-untrained"
TWIN = f"{NETWORK}-of-keras"
PAYING: dict[str, tuple[str, ...]] = {
    "litert": ("fold-preprocessing", "fold-layer-scale", "fold-layer-norm", "split-depthwise"),
    "onnxruntime": (
        "fold-preprocessing",
        "fold-layer-scale",
        "convolution-to-dense",
        "fuse-layer-norm",
        "fuse-gelu",
    ),
}
"""Exact rewrites that a race is worth: ``threadlite optimize rewrite --for`` finds them anew."""


def build_twin(image_size: int, classes: int, *, seed: int = 0) -> Any:
    """Return Keras Applications' network, its weights drawn so that no layer is idle.

    Layer scales begin at 1e-6, and a block then adds nothing: they are drawn around 1, as are
    the gains of normalizations.
    """
    keras().utils.set_random_seed(seed)
    twin = keras().applications.ConvNeXtTiny(
        weights=None, classes=classes, input_shape=(image_size, image_size, 3)
    )
    generator = np.random.default_rng(seed)
    for variable in twin.weights:
        if len(variable.shape) == 1:
            gain = "gamma" in variable.name or "scale" in variable.name
            drawn = generator.uniform(0.5, 1.5, variable.shape)
            variable.assign(drawn if gain else generator.normal(0.0, 0.1, variable.shape))
    return twin


def untrained_artifact(
    twin: Any, dataset: Dataset, split: Split, folder: Path, *, seed: int = 0
) -> Artifact:
    """Write our own form of ``twin``, with its weights, as a Keras artifact that learned nothing.

    Args:
        twin: from ``build_twin``.
        dataset: the photos whose labels and pictures it is fed.
        split: of them.
        folder: where it goes; must not exist.
        seed: of the twin's weights.

    Raises:
        WeightsError: the twin's weights do not fit, as those of another network would.
    """
    size = twin.input_shape[1]
    model = NETWORKS[NETWORK](image_size=size, classes=len(dataset.labels))
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "twin.h5"
        twin.save_weights(weights)
        origin = load_weights(model, network=NETWORK, source=str(weights))
    random = origin.model_copy(
        update={"source": "random", "sha256": None, "loaded_parameters": 0, "random_variables": ()}
    )
    return write_artifact(
        folder,
        fill=lambda path: save_keras(model, path),
        split=split,
        variant=Variant(network=UNTRAINED),
        details={
            "approach": UNTRAINED,
            "steps": (Step(technique="untrained", config={"seed": seed}),),
            "labels": dataset.labels,
            "pixels": PixelContract(height=size, width=size),
            "dataset": DatasetReference(
                name=dataset.name, fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": seed,
            "weights": random,
        },
    )


def twin_variants(
    twin: Any, parent: Artifact, calibration: Pixels, folder: Path
) -> Iterator[Artifact]:
    """Yield the twin as TensorFlow Lite's converter makes it by default, in each precision.

    Args:
        twin: Keras Applications' network.
        parent: our form of it, whose photos, labels and weights are the twin's too.
        calibration: ``(picture, height, width, 3)`` uint8, for full integers.
        folder: where the artifacts go.
    """
    for precision in DEFAULT_PRECISIONS:
        content = default_tflite(twin, precision, calibration)
        variant = Variant(network=TWIN, precision=precision, format="tflite")
        step = Step(
            technique="converter-defaults",
            config={"precision": precision, "pictures": len(calibration)},
            parent_sha256=parent.manifest.payload_sha256,
        )

        def fill(path: Path, content: bytes = content, variant: Variant = variant) -> None:
            write_tflite(content, path, parent, variant)

        yield derive_artifact(folder / str(variant), parent, fill=fill, variant=variant, step=step)


def our_variants(parent: Artifact, calibration: Pixels, folder: Path) -> Iterator[Artifact]:
    """Yield the plain export, the rewritten one and those in 8 bits, for each runtime.

    Args:
        parent: a ConvNeXt-Tiny as a Keras artifact.
        calibration: ``(picture, height, width, 3)`` uint8, for ranges that are not found anew at
            every call.
        folder: where the artifacts go.
    """
    model = load_keras(parent)
    for runtime, names in PAYING.items():
        rewrites = RUNTIME_REWRITES[runtime]
        yield export_float(parent, rewrites.format, folder / f"plain-{runtime}")
        built = build_file(model, runtime, names)
        yield write_rewritten(parent, runtime, built, folder / f"rewritten-{runtime}", {})
        for name in (INT8, CALIBRATED):
            if name in rewrites.file:
                integers = rewrite_file(deepcopy(built), runtime, name, pictures=calibration)
                yield write_rewritten(parent, runtime, integers, folder / f"{name}-{runtime}", {})


def compare_features(
    parent: Artifact,
    variants: Sequence[tuple[Artifact, str]],
    pictures: Pixels,
    folder: Path,
) -> Iterator[tuple[Artifact, tuple[str, Probabilities, Probabilities]]]:
    """Yield what the head is fed in each rewritten float file, beside what it is fed in Keras.

    Args:
        parent: a ConvNeXt-Tiny as a Keras artifact.
        variants: of it, each with its runtime; others than rewritten float ones are passed over.
        pictures: ``(picture, height, width, 3)`` uint8.
        folder: where files without a head are written.

    Yields:
        The variant; the runtime's name and version, and ``(picture, features)`` float32 of the
        parent and of the variant.

    Raises:
        RuntimeFailure: the runtime refuses a file.
    """
    backbone, _ = cut(load_keras(parent), "features")
    expected = predict(backbone, pictures)
    for variant, runtime in variants:
        name = variant.manifest.name
        if name.precision != "float" or TECHNIQUE_WORD not in name.techniques:
            continue
        path = folder / f"features.{name.format}"
        path.write_bytes(build_file(backbone, runtime, PAYING[runtime]).serialized)
        with open_runtime(path, runtime) as opened:
            yield variant, (opened.name, expected, opened.predict(pictures))
