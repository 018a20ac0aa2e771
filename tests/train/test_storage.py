import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from train.errors import ArtifactError
from train.storage import (
    PARTIAL_PREFIX,
    digest_of,
    digest_of_file,
    only_process,
    remove_partials,
    whole_file,
    whole_folder,
    write_text,
)


def test_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_of_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_digest_of_a_value_ignores_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with whole_file(path) as draft:
        draft.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def test_failed_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="broken"), whole_file(path) as draft:
        draft.write_text("half")
        raise ValueError("broken")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), whole_folder(tmp_path / "made") as draft:
        (draft / "half").write_text("half")
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


def test_folder_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(ArtifactError, match="exists already"), whole_folder(tmp_path / "made"):
        pass


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ArtifactError, match=r"cannot be written: No space left on device"),
        whole_folder(tmp_path / "made"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_text(tmp_path / "file" / "below.txt", "text")


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{PARTIAL_PREFIX}abc").mkdir()
    (tmp_path / f"{PARTIAL_PREFIX}abc" / "half").write_text("x")
    (tmp_path / f"{PARTIAL_PREFIX}def").write_text("x")
    (tmp_path / "kept").write_text("x")
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "made" / ".lock"
    with (
        only_process(lock, "busy: wait"),
        pytest.raises(ArtifactError, match="busy: wait"),
        only_process(lock, "busy: wait"),
    ):
        pass
    with only_process(lock, "busy: wait"):
        pass


def test_drafts_of_a_day_ago_are_removed_and_younger_ones_kept(tmp_path: Path) -> None:
    for name, age in (("old", 90_000), ("young", 60)):
        draft = tmp_path / f"{PARTIAL_PREFIX}{name}"
        draft.write_text("x")
        os.utime(draft, (time.time() - age,) * 2)
    write_text(tmp_path / "file.txt", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{PARTIAL_PREFIX}young", "file.txt"
    ]  # fmt: skip
