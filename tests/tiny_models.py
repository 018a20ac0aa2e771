"""A tiny network as an artifact, and its variants, for tests of what converts and runs models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from optimize.convert import export_float
from optimize.quantize import quantize_int8
from train.artifact import (
    Artifact,
    DatasetReference,
    Step,
    WeightsOrigin,
    open_artifact,
    write_artifact,
)
from train.backend import keras
from train.keras_file import save_keras
from train.pixels import PixelContract, Pixels
from train.splits import Split
from train.storage import whole_folder
from train.variant import Format, parse_variant

SIDE = 32
LABELS = ("Hat", "Shirt", "Shoes")
TRAIN_IDS = tuple(f"train-{number:02}" for number in range(24))
FORMATS: tuple[Format, ...] = ("tflite", "onnx")
SPLIT = Split(method="grouped", seed=0, train=TRAIN_IDS, validation=("v",), test=("t",))


def tiny_network(name: str = "tiny") -> Any:
    """Return a small residual network with weights from a fixed generator."""
    k = keras()
    pixels = k.Input((SIDE, SIDE, 3), name="pixels")
    x = k.layers.Rescaling(1 / 127.5, -1.0, name="rescale")(pixels)
    for number, stride in enumerate((2, 1, 2)):
        skip = x
        x = k.layers.Conv2D(8, 3, stride, "same", use_bias=False, name=f"conv{number}")(x)
        x = k.layers.BatchNormalization(name=f"norm{number}")(x)
        x = k.layers.ReLU(6.0, name=f"relu{number}")(x)
        if stride == 1:
            x = k.layers.Add(name=f"add{number}")([x, skip])
    x = k.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = k.layers.GlobalAveragePooling2D(name="features")(x)
    x = k.layers.Dense(len(LABELS), name="logits")(x)
    model = k.Model(pixels, k.layers.Activation("softmax", name="probabilities")(x), name=name)
    generator = np.random.default_rng(0)
    for weight in model.weights:
        shift = 1.0 if "variance" in weight.name or "gamma" in weight.name else 0.0
        value = generator.normal(0.0, 0.3, weight.shape)
        weight.assign(np.abs(value) + shift if shift else value)
    _spread_answers(model)
    return model


def _spread_answers(model: Any) -> None:
    """Set the head so that pictures get different answers, as those of a trained network do."""
    features = keras().Model(model.input, model.get_layer("features").output)
    found = np.asarray(features(pictures(64).astype(np.float32)), np.float64)
    centred = found - found.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]  # where pictures differ most
    turns = 2.0 * np.pi * np.arange(len(LABELS)) / len(LABELS)
    kernel = (axes / (centred @ axes.T).std(axis=0)[:, np.newaxis]).T
    kernel = (2.0 * kernel @ np.stack([np.cos(turns), np.sin(turns)])).round(3)
    model.get_layer("logits").set_weights([kernel, (-found.mean(axis=0) @ kernel).round(3)])


def pictures(count: int, *, seed: int = 0) -> Pixels:
    """Return ``count`` blotched colours, each another, with values from 20 to 230."""
    generator = np.random.default_rng(seed)
    colour = generator.integers(50, 201, (count, 1, 1, 3))
    coarse = (colour + generator.integers(-30, 31, (count, 4, 4, 3))).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def write_parent(
    folder: Path, model: Any | None = None, save: Callable[[Any, Path], None] = save_keras
) -> Artifact:
    """Write a network, the tiny one if none is given, as a trained Keras artifact."""
    model = model or tiny_network()
    return write_artifact(
        folder,
        fill=lambda path: save(model, path),
        split=SPLIT,
        variant=parse_variant("tiny.float.keras"),
        details={
            "approach": "tiny",
            "steps": (Step(technique="train", config={}),),
            "labels": LABELS,
            "pixels": PixelContract(height=SIDE, width=SIDE),
            "dataset": DatasetReference(name="blotches", fingerprint="0" * 64, photos=24),
            "seed": 0,
            "weights": WeightsOrigin(
                source="random", loaded_parameters=0, total_parameters=max(1, model.count_params())
            ),
        },
    )


def write_variants(parent: Artifact, folder: Path) -> dict[str, Artifact]:
    """Write float and int8 in both formats; keys are ``float.tflite`` and so on."""
    found: dict[str, Artifact] = {}
    for target in FORMATS:
        found[f"float.{target}"] = export_float(parent, target, folder / f"float-{target}")
        found[f"int8.{target}"] = quantize_int8(
            parent, target, pictures(len(TRAIN_IDS)), TRAIN_IDS, folder / f"int8-{target}"
        )
    return found


def shared_variants(folder: Path) -> dict[str, Artifact]:
    """Return the parent (``float.keras``) and its variants, written by the first who asks."""
    if not folder.exists():
        with whole_folder(folder) as draft:
            write_variants(write_parent(draft / "float-keras"), draft)
    keys = (
        "float.keras",
        *(f"{kind}.{target}" for target in FORMATS for kind in ("float", "int8")),
    )
    return {key: open_artifact(folder / key.replace(".", "-")) for key in keys}
