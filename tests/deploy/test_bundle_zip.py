"""Archives of bundles: unpacked with care, refused where they reach out."""

import stat
import zipfile
from pathlib import Path

import pytest

from deploy import bundle_zip
from deploy.bundle_manifest import leaves_folder
from deploy.bundle_zip import bundle_folder
from train.errors import ArtifactError


def packed(path: Path, *names: str, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            item = zipfile.ZipInfo(name)
            item.external_attr = mode << 16
            archive.writestr(item, "text")
    return path


@pytest.mark.parametrize("top", ["", "bundle/"])
def test_an_archive_opens_with_or_without_a_folder_around_it(tmp_path: Path, top: str) -> None:
    path = packed(tmp_path / "bundle.zip", f"{top}manifest.json", f"{top}golden/01.png")
    with bundle_folder(path) as folder:
        assert (folder / "manifest.json").read_text() == "text"
        assert (folder / "golden" / "01.png").is_file()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil"])
def test_entries_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "bundle.zip", "manifest.json", name)
    with pytest.raises(ArtifactError, match="leaves the bundle"), bundle_folder(path):
        pass
    assert not (tmp_path / "evil").exists()


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "bundle.zip", "labels.txt", mode=stat.S_IFLNK | 0o777)
    with pytest.raises(ArtifactError, match=r"'labels\.txt' is a link"), bundle_folder(path):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning:zipfile")
def test_entries_that_stand_twice_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "bundle.zip", "manifest.json", "manifest.json")
    with pytest.raises(ArtifactError, match="stands in it twice"), bundle_folder(path):
        pass


def test_archives_that_grow_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "bundle.zip", "one", "two")
    monkeypatch.setattr(bundle_zip, "MAX_UNPACKED_BYTES", 7)  # twice "text" is 8
    with pytest.raises(ArtifactError, match="2 entries of 8 bytes"), bundle_folder(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning:zipfile")
def test_damage_anywhere_is_refused_or_does_no_harm(tmp_path: Path, method: int) -> None:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("manifest.json", "text" * 8)
        archive.writestr("größe.txt", "text")  # a name in UTF-8, which damage makes none
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :])
        try:
            with bundle_folder(path):
                pass
        except ArtifactError:
            refused += 1
    assert refused > len(whole) // 2


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "words.zip").write_text("words")
    words = tmp_path / "words.zip"
    with pytest.raises(ArtifactError, match="or a zip archive of it"), bundle_folder(words):
        pass
    with pytest.raises(ArtifactError, match="no such bundle"), bundle_folder(tmp_path / "ghost"):
        pass


def test_paths_that_stay_inside_are_known() -> None:
    assert not leaves_folder("golden/01.png")
    assert leaves_folder("") and leaves_folder("..") and leaves_folder("a\0b")
