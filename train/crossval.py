"""Cross-validation: every photo is predicted once, by a network that never saw it.

Folds are stratified by class, with copies of one file kept together, or grouped by sender too. A
fold has no validation side: nothing is chosen in it, and the last epoch is kept. What is frozen
is the same in every fold and is computed once for all of them. A finished fold is a file, so a
run that was killed goes on from the fold, and the epoch, that it was in.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from train.approaches import Approach, Recipe
from train.artifact import WeightsOrigin
from train.backend import keras
from train.dataset import Dataset
from train.divergence import causes_of
from train.errors import ArtifactError, DataError
from train.fitting import fit_network
from train.metrics import weighted_f1
from train.progress import Progress
from train.split_gaps import untaught_classes
from train.splits import Split, SplitMethod, fold_photos
from train.storage import digest_of, plain_write_errors, write_text
from train.training import Training, truths_of


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """All that decides a cross-validation.

    Attributes:
        name: of the approach.
        approach: its row of the table, with the recipe that is to run.
        dataset: the photos.
        method: how the folds are made.
        folds: how many.
        seed: of the folds and of every training.
        weights: as of ``train.training.Training``.
    """

    name: str
    approach: Approach
    dataset: Dataset
    method: SplitMethod
    folds: int
    seed: int = 0
    weights: str = "auto"

    def trainings(self) -> tuple[Training, ...]:
        """Return the training of each fold: its test side is the fold.

        Raises:
            DataError: a class has fewer photos than there are folds, or there are too few groups.
        """
        photos = self.dataset.photos
        folds = fold_photos(photos, method=self.method, folds=self.folds, seed=self.seed)
        trainings = []
        for fold in folds:
            held_out = set(fold)
            rest = (photo for row, photo in enumerate(photos) if row not in held_out)
            split = Split(
                method=self.method,
                seed=self.seed,
                train=tuple(photo.photo_id for photo in rest),
                validation=(),
                test=tuple(photos[row].photo_id for row in fold),
            )
            trainings.append(
                Training(
                    name=self.name,
                    approach=self.approach,
                    dataset=self.dataset,
                    split=split,
                    seed=self.seed,
                    weights=self.weights,
                )
            )
        return tuple(trainings)

    @property
    def key(self) -> str:
        """Digest of everything that the outcome depends on, the code apart."""
        return digest_of([training.key for training in self.trainings()])


class _Fold(BaseModel):
    """One finished fold, as it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    rows: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    seconds: float
    frozen_seconds: float
    runtime: str
    recipe: Recipe
    origin: WeightsOrigin


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """What all folds predicted.

    Attributes:
        photo_folds: the fold that each photo was held out in, in the dataset's order.
        probabilities: ``(photo, classes)`` by the network that had not seen the photo.
        fold_seconds: wall time of each fold's epochs, or of fitting its head where there are none.
        frozen_seconds: wall time of computing the frozen maps, once for all folds.
        runtime: what computed them; empty where there were none.
        recipe: by which every fold was trained.
        origin: what the weights began from.
    """

    photo_folds: tuple[int, ...]
    probabilities: npt.NDArray[np.float32]
    fold_seconds: tuple[float, ...]
    frozen_seconds: float
    runtime: str
    recipe: Recipe
    origin: WeightsOrigin


def cross_validate(task: CrossValidation, folder: Path, *, progress: Progress) -> OutOfFold:
    """Train every fold that is not done in ``folder``, and return all predictions.

    Args:
        task: what to train on what.
        folder: of the finished folds and the checkpoints; made where it is missing.
        progress: told of every step.

    Raises:
        ArtifactError: the folder holds another cross-validation, or cannot be written.
        ConfigError: the recipe does not fit the photos, or a loss is no longer a number.
        DataError: too few photos for the folds, or a photo cannot be decoded.
        WeightsError: the weights cannot be read or do not match.
    """
    trainings = task.trainings()
    with plain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    done = []
    for number, training in enumerate(trainings):
        path = folder / f"fold-{number + 1}.json"
        if not path.exists():
            progress.say(f"fold {number + 1} of {len(trainings)}, {task.method}")
            for line in untaught_classes(task.dataset, training.split):
                progress.say(line)
            _run_fold(training, path, progress)
        fold = _read_fold(path, training)
        progress.say(f"fold {number + 1}: {_told(fold, task.dataset)}")
        done.append(fold)
    return _joined(done, task)


def _told(fold: _Fold, dataset: Dataset) -> str:
    truths = truths_of([dataset.photos[row] for row in fold.rows], dataset.labels)
    predictions = [int(np.argmax(row)) for row in fold.probabilities]
    f1 = weighted_f1(truths, predictions, len(dataset.labels))
    return f"weighted F1 {f1:.3f} on {len(truths):,} photos"


def _run_fold(training: Training, path: Path, progress: Progress) -> None:
    keras().backend.clear_session()
    checkpoints = path.with_suffix("")
    fitted = fit_network(training, checkpoints=checkpoints, progress=progress)
    places = {photo.photo_id: row for row, photo in enumerate(training.dataset.photos)}
    rows = np.array([places[name] for name in training.split.test], dtype=np.int64)
    probabilities = fitted.predict(rows)
    if not np.isfinite(probabilities).all():
        raise DataError(
            f"{training.name}: a fold predicts values that are not numbers; lower"
            f" {causes_of(fitted.recipe)}"
        )
    seconds = sum(entry.seconds for entry in fitted.log)  # a fold that went on counts them all
    fold = _Fold(
        key=training.key,
        rows=tuple(rows.tolist()),
        probabilities=tuple(tuple(row) for row in probabilities.round(6).tolist()),
        seconds=seconds or fitted.head_seconds,
        frozen_seconds=fitted.frozen_seconds,
        runtime=fitted.runtime,
        recipe=fitted.recipe,
        origin=fitted.origin,
    )
    write_text(path, fold.model_dump_json())
    shutil.rmtree(checkpoints, ignore_errors=True)


def _read_fold(path: Path, training: Training) -> _Fold:
    try:
        fold = _Fold.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(f"{path}: not a readable fold; remove it to train it again") from error
    if fold.key != training.key:
        raise ArtifactError(
            f"{path} is a fold of another cross-validation (other photos, recipe or seed);"
            " remove its folder or choose another --out"
        )
    return fold


def _joined(folds: Sequence[_Fold], task: CrossValidation) -> OutOfFold:
    count, classes = len(task.dataset.photos), len(task.dataset.labels)
    probabilities = np.full((count, classes), np.nan, dtype=np.float32)
    photo_folds = np.full(count, -1, dtype=np.int64)
    for number, fold in enumerate(folds):
        rows = list(fold.rows)
        probabilities[rows] = np.array(fold.probabilities, dtype=np.float32)
        photo_folds[rows] = number
    return OutOfFold(
        photo_folds=tuple(photo_folds.tolist()),
        probabilities=probabilities,
        fold_seconds=tuple(fold.seconds for fold in folds),
        frozen_seconds=max(fold.frozen_seconds for fold in folds),
        runtime=folds[0].runtime,
        recipe=folds[0].recipe,
        origin=folds[0].origin,
    )
