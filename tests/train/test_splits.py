import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from train.dataset import Dataset, Dirt, Photo
from train.errors import ArtifactError, DataError
from train.splits import (
    Split,
    SplitMethod,
    groups_of,
    read_split,
    restrict_split,
    select,
    split_photos,
    write_split,
)

LABELS = ("Dress", "Hat", "Pants", "Shirt")


def made_up_photos(count: int = 600, *, senders: int = 60, seed: int = 0) -> list[Photo]:
    """Photos with unequal classes and a few senders who sent a lot."""
    generator = np.random.default_rng(seed)
    return [
        Photo(
            photo_id=f"photo-{number:04d}",
            path=Path("nowhere.jpg"),
            label=str(generator.choice(LABELS, p=(0.5, 0.25, 0.2, 0.05))),
            sender=f"sender-{int(senders * generator.beta(0.6, 2.0)):03d}",
            sha256=f"{number:064x}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_every_photo_is_on_one_side(method: SplitMethod) -> None:
    photos = made_up_photos()
    split = split_photos(photos, method=method, seed=0)
    ids = [*split.train, *split.validation, *split.test]
    assert sorted(ids) == [photo.photo_id for photo in photos]


def test_no_sender_is_on_two_sides() -> None:
    photos = made_up_photos()
    split = split_photos(photos, method="grouped", seed=0)
    sides = [
        {photo.sender for photo in select(photos, ids)}
        for ids in (split.train, split.validation, split.test)
    ]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_the_check_would_see_shared_senders() -> None:
    photos = made_up_photos()
    split = split_photos(photos, method="stratified", seed=0)
    train = {photo.sender for photo in select(photos, split.train)}
    assert train & {photo.sender for photo in select(photos, split.test)}


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_sides_are_70_15_15_and_stratified(method: SplitMethod) -> None:
    photos = made_up_photos(1_200, senders=200)
    split = split_photos(photos, method=method, seed=1)
    whole = Counter(photo.label for photo in photos)
    for ids, share in ((split.train, 0.7), (split.validation, 0.15), (split.test, 0.15)):
        assert len(ids) / len(photos) == pytest.approx(share, abs=0.03)
        counts = Counter(photo.label for photo in select(photos, ids))
        for label in LABELS:  # within 3 points or 6 photos: 60 photos of the rarest class in all
            wanted = share * whole[label]
            assert abs(counts[label] - wanted) <= max(0.03 * len(ids), 6)


def test_seeds_give_other_splits_and_repeat() -> None:
    photos = made_up_photos()
    first = split_photos(photos, method="stratified", seed=0)
    assert first == split_photos(photos, method="stratified", seed=0)
    assert first.test != split_photos(photos, method="stratified", seed=1).test


def test_copies_of_a_file_stay_together_in_a_stratified_split() -> None:
    photos = [
        photo if number % 2 else photo.__class__(**{**vars(photo), "sha256": f"{number + 1:064x}"})
        for number, photo in enumerate(made_up_photos(200))
    ]
    split = split_photos(photos, method="stratified", seed=0)
    sides = [
        {photo.sha256 for photo in select(photos, ids)}
        for ids in (split.train, split.validation, split.test)
    ]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_few_photos_still_fill_three_sides() -> None:
    split = split_photos(made_up_photos(12, senders=6), method="stratified", seed=0)
    assert split.train and split.validation and split.test


def test_two_senders_are_too_few() -> None:
    photos = [
        Photo(
            photo_id=str(n), path=Path("x"), label=LABELS[n % 2], sender=str(n % 2), sha256=str(n)
        )
        for n in range(20)
    ]
    with pytest.raises(DataError, match=r"at least 3 senders, got 2; use --split stratified"):
        split_photos(photos, method="grouped", seed=0)


def test_split_reads_back(tmp_path: Path) -> None:
    split = Split(method="grouped", seed=3, train=("a",), validation=("b",), test=("c",))
    write_split(tmp_path / "split.json", split)
    assert read_split(tmp_path / "split.json") == split
    assert json.loads((tmp_path / "split.json").read_text())["seed"] == 3


def dataset_of(photos: list[Photo]) -> Dataset:
    labels = tuple(sorted({photo.label for photo in photos}))
    return Dataset(
        name="made-up", photos=tuple(photos), labels=labels, fingerprint="0" * 64, dirt=Dirt()
    )


def test_a_restricted_split_keeps_every_photo_on_its_side() -> None:
    photos = made_up_photos(400)
    whole = split_photos(photos, method="grouped", seed=0)
    kept = [photo for photo in photos if photo.label in ("Dress", "Hat")]
    part = restrict_split(whole, dataset_of(kept))
    ids = {photo.photo_id for photo in kept}
    assert (part.method, part.seed) == ("grouped", 0)
    for side in ("train", "validation", "test"):
        assert getattr(part, side) == tuple(i for i in getattr(whole, side) if i in ids)
    assert {*part.train, *part.validation, *part.test} == ids
    assert restrict_split(whole, dataset_of(photos)) == whole


def test_a_side_that_a_restriction_empties_is_refused() -> None:
    photos = made_up_photos(40)
    split = split_photos(photos, method="stratified", seed=0)
    kept = select(photos, [*split.train, *split.test])
    with pytest.raises(DataError, match="the validation side of the stratified split holds no"):
        restrict_split(split, dataset_of(kept))


def test_damaged_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text('{"method": "grouped"')
    with pytest.raises(ArtifactError, match="not a readable split"):
        read_split(tmp_path / "split.json")


def test_photos_that_are_not_there_are_named() -> None:
    with pytest.raises(DataError, match=r"1 of 2 photos .* \(first: ghost\)"):
        select(made_up_photos(5), ["photo-0001", "ghost"])


def sides_of(photos: list[Photo], split: Split) -> list[set[str]]:
    return [
        {photo.sender for photo in select(photos, ids)}
        for ids in (split.train, split.validation, split.test)
    ]


def test_senders_of_one_file_stay_together() -> None:
    photos = made_up_photos(300, senders=40)
    names = sorted({photo.sender for photo in photos})[:2]
    shared = next(photo.sha256 for photo in photos if photo.sender == names[0])
    number = next(n for n, photo in enumerate(photos) if photo.sender == names[1])
    photos[number] = replace(photos[number], sha256=shared)
    groups = dict(zip((p.photo_id for p in photos), groups_of(photos, "grouped"), strict=True))
    assert len({groups[photo.photo_id] for photo in photos if photo.sender in names}) == 1
    for seed in range(4):
        sides = sides_of(photos, split_photos(photos, method="grouped", seed=seed))
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_classes_smaller_than_the_folds_are_split_all_the_same(method: SplitMethod) -> None:
    photos = [
        Photo(
            photo_id=f"{label}-{number}", path=Path("x"), label=f"class-{label:02d}",
            sender=f"s{(7 * label + number) % 40}", sha256=f"{label}-{number}",
        )
        for label in range(17)
        for number in range(10)
    ]  # fmt: skip
    split = split_photos(photos, method=method, seed=0)
    assert split.train and split.validation and split.test


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_two_photos_a_class_are_too_few(method: SplitMethod) -> None:
    photos = [
        Photo(photo_id=str(n), path=Path("x"), label=LABELS[n % 2], sender=str(n), sha256=str(n))
        for n in range(4)
    ]
    with pytest.raises(DataError, match="the largest class has 2 photos"):
        split_photos(photos, method=method, seed=0)


def test_one_sender_with_nearly_all_photos_still_leaves_three_sides() -> None:
    photos = [
        Photo(
            photo_id=f"{n:03d}", path=Path("x"), label=LABELS[n % 2],
            sender="big" if n < 98 else f"small-{n}", sha256=str(n),
        )
        for n in range(100)
    ]  # fmt: skip
    split = split_photos(photos, method="grouped", seed=0)
    assert split.train and split.validation and split.test
