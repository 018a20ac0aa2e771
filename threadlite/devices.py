"""``threadlite bench --device``: the same variants, timed on an attached phone."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from train.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from threadlite.console import Display
    from train.artifact import Artifact


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--sweep``, ``--device`` and the tool that it needs."""
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="time every variant with 1, 2, ... threads, up to --threads",
    )
    group = parser.add_argument_group("on an Android phone, in place of this machine")
    group.add_argument(
        "--device",
        metavar="adb[:SERIAL]",
        help="time the .tflite variants on the phone that adb shows; F1 is not measured there",
    )
    group.add_argument(
        "--benchmark-model",
        type=Path,
        metavar="FILE",
        help="LiteRT's benchmark_model, built for the phone's processor (see docs/devices.md)",
    )


def bench_on_device(arguments: argparse.Namespace, display: "Display") -> int:
    """Time every variant on the phone and write the records; return their number.

    Args:
        arguments: words of the command: ``artifacts``, ``out`` (must not exist), ``device``,
            ``benchmark_model``, ``threads``, ``sweep``, ``rounds`` and ``layers``.
        display: shows progress.

    Raises:
        UsageError: the words do not fit, or there is no variant.
        ConfigError: a variant is no ``.tflite``.
        RuntimeFailure: the phone cannot be reached.
    """
    from bench.adb import Adb, parse_target
    from bench.device import measure_on_device
    from bench.record import FailureRecord, Record, of_kind, write_records

    serial = parse_target(arguments.device)
    tool, threads, rounds = arguments.benchmark_model, arguments.threads, arguments.rounds
    if tool is None or not tool.is_file():
        raise UsageError(
            f"--device needs --benchmark-model FILE, LiteRT's tool for the phone, got {tool};"
            " docs/devices.md says where to get it"
        )
    if rounds < 1 or threads < 1:
        raise UsageError(f"--rounds and --threads must be 1 or more, got {rounds} and {threads}")
    variants = _variants(arguments.artifacts)
    records: list[Record] = []
    for count in thread_counts(arguments):
        display.begin(f"timing on the phone, {count} threads, turns", len(variants) * rounds)
        found = measure_on_device(
            variants,
            Adb(serial),
            tool,
            threads=count,
            rounds=rounds,
            layers=arguments.layers and count == threads,
            advance=display.advance,
        )
        records += [one for one in found if one not in records]  # the phone stands there once
    for failed in of_kind(records, FailureRecord):
        display.say(f"{failed.variant}: {failed.stage} failed: {failed.reason}")
    write_records(arguments.out, records)
    return len(records)


def thread_counts(arguments: argparse.Namespace) -> range:
    """Return the numbers of threads to time with; the one asked for is the last.

    Args:
        arguments: words of the command: ``threads`` and ``sweep``.
    """
    return range(1 if arguments.sweep else arguments.threads, arguments.threads + 1)


def _variants(folders: "Sequence[Path]") -> "list[Artifact]":
    """Return the artifacts but for trained networks, which no phone runs."""
    from train.artifact import open_artifact

    given = [open_artifact(folder) for folder in folders]
    variants = [artifact for artifact in given if artifact.manifest.name.format != "keras"]
    if not variants:
        raise UsageError("bench --device needs a .tflite artifact; see threadlite optimize")
    return variants
