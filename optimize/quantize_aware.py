"""Quantization-aware training: the network learns with its weights and maps in 8 bits.

It makes nothing smaller by itself: the network stays in float, with weights that have learned to
bear the rounding, and ``int8`` or ``selective`` after it writes the file. Ranges of activations
are found again there, on calibration photos. It is worth its epochs where plain int8 costs F1.

The toolkit's own wrappers are not used: they refuse ``Rescaling`` and a batch normalization that
follows no convolution, so every network here; they rename the layers that the training loop
looks for; and they hold an integer counter, which has no place in a moving average of weights.
Sources: Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optimize.convert import load_keras
from optimize.finetune import TuningConfig, Workshop, fine_tune
from optimize.finetune_artifact import require_new, write_tuned
from optimize.quantize_aware_layers import emulated
from optimize.rewrite_graph import Graph, Node, read_graph
from train.artifact import Artifact
from train.backend import keras
from train.errors import ConfigError
from train.networks.blocks import HEAD_LAYER

_MULTIPLIERS = frozenset({"Conv2D", "DepthwiseConv2D", "Dense"})
_STORED = frozenset(
    {"Add", "AveragePooling2D", "BatchNormalization", "Concatenate", "GlobalAveragePooling2D"}
    | {"ReLU", "Rescaling"}
)
_AS_IT_IS = frozenset({"InputLayer", "MaxPooling2D", "ZeroPadding2D"})  # make no new numbers
_ACTIVATIONS = frozenset({"linear", "relu", "softmax"})
_NAMED = 5  # layers that a message names


@dataclass(frozen=True, kw_only=True)
class QuantizeAwareConfig(TuningConfig):
    """How long the network learns in 8 bits; ``epochs`` is at least 1."""

    epochs: int = 4
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs < 1:
            raise ConfigError(
                f"epochs must be 1 or more, got {self.epochs}: quantize-aware is nothing but"
                " training; leave it out instead"
            )


def quantize_aware(
    parent: Artifact, folder: Path, config: QuantizeAwareConfig, workshop: Workshop
) -> Artifact:
    """Write ``parent``, trained on in fake 8 bits, as a Keras artifact in float.

    Which layers are emulated is told before the training begins.

    Raises:
        ArtifactError: ``folder`` exists or cannot be written.
        ConfigError: a layer is of a kind that is not known here, or the network cannot be
            fine-tuned.
        ConversionError: the parent is no Keras artifact.
    """
    require_new(folder)
    model = load_keras(parent)
    known, unknown = tell_apart(model)
    for line in lines_of(known, unknown):
        workshop.progress.say(f"{parent.manifest.name.network}: {line}")
    if unknown:
        raise ConfigError(
            f"{parent.manifest.variant}: quantization-aware training does not know"
            f" {_listed(unknown)}; quantize it after training instead (int8, or selective, which"
            " keeps in float what costs too much), or distill it into a network without them"
        )
    learning = in_fake_int8(model)
    log = fine_tune(learning, parent, config, workshop, technique="quantize-aware")
    for layer in model.layers:
        own = layer.get_weights()
        layer.set_weights(learning.get_layer(layer.name).get_weights()[: len(own)])
    return write_tuned(
        parent,
        folder,
        model,
        technique="quantize-aware",
        word="aware",
        config={**asdict(config), "emulated": dict(sorted(kinds_of(known).items()))},
        log=log,
        checkpoints=workshop.checkpoints,
    )


def tell_apart(model: Any) -> tuple[list[Any], list[Any]]:
    """Return the layers of a network whose arithmetic in int8 is known here, and the others."""
    known: list[Any] = []
    unknown: list[Any] = []
    for layer in model.layers:
        kind = type(layer).__name__
        activation = layer.get_config().get("activation", "linear")
        fits = kind in _MULTIPLIERS | _STORED | _AS_IT_IS | {"Activation"}
        (known if fits and activation in _ACTIVATIONS else unknown).append(layer)
    return known, unknown


def lines_of(known: Sequence[Any], unknown: Sequence[Any]) -> list[str]:
    """Return what is told before the training: which layers learn in 8 bits, and which cannot."""
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds_of(known).most_common())
    lines = [f"in fake 8 bits: {counts}"]
    return [*lines, f"not known in 8 bits: {_listed(unknown)}"] if unknown else lines


def kinds_of(layers: Sequence[Any]) -> "Counter[str]":
    """Return how many layers of each kind there are, those that only move numbers left out."""
    kinds = Counter(type(layer).__name__ for layer in layers)
    return Counter({kind: count for kind, count in kinds.items() if kind not in _AS_IT_IS})


def in_fake_int8(model: Any) -> Any:
    """Return a copy of ``model`` whose layers compute as an int8 runtime would.

    Names, weights and their order are kept; layers whose output a runtime stores have a range
    of it after their own weights.
    """
    graph = read_graph(model)

    def clone(layer: Any) -> Any:
        node = graph.nodes[layer.name]
        if node.kind in _AS_IT_IS:
            return type(layer).from_config(layer.get_config())
        kind = emulated(node.kind, stored=is_stored(graph, node))
        return kind.from_config(layer.get_config())

    learning = keras().models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        own, other = layer.get_weights(), learning.get_layer(layer.name)
        other.set_weights([*own, *other.get_weights()[len(own) :]])
    return learning


def is_stored(graph: Graph, node: Node) -> bool:
    """Return whether a runtime stores the output of ``node`` in 8 bits.

    It does not where the one layer that takes it is computed along with it: a batch
    normalization after a multiplication, an activation after either or after an addition. The
    scores are left out too, since the loss takes them as they are, and so is softmax.
    """
    if node.name == HEAD_LAYER or node.settings.get("activation") == "softmax":
        return False
    after = graph.only_taker(node.name)
    if after is None:
        return True
    if after.kind == "BatchNormalization":
        return node.kind not in _MULTIPLIERS
    rectifies = after.kind == "ReLU" or after.settings.get("activation") == "relu"
    fuses = node.kind in _MULTIPLIERS | {"Add", "BatchNormalization"}
    return not (fuses and rectifies and after.kind in ("ReLU", "Activation"))


def _listed(layers: Sequence[Any]) -> str:
    kinds: dict[str, list[str]] = {}
    for layer in layers:
        activation = layer.get_config().get("activation", "linear")
        name = type(layer).__name__
        called = name if activation in _ACTIVATIONS else f"{name} with {activation}"
        kinds.setdefault(called, []).append(layer.name)
    parts = []
    for kind, names in kinds.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        parts.append(f"{kind} ({', '.join(names[:_NAMED])}{more})")
    return ", ".join(parts)
