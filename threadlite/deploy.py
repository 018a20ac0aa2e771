"""``threadlite deploy``: models that compute what their parent computes go into a bundle."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from threadlite.options import add_columns, add_source, add_threads

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``deploy`` and its words."""
    parser = commands.add_parser(
        "deploy", help="put models into a bundle, once they compute what their parent computes"
    )
    parser.add_argument(
        "artifacts",
        type=Path,
        nargs="+",
        metavar="ARTIFACT",
        help="a trained network (exported in float to both formats), or variants of one network;"
        " with --web also a bundle",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="new folder")
    parser.add_argument(
        "--parent",
        type=Path,
        metavar="ARTIFACT",
        help="the trained network that variants must agree with",
    )
    parser.add_argument(
        "--web",
        action="store_true",
        help="add the page that runs it in a browser; npm brings its runtimes on first use",
    )
    parser.add_argument(
        "--pixels",
        type=Path,
        metavar="RECORD.json",
        help="what `threadlite pixels` measured of this network, for the bundle's README",
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="RECORDS.jsonl",
        help="what `threadlite bench` or a run measured of these variants, for the F1 of each class"
        " and the host's times in the bundle's README",
    )
    about = parser.add_argument_group("what the models and the README say of themselves")
    about.add_argument(
        "--model-version", default="", metavar="TEXT", help="default: the network's digest, short"
    )
    about.add_argument("--author", default="", metavar="NAME", help="who made the model")
    about.add_argument("--licence", default="", metavar="TEXT", help="under what terms to use it")
    add_source(parser, required=False)
    add_columns(parser)
    add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the bundle, say where it is, and return the exit status.

    Raises:
        ThreadliteError: the artifacts cannot be bundled.
    """
    from threadlite.commands import require_new
    from threadlite.console import Display
    from threadlite.deploying import deploy_bundle

    require_new(arguments.out)
    with Display() as display:
        deploy_bundle(arguments, display)
    sys.stdout.write(f"bundle in {arguments.out}\n")
    return 0
