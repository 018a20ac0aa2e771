"""The record of one training."""

from typing import Literal

from pydantic import Field, JsonValue

from bench.record_base import MeasurementRecord


class TrainingRecord(MeasurementRecord):
    """One training: what it began from, its learning curve and what it took.

    Attributes:
        recipe: every setting, the augmentation's too.
        photos: how many there are on each side of the split.
        weights_source: what the weights began from; ``random`` where there were none.
        weights_coverage: share of the parameters that came from there, in [0, 1].
        head_validation_f1: of the head fitted to frozen features; ``None`` where none was.
        train_losses: mean loss of each epoch; empty where only a head was fitted.
        validation_f1s: weighted F1 after each epoch, in [0, 1].
        epoch_seconds: wall time of each epoch, its validation included.
        images_per_epoch: training photos seen in an epoch.
        feature_runtime: what computed the frozen features; empty where there were none.
        feature_seconds: wall time of the frozen features; 0 where they were cached already.
        trainable_parameters: parameters that the epochs changed; 0 in old records.
    """

    kind: Literal["training"] = "training"
    approach: str
    recipe: dict[str, JsonValue]
    dataset: str
    dataset_fingerprint: str
    photos: dict[str, int]
    labels: tuple[str, ...]
    seed: int
    weights_source: str
    weights_coverage: float
    head_validation_f1: float | None
    train_losses: tuple[float, ...]
    validation_f1s: tuple[float, ...]
    epoch_seconds: tuple[float, ...]
    images_per_epoch: int
    feature_runtime: str = ""
    feature_seconds: float = Field(default=0.0, ge=0)
    trainable_parameters: int = Field(default=0, ge=0)

    @property
    def best_validation_f1(self) -> float:
        """The validation F1 of the weights that were kept."""
        return max(self.validation_f1s, default=self.head_validation_f1 or 0.0)

    @property
    def train_seconds(self) -> float:
        """Wall time of all epochs, frozen features apart."""
        return sum(self.epoch_seconds)

    @property
    def images_per_second(self) -> float | None:
        """Training photos seen a second of the epochs, validation included; ``None`` without."""
        seen = self.images_per_epoch * len(self.epoch_seconds)
        return seen / self.train_seconds if self.train_seconds else None
