"""The command line: ``threadlite COMMAND``. It loads nothing heavy before a command runs."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from train.seeds import SEED_LIMIT

EPILOG = """\
from photos to phone:
  threadlite run plans/demo.toml           everything, on the rendered garments
  threadlite data PHOTOS                   what is in a folder of photos, and what is wrong with it
  threadlite train custom-cnn --data PHOTOS --out net
  threadlite optimize int8 net --format tflite --data PHOTOS --out net-int8
  threadlite deploy net-int8 --parent net --data PHOTOS --out bundle
  threadlite bench net net-int8 --data PHOTOS --out records.jsonl
  threadlite report records.jsonl --out report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of the process by default.

    Returns:
        0 when all went well, 1 when the input cannot serve, 2 for wrong usage, 130 when
        interrupted.
    """
    arguments = build_parser().parse_args(argv)
    from threadlite import commands
    from train.errors import ThreadliteError

    try:
        status: int = getattr(commands, arguments.command)(arguments)
    except ThreadliteError as error:
        sys.stderr.write(f"threadlite: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"threadlite: {error.filename or 'system'}: {error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("threadlite: interrupted; run the same command again to go on\n")
        return 130
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="threadlite",
        description="Takes an image classifier from photos to phone, and proves what each step"
        " cost.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"threadlite {version('threadlite')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_data(commands)
    _add_train(commands)
    _add_optimize(commands)
    _add_deploy(commands)
    _add_bench(commands)
    _add_report(commands)
    _add_run(commands)
    commands.add_parser("doctor", help="say what this machine and installation can do")
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_source(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--data",
        required=required,
        metavar="SOURCE",
        help="garments, clothing, a table such as images.csv, or a folder (with images.csv, or with"
        " one subfolder a class)"
        + (
            ""
            if required
            else "; may be left out where the artifact was trained on garments or clothing"
        ),
    )


def _add_columns(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    group = parser.add_argument_group("how to read the photos")
    group.add_argument("--image-column", default="image", metavar="NAME", help="names the file")
    group.add_argument("--label-column", default="label", metavar="NAME", help="names the class")
    group.add_argument(
        "--sender-column", default="sender_id", metavar="NAME", help="names the sender"
    )
    return group


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = _add_columns(parser)
    group.add_argument(
        "--classes",
        default="all",
        metavar="WHICH",
        help="all, topN (the N most frequent) or names separated by commas (default: all)",
    )
    group.add_argument(
        "--drop",
        metavar="LABELS",
        help="labels to leave out, separated by commas (default: Not sure,Other,Others,Skip)",
    )
    group.add_argument("--seed", type=_seed, default=0, help="of every random choice (default: 0)")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEED_LIMIT:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {SEED_LIMIT - 1}")
    return int(text)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2, help="of the runtimes (default: 2)")


def _add_data(commands: _Commands) -> None:
    parser = commands.add_parser(
        "data", help="describe a source of photos and what is wrong with it"
    )
    parser.add_argument("data", metavar="SOURCE", help="as for --data of the other commands")
    _add_selection(parser)


def _add_train(commands: _Commands) -> None:
    parser = commands.add_parser(
        "train", help="train an approach; killed, it goes on when run again"
    )
    parser.add_argument("approach", metavar="APPROACH", help="custom-cnn or efficientnet-lite0")
    _add_source(parser, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="ARTIFACT", help="new folder")
    parser.add_argument(
        "--split",
        choices=("grouped", "stratified"),
        default="grouped",
        help="grouped keeps all photos of a sender on one side (default)",
    )
    parser.add_argument(
        "--weights", default="auto", help="auto, none, or a .npz, .weights.h5 or .keras file"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the recipe, such as epochs=5 or augment.flip=false (TOML values)",
    )
    _add_selection(parser)


def _add_optimize(commands: _Commands) -> None:
    parser = commands.add_parser("optimize", help="make a new artifact out of one by a technique")
    parser.add_argument(
        "technique", metavar="TECHNIQUE", help="int8, or float for the plain export"
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a trained network")
    parser.add_argument("--format", choices=("tflite", "onnx"), default="tflite")
    parser.add_argument("--out", type=Path, required=True, metavar="ARTIFACT", help="new folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting of the technique, such as photos=100",
    )
    _add_source(parser, required=False)
    _add_columns(parser)


def _add_deploy(commands: _Commands) -> None:
    parser = commands.add_parser(
        "deploy", help="put models into a bundle, once they compute what their parent computes"
    )
    parser.add_argument(
        "artifacts",
        type=Path,
        nargs="+",
        metavar="ARTIFACT",
        help="a trained network (exported in float to both formats), or variants of one network",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="new folder")
    parser.add_argument(
        "--parent",
        type=Path,
        metavar="ARTIFACT",
        help="the trained network that variants must agree with",
    )
    _add_source(parser, required=False)
    _add_columns(parser)
    _add_threads(parser)


def _add_bench(commands: _Commands) -> None:
    parser = commands.add_parser("bench", help="measure F1, latency and cost of variants")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--out", type=Path, required=True, metavar="RECORDS.jsonl")
    parser.add_argument(
        "--rounds", type=int, default=20, help="turns of five timed calls each (default: 20)"
    )
    _add_source(parser, required=False)
    _add_columns(parser)
    _add_threads(parser)


def _add_report(commands: _Commands) -> None:
    parser = commands.add_parser("report", help="make the report out of records; measures nothing")
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--title", default="threadlite", help="headline of the report")


def _add_run(commands: _Commands) -> None:
    parser = commands.add_parser(
        "run", help="carry out a plan; run again, it repeats nothing; killed, it goes on"
    )
    parser.add_argument("plan", type=Path, metavar="PLAN.toml")
    parser.add_argument("--data", metavar="SOURCE", help="instead of the plan's own source")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="workspace (default: runs/NAME of the plan)"
    )
