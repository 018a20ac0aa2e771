"""Choosing classes of a dataset: the same as opening the source with them."""

from pathlib import Path

import pytest
from PIL import Image

from train.dataset import Dataset, SourceOptions, choose_labels, fingerprint_of, restrict
from train.errors import DataError
from train.sources import open_dataset

ROWS = (
    ("a", "Hat"), ("b", "Hat"), ("c", "Shoes"), ("d", "Skirt"), ("e", "Skirt"), ("f", "Skip"),
    ("copy-of-a", "Shoes"), ("copy-of-d", "Hat"),
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """3 hats, 2 shoes, 2 skirts and one to skip; two copies are labelled differently."""
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    for level, (name, label) in enumerate(ROWS):
        same_as = name.removeprefix("copy-of-")
        tone = next(n for n, row in enumerate(ROWS) if row[0] == same_as)
        mode, ink = ("L", 40 * tone) if label == "Skirt" else ("RGB", (tone, 255 - tone, 7))
        if level != tone:
            (folder / "images" / f"{name}.png").write_bytes(
                (folder / "images" / f"{same_as}.png").read_bytes()
            )
        else:
            Image.new(mode, (16, 16), ink).save(folder / "images" / f"{name}.png")
    lines = ["image,sender_id,label", *(f"{name},1,{label}" for name, label in ROWS)]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("classes", ["all", "top2", "TOP3", "Shoes, Hat", "Skirt,Shoes"])
def test_restricting_is_opening_with_these_classes(home: Path, classes: str) -> None:
    whole = open_dataset(str(home))
    assert restrict(whole, classes) == open_dataset(str(home), SourceOptions(classes=classes))


def test_what_stays_of_the_dirt(home: Path) -> None:
    whole = open_dataset(str(home))
    assert whole.dirt.conflicting_duplicates == (("a", "copy-of-a"), ("copy-of-d", "d"))
    assert [name for name, _ in whole.dirt.converted] == ["copy-of-d", "d", "e"]
    part = restrict(whole, "top2")  # Hat before the others; Shoes before Skirt, two each
    assert part.labels == ("Hat", "Shoes")
    assert part.dirt.dropped_labels == (("Skip", 1), ("Skirt", 2))
    assert part.dirt.conflicting_duplicates == (("a", "copy-of-a"),)
    assert [name for name, _ in part.dirt.converted] == ["copy-of-d"]
    assert part.dirt.exact_duplicates == whole.dirt.exact_duplicates  # of the source, not the part
    assert part.fingerprint == fingerprint_of(part.photos) != whole.fingerprint


def test_all_classes_are_the_dataset_itself(home: Path) -> None:
    whole = open_dataset(str(home))
    for classes in ("all", " All ", "top3", "Hat,Shoes,Skirt"):
        assert restrict(whole, classes) is whole


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("top10", r"classes 'top10': N must be in \[2, 3\]"),
        ("Hat,Scarf", "class 'Scarf' has no readable photo"),
        ("Hat", r"shop offers 1 class \('Hat'\)"),
    ],
)
def test_impossible_choices_are_refused(home: Path, classes: str, message: str) -> None:
    whole: Dataset = open_dataset(str(home))
    with pytest.raises(DataError, match=message):
        restrict(whole, classes)


def test_dropped_labels_are_chosen_by_name_alone() -> None:
    counts = {"Hat": 3, "skip": 9, "Shoes": 1}
    chosen = [
        choose_labels(counts, wish, place="shop", dropped=("Skip",))
        for wish in ("all", "top2", "skip,Hat")
    ]
    assert chosen == [{"Hat", "Shoes"}, {"Hat", "Shoes"}, {"skip", "Hat"}]


def test_classes_without_a_photo_may_be_passed_over(home: Path) -> None:
    for name in ("c", "copy-of-a"):
        (home / "images" / f"{name}.png").unlink()
    with pytest.raises(DataError, match="class 'Shoes' has no readable photo"):
        open_dataset(str(home))
    assert open_dataset(str(home), SourceOptions(empty_classes=True)).labels == ("Hat", "Skirt")
