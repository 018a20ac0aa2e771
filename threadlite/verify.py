"""``threadlite deploy verify``: a bundle proves on this machine what it says of itself."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``verify`` and its words."""
    parser = commands.add_parser(
        "verify",
        help="check a bundle on this machine: files, metadata, snippets and golden pictures",
    )
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="its folder, or a zip archive of it"
    )
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        metavar="NAME",
        help="what runs the golden pictures, again for several: litert, onnxruntime, tensorflow"
        " (its own interpreter), or mediapipe, whose environment is made on first use (default:"
        " each model's runtime)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads that a runtime may use (default: 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check a bundle, print a line a check, and return the exit status.

    Raises:
        ThreadliteError: the first difference.
    """
    from deploy.verify import verify_bundle

    results = verify_bundle(
        arguments.bundle, clients=arguments.client, threads=arguments.threads, say=_tell
    )
    _tell(f"{arguments.bundle} is sound under {', '.join(result.client for result in results)}")
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
