"""Selective precision: int8, but for the few layers that it would cost most.

One layer with a wide range can ruin a network that is otherwise fit for 8 bits. Layers are
ranked by what quantizing each alone does to its output, and the worst stay in float until the
score on the validation photos is within a bound. Each island of float costs two conversions of
its tensors, so that the result is slower and larger than plain int8, and better than float.
Source: Wu et al. 2020, arXiv:2004.09602, section 5.
"""

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from optimize.convert import load_keras, write_onnx, write_tflite
from optimize.quantize import (
    QuantizeConfig,
    calibration_record,
    named,
    require_calibration,
    with_both_extremes,
)
from optimize.search_state import read_state, save_state
from optimize.selective_litert import LitertMixer
from optimize.selective_onnx import OnnxMixer
from optimize.selective_report import outcome
from optimize.selective_search import (
    LayerCost,
    SearchState,
    next_count,
    spare,
    trial_key,
    worst_first,
)
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ArtifactError, ConfigError, ConversionError
from train.pixels import Pixels
from train.progress import Progress, Silent
from train.storage import digest_of
from train.variant import Format

Score = Callable[[Path], float]
_WRITERS = {"tflite": write_tflite, "onnx": write_onnx}


@dataclass(frozen=True, kw_only=True)
class SelectiveConfig(QuantizeConfig):
    """How to quantize, and how much that may cost.

    ``.tflite`` is written by ai-edge-quantizer, whatever ``backend`` says.

    Attributes:
        max_f1_drop: how far the score may fall below the float network's, in [0, 1).
        evaluations: variants to score at most, float and plain int8 among them; at least 2.
        ranking_photos: calibration photos on which layers are ranked, at least 1.
    """

    max_f1_drop: float = 0.01
    evaluations: int = 16
    ranking_photos: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.max_f1_drop < 1.0:
            raise ConfigError(f"max_f1_drop must be in [0, 1), got {self.max_f1_drop}")
        for name, least in (("evaluations", 2), ("ranking_photos", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def fitted(self, target: Format) -> Self:
        """Return these settings with the backend that writes mixed precision in ``target``.

        Raises:
            ConfigError: that backend cannot find ranges as told.
        """
        backend = "ai-edge-quantizer" if target == "tflite" else "converter"
        return QuantizeConfig.fitted(replace(self, backend=backend), target)


class Mixer(Protocol):
    """A network in one format, in int8 with any of its layers in float."""

    def layers(self) -> Sequence[Any]:
        """Return the layers, each with ``name`` and ``operator``."""

    def in_float(self) -> Any:
        """Return the network wholly in float, as its format's writer takes it."""

    def mixed(self, kept: Collection[str]) -> Any:
        """Return the network in int8 but for the layers named."""

    def cost(self, name: str, photos: Pixels) -> float:
        """Return the SQNR, in decibels, of a layer's output if it alone is in int8."""


def quantize_selective(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: SelectiveConfig | None = None,
    *,
    score: Score,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Write ``parent`` in int8 with its worst layers in float; the manifest names them.

    Where the bound cannot be met within the budget, the best scoring variant is written, and
    ``bound_met`` in its step is false.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        calibration: ``(photo, height, width, 3)`` uint8, real photos of the training side.
        calibration_ids: their ids, in the same order; the manifest records them.
        folder: where the new artifact goes; must not exist.
        config: how; the defaults if ``None``.
        score: of a model file, in [0, 1], such as weighted F1 on the validation photos.
        state: where the search is kept until the artifact is whole; beside ``folder`` if
            ``None``.
        progress: told of the layers ranked.

    Raises:
        ConfigError: ranges cannot be found as told for ``target``.
        ConversionError: the parent is no Keras artifact, the calibration photos do not fit it,
            or no layer of it can be quantized.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config = (config or SelectiveConfig()).fitted(target)
    require_calibration(parent, calibration, calibration_ids)
    if folder.exists():  # said now, not after the search
        raise ArtifactError(f"{folder} exists; remove it or name another folder")
    state = state or folder.with_name(f"{folder.name}.search.json")
    reaching, changed = with_both_extremes(calibration)
    key = digest_of(
        [parent.manifest.payload_sha256, target, _free_of_budget(config), list(calibration_ids)]
    )
    variant = named(parent, replace(config, backend="converter"), target, "selective")
    with tempfile.TemporaryDirectory() as scratch:
        mixer = _mixer(load_keras(parent), target, reaching, config, Path(scratch))
        trial = Path(scratch) / f"trial.{target}"

        def judge(content: Any) -> float:
            _WRITERS[target](content, trial, parent, variant)
            return score(trial)

        photos = reaching[: config.ranking_photos]
        found = search(mixer, photos, config, judge, state, key, progress or Silent())
        report = outcome(found, config.max_f1_drop)
        kept = [cost["name"] for cost in report["kept_in_float"]]
        step = Step(
            technique="selective",
            config={
                "format": target,
                **asdict(config),
                **report,
                **calibration_record(calibration_ids, changed),
            },
            parent_sha256=parent.manifest.payload_sha256,
        )
        made = derive_artifact(
            folder,
            parent,
            fill=lambda path: _WRITERS[target](mixer.mixed(kept), path, parent, variant),
            variant=variant,
            step=step,
        )
    state.unlink(missing_ok=True)
    return made


def search(
    mixer: Mixer,
    photos: Pixels,
    config: SelectiveConfig,
    judge: Callable[[Any], float],
    state_file: Path,
    key: str,
    progress: Progress,
) -> SearchState:
    """Rank the layers and score variants until the bound is met or the budget spent.

    Args:
        mixer: the network.
        photos: ``(photo, height, width, 3)`` uint8, to rank layers on.
        config: bound and budget.
        judge: returns the score of what ``mixer`` gives.
        state_file: where the search is kept after every step, and goes on from.
        key: digest of all that the search depends on.
        progress: told of the layers ranked.

    Raises:
        ConversionError: no layer can be quantized.
    """
    state = read_state(SearchState, state_file, key)
    layers = mixer.layers()
    if not layers:
        raise ConversionError("selective int8: the network has no layer that can be quantized")
    ranked = {cost.name for cost in state.costs}
    progress.begin("ranking layers", len(layers))
    for layer in layers:
        progress.advance()
        if layer.name not in ranked:
            decibels = mixer.cost(layer.name, photos)
            cost = LayerCost(name=layer.name, operator=layer.operator, sqnr_db=decibels)
            state = state.model_copy(update={"costs": (*state.costs, cost)})
            save_state(state_file, state)
    if state.float_score is None:
        state = state.model_copy(update={"float_score": judge(mixer.in_float())})
        save_state(state_file, state)
    assert state.float_score is not None
    worst = [cost.name for cost in worst_first(state.costs)]
    least = state.float_score - config.max_f1_drop
    while state.evaluations < config.evaluations:
        count = next_count(state.scores, least, len(worst))
        if count is None:
            break
        found = judge(mixer.mixed(worst[:count]))
        state = state.model_copy(update={"scores": {**state.scores, count: found}})
        save_state(state_file, state)
    while state.evaluations < config.evaluations:
        kept = spare(state, worst, least).untried
        if kept is None:
            break
        found = judge(mixer.mixed(kept))
        state = state.model_copy(update={"trials": {**state.trials, trial_key(kept): found}})
        save_state(state_file, state)
    return state


def _free_of_budget(config: SelectiveConfig) -> dict[str, Any]:
    """Return the settings that earlier findings depend on: not the bound, not the budget."""
    found = {**asdict(config), "weight_bits": 7 if config.reduces_range() else 8}
    return {key: found[key] for key in found if key not in ("max_f1_drop", "evaluations")}


def _mixer(
    model: Any, target: Format, calibration: Pixels, config: SelectiveConfig, scratch: Path
) -> Mixer:
    if target == "onnx":
        return OnnxMixer(model, calibration, config, scratch)
    return LitertMixer(model, calibration, config)
