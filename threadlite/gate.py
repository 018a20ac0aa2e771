"""``threadlite gate``: does a variant keep its goals?  For people and for CI, from records."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bench.gate import GateResult, Judgement
    from bench.record import Record

STATUS = {"pass": 0, "fail": 1, "undecided": 3}
EPILOG = """\
exit status: 0 every variant passes, 1 one fails or the records cannot serve, 2 wrong usage,
             3 none fails and one is undecided
"""
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Commands) -> None:
    """Add ``threadlite gate`` and its words."""
    parser = commands.add_parser(
        "gate",
        help="say whether variants keep their goals: pass, fail or undecided; measures nothing",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS.jsonl")
    parser.add_argument(
        "--max-f1-drop",
        type=float,
        metavar="SHARE",
        help="weighted F1 that a variant may lose on the test photos, such as 0.01",
    )
    parser.add_argument(
        "--max-latency-ratio",
        type=float,
        metavar="RATIO",
        help="its median time as a share of the reference's, such as 0.5",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="OLD.jsonl",
        help="hold each variant against its namesake in these records (default: against its"
        " float parent in RECORDS)",
    )
    parser.add_argument("--variant", default="", metavar="NAME", help="judge this one alone")


def run(arguments: argparse.Namespace) -> int:
    """Judge, print a line a check, and return the exit status.

    Raises:
        UsageError: no goal, or one that cannot be.
        DataError: the records cannot be read, or do not hold what the goals need.
    """
    from bench.gate import Goals, judge

    goals = Goals(max_f1_drop=arguments.max_f1_drop, max_latency_ratio=arguments.max_latency_ratio)
    records = [record for path in arguments.records for record in _read(path)]
    baseline = _read(arguments.baseline) if arguments.baseline else None
    result = judge(records, goals, baseline=baseline, variant=arguments.variant)
    sys.stdout.write("".join(f"{line}\n" for line in lines_of(result)))
    return STATUS[result.outcome]


def lines_of(result: "GateResult") -> list[str]:
    """Return what the gate says, line by line, the outcome last."""
    lines = [line for one in result.judgements for line in _judgement_lines(one)]
    lines += [f"not judged: {reason}" for reason in result.left_out]
    return [*lines, f"gate: {result.outcome}"]


def _judgement_lines(one: "Judgement") -> list[str]:
    lines = [
        f"{one.outcome.upper()}  {one.variant} against {one.reference}, {one.split_method} split"
    ]
    for check in one.checks:
        lines.append(f"  {check.outcome}: {check.sentence}")
        if check.flips and check.flips.flips:
            flips = check.flips
            lines.append(
                f"    of {flips.photos:,} photos {flips.count('right to wrong')} went from right"
                f" to wrong and {flips.count('wrong to right')} from wrong to right; the same"
                f" answer on {100 * flips.agreement:.1f} %"
            )
    return lines + [f"  doubtful: {doubt}" for doubt in one.doubts]


def _read(path: Path) -> "list[Record]":
    from bench.record import read_records

    records, warnings = read_records(path)
    sys.stderr.write("".join(f"threadlite: {warning}\n" for warning in warnings))
    return records
