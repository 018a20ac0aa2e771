"""The bundle: the folder that goes into an app.

``model.tflite`` and ``model.onnx`` (either may be missing) with metadata written in,
``labels.txt``, ``README.md`` for this model, ``snippets/`` with its constants filled in,
``golden/`` pictures with what must come out, and ``manifest.json`` with the digest of it all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deploy.bundle_code import write_snippets
from deploy.bundle_manifest import (
    BundledModel,
    BundleManifest,
    files_below,
    paths_below,
    read_manifest,
)
from deploy.bundle_readme import Evidence, write_readme
from deploy.golden import (
    FOLDER_NAME,
    GoldenModel,
    choose,
    expected,
    rendered_candidates,
    tolerance_for,
    write_golden,
)
from deploy.loaded import Probabilities
from deploy.metadata import with_metadata
from deploy.metadata_table import ModelCard
from deploy.pixel_parity import PixelParity
from deploy.runtime import open_runtime, runtime_for
from optimize.tflite_file import LABELS_NAME
from train.artifact import MANIFEST_NAME, PAYLOAD_NAMES, Artifact, Manifest
from train.errors import ArtifactError, ConfigError, UsageError
from train.pixels import Pixels
from train.storage import digest_of_file, whole_folder

__all__ = ["About", "Bundle", "BundleManifest", "BundledModel", "read_bundle", "write_bundle"]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk that was read and checked."""

    folder: Path
    manifest: BundleManifest


@dataclass(frozen=True, kw_only=True)
class About:
    """What only its maker can say of a model.

    Attributes:
        version: of the model; empty: the trained network's digest, shortened.
        author: who made it.
        licence: under what terms it may be used; empty: what is known of the weights' own.
    """

    version: str = ""
    author: str = "not stated"
    licence: str = ""

    def __post_init__(self) -> None:
        for name in ("version", "author", "licence"):
            if any(ord(sign) < 32 for sign in getattr(self, name)):
                raise ConfigError(f"{name} must be one line of text, got {getattr(self, name)!r}")


class _Answers(NamedTuple):
    """What one model says of itself and of the candidates for golden pictures."""

    model: BundledModel
    runtime: str
    probabilities: Probabilities


def write_bundle(
    variants: Sequence[Artifact],
    folder: Path,
    *,
    about: About | None = None,
    evidence: Evidence | None = None,
    photos: Pixels | None = None,
    pixel_parity: PixelParity | None = None,
) -> Bundle:
    """Write the bundle of one network; it appears whole or not at all.

    Args:
        variants: one ``.tflite``, one ``.onnx`` or both, of the same training.
        folder: where it goes; must not exist.
        about: what only its maker can say.
        evidence: what was measured; ``None``: the README says that nothing was.
        photos: candidates for golden pictures, ``(n, height, width, 3)`` uint8, at least
            ``golden.MIN_PICTURES``; rendered garments if ``None``. They go into the bundle.
        pixel_parity: what other pixels were measured to do to this network, for the README.

    Raises:
        UsageError: no variant, two of one format, variants of different trainings, too few
            photos, or pixels measured of another network.
        RuntimeFailure: a variant cannot be loaded on its runtime.
        ArtifactError: a model's outputs are not the labels, or ``folder`` cannot be written.
    """
    _require_family(variants)
    first = variants[0].manifest
    if pixel_parity is not None and pixel_parity.network_sha256 != _root(first):
        raise UsageError(
            f"the record of pixels is of {pixel_parity.variant} from another training; measure"
            f" {first.variant} with `threadlite pixels`"
        )
    candidates = rendered_candidates(first.pixels) if photos is None else photos
    answers = [_answers(variant, candidates) for variant in variants]
    card = _card(first, about or About())
    with whole_folder(folder) as draft:
        for variant, answer in zip(variants, answers, strict=True):
            path = draft / answer.model.file
            content = variant.payload.read_bytes()
            path.write_bytes(with_metadata(content, path.suffix, card, first.labels))
        text = "".join(f"{label}\n" for label in first.labels)
        (draft / LABELS_NAME).write_text(text, encoding="utf-8")
        _write_golden(draft, candidates, answers, rendered=photos is None)
        manifest = BundleManifest(
            name=card.name,
            version=card.version,
            author=card.author,
            licence=card.licence,
            labels=first.labels,
            pixels=first.pixels,
            dataset=first.dataset,
            models=tuple(answer.model for answer in answers),
            files=files_below(draft),
        )
        write_snippets(draft, manifest)
        write_readme(draft, manifest, evidence, pixel_parity)
        manifest = manifest.model_copy(update={"files": files_below(draft)}).sealed()
        (draft / MANIFEST_NAME).write_text(manifest.text(), encoding="utf-8", newline="\n")
    return Bundle(folder=folder, manifest=manifest)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every file against its digest.

    Raises:
        ArtifactError: no manifest or a broken one, a file missing, too many or altered, a link,
            or a name that leaves the folder.
    """
    manifest = read_manifest(folder)
    present = paths_below(folder)
    expected_names = {*manifest.files, MANIFEST_NAME}
    named = {LABELS_NAME, *(model.file for model in manifest.models)}
    strays = sorted((set(present) ^ expected_names) | (named - set(manifest.files)))
    if strays:
        raise ArtifactError(f"{folder}: {strays[0]!r} is missing or does not belong; deploy again")
    for name, entry in manifest.files.items():
        if digest_of_file(present[name]) != entry.sha256:
            raise ArtifactError(
                f"{present[name]} is damaged: its sha256 is not the manifest's; deploy again"
            )
    try:
        text = (folder / LABELS_NAME).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{folder}: {LABELS_NAME} is no UTF-8 text; deploy again") from error
    if tuple(text.removesuffix("\n").split("\n")) != manifest.labels:
        raise ArtifactError(f"{folder}: {LABELS_NAME} differs from the manifest; deploy again")
    return Bundle(folder=folder, manifest=manifest)


def _require_family(variants: Sequence[Artifact]) -> None:
    formats = [variant.manifest.name.format for variant in variants]
    if not variants or "keras" in formats or len(set(formats)) != len(formats):
        raise UsageError(
            f"a bundle holds one tflite and one onnx variant at most, got {formats or 'none'};"
            " name the variants to bundle"
        )
    roots = {_root(variant.manifest) for variant in variants}
    if len(roots) != 1:
        names = " and ".join(variant.manifest.variant for variant in variants)
        raise UsageError(f"{names} come from different trainings; bundle variants of one")


def _root(manifest: Manifest) -> str | None:
    """Return the trained network's digest, which the step after the training names."""
    return manifest.steps[1].parent_sha256


