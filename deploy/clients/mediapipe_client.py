"""Runs MediaPipe's image classifier on pictures: a program for an environment of its own.

It imports nothing of threadlite, because MediaPipe's requirements conflict with those of the
optimization toolkit. ``python mediapipe_client.py MODEL.tflite PIXELS.npy ANSWER.json``
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(model: Path, pixels: Path, answer: Path) -> None:
    """Write version, labels and probabilities of every picture as JSON.

    Args:
        model: the ``.tflite``; its labels must be inside it.
        pixels: ``(n, height, width, 3)`` uint8, as ``.npy``.
        answer: where the JSON goes.
    """
    import mediapipe  # type: ignore[import-not-found]
    from mediapipe.tasks.python import BaseOptions, vision  # type: ignore[import-not-found]

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(model)), max_results=-1
    )
    labels: dict[int, str] = {}
    rows: list[list[float]] = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for picture in np.load(pixels):
            image = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
            )
            categories = classifier.classify(image).classifications[0].categories
            labels.update({item.index: item.category_name for item in categories})
            rows.append([item.score for item in sorted(categories, key=lambda item: item.index)])
    found: dict[str, Any] = {
        "version": mediapipe.__version__,
        "labels": [labels[index] for index in sorted(labels)],
        "metadata": _metadata(model.read_bytes()),
        "probabilities": rows,
    }
    answer.write_text(json.dumps(found), encoding="utf-8")


def _metadata(content: bytes) -> dict[str, str]:
    """Return what MediaPipe's own reader of the schema finds in the model's metadata."""
    from mediapipe.tasks.metadata import (  # type: ignore[import-not-found]
        metadata_schema_py_generated as schema,
    )
    from mediapipe.tasks.metadata import (
        schema_py_generated as tflite,
    )

    model = tflite.Model.GetRootAs(content, 0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    buffers = [entry.Buffer() for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    root = schema.ModelMetadata.GetRootAs(model.Buffers(buffers[0]).DataAsNumpy().tobytes(), 0)
    texts = {
        "name": root.Name(),
        "description": root.Description(),
        "version": root.Version(),
        "author": root.Author(),
        "licence": root.License(),
    }
    return {name: text.decode() for name, text in texts.items()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
