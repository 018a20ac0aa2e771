"""Channel shrinking: whole channels removed, the graph built again with fewer MACCs.

What is left is an ordinary dense network, so that the file, the memory and the latency shrink on
every runtime. It costs accuracy, most of which a fine-tuning brings back. Layer names and the
head stay; pixels and classes are never removed.
Sources: see ``shrink_coupling`` and ``shrink_choice``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune, tuned_recipe
from optimize.finetune_artifact import require_new, training_batches, write_tuned
from optimize.shrink_choice import (
    Scores,
    keep_budget,
    keep_uniform,
    l1_scores,
    norm_scores,
    taylor_scores,
)
from optimize.shrink_coupling import Coupling, Kept, couple, maccs_of
from optimize.shrink_rebuild import rebuild
from train.artifact import Artifact
from train.backend import tensorflow
from train.errors import ConfigError, ConversionError

Importance = Literal["taylor", "norm", "l1"]


@dataclass(frozen=True, kw_only=True)
class ShrinkConfig(TuningConfig):
    """Which channels go, and how the rest is trained.

    Attributes:
        maccs: share of the parent's MACCs to come down to, in (0, 1]; channels that matter least
            in the whole network go first.
        percent: the same as a whole number, as in ``shrink@30``; 0 goes by ``maccs``.
        ratio: share of the channels of every group to remove instead, in [0, 1); 0 goes by
            ``maccs``.
        importance: ``taylor`` (what the loss would change by, on training photos), ``norm``
            (scale of the batch normalization) or ``l1`` (norm of the kernel).
        least: share of each group's channels that stays whatever the budget.
        multiple: channels that stay of a group are a multiple of it, as fast kernels like it.
        photos: training photos that ``taylor`` looks at.
    """

    epochs: int = 12
    learning_rate: float = 1e-3
    maccs: float = 0.5
    percent: int = 0
    ratio: float = 0.0
    importance: Importance = "taylor"
    least: float = 0.25
    multiple: int = 8
    photos: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.maccs <= 1.0:
            raise ConfigError(f"maccs must be a share in (0, 1], got {self.maccs}")
        if not 0 <= self.percent <= 100:
            raise ConfigError(f"percent must be from 0 to 100, got {self.percent}")
        if not 0.0 <= self.ratio < 1.0:
            raise ConfigError(f"ratio must be in [0, 1), got {self.ratio}")
        if self.importance not in ("taylor", "norm", "l1"):
            raise ConfigError(f"importance must be taylor, norm or l1, got {self.importance!r}")
        if not 0.0 <= self.least <= 1.0:
            raise ConfigError(f"least must be in [0, 1], got {self.least}")
        if self.multiple < 1 or self.photos < 1:
            raise ConfigError(
                f"multiple and photos must be 1 or more, got {self.multiple} and {self.photos}"
            )

    @property
    def share(self) -> float:
        """Share of the parent's MACCs to come down to, in (0, 1]."""
        return self.percent / 100 if self.percent else self.maccs

    @property
    def word(self) -> str:
        """What the variant's name says: ``shrunk``, or ``shrunk30`` by percent."""
        return f"shrunk{self.percent}" if self.percent else "shrunk"


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """A smaller network, not yet trained.

    Attributes:
        model: the network.
        maccs_before: MACCs of one picture in the parent.
        maccs_after: those that are left.
        channels: of each group that lost some: how many stay of how many, by the first layer.
    """

    model: Any
    maccs_before: int
    maccs_after: int
    channels: dict[str, tuple[int, int]]


def shrink(parent: Artifact, folder: Path, config: ShrinkConfig, workshop: Workshop) -> Artifact:
    """Write ``parent`` with fewer channels, fine-tuned, as a Keras artifact.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the budget cannot be met, or the network cannot be fine-tuned.
        ConversionError: the parent is no Keras artifact, or nothing of it can be removed.
    """
    require_new(folder)

    def taylor(model: Any, coupling: Coupling) -> Scores:
        batches = training_batches(
            parent, workshop, tuned_recipe(parent, TuningConfig(epochs=1)), photos=config.photos
        )
        return taylor_scores(model, coupling, batches, tensorflow())

    shrunk = shrink_network(load_keras(parent), config, taylor=taylor)
    workshop.progress.say(
        f"{parent.manifest.name.network}: {shrunk.maccs_before:,} MACCs become"
        f" {shrunk.maccs_after:,} ({shrunk.maccs_after / shrunk.maccs_before:.1%})"
    )
    log = fine_tune(shrunk.model, parent, config, workshop, technique="shrink")
    return write_tuned(
        parent,
        folder,
        shrunk.model,
        technique="shrink",
        word=config.word,
        config={
            **asdict(config),
            "maccs_before": shrunk.maccs_before,
            "maccs_after": shrunk.maccs_after,
            "channels": {name: list(pair) for name, pair in shrunk.channels.items()},
        },
        log=log,
        checkpoints=workshop.checkpoints,
    )


def shrink_network(
    model: Any,
    config: ShrinkConfig,
    *,
    taylor: Callable[[Any, Coupling], Scores] | None = None,
) -> Shrunk:
    """Return ``model`` with the channels that matter most; it is not changed itself.

    Args:
        model: a functional Keras network.
        config: which channels go.
        taylor: scores channels on photos, for ``importance = "taylor"``.

    Raises:
        ConfigError: the budget cannot be met.
        ConversionError: none of its channels can be removed.
    """
    coupling = couple(model)
    if not coupling.groups:
        raise ConversionError(
            f"{model.name}: no channel can be removed, for its layers mix them in ways that are not"
            " known here; train a smaller approach"
        )
    if config.importance == "taylor":
        if taylor is None:
            raise ConfigError("importance = 'taylor' needs photos; choose norm or l1")
        scores = taylor(model, coupling)
    else:
        scores = (norm_scores if config.importance == "norm" else l1_scores)(model, coupling)
    kept = _kept(coupling, scores, config)
    return Shrunk(
        model=rebuild(model, coupling, kept),
        maccs_before=maccs_of(coupling, coupling.all_kept()),
        maccs_after=maccs_of(coupling, kept),
        channels={
            group.layers[0]: (int(kept[group.channels].sum()), len(group.channels))
            for group in coupling.groups
            if not kept[group.channels].all()
        },
    )


def _kept(coupling: Coupling, scores: Scores, config: ShrinkConfig) -> Kept:
    if config.ratio > 0:
        return keep_uniform(coupling, scores, ratio=config.ratio, multiple=config.multiple)
    return keep_budget(
        coupling, scores, share=config.share, least=config.least, multiple=config.multiple
    )
