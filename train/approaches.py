"""The approaches: network, input and recipe of each, in one table.

A recipe is what a plan may override, key by key. The figures in it were chosen on validation
photos.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from train.augment import AugmentConfig
from train.errors import UsageError


class Recipe(BaseModel):
    """How one approach is trained.

    Attributes:
        image_size: rows and columns of the network's input, in pixels.
        head_first: whether the head is first fitted to the frozen network's features, which are
            computed once; with ``epochs = 0`` that is the whole training.
        epochs: most epochs of the optimizer over the training photos.
        batch_size: photos a step.
        learning_rate: peak rate of AdamW, after one epoch of warm-up, before the cosine decay.
        head_rate: the head's rate as a multiple of ``learning_rate``.
        weight_decay: AdamW's decoupled decay, for kernels alone.
        label_smoothing: probability taken from the true class and spread over all, in [0, 1).
        dropout: share of features dropped before the head while training, in [0, 1).
        frozen: prefixes of the layers that stay as loaded.
        freeze_batch_norm: whether BatchNorm keeps its loaded statistics.
        class_weights: whether rare classes weigh more: the inverse square root of their frequency.
        average_weights: decay of the moving average of the weights that is validated and kept,
            in [0, 1); 0 keeps the weights as they are.
        patience: epochs without a better validation F1 before training stops; 0 never stops.
        shrinkages: shrinkage of the covariance tried for the head under ``head_first``, chosen
            by validation F1.
        augment: how training views are made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_size: int = Field(ge=32, le=512)
    head_first: bool = False
    epochs: int = Field(default=30, ge=0)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    head_rate: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    frozen: tuple[str, ...] = ()
    freeze_batch_norm: bool = False
    class_weights: bool = False
    average_weights: float = Field(default=0.99, ge=0, lt=1)
    patience: int = Field(default=0, ge=0)
    shrinkages: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.1, 0.3, 0.5, 0.7, 0.9), min_length=1
    )
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _something_is_trained(self) -> "Recipe":
        if self.epochs == 0 and not self.head_first:
            raise ValueError(
                "epochs = 0 trains nothing; set head_first = true or epochs of 1 or more"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Approach:
    """One row of the table.

    Attributes:
        network: key of ``train.networks.NETWORKS``.
        recipe: how it is trained unless a plan says otherwise.
        about: one line for ``threadlite train --help`` and the report.
    """

    network: str
    recipe: Recipe
    about: str


APPROACHES: dict[str, Approach] = {
    "custom-cnn": Approach(
        network="custom-cnn",
        recipe=Recipe(image_size=144, epochs=32, learning_rate=3e-3, weight_decay=0.05),
        about="our own small CNN, from scratch",
    ),
    "efficientnet-lite0": Approach(
        network="efficientnet-lite0",
        recipe=Recipe(
            image_size=160,
            head_first=True,
            epochs=10,
            learning_rate=5e-4,
            head_rate=4.0,
            frozen=("stem", "block1", "block2", "block3"),
            freeze_batch_norm=True,
        ),
        about="EfficientNet-Lite0 on ImageNet weights: head first, then fine-tuned",
    ),
}


def approach_named(name: str) -> Approach:
    """Return the approach.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in APPROACHES:
        raise UsageError(f"approach {name!r} is not known; choose from {', '.join(APPROACHES)}")
    return APPROACHES[name]
