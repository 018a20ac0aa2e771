"""Distillation: who may teach, what is answered to which view, and what is learned of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.convert import export_float
from optimize.distill import (
    DistillConfig,
    best_validation_f1,
    distill,
    require_teachers,
    with_unlabelled,
)
from optimize.distill_losses import distillation_loss, similarity_loss, unit_rows
from optimize.teacher import answers_of
from tests.optimize.colours import write_dataset
from tests.train.small_network import Cut, CutAfter, Heard
from train.approaches import Approach, Recipe
from train.artifact import Artifact
from train.dataset import Dataset, Dirt
from train.errors import ConfigError
from train.feeds import UNLABELLED, MapsFeed
from train.fit import train_approach
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Silent
from train.splits import select, split_photos
from train.training import Training
from train.trunk import pictures_of

pytestmark = pytest.mark.usefixtures("small_network")
CACHED = {"frozen": ("stem", "block1"), "cached_views": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("colours") / "photos")


def training_on(dataset: Dataset, *, seed: int = 0, name: str = "net", **recipe: Any) -> Training:
    settings = {
        "image_size": 32, "epochs": 2, "batch_size": 8, "learning_rate": 1e-2,
        "average_weights": 0.5, **recipe,
    }  # fmt: skip
    return Training(
        name=name,
        approach=Approach(
            network="custom-cnn", recipe=Recipe.model_validate(settings), about="small"
        ),
        dataset=dataset,
        split=split_photos(dataset.photos, method="grouped", seed=seed),
    )


@pytest.fixture(scope="module")
def teacher(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("teacher")
    training = training_on(dataset, name="teacher", epochs=12)
    made = train_approach(training, folder / "net", checkpoints=folder / "ck")
    assert best_validation_f1(made) == 1.0  # colours are easily told apart
    return made


@pytest.fixture(scope="module")
def cached(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("cached")
    training = training_on(dataset, name="cached", **CACHED)
    return train_approach(training, folder / "net", checkpoints=folder / "ck")


def test_softened_answers_and_their_loss_by_hand() -> None:
    # Of 0.8 and 0.2 the square roots stand as 2 to 1, so at temperature 2 the teacher says 2/3 and
    # 1/3. Scores 2 log 4 and 0 halved are log 4 and 0: the student says 4/5 and 1/5. Their cross-
    # entropy -(2/3 log 4/5 + 1/3 log 1/5) = 0.6852, times 2 squared.
    told = np.array([[0.8, 0.2]], dtype=np.float32)
    logits = np.array([[2 * np.log(4.0), 0.0]], dtype=np.float32)
    expected = -4 * (2 / 3 * np.log(0.8) + 1 / 3 * np.log(0.2))
    assert float(distillation_loss(told, logits, temperature=2.0)) == pytest.approx(expected)


def test_an_answer_of_zero_gives_a_finite_loss() -> None:
    told = np.array([[1.0, 0.0]], dtype=np.float32)
    loss = float(distillation_loss(told, np.array([[30.0, -30.0]], np.float32), temperature=1.0))
    assert np.isfinite(loss)
    assert loss < 1e-3


def test_features_that_hold_the_same_photos_alike_cost_nothing() -> None:
    theirs = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], dtype=np.float32)
    turned = np.array([[0.0, 3.0], [5.0, 0.0]], dtype=np.float32)  # unlike each other too
    assert float(similarity_loss(theirs, turned)) == pytest.approx(0.0, abs=1e-7)
    # Two equal photos: rows of products (1, 1) / sqrt(2) against (1, 0) and (0, 1). Each row's
    # squares: (1 - 0.7071)^2 + 0.7071^2 = 0.5858; two rows over batch squared, 4.
    equal = np.ones((2, 2), dtype=np.float32)
    assert float(similarity_loss(theirs, equal)) == pytest.approx(2 * (2 - np.sqrt(2)) / 4)


def test_rows_of_zeros_stay() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float16))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.5}, "temperature must be 1 or more, got 0.5"),
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"views": 0}, r"views must be in \[1, 64\], got 0"),
        ({"feature_weight": -1.0}, "feature_weight must be 0 or more, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be 1 or more, got nan"),
    ],
)
def test_settings_check_themselves(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DistillConfig(**changes)


@pytest.mark.parametrize("size", [32, 48])
def test_a_teacher_answers_to_the_very_views_of_its_student(
    dataset: Dataset, teacher: Artifact, size: int
) -> None:
    training = training_on(dataset, image_size=size)
    rows = training.rows()
    taught = answers_of(
        teacher, training.views, rows, views=2, with_features=True, progress=Silent()
    )
    model = load_keras(teacher.payload)
    # The same seed gives the same view at the teacher's size, whatever the student's.
    source = replace(training.views, contract=teacher.manifest.pixels)
    for view, asked in ((0, np.concatenate([rows.train, rows.validation])), (1, rows.train)):
        pictures = pictures_of(source, view)[1]
        seen = np.concatenate([pictures(start, min(start + 32, 45)) for start in (0, 32)])
        expected = np.asarray(model(seen, training=False))
        # float16 has 11 bits: 2^-11 = 5e-4 of values up to 1, and LiteRT sums in another order
        np.testing.assert_allclose(taught.probabilities[view][asked], expected[asked], atol=2e-3)
        left_out = np.setdiff1d(np.arange(45), asked)
        assert not taught.probabilities[view][left_out].any()
    assert taught.features[0].shape == (45, model.get_layer("features").output.shape[-1])


def test_answers_by_stored_maps_are_those_by_pixels(
    dataset: Dataset, cached: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = training_on(dataset)
    rows = training.rows()

    def answers(views: int) -> Any:
        taught = answers_of(
            cached, training.views, rows, views=views, with_features=False, progress=Silent()
        )
        return taught.probabilities

    by_maps = answers(4)  # three of them; the fourth view was not stored
    with monkeypatch.context() as patched:
        patched.setattr("optimize.teacher._by_maps", lambda *arguments: (None, 0))
        patched.setattr("optimize.teacher._key", lambda *arguments: "of-another-way")
        by_pixels = answers(4)
    np.testing.assert_allclose(by_maps, by_pixels, atol=2e-3)


def test_damaged_answers_are_said_and_given_again(
    dataset: Dataset, cached: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    training, heard = training_on(dataset), Heard()

    def answers() -> Any:
        return answers_of(
            cached, training.views, training.rows(), views=2, with_features=False, progress=heard
        ).probabilities

    first = [view.copy() for view in answers()]
    (path,) = (tmp_path / "answers").rglob("view-001.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert heard.lines == []
    np.testing.assert_array_equal(answers(), first)
    assert len(heard.lines) == 1 and heard.lines[0].startswith(f"{path} in the cache is damaged")


def agreement(one: Artifact, other: Artifact, dataset: Dataset, ids: Sequence[str]) -> float:
    """The share of photos to which two networks give the same class."""
    photos = select(dataset.photos, ids)
    answers = [
        predict(load_keras(artifact.payload), load_pixels(photos, artifact.manifest.pixels))
        for artifact in (one, other)
    ]
    return float(np.mean(answers[0].argmax(axis=1) == answers[1].argmax(axis=1)))


@pytest.mark.parametrize("recipe", [{}, CACHED], ids=["pixels", "frozen maps"])
def test_a_student_learns_its_teacher_and_not_the_labels(
    dataset: Dataset, teacher: Artifact, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    # The labels are turned round by one class; with all of the loss the teacher's, nothing of
    # that is learned.
    turned = dict(zip(dataset.labels, (*dataset.labels[1:], dataset.labels[0]), strict=True))
    wrong = replace(
        dataset,
        photos=tuple(replace(photo, label=turned[photo.label]) for photo in dataset.photos),
    )
    training = replace(
        training_on(wrong, name="student", epochs=12, **recipe),
        split=training_on(dataset).split,
    )
    config = DistillConfig(views=3, share=1.0, temperature=1.0)
    made = distill(training, [teacher], config, tmp_path / "net", checkpoints=tmp_path / "ck")
    # Every epoch's validation F1 is 0 by these labels, so the first epoch is kept; what was
    # learned by then is the teacher's classes or chance, never the labels.
    assert best_validation_f1(made) is not None
    refitted = distill(
        training, [teacher], config, tmp_path / "all", checkpoints=tmp_path / "ck2", refit=True
    )
    assert agreement(refitted, teacher, dataset, training.split.test) >= 0.8
    (step,) = made.manifest.steps
    assert step.technique == "distill"
    assert step.config["temperature"] == 1.0
    assert teacher.manifest.payload_sha256 in str(step.config["teachers"])


def without_labels(training: Training, label: str) -> Training:
    """Return a training whose photos of one class are there, and their label is not."""
    dataset, split = training.dataset, training.split
    moved = {p.photo_id for p in select(dataset.photos, split.train) if p.label == label}
    return replace(
        training,
        dataset=replace(
            dataset,
            photos=tuple(p for p in dataset.photos if p.photo_id not in moved),
            unlabelled=tuple(replace(p, label="") for p in dataset.photos if p.photo_id in moved),
        ),
        split=split.model_copy(
            update={"train": tuple(name for name in split.train if name not in moved)}
        ),
    )


@pytest.mark.parametrize("recipe", [{}, CACHED], ids=["pixels", "frozen maps"])
def test_a_class_is_learned_from_photos_without_a_label(
    dataset: Dataset, teacher: Artifact, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    training = without_labels(training_on(dataset, name="student", epochs=16, **recipe), "blue")
    heard, shown = Heard(), DistillConfig(views=3, temperature=1.0, unlabelled=True)
    made = {
        config.unlabelled: distill(
            training,
            [teacher],
            config,
            tmp_path / str(config.unlabelled),
            checkpoints=tmp_path / f"ck-{config.unlabelled}",
            progress=heard,
            refit=True,
        )
        for config in (shown, replace(shown, unlabelled=False))
    }
    count = len(training.dataset.unlabelled)
    assert f"student: {count} photos without a label are shown too" in heard.lines
    assert [made[key].manifest.steps[0].config["unlabelled_photos"] for key in (True, False)] == [
        *(count, 0)
    ]
    judged = [p.photo_id for p in select(dataset.photos, training.split.test) if p.label == "blue"]
    assert agreement(made[True], teacher, dataset, judged) >= 0.8


def test_unlabelled_photos_weigh_nothing_by_labels(dataset: Dataset) -> None:
    training = with_unlabelled(without_labels(training_on(dataset), "blue"), refit=False)
    rows = training.rows()
    assert len(training.views.photos) == len(rows.truths) == len(dataset.photos)
    further = np.flatnonzero(rows.truths == UNLABELLED)
    assert len(further) == len(training.unlabelled) > 0 and not set(further) & set(rows.train)
    views = (np.zeros((len(rows.truths), 1), np.float16),)
    feed = MapsFeed(rows, views=views, recipe=training.recipe, seed=0)
    targets = feed.targets_of(np.arange(len(rows.truths)), np.zeros(len(rows.truths), np.int64))
    assert (targets.sum(axis=1) == (rows.truths != UNLABELLED)).all()


def test_unlabelled_photos_that_repeat_judged_ones_are_left_out(dataset: Dataset) -> None:
    training = without_labels(training_on(dataset), "blue")
    spare = [photo.photo_id for photo in training.dataset.unlabelled]
    repeats = ((spare[0], training.split.test[0]), (spare[1], training.split.validation[0]))
    dirty = replace(training.dataset, dirt=Dirt(near_duplicates=repeats))
    training = replace(training, dataset=dirty)
    for refit, left in ((False, spare[2:]), (True, spare[1:])):
        found = with_unlabelled(training, refit=refit).unlabelled
        assert [photo.photo_id for photo in found] == left
    alone = replace(training, dataset=replace(dirty, unlabelled=dirty.unlabelled[:1]))
    with pytest.raises(ConfigError, match=r"no photo without a label .* \(1 repeat photos"):
        with_unlabelled(alone, refit=False)


def test_a_cut_off_distillation_ends_with_the_same_bytes(
    dataset: Dataset, teacher: Artifact, cached: Artifact, tmp_path: Path
) -> None:
    training = training_on(dataset, name="student", mixup=0.2)
    config = DistillConfig(views=2, feature_weight=1.0)

    def run(name: str, checkpoints: str, progress: Silent) -> Artifact:
        return distill(
            training,
            [teacher, cached],
            config,
            tmp_path / name,
            checkpoints=tmp_path / checkpoints,
            progress=progress,
        )

    whole = run("whole", "ck1", Silent())
    with pytest.raises(Cut):
        run("cut", "ck2", CutAfter(1))
    assert run("cut", "ck2", Silent()).manifest == whole.manifest


def test_a_teacher_no_better_than_its_student_is_named(
    dataset: Dataset, cached: Artifact, teacher: Artifact, tmp_path: Path
) -> None:
    heard = Heard()
    training = training_on(dataset, name="student", epochs=12)
    distill(
        training,
        [teacher],
        DistillConfig(views=2, share=0.2),
        tmp_path / "net",
        checkpoints=tmp_path / "ck",
        progress=heard,
    )
    assert any(line.startswith("validation F1 of the teacher: 1.000") for line in heard.lines)
    (warning,) = (line for line in heard.lines if "holds a student back" in line)
    assert warning.startswith(
        "student: the validation F1 of its teacher, 1.000, is not above its own, 1.000"
    )


def test_teachers_that_cannot_teach_are_refused(
    dataset: Dataset, teacher: Artifact, tmp_path: Path
) -> None:
    training = training_on(dataset)
    with pytest.raises(ConfigError, match="needs at least one teacher"):
        require_teachers(training, [], refit=False)
    other = training_on(dataset, seed=1)
    with pytest.raises(ConfigError, match=r"was trained or chosen on \d+ photos that net is"):
        require_teachers(other, [teacher], refit=False)
    fewer = replace(training, dataset=replace(dataset, labels=dataset.labels[:2]))
    with pytest.raises(ConfigError, match="knows 3 classes and net learns 2"):
        require_teachers(fewer, [teacher], refit=False)
    exported = export_float(teacher, "tflite", tmp_path / "file")
    with pytest.raises(ConfigError, match="is a file for a runtime; give the Keras artifact"):
        require_teachers(training, [exported], refit=False)
    with pytest.raises(ConfigError, match="stored views of one size"):
        require_teachers(training_on(dataset, train_sizes=(32,)), [teacher], refit=False)


def test_a_refitted_teacher_teaches_a_refitted_student_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    refitted = train_approach(
        training_on(dataset, epochs=1), tmp_path / "net", checkpoints=tmp_path / "ck", refit=True
    )
    training = training_on(dataset, name="student")
    require_teachers(training, [refitted], refit=True)
    with pytest.raises(ConfigError, match="trained or chosen on"):
        require_teachers(training, [refitted], refit=False)
