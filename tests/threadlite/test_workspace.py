from pathlib import Path

import pytest

from bench.record import CostRecord, FailureRecord, Record
from threadlite import workspace
from threadlite.workspace import Workspace, step_key
from train.storage import PARTIAL_PREFIX


class Steps:
    """Counts what was made and what was found."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def count(self, name: str, was_there: bool) -> None:
        self.seen.append((name, was_there))


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def place(tmp_path: Path, steps: Steps) -> Workspace:
    return Workspace(folder=tmp_path / "run", done=steps.count)


SUBJECT = {"variant": "net.int8.tflite", "split_method": "grouped", "environment": "e"}


def a_record() -> Record:
    return CostRecord(maccs=1, parameters=1, uncounted={}, file_bytes=1, gzip_bytes=1, **SUBJECT)


def a_failure() -> Record:
    return FailureRecord(stage="s", reason="r", **SUBJECT)


def test_key_follows_inputs_code_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    key = step_key("train.errors", {"a": 1})
    assert key == step_key("train.errors", {"a": 1})
    assert key != step_key("train.errors", {"a": 2})
    assert key != step_key("train.variant", {"a": 1})
    monkeypatch.setattr(workspace, "library_versions", lambda: {"numpy": "0"})
    assert key != step_key("train.errors", {"a": 1})


def test_records_are_made_once(place: Workspace, steps: Steps) -> None:
    made = place.records("f1", "k", lambda: [a_record()])
    again = place.records("f1", "k", lambda: pytest.fail("made twice"))
    assert made == again == [a_record()]
    assert steps.seen == [("f1", False), ("f1", True)]


def test_failures_are_tried_again(place: Workspace, steps: Steps) -> None:
    place.records("timing", "k", lambda: [a_failure()])
    assert place.records("timing", "k", lambda: [a_record()]) == [a_record()]
    assert [there for _, there in steps.seen] == [False, False]


def test_another_key_is_another_step(place: Workspace, steps: Steps) -> None:
    place.records("f1", "k", lambda: [a_record()])
    assert place.records("f1", "other", lambda: []) == []
    assert steps.seen[-1] == ("f1", False)


def test_failed_step_leaves_nothing_and_is_done_again(place: Workspace) -> None:
    def fail() -> list[Record]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        place.records("f1", "k", fail)
    assert place.records("f1", "k", lambda: [a_record()]) == [a_record()]


def write_word(word: str):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "word.txt").write_text(word)

    return make


def test_only_folder_keeps_its_path_and_follows_its_key(place: Workspace, steps: Steps) -> None:
    first = place.only_folder("bundles/net.float", "k1", write_word("one"))
    assert (first / "word.txt").read_text() == "one"
    assert place.only_folder("bundles/net.float", "k1", write_word("unused")) == first
    assert (first / "word.txt").read_text() == "one"
    assert place.only_folder("bundles/net.float", "k2", write_word("two")) == first
    assert (first / "word.txt").read_text() == "two"
    assert [there for _, there in steps.seen] == [False, True, False]
    assert [child.name for child in first.iterdir()] == ["word.txt"]


def test_folder_that_was_removed_is_made_again(place: Workspace) -> None:
    folder = place.only_folder("report", "k", write_word("one"))
    (folder / "word.txt").unlink()
    folder.rmdir()
    assert (place.only_folder("report", "k", write_word("again")) / "word.txt").is_file()


def test_leftovers_of_a_killed_run_are_removed(place: Workspace) -> None:
    for folder in ("artifacts", "records", "bundles"):
        (place.folder / folder / f"{PARTIAL_PREFIX}x").mkdir(parents=True)
    place.clean()
    assert not list(place.folder.rglob(f"{PARTIAL_PREFIX}*"))
