"""Races of files: whose turn it is, and what is counted."""

from pathlib import Path

import numpy as np
import pytest

from bench.latency import TURN_CALLS
from bench.race import WARM_CALLS, race_files
from train.errors import ConfigError, RuntimeFailure

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Runner:
    """Takes the milliseconds that its file is named after."""

    runtime, load_ms = "none", 0.0

    def __init__(self, file: Path, log: list[str]) -> None:
        self.file, self.log, self.closed = file, log, False

    def call(self, *, untimed: int, timed: int) -> tuple[float, ...]:
        self.log.append(f"{self.file.stem}:{untimed}+{timed}")
        return (float(self.file.stem),) * timed

    def close(self) -> None:
        self.closed = True


def race(rounds: int) -> tuple[tuple[tuple[float, ...], ...], list[str], list[Runner]]:
    log: list[str] = []
    runners: list[Runner] = []

    def start(file: Path) -> Runner:
        runners.append(Runner(file, log))
        return runners[-1]

    files = [Path("3.tflite"), Path("7.tflite")]
    found = race_files(files, "litert", threads=1, picture=PICTURE, rounds=rounds, start=start)
    return found, log, runners


def test_every_file_has_one_turn_a_round() -> None:
    found, log, runners = race(rounds=4)
    assert found == ((3.0,) * 4 * TURN_CALLS, (7.0,) * 4 * TURN_CALLS)
    assert log[:2] == [f"3:{WARM_CALLS}+1", f"7:{WARM_CALLS}+1"]  # what warms up is not counted
    turns = [entry.split(":")[0] for entry in log[2:]]
    assert [sorted(turns[i : i + 2]) for i in range(0, 8, 2)] == [["3", "7"]] * 4
    assert all(runner.closed for runner in runners)


def test_who_begins_changes_from_round_to_round() -> None:
    _, log, _ = race(rounds=20)
    begins = {log[2 + 2 * number].split(":")[0] for number in range(20)}
    assert begins == {"3", "7"}


def test_a_file_that_does_not_start_ends_the_others() -> None:
    started: list[Runner] = []

    def start(file: Path) -> Runner:
        if started:
            raise RuntimeFailure("no")
        started.append(Runner(file, []))
        return started[-1]

    with pytest.raises(RuntimeFailure, match="no"):
        race_files(
            [Path("1.onnx"), Path("2.onnx")],
            "onnxruntime",
            threads=1,
            picture=PICTURE,
            rounds=1,
            start=start,
        )
    assert started[0].closed


def test_no_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="rounds must be at least 1, got 0"):
        race(rounds=0)
