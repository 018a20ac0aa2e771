"""Smaller inputs: the same network on pictures of another size, fine-tuned.

A convolution's work goes with the pixels that it runs over: three quarters of the side leave a
bit over half of the MACCs, of the memory and, nearly, of the latency. The file stays as large as
it was. It costs accuracy where small things tell classes apart; most of the rest of the loss is
that layers see objects of another size than they learned, which a fine-tuning brings back.
Source: Touvron et al. 2019, arXiv:1906.06423.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune
from optimize.finetune_artifact import require_new, write_tuned
from train.artifact import Artifact
from train.errors import ConfigError, ConversionError
from train.hub_network import HUB_LAYER
from train.pixels import PixelContract

LEAST, MOST = 32, 512  # those that a network can be trained on


@dataclass(frozen=True, kw_only=True)
class ResolutionConfig(TuningConfig):
    """Which size, and how the network is trained on it.

    Attributes:
        size: rows and columns of the new input, in pixels, from 32 to 512.
    """

    size: int = 160

    def __post_init__(self) -> None:
        super().__post_init__()
        if not LEAST <= self.size <= MOST:
            raise ConfigError(f"size must be from {LEAST} to {MOST} pixels, got {self.size}")


def change_resolution(
    parent: Artifact, folder: Path, config: ResolutionConfig, workshop: Workshop
) -> Artifact:
    """Write ``parent`` for pictures of another size, fine-tuned, as a Keras artifact.

    The variant's name gets ``at160``; the pixel contract is the new one.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: the size is the parent's own, or the network cannot be fine-tuned.
        ConversionError: the parent is no Keras artifact, or its graph is made for one size.
    """
    require_new(folder)
    old = parent.manifest.pixels
    if (config.size, config.size) == (old.height, old.width):
        raise ConfigError(
            f"{parent.manifest.variant}: size {config.size} is what it takes already; name another"
        )
    model = resized(load_keras(parent), config.size)
    contract = PixelContract(height=config.size, width=config.size, resize=old.resize)
    ours = replace(parent, manifest=parent.manifest.model_copy(update={"pixels": contract}))
    share = config.size**2 / (old.height * old.width)
    workshop.progress.say(
        f"{parent.manifest.name.network}: {old.height} x {old.width} pixels become"
        f" {config.size} x {config.size}, {share:.0%} of them"
    )
    log = fine_tune(model, ours, config, workshop, technique="resolution")
    return write_tuned(
        ours,
        folder,
        model,
        technique="resolution",
        word=f"at{config.size}",
        config={**asdict(config), "pixels_before": [old.height, old.width]},
        log=log,
        checkpoints=workshop.checkpoints,
    )


def resized(model: Any, size: int) -> Any:
    """Return ``model`` for pictures of ``size`` rows and columns, with the same weights.

    Args:
        model: a functional network; it is not changed.
        size: of the new input.

    Raises:
        ConversionError: a layer's weights hang on the size of the picture, or its maps would be
            smaller than a kernel.
    """
    if HUB_LAYER in [layer.name for layer in model.layers]:
        raise ConversionError(
            f"{model.name}: its network is a closed TF Hub box of one size; train another approach"
            " on the size"
        )
    config = model.get_config()
    entry = config["input_layers"][0][0]
    for layer in config["layers"]:
        layer.pop("build_config", None)  # names the shapes of before
        if layer["config"]["name"] == entry:
            layer["config"]["batch_input_shape"] = (None, size, size, 3)
    try:
        other = type(model).from_config(config)
        other.set_weights(model.get_weights())
    except ValueError as error:  # Keras says so of shapes that do not fit
        first = next(iter(str(error).splitlines()), "")
        raise ConversionError(
            f"{model.name}: it cannot take pictures of {size} x {size} pixels ({first}); name"
            " another size"
        ) from error
    return other
