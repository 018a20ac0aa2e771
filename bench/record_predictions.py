"""Records of predictions: of one variant on one side of a split, and of all folds together."""

from collections.abc import Sequence, Sized
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from bench.record_base import MeasurementRecord

TOP = 3  # classes kept of each photo
Share = Annotated[float, Field(ge=0, le=1)]


class _Predictions(MeasurementRecord):
    """What was predicted for which photo; the lists run in parallel, one entry a photo.

    Attributes:
        labels: the classes; truths, predictions and top classes index them.
        photo_ids: names of the photos.
        truths: their classes.
        predictions: the classes predicted for them.
        top_classes: the most probable classes of each, the best first; empty in old records.
        confidences: probability of each prediction, in [0, 1], to 4 digits; empty in old records.
    """

    labels: tuple[str, ...]
    photo_ids: tuple[str, ...]
    truths: tuple[int, ...]
    predictions: tuple[int, ...]
    top_classes: tuple[tuple[int, ...], ...] = ()
    confidences: tuple[Share, ...] = ()

    @model_validator(mode="after")
    def _runs_in_parallel(self) -> Self:
        _require_parallel((self.photo_ids, self.truths, self.predictions))
        for later in (self.top_classes, self.confidences):
            if later:
                _require_parallel((self.photo_ids, later))
        classes = range(len(self.labels))
        _require_within((*self.truths, *self.predictions), classes)
        for predicted, best in zip(self.predictions, self.top_classes, strict=False):
            _require_within(best, classes)
            if best[:1] != (predicted,) or len(set(best)) != len(best):
                raise ValueError(f"top classes {best} do not begin with prediction {predicted}")
        return self


class AccuracyRecord(_Predictions):
    """Every prediction of one variant under one runtime on one side of the split.

    Attributes:
        runtime: name and version: ``litert 2.3.0``.
        side: which side.
        senders: sender of each photo, parallel to ``photo_ids``.
    """

    kind: Literal["accuracy"] = "accuracy"
    runtime: str
    side: Literal["validation", "test"]
    senders: tuple[str, ...]

    @model_validator(mode="after")
    def _has_all_senders(self) -> Self:
        _require_parallel((self.photo_ids, self.senders))
        return self


class CrossvalRecord(_Predictions):
    """Every photo predicted by the one model, of as many as there are folds, not trained on it.

    It is of no variant file: ``variant`` is the approach's name.

    Attributes:
        recipe: every setting, the augmentation's too.
        folds: how many there are.
        seed: of the folds and the trainings.
        weights_source: what the weights began from; ``random ...`` where there were none.
        weights_coverage: share of the parameters that came from there, in [0, 1].
        sender_names: the senders, each once.
        senders: sender of each photo, as an index into ``sender_names``.
        photo_folds: the fold that each photo was held out in, from 0.
        fold_seconds: wall time of each fold's training, frozen features apart.
        feature_seconds: wall time of the frozen features, which all folds share.
        views: views of each training photo whose features were computed; 0 where none were.
    """

    kind: Literal["crossval"] = "crossval"
    approach: str
    network: str
    recipe: dict[str, JsonValue]
    dataset: str
    dataset_fingerprint: str
    folds: int = Field(ge=2)
    seed: int
    weights_source: str
    weights_coverage: Share
    sender_names: tuple[str, ...]
    senders: tuple[int, ...]
    photo_folds: tuple[int, ...]
    fold_seconds: tuple[float, ...]
    feature_seconds: float = Field(default=0.0, ge=0)
    views: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _covers_every_fold(self) -> Self:
        _require_parallel((self.photo_ids, self.senders, self.photo_folds))
        _require_within(self.senders, range(len(self.sender_names)))
        if set(self.photo_folds) != set(range(self.folds)):
            raise ValueError(
                f"{self.folds} folds need photos in each, got {sorted(set(self.photo_folds))}"
            )
        if len(self.fold_seconds) != self.folds:
            raise ValueError(f"{self.folds} folds took {len(self.fold_seconds)} times")
        return self

    @property
    def photo_senders(self) -> tuple[str, ...]:
        """Sender of each photo, by name."""
        return tuple(self.sender_names[number] for number in self.senders)

    @property
    def train_seconds(self) -> float:
        """Wall time of all folds, and of the features that they share."""
        return sum(self.fold_seconds) + self.feature_seconds


def _require_parallel(lists: Sequence[Sized]) -> None:
    lengths = {len(one) for one in lists}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"its lists must be equally long and not empty, got {sorted(lengths)}")


def _require_within(numbers: Sequence[int], allowed: range) -> None:
    if not all(number in allowed for number in numbers):
        raise ValueError(f"a number is not one of its {len(allowed)} labels or senders")
