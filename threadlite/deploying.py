"""``threadlite deploy``: variants that agree with their parent go into a bundle.

With ``--web`` the page that runs it in a browser goes in too, also into a bundle made before.
"""

import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bench.record import read_records
from deploy.browser import web_runtimes, with_page
from deploy.bundle import About, read_bundle, write_bundle
from deploy.parity import check_parity, require_parity
from deploy.pixel_parity import read_pixel_parity
from deploy.sizes import LARGE_BYTES
from optimize.convert import export_float
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from threadlite.evidence import evidence_of
from threadlite.model_files import is_bundle
from threadlite.plan import PARITY_PHOTOS
from threadlite.variants import parity_ids
from train.artifact import Artifact, open_artifact
from train.errors import UsageError
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.splits import select

# What goes into the models and the README, and so into no bundle that is made already.
_TOLD = ("pixels", "records", "model_version", "author", "licence")


def deploy_bundle(arguments: Namespace, display: Display) -> None:
    """Check every variant against its parent and bundle them, or add the page to a bundle.

    Args:
        arguments: words of the command: ``artifacts`` (one trained network, variants of one, or
            with ``web`` one bundle), ``parent`` (the trained network, where they are variants),
            ``out`` (must not exist), ``web``, ``pixels`` and ``records`` (for the README),
            ``model_version``, ``author`` and ``licence``, ``data``, its columns and ``threads``.
        display: shows progress.

    Raises:
        UsageError: the artifacts do not belong together, or the parent is not given.
        ParityError: a variant does not compute what its parent computes.
        RuntimeFailure: npm cannot bring the page's runtimes.
    """
    runtimes = web_runtimes(display.say) if arguments.web else None  # said before hours of work
    bundles = [folder for folder in arguments.artifacts if is_bundle(folder)]
    if bundles and (runtimes is None or len(arguments.artifacts) > 1):
        raise UsageError(
            f"{bundles[0]} is a bundle already; with --web, and alone, it gets the page"
        )
    told = [name for name in _TOLD if bundles and getattr(arguments, name)]
    if told:
        raise UsageError(
            f"--{told[0].replace('_', '-')}: {bundles[0]} is sealed with what it says; deploy its"
            " variants again"
        )
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        made = bundles[0] if bundles else Path(scratch) / "bundle"
        if runtimes is None:
            _bundle_variants(arguments, arguments.out, display)
            return
        if not bundles:
            _bundle_variants(arguments, made, display)
        with_page(read_bundle(made), arguments.out, runtimes)
        display.say(f"see it with: threadlite serve {arguments.out}")


def _bundle_variants(arguments: Namespace, out: Path, display: Display) -> None:
    measured = read_pixel_parity(arguments.pixels) if arguments.pixels else None
    records = read_records(arguments.records)[0] if arguments.records else []
    about = About(
        version=arguments.model_version,
        author=arguments.author or About.author,
        licence=arguments.licence,
    )
    given = [open_artifact(folder) for folder in arguments.artifacts]
    network = _network(given, arguments.parent)
    dataset = reopen_dataset(network, arguments, display)
    photos = select(dataset.photos, parity_ids(network.split(), PARITY_PHOTOS))
    pixels = load_pixels(photos, network.manifest.pixels)
    expected = predict(load_keras(network.payload), pixels)
    with tempfile.TemporaryDirectory(prefix="threadlite-") as scratch:
        variants = _variants(given, network, Path(scratch))
        found = [
            check_parity(variant, expected, pixels, threads=arguments.threads)
            for variant in variants
        ]
        for parity in found:
            display.say(
                f"{parity.variant} under {parity.runtime}: same class on"
                f" {parity.argmax_agreement:.1%} of {parity.images} photos,"
                f" largest difference {parity.max_difference:.2g}"
            )
        require_parity(found)
        evidence = evidence_of(variants, records)
        for variant in variants:
            if arguments.records and not evidence[variant.manifest.payload_sha256].accuracy:
                display.say(f"{arguments.records} tells no test F1 of {variant.manifest.variant}")
        manifest = write_bundle(
            variants, out, about=about, evidence=evidence, pixel_parity=measured
        ).manifest
    for model in manifest.models:
        size = manifest.files[model.file].file_bytes
        if size > LARGE_BYTES:
            display.say(
                f"{model.file} adds {size / 1e6:.1f} MB to an app's download, more than"
                f" {LARGE_BYTES / 1e6:g}"
                + ("; in int8 it is a quarter of that" if model.precision == "float" else "")
            )


def _network(given: Sequence[Artifact], parent: Path | None) -> Artifact:
    trained = [artifact for artifact in given if artifact.manifest.name.format == "keras"]
    if parent is not None:
        trained.append(open_artifact(parent))
    if len({artifact.manifest.payload_sha256 for artifact in trained}) != 1:
        raise UsageError(
            f"deploy needs one trained network to compare with, got {len(trained)};"
            " name it with --parent"
        )
    network = trained[0]
    for artifact in given:
        chain = {step.parent_sha256 for step in artifact.manifest.steps}
        if artifact.manifest.name.format != "keras" and (
            network.manifest.payload_sha256 not in chain
        ):
            raise UsageError(
                f"{artifact.folder} ({artifact.manifest.variant}) was not made from"
                f" {network.folder}; bundle variants of one network"
            )
    return network


def _variants(given: Sequence[Artifact], network: Artifact, scratch: Path) -> list[Artifact]:
    """Return the variants given, or the network's float exports where none is."""
    made = [artifact for artifact in given if artifact.manifest.name.format != "keras"]
    if made:
        return made
    return [export_float(network, target, scratch / target) for target in ("tflite", "onnx")]
