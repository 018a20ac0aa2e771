"""The command line: ``threadlite COMMAND``. It loads nothing heavy before a command runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from threadlite import cost, deploy, gate, pixels, report, rewrites, serve, verify
from threadlite.devices import add_device
from threadlite.options import (
    add_approach,
    add_columns,
    add_selection,
    add_source,
    add_threads,
)

OWN_MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (deploy, gate, cost, verify, serve, pixels, report, rewrites)
}
"""Commands that are a module of their own: ``add_parser`` and ``run``."""
EPILOG = """\
from photos to phone:
  threadlite run plans/demo.toml           everything, on the rendered garments
  threadlite classify PHOTO                what is on a photo, by the ready-made model
  threadlite data PHOTOS                   what is in a folder of photos, and what is wrong with it
  threadlite train custom-cnn --data PHOTOS --out net
  threadlite crossval efficientnet-lite0 --data PHOTOS --out folds
  threadlite optimize int8 net --format tflite --data PHOTOS --out net-int8
  threadlite deploy net-int8 --parent net --data PHOTOS --out bundle
  threadlite bench net net-int8 --data PHOTOS --out records.jsonl
  threadlite gate records.jsonl --max-f1-drop 0.01 --max-latency-ratio 0.5
  threadlite cost net --layers
  threadlite verify bundle
  threadlite deploy bundle --web --out site
  threadlite serve site
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
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["deploy", "verify"]:  # verify is the check of what deploy has made
        words = words[1:]
    arguments = build_parser().parse_args(words)
    from threadlite import commands
    from train.errors import ThreadliteError

    own = OWN_MODULES.get(arguments.command)
    try:
        status: int = (own.run if own else getattr(commands, arguments.command))(arguments)
        sys.stdout.flush()
    except ThreadliteError as error:
        sys.stderr.write(f"threadlite: {error}\n")
        return error.exit_code
    except BrokenPipeError:  # the reader, such as ``head``, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
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
    _add_crossval(commands)
    _add_optimize(commands)
    _add_bench(commands)
    for module in OWN_MODULES.values():
        module.add_parser(commands)
    _add_classify(commands)
    _add_run(commands)
    commands.add_parser("doctor", help="say what this machine and installation can do")
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_data(commands: _Commands) -> None:
    parser = commands.add_parser(
        "data", help="describe a source of photos and what is wrong with it"
    )
    parser.add_argument("data", metavar="SOURCE", help="as for --data of the other commands")
    add_selection(parser)


def _add_train(commands: _Commands) -> None:
    parser = commands.add_parser(
        "train", help="train an approach; killed, it goes on when run again"
    )
    add_approach(parser)
    add_source(parser, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="ARTIFACT", help="new folder")
    parser.add_argument(
        "--split",
        choices=("grouped", "stratified"),
        default="grouped",
        help="grouped keeps all photos of a sender on one side (default)",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="train on the validation photos too, once the recipe has been chosen on them",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="ARTIFACT",
        help="a trained network whose answers are learned beside the labels; given several times,"
        " the mean of their answers",
    )
    parser.add_argument(
        "--distill",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="how to learn from teachers: temperature=2.0, share=0.7, views=8, feature_weight=0.0",
    )
    add_selection(parser)


def _add_crossval(commands: _Commands) -> None:
    parser = commands.add_parser(
        "crossval",
        help="judge an approach on every photo, fold by fold; killed, it goes on when run again",
    )
    add_approach(parser)
    add_source(parser, required=True)
    parser.add_argument(
        "--folds", type=int, default=5, help="parts that the photos fall into (default: 5)"
    )
    parser.add_argument(
        "--split",
        choices=("grouped", "stratified", "both"),
        default="both",
        help="grouped keeps all photos of a sender in one fold; both shows them side by side"
        " (default)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the records; may exist"
    )
    add_selection(parser)


def _add_optimize(commands: _Commands) -> None:
    parser = commands.add_parser("optimize", help="make a new artifact out of one by a technique")
    parser.add_argument(
        "technique",
        metavar="TECHNIQUE[+TECHNIQUE]",
        help="shrink, prune, cluster, int8 and so on, or several in a row, such as"
        " shrink+prune+int8; float for the plain export; auto to try several chains and recommend"
        " one",
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a trained network")
    parser.add_argument("--format", choices=("tflite", "onnx"), default="tflite")
    parser.add_argument("--out", type=Path, required=True, metavar="ARTIFACT", help="new folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting of the technique, such as photos=100; of several techniques"
        " shrink.maccs=0.5",
    )
    parser.add_argument(
        "--max-f1-drop",
        type=float,
        metavar="SHARE",
        help="of selective and auto: weighted F1 that may be lost on the validation photos"
        " (default: 0.01)",
    )
    parser.add_argument(
        "--goal",
        choices=("latency", "size"),
        help="of auto: what is to be small, the median call or the compressed file"
        " (default: latency)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="of auto: time for trying; run again, it goes on (default: 60)",
    )
    parser.add_argument(
        "--for",
        dest="runtime",
        choices=("litert", "ort"),
        help="of rewrite: find by racing which rewrites pay on this runtime, and write its file",
    )
    add_source(parser, required=False)
    add_columns(parser)


def _add_bench(commands: _Commands) -> None:
    parser = commands.add_parser("bench", help="measure F1, latency and cost of variants")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--out", type=Path, required=True, metavar="RECORDS.jsonl")
    parser.add_argument(
        "--rounds", type=int, default=20, help="turns of five timed calls each (default: 20)"
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="also every layer: time, MACCs, share of this machine's peak, numerical error",
    )
    parser.add_argument(
        "--no-f1", action="store_true", help="leave F1 out, which takes the longest"
    )
    add_source(parser, required=False)
    add_columns(parser)
    add_threads(parser)
    add_device(parser)


def _add_classify(commands: _Commands) -> None:
    parser = commands.add_parser("classify", help="say what is in photos")
    parser.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO", help="a picture, or a folder of pictures"
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="an artifact, a bundle, or a .tflite or .onnx file (default: the ready-made"
        " efficientnet-lite0 of the clone)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="a label a line in the order of the outputs, for a model that does not say them",
    )
    parser.add_argument(
        "--top", type=_positive, default=3, metavar="N", help="classes a photo (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a photo, one a line")
    parser.add_argument(
        "--runtime", metavar="NAME", help="litert or onnxruntime (default: that of the file)"
    )
    add_threads(parser)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _add_run(commands: _Commands) -> None:
    parser = commands.add_parser(
        "run", help="carry out a plan; run again, it repeats nothing; killed, it goes on"
    )
    parser.add_argument("plan", type=Path, metavar="PLAN.toml")
    parser.add_argument("--data", metavar="SOURCE", help="instead of the plan's own source")
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="APPROACH=WEIGHTS",
        help="instead of the plan's own weights of an approach, such as a file",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="workspace (default: runs/NAME of the plan)"
    )
