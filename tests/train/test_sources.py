import csv
import dataclasses
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

import train.scan
from train import sources
from train.dataset import SourceOptions, unlabelled_apart_from
from train.errors import DataError
from train.sources import open_dataset

REPOSITORY = Path(__file__).parents[2]
CLOTHING = Path(
    os.environ.get("THREADLITE_CLOTHING") or REPOSITORY.parent / "shared" / "clothing-dataset"
)
needs_clothing = pytest.mark.skipif(
    not (CLOTHING / "images.csv").is_file(), reason="the clothing dataset is not on this machine"
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("THREADLITE_CLOTHING", raising=False)


def photo(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (level, 255 - level, 7)).save(path)


def table(path: Path, rows: Sequence[Sequence[str]], header: str = "image,sender_id,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


FOUR = [["a", "1", "Hat"], ["b", "1", "Hat"], ["c", "2", "Shoes"], ["d", "3", "Skirt"]]


def four_photos(home: Path, folder: str = "images", suffix: str = ".jpg") -> Path:
    table(home / "images.csv", FOUR)
    for level, row in enumerate(FOUR):
        photo(home / folder / f"{row[0]}{suffix}", level)
    return home


@pytest.mark.parametrize("folder", ["images", "images_original", "images_compressed", "."])
@pytest.mark.parametrize("suffix", [".jpg", ".PNG"])
def test_known_layouts_are_read(folder: str, suffix: str, tmp_path: Path) -> None:
    dataset = open_dataset(str(four_photos(tmp_path / "shop", folder, suffix)))
    assert dataset.name == "shop"
    assert dataset.labels == ("Hat", "Shoes", "Skirt")
    assert [(p.photo_id, p.label, p.sender) for p in dataset.photos] == [
        ("a", "Hat", "1"),
        ("b", "Hat", "1"),
        ("c", "Shoes", "2"),
        ("d", "Skirt", "3"),
    ]


def test_kaggle_layout_prefers_the_compressed_pictures(tmp_path: Path) -> None:
    home = four_photos(tmp_path, "images_compressed")
    four_photos(tmp_path, "images_original")
    dataset = open_dataset(str(home))
    assert {p.path.parent.name for p in dataset.photos} == {"images_compressed"}


def test_own_columns_a_semicolon_and_extensions(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(
        "\ufefffile;kind\npics/a.jpg;cup\npics\\b.jpg;plate\n", encoding="utf-8"
    )  # with a byte order mark, as Excel writes it
    photo(tmp_path / "pics" / "a.jpg", 1)
    photo(tmp_path / "pics" / "b.jpg", 2)
    options = SourceOptions(image_column="file", label_column="kind")
    for source in (path, tmp_path):
        dataset = open_dataset(str(source), options)
        assert dataset.labels == ("cup", "plate")
        assert [p.sender for p in dataset.photos] == ["pics/a.jpg", "pics\\b.jpg"]


def test_one_subfolder_a_class(tmp_path: Path) -> None:
    for label in ("cup", "plate"):
        for number in range(2):
            photo(tmp_path / "shop" / label / f"{number}.png", number)
    (tmp_path / "shop" / "cup" / "notes.txt").write_text("none of ours", encoding="utf-8")
    dataset = open_dataset(str(tmp_path / "shop"))
    ids = ["cup/0.png", "cup/1.png", "plate/0.png", "plate/1.png"]
    assert [p.photo_id for p in dataset.photos] == ids
    assert [p.sender for p in dataset.photos] == ids
    assert [p.label for p in dataset.photos] == ["cup", "cup", "plate", "plate"]
    assert dataset.dirt.conflicting_duplicates == (
        ("cup/0.png", "plate/0.png"),
        ("cup/1.png", "plate/1.png"),
    )


def test_dirt_is_reported_and_left_out(tmp_path: Path) -> None:
    home = four_photos(tmp_path)
    rows = [
        *FOUR,
        ["gone", "9", "Hat"],  # no file
        ["a", "9", "Shoes"],  # id again
        ["b.jpg", "9", "Shoes"],  # the same file under another id
        ["broken", "9", "Hat"],
        ["copy", "9", "Skirt"],  # the bytes of "a", which is a hat
        ["grey", "9", "Hat"],
        ["", "9", "Hat"],
        ["nolabel", "9", ""],
    ]
    table(home / "images.csv", rows)
    (home / "images" / "broken.jpg").write_bytes(b"")
    (home / "images" / "extra_broken.jpg").write_bytes(b"text")
    shutil.copy(home / "images" / "a.jpg", home / "images" / "copy.jpg")
    shutil.copy(home / "images" / "c.jpg", home / "images" / "spare.jpg")
    Image.linear_gradient("L").save(home / "images" / "grey.jpg")
    photo(home / "images" / "nolabel.jpg", 200)
    (home / "images" / ".DS_Store").write_bytes(b"x")
    dataset = open_dataset(str(home))
    dirt = dataset.dirt
    assert [p.photo_id for p in dataset.photos] == ["a", "b", "c", "copy", "d", "grey"]
    assert {p.label for p in dataset.photos if p.photo_id == "a"} == {"Hat"}  # the first row
    assert dirt.missing_files == ("gone", "line 12")
    assert dirt.duplicate_ids == ("a", "b.jpg")
    assert [name for name, _ in dirt.unreadable] == ["broken", "extra_broken.jpg"]
    assert dirt.files_without_row == ("extra_broken.jpg", "nolabel.jpg", "spare.jpg")
    assert [p.photo_id for p in dataset.unlabelled] == ["nolabel.jpg", "spare.jpg"]
    assert dirt.exact_duplicates == (("a", "copy"), ("c", "spare.jpg"))
    assert len({p.sha256 for p in dataset.unlabelled}) == 2
    assert {p.label for p in dataset.unlabelled} == {""}
    for judged, names in ({"c"}, ["nolabel.jpg"]), ({"a"}, ["nolabel.jpg", "spare.jpg"]):
        assert [p.photo_id for p in unlabelled_apart_from(dataset, judged)] == names
    assert dirt.conflicting_duplicates == (("a", "copy"),)
    assert dirt.converted == (("grey", "greyscale"),)


def test_unwanted_labels_are_dropped_whatever_their_case(tmp_path: Path) -> None:
    home = four_photos(tmp_path)
    table(home / "images.csv", [*FOUR[:3], ["d", "1", "not SURE"]])
    dataset = open_dataset(str(home))
    assert dataset.labels == ("Hat", "Shoes")
    assert dataset.dirt.dropped_labels == (("not SURE", 1),)
    kept = open_dataset(str(home), SourceOptions(dropped_labels=()))
    assert kept.labels == ("Hat", "Shoes", "not SURE")
    named = open_dataset(str(home), SourceOptions(classes="Hat, not SURE"))
    assert named.labels == ("Hat", "not SURE")


def test_top_keeps_the_most_frequent(tmp_path: Path) -> None:
    dataset = open_dataset(str(four_photos(tmp_path)), SourceOptions(classes="top2"))
    assert dataset.labels == ("Hat", "Shoes")  # 2 hats; Shoes before Skirt, one each
    assert dataset.dirt.dropped_labels == (("Skirt", 1),)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("top4", r"'top4': N must be in \[2, 3\]"),
        ("top1", r"'top1': N must be in \[2, 3\]"),
        ("Hat,Scarf", "class 'Scarf' has no readable photo.*'Hat', 'Shoes', 'Skirt'"),
        ("Hat", r"offers 1 class \('Hat'\): a classifier needs at least 2"),
        (" , ", "offers 0 class"),
    ],
)
def test_impossible_class_choices_are_refused(classes: str, message: str, tmp_path: Path) -> None:
    home = four_photos(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(str(home), SourceOptions(classes=classes))


def test_a_label_without_photos_is_refused_unless_left_out(tmp_path: Path) -> None:
    home = four_photos(tmp_path)
    (home / "images" / "d.jpg").unlink()
    with pytest.raises(DataError, match="class 'Skirt' has no readable photo"):
        open_dataset(str(home))
    assert open_dataset(str(home), SourceOptions(classes="Hat,Shoes")).dirt.missing_files == ("d",)


def test_an_empty_class_folder_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "cup" / "1.png", 1)
    photo(tmp_path / "plate" / "1.png", 2)
    (tmp_path / "spoon").mkdir()
    with pytest.raises(DataError, match="class 'spoon' has no readable photo"):
        open_dataset(str(tmp_path))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder; name clothing, garments, or"):
        open_dataset(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="is empty"):
        open_dataset(str(tmp_path))
    photo(tmp_path / "1.png", 1)
    with pytest.raises(DataError, match=r"neither a table .* nor one subfolder"):
        open_dataset(str(tmp_path))


def test_one_class_only(tmp_path: Path) -> None:
    photo(tmp_path / "cup" / "1.png", 1)
    with pytest.raises(DataError, match=r"offers 1 class \('cup'\)"):
        open_dataset(str(tmp_path))


def test_none_of_the_images_is_there(tmp_path: Path) -> None:
    table(tmp_path / "images.csv", FOUR)
    with pytest.raises(DataError, match=r"none of the table's 4 images is in .*first: 'a'"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0\x00", "must be UTF-8 text"),
        (b"image\x00,label\n", "holds NUL bytes"),
        (b"image,label\n", "a header and no rows"),
        (
            b"file,label\na,Hat\n",
            "no column 'image' for the image; its columns are 'file', 'label'",
        ),
        (b"image,kind\na,Hat\n", r"no column 'label' for the label.*--label-column"),
        (b'image,label\na,"Hat\n', "after line 1: not readable as CSV"),
    ],
)
def test_broken_tables_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_bytes(content)
    for source in (tmp_path, tmp_path / "images.csv"):
        with pytest.raises(DataError, match=message):
            open_dataset(str(source))


