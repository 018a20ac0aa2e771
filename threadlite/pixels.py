"""``threadlite pixels``: how far another resize or JPEG decoder moves a model's answers."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from threadlite.options import add_columns, add_source, add_threads

if TYPE_CHECKING:
    from deploy.pixel_parity import PixelParity

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``pixels`` and its words."""
    parser = commands.add_parser(
        "pixels",
        help="measure how another resize or JPEG decoder moves a model's answers (test photos)",
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a .tflite or .onnx one")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RECORD.json",
        help="new file; `deploy --pixels` puts it into the bundle's README",
    )
    add_source(parser, required=False)
    add_columns(parser)
    add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write the record, print its table, and return the exit status.

    Raises:
        ThreadliteError: the artifact cannot be run, or these are not its photos.
    """
    from deploy.pixel_parity import measure_pixel_parity
    from threadlite.commands import reopen_dataset, require_new
    from threadlite.console import Display
    from train.artifact import open_artifact
    from train.errors import UsageError
    from train.splits import select
    from train.storage import write_text

    require_new(arguments.out)
    artifact = open_artifact(arguments.artifact)
    if artifact.manifest.name.format == "keras":
        raise UsageError(f"{arguments.artifact} is a trained network; give a variant of it")
    with Display() as display:
        photos = select(reopen_dataset(artifact, arguments, display).photos, artifact.split().test)
        display.begin("measuring", len(photos))
        found = measure_pixel_parity(
            artifact, photos, threads=arguments.threads, advance=display.advance
        )
    write_text(arguments.out, found.model_dump_json(indent=1) + "\n")
    sys.stdout.write("\n".join(lines_of(found)) + "\n")
    return 0


def lines_of(found: "PixelParity") -> list[str]:
    """Return a record as lines for a person."""
    head = f"{found.variant} under {found.runtime}, {found.photos} test photos:"
    own = f"{'the contract itself':36} {'':>16} {found.accuracy:>7.1%} right"
    return [
        head,
        own,
        *(
            f"{way.way:36} {way.agreement:>7.1%} the same {way.accuracy:>7.1%} right,"
            f" {way.changed:.0%} have other pixels, a probability differs by"
            f" {way.mean_difference:.3f} in the mean"
            for way in found.ways
        ),
    ]
