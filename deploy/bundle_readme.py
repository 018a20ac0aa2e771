"""The bundle's README, made for one model: what goes in, what comes out, what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from deploy import golden
from deploy.bundle_code import FOLDER_NAME as SNIPPETS
from deploy.bundle_code import wanted_snippets
from deploy.bundle_manifest import BundledModel, BundleManifest
from deploy.bundle_templates import filled_in
from deploy.pixel_parity import PixelParity
from deploy.sizes import LARGE_BYTES, sizes_of
from optimize.tflite_file import LABELS_NAME

README_NAME = "README.md"


@dataclass(frozen=True, kw_only=True)
class MeasuredF1:
    """How well a variant recognised photos that it was not trained on.

    Attributes:
        runtime: what ran it: ``litert 2.3.0``.
        split_method: ``grouped`` or ``stratified``.
        weighted_f1: F1 averaged by photos, in [0, 1].
        class_f1: of each class in the order of the labels, in [0, 1].
        class_photos: test photos of each class.
    """

    runtime: str
    split_method: str
    weighted_f1: float
    class_f1: tuple[float, ...]
    class_photos: tuple[int, ...]

    @property
    def photos(self) -> int:
        """Test photos in all."""
        return sum(self.class_photos)


@dataclass(frozen=True, kw_only=True)
class HostLatency:
    """How long one call took on the computer that made the bundle: no phone's time."""

    runtime: str
    threads: int
    median_ms: float
    processor: str


@dataclass(frozen=True, kw_only=True)
class VariantEvidence:
    """What was measured of one variant; empty where nothing was."""

    accuracy: MeasuredF1 | None = None
    latencies: tuple[HostLatency, ...] = ()


Evidence: TypeAlias = Mapping[str, VariantEvidence]  # by the digest of the artifact's payload


def write_readme(
    folder: Path,
    manifest: BundleManifest,
    evidence: Evidence | None,
    pixel_parity: PixelParity | None = None,
) -> None:
    """Write ``README.md`` into the draft of a bundle.

    Args:
        folder: the draft.
        manifest: with the files written so far.
        evidence: what was measured; ``None``: nothing.
        pixel_parity: what other pixels were measured to do; ``None``: not told.
    """
    measured = [(evidence or {}).get(model.artifact_sha256) for model in manifest.models]
    pairs = [
        (model, found or VariantEvidence())
        for model, found in zip(manifest.models, measured, strict=True)
    ]
    index, _ = golden.read_golden(folder / golden.FOLDER_NAME, manifest.pixels)
    names = (*(model.file for model in manifest.models), LABELS_NAME)
    parts = {f"`{name}`": sizes_of([folder / name]) for name in names}
    for name in (golden.FOLDER_NAME, SNIPPETS):
        parts[f"`{name}/`, not for the app"] = sizes_of(sorted((folder / name).iterdir()))
    text = filled_in(
        "README.md.jinja",
        {
            "parts": parts,
            "large": [
                (model.file, model.precision == "float")
                for model in manifest.models
                if manifest.files[model.file].file_bytes > LARGE_BYTES
            ],
            "large_megabytes": LARGE_BYTES / 1e6,
            "pixel_parity": pixel_parity,
            "manifest": manifest,
            "models": [_model_values(model, found) for model, found in pairs],
            "classes": _class_rows(manifest, pairs),
            "f1s": [(model.file, found.accuracy) for model, found in pairs if found.accuracy],
            "golden": index,
            "decisive": _decisive(index),
            "snippets": list(wanted_snippets(manifest)),
        },
    )
    (folder / README_NAME).write_text(text, encoding="utf-8", newline="\n")


def _model_values(model: BundledModel, found: VariantEvidence) -> dict[str, Any]:
    output = model.output_quantization
    return {
        "file": model.file,
        "variant": model.variant,
        "output": "float32 probabilities"
        if output is None
        else (f"uint8; probability = {output.scale!r} * (integer - {output.zero_point})"),
        "input": "uint8, cast to float inside"
        if model.input_quantization is None
        else (
            f"uint8, scale {model.input_quantization.scale:g}, zero point"
            f" {model.input_quantization.zero_point}"
        ),
        "latencies": found.latencies,
    }


def _class_rows(
    manifest: BundleManifest, pairs: Sequence[tuple[BundledModel, VariantEvidence]]
) -> list[tuple[int, str, list[str]]]:
    """Return number, label and F1 under each model that was judged, a row a class."""
    judged = [found.accuracy for _, found in pairs if found.accuracy]
    return [
        (
            number,
            label,
            [f"{item.class_f1[number]:.3f} ({item.class_photos[number]})" for item in judged],
        )
        for number, label in enumerate(manifest.labels)
    ]


def _decisive(index: golden.GoldenSet) -> int:
    return sum(
        all(output.decisive for output in picture.outputs.values()) for picture in index.pictures
    )
