"""Words that several commands share, and what they mean once read."""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from train.errors import UsageError
from train.seeds import SEED_LIMIT

if TYPE_CHECKING:
    from train.dataset import SourceOptions

COLUMNS = ("image_column", "label_column", "sender_column")


def add_source(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add ``--data``."""
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


def add_columns(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the names of a table's columns; return their group."""
    group = parser.add_argument_group("how to read the photos")
    group.add_argument("--image-column", default="image", metavar="NAME", help="names the file")
    group.add_argument("--label-column", default="label", metavar="NAME", help="names the class")
    group.add_argument(
        "--sender-column", default="sender_id", metavar="NAME", help="names the sender"
    )
    return group


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the columns, which classes to keep, and the seed."""
    group = add_columns(parser)
    group.add_argument(
        "--classes",
        metavar="WHICH",
        help="all, topN (the N most frequent) or names separated by commas (default: all, or those"
        " of the approach)",
    )
    group.add_argument(
        "--drop",
        metavar="LABELS",
        help="labels to leave out, separated by commas (default: Not sure,Other,Others,Skip)",
    )
    group.add_argument("--seed", type=_seed, default=0, help="of every random choice (default: 0)")


def add_approach(parser: argparse.ArgumentParser) -> None:
    """Add the approach, a way to list all of them, its weights and what to change of its recipe."""
    parser.add_argument("approach", metavar="APPROACH", help="one of those that --list shows")
    parser.add_argument(
        "--list", action=_ListApproaches, nargs=0, help="list the approaches and leave"
    )
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="WHICH",
        help="auto (cache, package or download), none, a file of weights or, for convnext-tiny,"
        " hub:HANDLE (default: auto)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the recipe, such as epochs=5 or augment.flip=false (TOML values)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    parser.add_argument("--threads", type=int, default=2, help="of the runtimes (default: 2)")


class _ListApproaches(argparse.Action):
    """Prints the table of approaches and ends, as ``--version`` prints the version and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from train.approaches import APPROACHES

        width = max(map(len, APPROACHES))
        for name, row in APPROACHES.items():
            sys.stdout.write(f"{name:{width}}  {row.about}\n")
        parser.exit()


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEED_LIMIT:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {SEED_LIMIT - 1}")
    return int(text)


def source_options(arguments: argparse.Namespace) -> "SourceOptions":
    """Return what the words of ``add_selection`` say of a source."""
    from train.dataset import DROPPED_LABELS, SourceOptions

    dropped = DROPPED_LABELS
    if arguments.drop is not None:
        dropped = tuple(label.strip() for label in arguments.drop.split(",") if label.strip())
    return SourceOptions(
        **columns_of(arguments),
        classes="all" if arguments.classes is None else arguments.classes,
        empty_classes=False,
        dropped_labels=dropped,
        seed=arguments.seed,
    )


def columns_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the words of ``add_columns``."""
    return {name: getattr(arguments, name) for name in COLUMNS}


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` words as nested settings; values are TOML, bare words are text.

    Raises:
        UsageError: a word has no ``=`` or no key.
    """
    settings: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            raise UsageError(f"--set {word!r} must read KEY=VALUE, such as epochs=5")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        place = settings
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {word!r}: {key} was given a value before")
        place[keys[-1]] = value
    return settings
