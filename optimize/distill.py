"""Distillation: a student learns a teacher's probabilities beside the labels of its photos.

Teacher and student see the same view of a photo ("consistent teaching"), so what the teacher says
is about what the student is shown. Views are drawn once and kept, and so are the teacher's
answers to them: a slow teacher is paid once, whatever the student's epochs. It buys accuracy for
a network that is small for other reasons; it makes none smaller. A teacher that is no better than
its student holds it back, which is said.
Source: Beyer et al. 2022, arXiv:2106.05237 (consistent teaching).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.distill_losses import similarity_loss, taught_loss, unit_rows
from optimize.teacher import Taught, answers_of, mean_of
from train.artifact import HISTORY_NAME, Artifact
from train.backend import keras
from train.dataset import unlabelled_apart_from
from train.errors import ConfigError
from train.feeds import UNLABELLED, Indices, MapsFeed, Rows
from train.fit import Lesson, train_approach
from train.fitting import Begin, Begun
from train.loop import Trainer
from train.metrics import weighted_f1
from train.progress import Progress, Silent
from train.training import Training
from train.trunk import FrozenMaps, cut, end_of_frozen, frozen_maps


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """What is learned from the teacher, and how.

    Attributes:
        temperature: that both sides' scores are divided by, at least 1; above 1 the teacher's
            doubts count for more.
        share: of the teacher in the loss, in (0, 1]; the labels have the rest.
        views: of each photo, the photo itself among them, that the teacher answers to.
        feature_weight: of the loss on pooled features; 0 compares none.
        unlabelled: whether the dataset's photos without a label are learned from too, by what the
            teacher says of them alone; those that repeat a photo that the student is judged on,
            exactly or nearly, are left out.
    """

    temperature: float = 2.0
    share: float = 0.7
    views: int = 8
    feature_weight: float = 0.0
    unlabelled: bool = False

    def __post_init__(self) -> None:
        if not self.temperature >= 1.0:
            raise ConfigError(f"temperature must be 1 or more, got {self.temperature}")
        if not 0.0 < self.share <= 1.0:
            raise ConfigError(f"share must be in (0, 1], got {self.share}")
        if not 1 <= self.views <= 64:
            raise ConfigError(f"views must be in [1, 64], got {self.views}")
        if not self.feature_weight >= 0.0:
            raise ConfigError(f"feature_weight must be 0 or more, got {self.feature_weight}")


def distill(
    training: Training,
    teachers: Sequence[Artifact],
    config: DistillConfig,
    folder: Path,
    *,
    checkpoints: Path,
    progress: Progress | None = None,
    refit: bool = False,
) -> Artifact:
    """Train a student under one teacher, or under the mean of several.

    Args:
        training: the student: its approach, photos and split.
        teachers: trained Keras networks of the same classes.
        config: what is learned from them.
        folder: of the new artifact; must not exist.
        checkpoints: folder for what a killed training goes on from; removed at the end.
        progress: told of every step, and of a teacher that is no better than its student.
        refit: as of ``train.fit.train_approach``.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written, or a teacher cannot be read.
        ConfigError: a teacher has seen photos that the student is judged on, knows other classes,
            or is no Keras network; or the recipe does not fit.
        DataError: a side of the split is empty, or a photo cannot be decoded.
    """
    told = progress or Silent()
    require_teachers(training, teachers, refit=refit)
    if config.unlabelled:
        training = with_unlabelled(training, refit=refit)
        told.say(
            f"{training.name}: {len(training.unlabelled)} photos without a label are shown too"
        )
    scores: list[float] = []
    lesson = Lesson(
        technique="distill",
        config={
            **asdict(config),
            "unlabelled_photos": len(training.unlabelled),
            "teachers": [f"{t.manifest.variant} {t.manifest.payload_sha256}" for t in teachers],
        },
        begin=_begin_under(teachers, config, scores),
    )
    made = train_approach(
        training, folder, checkpoints=checkpoints, progress=told, refit=refit, lesson=lesson
    )
    told_doubt = doubt(made, scores[-1] if scores else None)
    if told_doubt:
        told.say(told_doubt)
    return made


def require_teachers(training: Training, teachers: Sequence[Artifact], *, refit: bool) -> None:
    """Refuse teachers that cannot teach this student.

    Raises:
        ConfigError: see ``distill``.
    """
    if not teachers:
        raise ConfigError(f"{training.name}: distillation needs at least one teacher")
    recipe, split = training.recipe, training.split
    if recipe.train_sizes or not recipe.epochs:
        raise ConfigError(
            f"{training.name}: a student learns from stored views of one size, by epochs; set"
            " train_sizes = [] and epochs of 1 or more"
        )
    judged = set(split.test) | (set() if refit else set(split.validation))
    for teacher in teachers:
        manifest, seen = teacher.manifest, teacher.split()
        if manifest.name.format != "keras":
            raise ConfigError(
                f"teacher {manifest.variant} is a file for a runtime; give the Keras artifact that"
                " it was made from"
            )
        if manifest.labels != training.dataset.labels:
            raise ConfigError(
                f"teacher {manifest.variant} knows {len(manifest.labels)} classes and"
                f" {training.name} learns {len(training.dataset.labels)}; both must be the same, in"
                " the same order"
            )
        leaked = judged & set(seen.train) | set(split.test) & set(seen.validation)
        if leaked:
            raise ConfigError(
                f"teacher {manifest.variant} was trained or chosen on {len(leaked)} photos that"
                f" {training.name} is judged on; train it under the same split and seed"
            )


def with_unlabelled(training: Training, *, refit: bool) -> Training:
    """Return the training with the unlabelled photos that repeat none that it is judged on.

    Raises:
        ConfigError: there are none.
    """
    split, dataset = training.split, training.dataset
    judged = (*split.test, *(() if refit else split.validation))
    photos = unlabelled_apart_from(dataset, judged)
    if not photos:
        raise ConfigError(
            f"{dataset.name} has no photo without a label that a student could learn from"
            f" ({len(dataset.unlabelled)} repeat photos that it is judged on); set unlabelled ="
            " false, or put pictures that no row names into its folder"
        )
    return replace(training, unlabelled=photos)


def doubt(student: Artifact, teacher_f1: float | None) -> str:
    """Return a warning where the validation F1 of who taught is not above the student's."""
    own = best_validation_f1(student)
    if own is None or teacher_f1 is None or teacher_f1 > own:
        return ""
    name = student.manifest.name.network
    return (
        f"{name}: the validation F1 of its teacher, {teacher_f1:.3f}, is not above its own,"
        f" {own:.3f}, and a teacher that is no better holds a student back; train {name} by labels"
        " alone too, and keep the better by validation F1"
    )