@pytest.mark.parametrize(
    "image", ["../../etc/passwd", "/etc/passwd", "..\\secret.jpg", "C:\\secret.jpg", "x/../../s"]
)
def test_a_path_outside_the_folder_is_refused(image: str, tmp_path: Path) -> None:
    home = four_photos(tmp_path / "shop")
    photo(tmp_path / "secret.jpg", 3)
    table(home / "images.csv", [*FOUR, [image, "1", "Hat"]])
    with pytest.raises(DataError, match=r"images.csv, line 6: image .* lies outside"):
        open_dataset(str(home))


@pytest.mark.parametrize("image", ["link", "link.jpg", "away/secret", "away/secret.jpg"])
def test_a_link_out_of_the_folder_is_never_opened(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = four_photos(tmp_path / "shop")
    photo(tmp_path / "private" / "secret.jpg", 3)
    (home / "images" / "link.jpg").symlink_to(tmp_path / "private" / "secret.jpg")
    (home / "images" / "away").symlink_to(tmp_path / "private")
    table(home / "images.csv", [*FOUR, [image, "1", "Hat"]])
    with pytest.raises(DataError, match="lies outside"):
        open_dataset(str(home))


def test_a_link_inside_the_source_is_followed(tmp_path: Path) -> None:
    home = four_photos(tmp_path)
    (home / "images" / "d.jpg").rename(home / "stored.jpg")
    (home / "images" / "d.jpg").symlink_to(home / "stored.jpg")
    assert len(open_dataset(str(home)).photos) == 4


def test_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    here = four_photos(tmp_path / "here")
    there = Path(shutil.copytree(here, tmp_path / "there"))
    first = open_dataset(str(here))
    assert open_dataset(str(there)).fingerprint == first.fingerprint
    photos = list(first.photos)
    for field, value in (("photo_id", "z"), ("sha256", "0"), ("label", "X"), ("sender", "7")):
        changed = [dataclasses.replace(photos[0], **{field: value}), *photos[1:]]
        assert sources.fingerprint_of(changed) != first.fingerprint
    assert sources.fingerprint_of(photos[::-1]) == first.fingerprint


def test_clothing_comes_from_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADLITE_CLOTHING", str(four_photos(tmp_path / "photos")))
    assert open_dataset("clothing").name == "clothing"
    monkeypatch.setenv("THREADLITE_CLOTHING", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"THREADLITE_CLOTHING names .*nowhere"):
        open_dataset("clothing")


def test_garments_are_rendered_once_for_each_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    from train import garments

    rendered: list[int] = []

    def render(folder: Path, *, seed: int) -> None:
        rendered.append(seed)
        four_photos(folder)

    monkeypatch.setattr(garments, "render_garments", render)
    first = open_dataset("garments")
    assert open_dataset("garments") == first
    open_dataset("garments", SourceOptions(seed=1))
    assert (first.name, rendered) == ("garments", [0, 1])


def _age(folder: Path) -> None:
    """Wait until the files count as settled: two seconds after their last change."""
    changed = max(path.stat().st_ctime for path in folder.rglob("*"))
    time.sleep(max(0.0, changed + 2.1 - time.time()))


def test_a_second_look_opens_no_file_and_a_changed_file_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = four_photos(tmp_path / "shop")
    _age(home)
    advanced: list[int] = []
    first = open_dataset(str(home), advance=advanced.append)
    assert sum(advanced) == 4
    opened: list[str] = []
    digest = train.scan.digest_of_file

    def watched(path: Path) -> str:
        opened.append(path.name)
        return digest(path)

    monkeypatch.setattr(train.scan, "digest_of_file", watched)
    assert open_dataset(str(home)) == first
    assert opened == []
    photo(home / "images" / "c.jpg", 99)
    assert open_dataset(str(home)).fingerprint != first.fingerprint
    assert opened == ["c.jpg"]


@pytest.mark.parametrize("damage", ["broken", "a folder", "read-only"])
def test_a_useless_cache_costs_time_only(damage: str, tmp_path: Path) -> None:
    home = four_photos(tmp_path / "shop")
    first = open_dataset(str(home))
    cache = next((tmp_path / "cache" / "scan").glob("*.sqlite3"))
    if damage == "broken":
        cache.write_bytes(b"no database" * 1000)
    elif damage == "a folder":
        cache.unlink()
        cache.mkdir()
    else:
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").write_bytes(b"")
    assert open_dataset(str(home)) == first


@needs_clothing
@pytest.mark.slow
def test_the_real_photos_open_fast_the_second_time() -> None:
    first = open_dataset(str(CLOTHING))
    assert len(first.labels) == 17
    seconds = []
    for _ in range(3):  # the best of three: other work on the machine only ever adds
        start = time.perf_counter()
        assert open_dataset(str(CLOTHING)) == first
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.5


@needs_clothing
def test_the_real_table_is_listed_in_full() -> None:
    from train.listing import list_source

    listing = list_source(CLOTHING, SourceOptions())
    assert len(listing.listed) + len(listing.missing) == 4878
    assert (len(listing.missing), len(listing.repeated)) == (5, 0)
