import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from train.errors import ArtifactError, DataError
from train.storage import (
    PARTIAL_PREFIX,
    digest_of,
    digest_of_file,
    only_process,
    remove_partials,
    stored_array,
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


def stored(path: Path, dtype: str, shape: tuple[int, ...]) -> tuple[bool, list[str]]:
    """Return whether the array is taken, and what is said."""
    lines: list[str] = []
    return stored_array(path, dtype, shape, say=lines.append) is not None, lines


def test_a_stored_array_is_taken_by_its_first_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    assert stored(path, "<f2", (2, 3)) == (False, [])
    np.save(path, np.arange(6, dtype=np.float16).reshape(2, 3))
    for shape in ((), (2,), (2, 3)):
        assert stored(path, "<f2", shape) == (True, [])
    found = stored_array(path, "<f2", (2,))
    assert found is not None and found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("dtype", "shape"), [("<f4", (2, 3)), ("<f2", (3,)), ("<f2", (2, 3, 1)), ("|u1", (2, 3))]
)
def test_another_array_is_not_taken(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.float16))
    taken, lines = stored(tmp_path / "a.npy", dtype, shape)
    assert not taken
    assert lines == [
        f"{tmp_path / 'a.npy'} in the cache is damaged (it holds float16 (2, 3), wanted {dtype}"
        f" {shape}): it is computed again"
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:5],
        lambda whole: whole[:-1],
        lambda whole: b"junk" + whole,
        lambda whole: b"PK\x03\x04" + whole,  # would be a zip of arrays
        lambda whole: b"\x80\x04" + whole,  # would be a pickle
        lambda whole: bytes(len(whole)),
    ],
    ids=["empty", "header cut", "cut", "junk", "zip", "pickle", "zeros"],
)
def test_a_damaged_array_is_not_taken(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 3), np.float16))
    path.write_bytes(damage(path.read_bytes()))
    taken, lines = stored(path, "<f2", (2,))
    assert not taken
    assert len(lines) == 1
    assert lines[0].startswith(f"{path} in the cache is damaged (")
    assert stored_array(path, "<f2", (2,)) is None  # with nobody to tell


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


@pytest.mark.parametrize("filled", [True, False])
def test_a_folder_made_for_the_lock_stays_where_something_came_of_it(
    filled: bool, tmp_path: Path
) -> None:
    lock = tmp_path / "made" / ".lock"
    with pytest.raises(DataError), only_process(lock, "busy: wait"):
        if filled:
            (lock.parent / "half").write_text("x")
        raise DataError("no photos")
    assert lock.parent.exists() == filled


def test_drafts_of_a_day_ago_are_removed_and_younger_ones_kept(tmp_path: Path) -> None:
    for name, age in (("old", 90_000), ("young", 60)):
        draft = tmp_path / f"{PARTIAL_PREFIX}{name}"
        draft.write_text("x")
        os.utime(draft, (time.time() - age,) * 2)
    write_text(tmp_path / "file.txt", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{PARTIAL_PREFIX}young", "file.txt"
    ]  # fmt: skip