def best_validation_f1(artifact: Artifact) -> float | None:
    """Return the validation F1 of a trained network, off its history; ``None`` without."""
    try:
        history = json.loads((artifact.folder / HISTORY_NAME).read_text(encoding="utf-8"))
        scores = [epoch["validation_f1"] for epoch in history["epochs"]]
        scores = scores or [history.get("head_validation_f1")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return max((float(score) for score in scores if score is not None), default=None)


def _begin_under(teachers: Sequence[Artifact], config: DistillConfig, scores: list[float]) -> Begin:
    """Return what makes the trainer; the teachers' validation F1 is put into ``scores``."""

    def begin(training: Training, model: Any, rows: Rows, progress: Progress) -> Begun:
        further = np.flatnonzero(rows.truths == UNLABELLED)
        rows = replace(rows, train=np.concatenate([rows.train, further]))
        taught = [
            answers_of(
                teacher,
                training.views,
                rows,
                views=config.views,
                with_features=config.feature_weight > 0,
                progress=progress,
            )
            for teacher in teachers
        ]
        if len(rows.validation):
            scores.append(_score(taught, rows))
            whose = "the teacher" if len(taught) == 1 else f"the mean of {len(taught)} teachers"
            progress.say(f"validation F1 of {whose}: {scores[-1]:.3f}")
        learning, maps = _student_views(training, model, config, progress)
        feed = TaughtFeed(rows, maps=maps, taught=taught, training=training)
        trainer = StudentTrainer(learning, feed, training, config)
        return Begun(trainer=trainer, runtime=maps.runtime, seconds=maps.seconds)

    return begin


def _score(taught: Sequence[Taught], rows: Rows) -> float:
    answers = mean_of([teacher.probabilities[0][rows.validation] for teacher in taught])
    return weighted_f1(rows.of_validation(), answers.argmax(axis=1).tolist(), rows.classes)


def _student_views(
    training: Training, model: Any, config: DistillConfig, progress: Progress
) -> tuple[Any, FrozenMaps]:
    """Return what learns, and the views it learns from: maps of frozen layers, or pixels."""
    if training.recipe.frozen:
        trunk, learning = cut(model, end_of_frozen(model))
    else:
        trunk, learning = keras().Model(model.input, model.input, name=f"{model.name}-views"), model
    return learning, frozen_maps(trunk, training.views, views=config.views, progress=progress)


class TaughtFeed(MapsFeed):
    """Stored views, each with its label, and what the teachers answered to that very view."""

    def __init__(
        self, rows: Rows, *, maps: FrozenMaps, taught: Sequence[Taught], training: Training
    ) -> None:
        """Take the views of all photos of the dataset, and the answers to them.

        Args:
            rows: which of them train and validate.
            maps: views, or their maps at the end of the frozen layers.
            taught: of each teacher.
            training: the student's.
        """
        super().__init__(rows, views=maps.views, recipe=training.recipe, seed=training.seed)
        self._answers = [
            mean_of([teacher.probabilities[view] for teacher in taught])
            for view in range(len(maps.views))
        ]
        self._features = [
            np.concatenate([unit_rows(teacher.features[view]) for teacher in taught], axis=1)
            for view in range(len(maps.views))
            if taught[0].features
        ]

    def targets_of(self, photos: Indices, views: Indices) -> npt.NDArray[np.float32]:
        """Return ``(photo, 2 * classes [+ features])``: label, probabilities, features."""
        label = super().targets_of(photos, views)
        pairs = list(zip(photos, views, strict=True))
        told = np.stack([self._answers[view][photo] for photo, view in pairs])
        if not self._features:
            return np.concatenate([label, told], axis=1)
        features = np.stack([self._features[view][photo] for photo, view in pairs])
        return np.concatenate([label, told, features], axis=1)


class StudentTrainer(Trainer):
    """A trainer whose loss is of the labels and of the teacher's answers."""

    def __init__(
        self, model: Any, feed: TaughtFeed, training: Training, config: DistillConfig
    ) -> None:
        self._config = config
        super().__init__(model, feed, training.recipe, seed=training.seed)

    def loss(self, targets: Any, logits: Any, features: Any) -> Any:
        """Return the mean loss of a batch; see ``taught_loss``."""
        config, classes = self._config, self.feed.rows.classes
        by_labels = super().loss(targets[:, :classes], logits, features)
        told = targets[:, classes : 2 * classes]
        share, heat = config.share, config.temperature
        loss = taught_loss(by_labels, told, logits, share=share, temperature=heat)
        if config.feature_weight:
            theirs = targets[:, 2 * classes :]
            loss += config.feature_weight * similarity_loss(theirs, features)
        return loss
