import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small_network import Cut, CutAfter, Heard, build_small
from train import crossval as crossval_module
from train.crossval import CrossValidation, OutOfFold, cross_validate
from train.dataset import Dataset
from train.errors import ArtifactError, DataError
from train.forward import Forward, forward_of
from train.networks import NETWORKS
from train.progress import Silent
from train.splits import SplitMethod
from train.training import Training

Make = Callable[..., Training]


@pytest.fixture(scope="session")
def task_of(shapes_training: Make) -> Callable[..., CrossValidation]:
    """Return a cross-validation on the shapes; keywords override the recipe."""

    def make(
        *, method: SplitMethod = "grouped", folds: int = 3, **changes: object
    ) -> CrossValidation:
        settings = {"epochs": 0, "head_first": True, **changes}
        training = shapes_training(**settings)
        return CrossValidation(
            name="small",
            approach=training.approach,
            dataset=training.dataset,
            method=method,
            folds=folds,
        )

    return make


Task = Callable[..., CrossValidation]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "custom-cnn", build_small)


def with_copies(dataset: Dataset) -> Dataset:
    """Return the photos, every tenth of which is a copy of the file of the next of its class."""
    photos = list(dataset.photos)
    for number in range(0, len(photos) - 3, 10):
        photos[number] = replace(photos[number], sha256=photos[number + 3].sha256)
    return replace(dataset, photos=tuple(photos))


@pytest.mark.parametrize("method", ["grouped", "stratified"])
@pytest.mark.parametrize("folds", [2, 5])
def test_every_photo_is_held_out_once(task_of: Task, method: SplitMethod, folds: int) -> None:
    trainings = task_of(method=method, folds=folds).trainings()
    assert len(trainings) == folds
    every = sorted(photo.photo_id for photo in trainings[0].dataset.photos)
    assert sorted(name for training in trainings for name in training.split.test) == every
    for training in trainings:
        split = training.split
        assert (split.method, split.validation) == (method, ())
        assert sorted((*split.train, *split.test)) == every
        held_out = set(split.test)
        labels = [photo.label for photo in training.dataset.photos if photo.photo_id in held_out]
        assert set(labels) == set(training.dataset.labels)


def test_no_sender_is_on_two_sides_of_a_grouped_fold(task_of: Task) -> None:
    for training in task_of().trainings():
        senders = {photo.photo_id: photo.sender for photo in training.dataset.photos}
        split = training.split
        assert not {senders[name] for name in split.train} & {senders[name] for name in split.test}


def test_the_check_would_see_shared_senders(task_of: Task) -> None:
    training = task_of(method="stratified").trainings()[0]
    senders = {photo.photo_id: photo.sender for photo in training.dataset.photos}
    assert {senders[name] for name in training.split.train} & {
        senders[name] for name in training.split.test
    }


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_copies_of_one_file_are_in_one_fold(task_of: Task, method: SplitMethod) -> None:
    task = task_of(method=method)
    copies = with_copies(task.dataset)
    assert len({photo.sha256 for photo in copies.photos}) == 150 - 15
    for training in replace(task, dataset=copies).trainings():
        held_out = set(training.split.test)
        inside = {photo.sha256 for photo in copies.photos if photo.photo_id in held_out}
        outside = {photo.sha256 for photo in copies.photos if photo.photo_id not in held_out}
        assert not inside & outside


def test_more_folds_than_photos_of_a_class_are_refused(task_of: Task) -> None:
    task = task_of(method="stratified", folds=4)
    stripes = [photo for photo in task.dataset.photos if photo.label == "stripe"][3:]
    few = tuple(photo for photo in task.dataset.photos if photo not in stripes)
    with pytest.raises(DataError, match="4 folds: class 'stripe' has 3 photos"):
        replace(task, dataset=replace(task.dataset, photos=few)).trainings()


@pytest.mark.parametrize("folds", [0, 1])
def test_less_than_two_folds_are_refused(task_of: Task, folds: int) -> None:
    with pytest.raises(DataError, match="give at least 2 folds"):
        task_of(folds=folds).trainings()


def test_more_folds_than_senders_are_refused(task_of: Task) -> None:
    with pytest.raises(DataError, match=r"fall into 15 groups .* bring photos of more senders"):
        task_of(folds=16).trainings()


def test_key_follows_folds_and_recipe(task_of: Task) -> None:
    task = task_of()
    others = (
        replace(task, folds=4), replace(task, method="stratified"), replace(task, seed=1),
        task_of(head_views=2),
    )  # fmt: skip
    assert task_of().key == task.key
    assert len({task.key, *(other.key for other in others)}) == 5


