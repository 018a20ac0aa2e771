"""The approaches: network, input and recipe of each, in one table.

A recipe is what a plan may override, key by key. The figures in it were chosen on validation
photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from train.augment import AugmentConfig
from train.errors import UsageError

HeadKind = Literal["lda", "logistic", "mlp"]


class Recipe(BaseModel):
    """How one approach is trained.

    Attributes:
        image_size: rows and columns of the network's input, in pixels.
        head_first: whether the head is first fitted to the frozen network's features, which are
            computed once; with ``epochs = 0`` that is the whole training.
        heads: kinds of head tried under ``head_first``, chosen on inner folds.
        head_views: views of each training photo that the head is fitted to: the photo itself,
            then random views.
        epochs: most epochs of the optimizer over the training photos.
        batch_size: photos a step.
        optimizer: ``adamw``, or ``sgd`` with Nesterov momentum.
        learning_rate: peak rate, after the warm-up.
        schedule: what the rate does from the peak on: ``cosine`` falls along half a cosine to
            1 % of it at the last step, ``constant`` stays.
        head_rate: the head's rate as a multiple of ``learning_rate``.
        momentum: of ``sgd``, in [0, 1).
        warmup_epochs: epochs over which the rate rises from zero.
        weight_decay: decoupled decay, for kernels alone.
        label_smoothing: probability taken from the true class and spread over all, in [0, 1).
        dropout: share of features dropped before the head while training, in [0, 1).
        mixup: alpha of the Beta distribution that two photos are blended by; 0 blends none.
        cutmix: alpha of the Beta distribution of the area that is pasted from another photo;
            0 pastes none. With ``mixup`` too, each step draws one of the two.
        frozen: prefixes of the layers that stay as loaded.
        freeze_batch_norm: whether BatchNorm keeps its loaded statistics.
        cached_views: views of each photo whose maps at the end of the frozen layers are computed
            once, by a fast runtime, and trained from; 0 makes fresh views every epoch and runs
            the frozen layers on them.
        train_sizes: rows and columns of the training views, one of them drawn each step; empty
            for ``image_size`` alone, as where a plan gives another ``image_size`` and no sizes.
        class_weights: whether rare classes weigh more: the inverse square root of their frequency.
        class_sampling: how far photos are drawn by class: 0 as they come, 1 every class as often.
        average_weights: decay of the moving average of the weights that is validated and kept,
            in [0, 1); 0 keeps the weights as they are.
        scratch_epochs: epochs where no weights could be had for a network that is meant to begin
            from some: every layer is then trained, and nothing is frozen.
        scratch_rate: peak rate in that case.
        patience: epochs without a better validation F1 before training stops; 0 never stops.
        augment: how training views are made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_size: int = Field(ge=32, le=512)
    head_first: bool = False
    heads: tuple[HeadKind, ...] = Field(default=("lda",), min_length=1)
    head_views: int = Field(default=1, ge=1, le=64)
    epochs: int = Field(default=30, ge=0)
    batch_size: int = Field(default=32, ge=2)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    head_rate: float = Field(default=1.0, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    warmup_epochs: float = Field(default=1.0, ge=0)
    weight_decay: float = Field(default=0.02, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    frozen: tuple[str, ...] = ()
    freeze_batch_norm: bool = False
    cached_views: int = Field(default=0, ge=0, le=64)
    train_sizes: tuple[Annotated[int, Field(ge=32, le=512)], ...] = ()
    class_weights: bool = False
    class_sampling: float = Field(default=0.0, ge=0, le=1)
    average_weights: float = Field(default=0.99, ge=0, lt=1)
    scratch_epochs: int = Field(default=30, ge=1)
    scratch_rate: float = Field(default=2e-3, gt=0)
    patience: int = Field(default=0, ge=0)
    augment: AugmentConfig = AugmentConfig()

    def from_scratch(self) -> "Recipe":
        """Return the recipe for a network without the weights that this one begins from."""
        return self.model_copy(
            update={
                "epochs": self.scratch_epochs,
                "learning_rate": self.scratch_rate,
                "head_rate": 1.0,
                "head_first": False,
                "frozen": (),
                "freeze_batch_norm": False,
                "cached_views": 0,
            }
        )

    @model_validator(mode="after")
    def _something_is_trained(self) -> "Recipe":
        if self.epochs == 0 and not self.head_first:
            raise ValueError(
                "epochs = 0 trains nothing; set head_first = true or epochs of 1 or more"
            )
        return self

    @model_validator(mode="after")
    def _cached_views_are_of_frozen_layers(self) -> "Recipe":
        if self.cached_views and (not self.frozen or self.train_sizes):
            raise ValueError(
                "cached_views are the maps of frozen layers at one size: name the layers in"
                " frozen and leave train_sizes empty, or set cached_views = 0"
            )
        if "mlp" in self.heads and self.epochs:
            raise ValueError("an mlp head is not fine-tuned; set epochs = 0 or leave it out")
        return self


def settings_at(settings: Mapping[str, Any], image_size: Any) -> dict[str, Any]:
    """Return a recipe's settings for an input of ``image_size`` pixels.

    Sizes of the training views were chosen for one size of input: another empties them.
    """
    same = settings.get("image_size") == image_size
    return {**settings, **({} if same else {"train_sizes": ()}), "image_size": image_size}


@dataclass(frozen=True, kw_only=True)
class Approach:
    """One row of the table.

    Attributes:
        network: key of ``train.networks.NETWORKS``.
        classes: which classes it knows: ``all``, ``topN`` (the most frequent) or names.
        recipe: how it is trained unless a plan says otherwise.
        about: one line for ``threadlite train --help`` and the report.
    """

    network: str
    recipe: Recipe
    about: str
    classes: str = "all"


_RESNET = Recipe(
    image_size=160,
    head_first=True,
    epochs=8,
    learning_rate=5e-4,
    head_rate=4.0,
    frozen=("stem", "block2", "block3", "block4"),
    freeze_batch_norm=True,
    cached_views=4,
)
_RESNET_V2 = _RESNET.model_copy(update={"head_first": False, "freeze_batch_norm": False})
_LITE = Recipe(
    image_size=224,
    head_first=True,
    epochs=8,
    learning_rate=5e-4,
    head_rate=4.0,
    frozen=("stem", "block1", "block2", "block3", "block4", "block5"),
    freeze_batch_norm=True,
    cached_views=8,
)

APPROACHES: dict[str, Approach] = {
    "custom-cnn": Approach(
        network="custom-cnn",
        recipe=Recipe(
            image_size=160,
            epochs=100,
            learning_rate=4e-3,
            weight_decay=0.05,
            average_weights=0.995,
            train_sizes=(112, 128, 144),  # cheaper, and objects look larger in crops
        ),
        about="our own small CNN, from scratch",
    ),
    "resnet50-17": Approach(
        network="resnet50",
        recipe=_RESNET,
        about="ResNet50 on ImageNet weights: conv5 and the head learn",
    ),
    "resnet50-10": Approach(
        network="resnet50",
        recipe=_RESNET,
        classes="top10",
        about="the same on the 10 most frequent classes",
    ),
    "resnet50-v2-17": Approach(
        network="resnet50-v2",
        recipe=_RESNET_V2,
        about="ResNet50V2: conv5 learns from what weights there are for the stages before it",
    ),
    "resnet50-v2-10": Approach(
        network="resnet50-v2",
        recipe=_RESNET_V2,
        classes="top10",
        about="the same on the 10 most frequent classes",
    ),
    "convnext-tiny": Approach(
        network="convnext-tiny",
        recipe=Recipe(image_size=224, head_first=True, heads=("lda", "logistic"), epochs=0),
        about="ConvNeXt-Tiny as a feature extractor, from Keras or --weights hub:HANDLE",
    ),
    "efficientnet-lite0": Approach(
        network="efficientnet-lite0",
        recipe=_LITE,
        about="EfficientNet-Lite0 on ImageNet weights: head first, then its last stages",
    ),
    "efficientnet-lite2": Approach(
        network="efficientnet-lite2",
        recipe=_LITE.model_copy(update={"epochs": 10}),
        about="EfficientNet-Lite2, likewise",
    ),
    "mobilenet-v2": Approach(
        network="mobilenet-v2",
        recipe=_LITE,
        about="MobileNetV2, likewise",
    ),
    "mobilenet-v2-half": Approach(
        network="mobilenet-v2-0.5",
        recipe=_LITE,
        about="MobileNetV2 of half the width, likewise",
    ),
    "lite-trio": Approach(
        network="lite-trio",
        recipe=Recipe(image_size=260, head_first=True, epochs=0),
        about="frozen features of EfficientNet-Lite0, -Lite2 and MobileNetV2, and a linear head",
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
