"""``threadlite gate``: its words, what it prints and its exit status."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from bench.record import write_records
from tests.bench.gate_records import FLOAT, INT8, judged, timed
from threadlite.gate import add_parser, run
from train.errors import DataError, UsageError

TRUTHS = "aabbcc" * 2


def gate(*words: Any) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return run(parser.parse_args(["gate", *map(str, words)]))


def recorded(path: Path, *records: Any) -> Path:
    write_records(path, records)
    return path


@pytest.mark.parametrize(
    ("latencies", "status", "word"),
    [([4.0] * 20, 0, "pass"), ([6.0] * 20, 1, "fail"), ([4.0, 5.5] * 10, 3, "undecided")],
)
def test_the_exit_status_says_the_outcome(
    latencies: list[float], status: int, word: str, tmp_path: Path, capsys: Any
) -> None:
    path = recorded(tmp_path / "r.jsonl", timed([10.0] * 20, FLOAT), timed(latencies))
    assert gate(path, "--max-latency-ratio", 0.5) == status
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{word.upper()}  {INT8} against {FLOAT}, grouped split"
    assert printed[-1] == f"gate: {word}"


def test_flips_and_what_is_left_out_are_told(tmp_path: Path, capsys: Any) -> None:
    path = recorded(
        tmp_path / "r.jsonl", judged(TRUTHS, TRUTHS, FLOAT),
        judged(TRUTHS, "babbcc" + TRUTHS[:6]), judged("ab", "ab", "x.int8.onnx"),
    )  # fmt: skip
    gate(path, "--max-f1-drop", 0.5)
    printed = capsys.readouterr().out
    assert "of 12 photos 1 went from right to wrong and 0 from wrong to right" in printed
    assert "the same answer on 91.7 %" in printed
    assert (
        "not judged: x.int8.onnx (grouped split): its float parent x.float.onnx is not" in printed
    )


def test_records_of_several_files_and_a_baseline(tmp_path: Path, capsys: Any) -> None:
    one = recorded(tmp_path / "1.jsonl", timed([10.0] * 9, FLOAT))
    two = recorded(tmp_path / "2.jsonl", timed([4.0] * 9))
    assert gate(one, two, "--max-latency-ratio", 0.5) == 0
    assert gate(two, "--baseline", two, "--max-latency-ratio", 0.5) == 1
    assert "of the baseline" in capsys.readouterr().out


def test_bad_input_has_a_plain_message(tmp_path: Path) -> None:
    broken = tmp_path / "r.jsonl"
    broken.write_text("{}\n")
    with pytest.raises(UsageError, match="needs a goal"):
        gate(broken)
    with pytest.raises(DataError, match="line 1"):
        gate(broken, "--max-f1-drop", 0.01)
    with pytest.raises(DataError, match="no readable records"):
        gate(tmp_path / "none", "--max-f1-drop", 0.01)