def _answers(variant: Artifact, candidates: Pixels) -> _Answers:
    manifest = variant.manifest
    with open_runtime(variant.payload, runtime_for(manifest.name.format), threads=1) as runtime:
        if runtime.classes != len(manifest.labels):
            raise ArtifactError(
                f"{manifest.variant}: gives {runtime.classes} probabilities for"
                f" {len(manifest.labels)} labels; make it again"
            )
        model = BundledModel(
            file=PAYLOAD_NAMES[manifest.name.format],
            variant=manifest.variant,
            artifact_sha256=manifest.payload_sha256,
            input_quantization=runtime.input_quantization,
            output_quantization=runtime.output_quantization,
        )
        return _Answers(model, runtime.name, runtime.predict(candidates))


def _write_golden(
    draft: Path, candidates: Pixels, answers: Sequence[_Answers], *, rendered: bool
) -> None:
    bounds = [tolerance_for(answer.model.precision) for answer in answers]
    kept = choose([answer.probabilities for answer in answers], bounds)
    write_golden(
        draft / FOLDER_NAME,
        candidates[kept],
        outputs={
            answer.model.file: expected(
                answer.probabilities[kept], bound, answer.model.output_quantization
            )
            for answer, bound in zip(answers, bounds, strict=True)
        },
        models={
            answer.model.file: GoldenModel(runtime=answer.runtime, tolerance=bound)
            for answer, bound in zip(answers, bounds, strict=True)
        },
        source="rendered garments" if rendered else "photos given",
    )


def _card(manifest: Manifest, about: About) -> ModelCard:
    pixels, weights = manifest.pixels, manifest.weights
    began = (
        "weights began random"
        if weights.source == "random"
        else (f"weights began from {weights.source} ({weights.licence or 'licence not stated'})")
    )
    return ModelCard(
        name=manifest.name.network,
        description=(
            f"Says which of {len(manifest.labels)} classes a photo shows. Give it the whole"
            f" picture, upright, as RGB of {pixels.height} rows and {pixels.width} columns,"
            " uint8 0 to 255; it gives a probability for each class."
        ),
        version=about.version or (_root(manifest) or "")[:12],
        author=about.author,
        licence=f"{about.licence or 'not stated'}; {began}; trained on {manifest.dataset.name}",
        height=pixels.height,
        width=pixels.width,
    )