def test_each_fold_tells_its_f1_and_what_it_was_not_taught(task_of: Task, tmp_path: Path) -> None:
    task, heard = task_of(), Heard()
    lone = task.dataset.labels[0]
    photos = tuple(
        replace(photo, sender="one sender") if photo.label == lone else photo
        for photo in task.dataset.photos
    )
    task = replace(task, dataset=replace(task.dataset, photos=photos))
    cross_validate(task, tmp_path / "folds", progress=heard)
    untaught = [line for line in heard.lines if line.startswith("no grouped training photo")]
    assert len(untaught) == 1 and repr(lone) in untaught[0]
    told = [line for line in heard.lines if re.match(r"fold \d: weighted F1 0\.\d{3} on ", line)]
    assert len(told) == 3


@pytest.fixture(scope="session")
def finished(
    task_of: Task, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CrossValidation, Path, OutOfFold]:
    """A cross-validation of a head on frozen features, done."""
    folder = tmp_path_factory.mktemp("folds") / "done"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "custom-cnn", build_small)
        return task_of(), folder, cross_validate(task_of(), folder, progress=Silent())


def test_every_photo_is_predicted_by_a_network_that_had_not_seen_it(
    finished: tuple[CrossValidation, Path, OutOfFold],
) -> None:
    task, folder, found = finished
    assert found.probabilities.shape == (150, 3)
    # Three probabilities rounded to 6 digits, each off by at most half of that.
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=3e-6)
    for number, training in enumerate(task.trainings()):
        held_out = set(training.split.test)
        for photo, fold in zip(task.dataset.photos, found.photo_folds, strict=True):
            assert (fold == number) == (photo.photo_id in held_out)
    assert len(found.fold_seconds) == 3
    assert found.origin.source == "random"
    assert found.runtime.startswith("litert ")
    assert sorted(path.name for path in folder.iterdir()) == [
        "fold-1.json", "fold-2.json", "fold-3.json"
    ]  # fmt: skip
    truths = np.arange(150) % 3
    assert (found.probabilities.argmax(axis=1) == truths).mean() > 0.5  # chance is 0.33


def test_what_is_done_is_not_done_again(
    finished: tuple[CrossValidation, Path, OutOfFold], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, folder, found = finished

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("a finished fold is trained again")

    monkeypatch.setattr(crossval_module, "fit_network", never)
    again = cross_validate(task, folder, progress=Silent())
    np.testing.assert_array_equal(again.probabilities, found.probabilities)
    assert replace(again, probabilities=found.probabilities) == found


def test_the_frozen_backbone_sees_every_photo_once_for_all_folds(
    task_of: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counting(trunk: Any, samples: Any, *, threads: int) -> Forward:
        fast = forward_of(trunk, samples, threads=threads)

        def run(pictures: Any) -> Any:
            seen.append(len(pictures))
            return fast.run(pictures)

        return Forward(runtime=fast.runtime, run=run)

    monkeypatch.setattr("train.trunk.forward_of", counting)
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))
    cross_validate(task_of(folds=5), tmp_path / "folds", progress=Silent())
    assert sum(seen) == 150  # so five folds cost one feature pass and five fits of the head


@pytest.mark.parametrize("change", [{"seed": 1}, {"name": "other"}, {"weights": "none"}])
def test_folds_of_another_cross_validation_are_refused(
    finished: tuple[CrossValidation, Path, OutOfFold], change: dict[str, Any]
) -> None:
    task, folder, _ = finished
    with pytest.raises(ArtifactError, match=r"fold-1\.json is a fold of another cross-validation"):
        cross_validate(replace(task, **change), folder, progress=Silent())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"key": "a"}'])
def test_damaged_fold_is_said(task_of: Task, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fold-1.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"fold-1\.json: not a readable fold; remove it"):
        cross_validate(task_of(), tmp_path, progress=Silent())


def test_killed_cross_validation_goes_on_from_its_epoch(task_of: Task, tmp_path: Path) -> None:
    task = task_of(folds=2, head_first=False, epochs=2, frozen=("stem", "block1"), cached_views=2)
    whole = cross_validate(task, tmp_path / "whole", progress=Silent())
    with pytest.raises(Cut):  # in the second fold, after its first epoch
        cross_validate(task, tmp_path / "cut", progress=CutAfter(3))
    assert (tmp_path / "cut" / "fold-1.json").exists()
    assert (tmp_path / "cut" / "fold-2").is_dir()
    resumed = cross_validate(task, tmp_path / "cut", progress=CutAfter(2))  # one epoch is left
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    assert resumed.photo_folds == whole.photo_folds
    assert not (tmp_path / "cut" / "fold-2").exists()
