"""``threadlite report``: the page that makes the decision, out of records alone."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TypeAlias

from threadlite.options import add_columns, columns_of

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``threadlite report`` and its words."""
    parser = commands.add_parser("report", help="make the report out of records; measures nothing")
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--title", default="threadlite", help="headline of the report")
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar="OLD.jsonl",
        help="records of an older run: say what moved since, and what is noise",
    )
    parser.add_argument(
        "--under-ms",
        type=_milliseconds,
        metavar="MS",
        help="also choose the most accurate variant with a median under so many milliseconds",
    )
    parser.add_argument(
        "--with-photos",
        metavar="SOURCE",
        help="put small pictures of the photos whose prediction changed into the page; SOURCE as"
        " for --data of the other commands (default: no pictures, since reports get shared)",
    )
    add_columns(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report into a new folder, whole or not at all.

    Raises:
        UsageError: the folder exists.
        DataError: records or photos cannot be read.
        ArtifactError: the folder cannot be written.
    """
    from bench.report import write_report
    from bench.report_content import Extras
    from bench.report_input import plain_names, read_for_report
    from threadlite.commands import require_new
    from train.storage import whole_folder

    require_new(arguments.out)
    records, warnings = read_for_report(arguments.records)
    old_records = None
    if arguments.against:
        old_records, doubts = read_for_report(arguments.against)
        warnings += [f"--against: {doubt}" for doubt in doubts]
    extras = Extras(
        old_records=old_records,
        old=", ".join(plain_names(arguments.against or ())),
        under_ms=arguments.under_ms,
        photos=_photos(arguments),
    )
    with whole_folder(arguments.out) as draft:
        write_report(
            records,
            draft,
            title=arguments.title,
            warnings=warnings,
            command=_command(arguments),
            extras=extras,
        )
    sys.stderr.write("".join(f"threadlite: {warning}\n" for warning in warnings))
    sys.stdout.write(f"report in {arguments.out / 'report.html'}\n")
    return 0


def _command(arguments: argparse.Namespace) -> str:
    """Return the words that make the report again, without a path of this machine."""
    from bench.report_input import plain_names

    words = ["threadlite", "report", *plain_names(arguments.records)]
    words += ["--title", arguments.title, "--out", arguments.out.name]
    if arguments.against:
        words += ["--against", *plain_names(arguments.against)]
    if arguments.under_ms:
        words += ["--under-ms", f"{arguments.under_ms:g}"]
    if arguments.with_photos:
        words += ["--with-photos", "SOURCE"]
    return shlex.join(words)


def _photos(arguments: argparse.Namespace) -> dict[str, Path] | None:
    """Return the file of each photo of ``--with-photos``; nothing where it was not given."""
    if arguments.with_photos is None:
        return None
    from threadlite.console import Display
    from train.dataset import SourceOptions
    from train.sources import open_dataset

    image, label, sender = columns_of(arguments).values()
    options = SourceOptions(
        image_column=image,
        label_column=label,
        sender_column=sender,
        dropped_labels=(),
        empty_classes=True,
    )
    with Display() as display:
        display.begin("reading photos", 0)
        dataset = open_dataset(
            arguments.with_photos, options, advance=display.advance, received=display.received
        )
    return {photo.photo_id: photo.path for photo in dataset.photos}


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of milliseconds above 0")
    return value
