from pathlib import Path

from rich.console import Console

from threadlite.describe import describe_dataset
from train.dataset import Dataset, Dirt, Photo


def photo(number: int, label: str, sender: str) -> Photo:
    name = f"p{number}"
    return Photo(
        photo_id=name, path=Path("shop/images") / name, label=label, sender=sender, sha256="0" * 64
    )


def described(dataset: Dataset) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        describe_dataset(dataset, console)
    return capture.get()


def dataset(photos: list[Photo], dirt: Dirt | None = None) -> Dataset:
    return Dataset(
        name="shop",
        photos=tuple(photos),
        labels=tuple(sorted({p.label for p in photos})),
        fingerprint="ab" * 32,
        dirt=dirt or Dirt(),
        unlabelled=(photo(97, "", ""), photo(98, "", "")),
    )


def cells(text: str, word: str) -> list[str]:
    line = next(line for line in text.splitlines() if word in line and "│" in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_classes_senders_and_shares() -> None:
    photos = [photo(n, "Hat", "ann" if n < 6 else "bob") for n in range(8)]
    photos += [photo(8, "Scarf", "ann"), photo(9, "Scarf", "cid")]
    text = described(dataset(photos))
    assert "shop: 10 photos in 2 classes from 3 senders" in text
    # 8 of 10 photos are hats, by 2 senders, 6 of the 8 by ann
    assert cells(text, "Hat") == ["Hat", "8", "80.0 %", "2", "75.0 %"]
    assert cells(text, "Scarf") == ["Scarf", "2", "20.0 %", "2", "50.0 %"]
    assert cells(text, "ann") == ["ann", "7", "70.0 %", "70.0 %"]
    assert cells(text, "bob") == ["bob", "2", "20.0 %", "90.0 %"]
    assert "Fewer photos than 5 folds: Scarf (2)" in text
    assert "Fewer senders than 5 folds: Hat (2), Scarf (2)" in text
    assert "2 readable photos have no label" in text
    assert "No dirt found." in text


def test_senders_that_are_not_known_are_not_made_up() -> None:
    text = described(dataset([photo(n, "Hat" if n else "Cap", f"p{n}") for n in range(6)]))
    assert "senders unknown" in text
    assert "Largest senders" not in text
    assert "Fewer senders" not in text
    assert cells(text, "Hat")[-2:] == ["-", "-"]


def test_dirt_by_kind_with_counts_and_names() -> None:
    dirt = Dirt(
        missing_files=("m1", "m2", "m3", "m4", "m5"),
        files_without_row=("w1",),
        unreadable=(("u1", "zero bytes"),),
        converted=(("c1", "CMYK"), ("g1", "greyscale"), ("c2", "CMYK")),
        duplicate_ids=("i1",),
        exact_duplicates=(("e1", "e2"),),
        near_duplicates=(("n1", "n2"),),
        conflicting_duplicates=tuple((f"k{n}", f"l{n}") for n in range(5)),
        dropped_labels=(("Not sure", 7), ("Skip", 1)),
    )
    text = described(dataset([photo(0, "Hat", "a"), photo(1, "Cap", "b")], dirt))
    assert cells(text, "rows without a file") == [
        "rows without a file",
        "5",
        "m1, m2, m3, and 2 more",
    ]
    assert cells(text, "files without a row")[1:] == ["1", "w1"]
    assert cells(text, "unreadable files")[1:] == ["1", "u1 (zero bytes)"]
    assert cells(text, "converted: CMYK")[1:] == ["2", "c1, c2"]
    assert cells(text, "converted: greyscale")[1:] == ["1", "g1"]
    assert cells(text, "duplicate ids")[1:] == ["1", "i1"]
    assert cells(text, "exact duplicates")[1:] == ["1", "e1 = e2"]
    assert cells(text, "near duplicates")[1:] == ["1", "n1 = n2"]
    conflicts = cells(text, "labels differ")
    assert conflicts[1] == "5"
    assert conflicts[2] == "k0 = l0, k1 = l1, k2 = l2, k3 = l3, k4 = l4"  # all are named
    assert cells(text, "dropped labels")[1:] == ["2", "Not sure (7), Skip (1)"]


def test_names_are_neither_markup_nor_commands_to_the_terminal() -> None:
    evil = "[red]\x1b[2J\nHat"
    dirt = Dirt(missing_files=("[/nonsense]",))
    text = described(dataset([photo(0, evil, evil), photo(1, "Cap", "b")], dirt))
    assert "[red]\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}Hat" in text
    assert "[/nonsense]" in text
    assert "\x1b" not in text
