"""``threadlite report``: its words, what it says of bad records, and what it never writes."""

from pathlib import Path

import pytest

from bench.record import to_line
from tests.bench.gate_records import FLOAT, INT8, judged, machine, timed
from threadlite.cli import main


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Return records of a run that was killed over its last line."""
    path = tmp_path / "new.jsonl"
    sides = [
        to_line(judged("ab" * 10, "ab" * 10, variant, side=side))  # type: ignore[arg-type]
        for variant in (FLOAT, INT8)
        for side in ("validation", "test")
    ]
    times = [to_line(timed([9.0] * 5, FLOAT)), to_line(timed([3.0] * 5, INT8))]
    path.write_text("".join([to_line(machine()), *sides, *times, times[0][:50]]), encoding="utf-8")
    return path


def test_report_against_an_older_run(
    new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text(to_line(machine()) + to_line(timed([6.0] * 5, INT8)), encoding="utf-8")
    words = ["report", str(new), "--against", str(old), "--under-ms", "5", "--title", "Both"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "new.jsonl: line 8: cut off (a killed run)" in captured.err
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "## Against old.jsonl" in text and f"Faster: {INT8} on litert 2.3.0 (grouped)." in text
    assert "The most accurate variant with a median under 5 ms" in text
    assert "cut off (a killed run)" in text
    assert "--against old.jsonl --under-ms 5" in text and str(tmp_path) not in text
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in page


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_no_time_is_wrong_usage(
    new: Path, tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", str(new), "--out", str(tmp_path / "out"), f"--under-ms={value}"])
    assert caught.value.code == 2
    assert "must be a number of milliseconds above 0" in capsys.readouterr().err


def test_photos_that_are_not_there_are_an_error_and_leave_nothing(
    new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", str(new), "--out", str(tmp_path / "out")]
    assert main([*words, "--with-photos", str(tmp_path / "ghost")]) == 1
    assert "ghost" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
