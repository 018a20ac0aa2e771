"""Training a changed network a little more, as it was trained before.

The same views, batches, loss and moving average as in the training, by the recipe that the
artifact's manifest holds; every layer learns, normalizations included, for what they normalize
has changed, unless a technique keeps the layers that the training left frozen. A constraint may
hold the weights to a pattern after every step, and the network that was changed may teach what
became of it. A fine-tuning that was cut off goes on from its checkpoints.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from optimize.finetune_trainer import Constraint, ParentFeed, TuningTrainer
from train.approaches import Approach, Recipe, settings_at
from train.artifact import Artifact
from train.backend import make_repeatable
from train.checkpoint import EpochLog
from train.dataset import Dataset
from train.errors import ConfigError
from train.fitting import feed_of, freeze
from train.hub_network import HUB_LAYER
from train.keras_file import load_keras
from train.loop import train_epochs
from train.networks.blocks import HEAD_LAYER
from train.progress import Progress
from train.storage import digest_of
from train.training import Training
from train.trunk import cut, end_of_frozen


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a technique that trains needs beside the network.

    Attributes:
        dataset: the photos that the network was trained on; others may be among them.
        checkpoints: folder for what a killed fine-tuning goes on from.
        progress: told of every step.
    """

    dataset: Dataset
    checkpoints: Path
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How long and how fast a changed network is trained.

    Attributes:
        epochs: over the training photos; 0 leaves the network untrained.
        learning_rate: peak rate, after a warm-up of one epoch and before the cosine decay.
        weight_decay: decoupled decay, for kernels alone.
        parent_share: of the parent's answers in the loss, in [0, 1]; the labels have the rest.
        temperature: that both sides' scores are divided by, at least 1, where the parent teaches.
    """

    epochs: int = 8
    learning_rate: float = 5e-4
    weight_decay: float = 0.02
    parent_share: float = 0.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs must be 0 or more, got {self.epochs}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if not 0.0 <= self.parent_share <= 1.0:
            raise ConfigError(f"parent_share must be in [0, 1], got {self.parent_share}")
        if not self.temperature >= 1.0:
            raise ConfigError(f"temperature must be 1 or more, got {self.temperature}")


def fine_tune(
    model: Any,
    parent: Artifact,
    config: TuningConfig,
    workshop: Workshop,
    *,
    technique: str,
    constraint: Constraint | None = None,
    keep_frozen: bool = False,
) -> tuple[EpochLog, ...]:
    """Train ``model`` in place; its best epoch by validation F1 stays, or the last one without.

    Args:
        model: made from the parent's network, on its pixels and with its classes.
        parent: names the recipe, the split and the seed.
        config: for how long.
        workshop: photos, and where checkpoints go.
        technique: what the network was changed by.
        constraint: what its weights are held to.
        keep_frozen: whether layers that the training left frozen, and that are still the
            parent's, stay so; their maps are computed once, as they were for the training.

    Raises:
        ArtifactError: the checkpoints are of another fine-tuning.
        ConfigError: the network cannot be fine-tuned, or the loss is no longer a number.
        DataError: a photo is missing or cannot be decoded.
    """
    if config.epochs == 0:
        return ()
    _require_trainable(model, parent)
    recipe = tuned_recipe(parent, config, keep_frozen=keep_frozen)
    training = training_of(parent, recipe, workshop.dataset)
    make_repeatable(training.seed)
    freeze(model, recipe)
    rows, progress = training.rows(), workshop.progress
    feed, learning, _, _ = feed_of(training, model, rows, progress)
    if config.parent_share:
        feed = ParentFeed(feed, _answering(load_keras(parent.payload), recipe))
    trainer = TuningTrainer(
        learning,
        feed,
        recipe,
        seed=training.seed,
        constraint=constraint,
        parent_share=config.parent_share,
        temperature=config.temperature,
    )
    key = digest_of(
        [
            technique,
            asdict(config),
            parent.manifest.model_dump(mode="json"),
            recipe.model_dump_json(),
        ]
    )
    progress.say(f"{parent.manifest.name.network}: fine-tuning after {technique}")
    return train_epochs(trainer, workshop.checkpoints, key=key, progress=progress)


def _answering(parent: Any, recipe: Recipe) -> Any:
    """Return what of the parent answers to what its child is fed: without the stored maps' part."""
    if not recipe.cached_views:
        return parent
    freeze(parent, recipe)
    return cut(parent, end_of_frozen(parent))[1]


def tuned_recipe(parent: Artifact, config: TuningConfig, *, keep_frozen: bool = False) -> Recipe:
    """Return the parent's recipe with the fine-tuning's length and rate, nothing frozen.

    A network that takes another size than it was trained on has training views of that size.
    With ``keep_frozen``, what the training froze stays frozen, and its maps are kept.

    Raises:
        ConfigError: the manifest holds no recipe that is known here.
    """
    found = parent.manifest.steps[0].config.get("recipe")
    size = parent.manifest.pixels.height
    try:
        if not isinstance(found, dict):
            raise ValueError("it names none")
        return Recipe.model_validate(
            {
                **settings_at(found, size),
                "epochs": config.epochs,
                "learning_rate": config.learning_rate,
                "weight_decay": config.weight_decay,
                "warmup_epochs": min(1.0, config.epochs / 4),
                "head_rate": 1.0,
                "head_first": False,
                "heads": ("lda",),
                **({} if keep_frozen else {"frozen": (), "cached_views": 0}),
                "freeze_batch_norm": False,
                "patience": 0,
            }
        )
    except (ValueError, ValidationError) as error:
        raise ConfigError(
            f"{parent.manifest.variant}: the recipe in its manifest cannot be used"
            f" ({next(iter(str(error).splitlines()))}); train it again, or set epochs = 0"
        ) from error


def training_of(parent: Artifact, recipe: Recipe, dataset: Dataset) -> Training:
    """Return the training that fine-tuning goes on with: the parent's photos, split and seed."""
    manifest = parent.manifest
    photos = tuple(photo for photo in dataset.photos if photo.label in manifest.labels)
    return Training(
        name=manifest.approach,
        approach=Approach(network=manifest.name.network, recipe=recipe, about=""),
        dataset=replace(dataset, photos=photos, labels=manifest.labels),
        split=parent.split(),
        seed=manifest.seed,
        weights="none",
    )


def _require_trainable(model: Any, parent: Artifact) -> None:
    names = [layer.name for layer in model.layers]
    variant = parent.manifest.variant
    if HUB_LAYER in names:
        raise ConfigError(
            f"{variant}: its network is a closed TF Hub box, which cannot be fine-tuned; set"
            " epochs = 0 or train another approach"
        )
    if "features" not in names or model.get_layer(HEAD_LAYER).input is not (
        model.get_layer("features").output
    ):
        raise ConfigError(
            f"{variant}: its head is not one dense layer on its features, which fine-tuning needs;"
            " set epochs = 0 or train it with a head of heads = ['lda']"
        )
