"""Fine-tuning alone: the same network, every layer of it trained on, its own answers for a teacher.

A training that froze its first layers, as those that begin from ImageNet weights do, leaves them
as they were for other pictures. Here all of them learn, slowly, by the labels and by what the
network itself answered before; neither size nor latency changes. It is also the control of every
technique that fine-tunes: what a shrunk or pruned network gained by epochs, it gains here too.
Source: Furlanello et al. 2018, arXiv:1805.04770 (a student of its teacher's own shape).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune
from optimize.finetune_artifact import require_new, write_tuned
from train.artifact import Artifact
from train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TuneConfig(TuningConfig):
    """How long, how fast and by whom the network is taught; it is its own parent."""

    parent_share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epochs:
            raise ConfigError("epochs must be 1 or more, got 0: fine-tuning is all that tune does")


def tune(parent: Artifact, folder: Path, config: TuneConfig, workshop: Workshop) -> Artifact:
    """Write ``parent``, all of its layers fine-tuned, as a Keras artifact.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the network cannot be fine-tuned.
        ConversionError: the parent is no Keras artifact.
    """
    require_new(folder)
    model = load_keras(parent)
    log = fine_tune(model, parent, config, workshop, technique="tune")
    return write_tuned(
        parent,
        folder,
        model,
        technique="tune",
        word="tuned",
        config=asdict(config),
        log=log,
        checkpoints=workshop.checkpoints,
    )
