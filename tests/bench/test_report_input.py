"""Bad records: each is passed over and named, and the report stands."""

import json
from pathlib import Path

import pytest

from bench.record import EnvironmentRecord, LatencyRecord, to_line
from bench.report import write_report
from bench.report_input import plain_names, read_for_report
from tests.bench.gate_records import machine, timed
from train.errors import DataError


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), encoding="utf-8")
    return path


def broken_time(value: str) -> str:
    return to_line(timed([1.0, 2.0])).replace("2.0]", f"{value}]")


def test_what_cannot_be_used_is_passed_over_and_named(tmp_path: Path) -> None:
    newer = json.dumps(json.loads(to_line(machine())) | {"schema_version": 2, "gpu": "x"}) + "\n"
    path = written(
        tmp_path / "r.jsonl",
        to_line(machine()),
        newer,
        broken_time("NaN"),
        broken_time("Infinity"),
        broken_time("1e999"),
        '{"kind": "dream"}\n',
        to_line(timed([3.0])),
        to_line(timed([4.0]))[:40],
    )
    records, warnings = read_for_report([path])
    assert [type(one) for one in records] == [EnvironmentRecord, LatencyRecord]
    assert warnings == [
        "r.jsonl: line 2: of schema version 2, where 1 is known; passed over",
        "r.jsonl: lines 3, 4, 5: no usable record (latency.latencies_ms.1: Input should be a finite"
        " number); passed over",
        "r.jsonl: line 6: of kind 'dream', which is not known; passed over",
        "r.jsonl: line 8: cut off (a killed run); passed over",
    ]


def test_many_lines_of_one_fault_are_one_warning(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", *[broken_time("NaN")] * 9)
    (warning,) = read_for_report([path])[1]
    assert "lines 1, 2, 3, 4, 5 and 4 more" in warning


def test_a_record_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    first = written(tmp_path / "a.jsonl", to_line(machine()), to_line(timed([1.0])))
    second = written(tmp_path / "b.jsonl", to_line(timed([2.0])), to_line(timed([1.0])))
    assert len(read_for_report([first, second])[0]) == 3


def test_an_empty_file_is_said(tmp_path: Path) -> None:
    assert read_for_report([written(tmp_path / "r.jsonl")]) == ([], ["r.jsonl is empty"])


@pytest.mark.parametrize("line", ["half a thought\n", "[1, 2]\n", '{"kind": "latency"\n'])
def test_a_whole_line_that_is_no_record_at_all_is_an_error(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "r.jsonl", to_line(machine()), line)
    with pytest.raises(DataError, match=r"r\.jsonl: line 2 is not"):
        read_for_report([path])


def test_the_page_says_what_was_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", broken_time("NaN"), to_line(timed([1.0]))[:40])
    records, warnings = read_for_report([path])
    write_report(records, tmp_path / "out", title="Broken", warnings=warnings)
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "nothing was measured" in text
        assert "Input should be a finite number" in text and "cut off" in text


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "r.jsonl")
    paths = [tmp_path / name / "r.jsonl" for name in ("new", "old")]
    assert plain_names(paths) == ["new/r.jsonl", "old/r.jsonl"]
    assert read_for_report(paths)[1] == ["new/r.jsonl is empty", "old/r.jsonl is empty"]
    assert plain_names([paths[0], paths[0]]) == ["r.jsonl", "r.jsonl"]
    assert plain_names([]) == []
