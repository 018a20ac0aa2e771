"""Swept int8: method and size of the calibration are chosen on the validation photos.

Which method finds the better ranges differs from network to network, and no rule tells
beforehand. It buys F1 where plain int8 loses some; speed and bytes stay those of int8. The choice
is made on the score of few hundred photos, so that a difference of a point may be chance.
Source: Wu et al. 2020, arXiv:2004.09602, section 4 (methods of calibration compared).
"""

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from optimize.convert import load_keras, write_onnx, write_tflite
from optimize.quantize import (
    CALIBRATIONS,
    QuantizeConfig,
    calibration_record,
    integer_onnx,
    integer_tflite,
    named,
    reaching_both_ends,
    require_calibration,
)
from optimize.search_state import read_state, save_state
from optimize.sweep_search import (
    Method,
    SweepState,
    Trial,
    best_trial,
    next_trial,
    worded,
)
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ArtifactError, ConfigError, ConversionError, RuntimeFailure
from train.pixels import Pixels
from train.progress import Progress, Silent
from train.storage import digest_of
from train.variant import Format

Score = Callable[[Path], float]
_LEAST_PHOTOS = 8


@dataclass(frozen=True, kw_only=True)
class SweptConfig(QuantizeConfig):
    """What is tried.

    Attributes:
        photos: the most calibration photos.
        sizes: smaller numbers of photos to try too, joined by ``+``; those that are not below
            ``photos`` are left out.
        percentiles: percent of the values that ``percentile`` keeps, joined by ``+``.
        backend: not looked at: all that write the format are tried.
        calibration: not looked at: all that the backends have are tried.
        percentile: not looked at.
    """

    sizes: str = "32+100"
    percentiles: str = "99.99+99.999"

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in self._numbers("sizes"):
            if size < _LEAST_PHOTOS or size != int(size):
                raise ConfigError(f"sizes must be whole numbers from {_LEAST_PHOTOS}, got {size:g}")
        for percent in self._numbers("percentiles"):
            replace(self.plain(), percentile=percent)

    def _numbers(self, name: str) -> tuple[float, ...]:
        text = getattr(self, name)
        try:
            return tuple(float(part) for part in text.split("+") if part)
        except ValueError:
            raise ConfigError(f"{name} must be numbers joined by +, got {text!r}") from None

    def plain(self) -> QuantizeConfig:
        """Return the settings that plain int8 has."""
        return QuantizeConfig(
            photos=self.photos,
            seed=self.seed,
            onnx_activations=self.onnx_activations,
            onnx_reduce_range=self.onnx_reduce_range,
        )

    def photo_counts(self, there: int) -> tuple[int, ...]:
        """Return the numbers of photos to try where ``there`` are, the most first."""
        most = min(self.photos, there)
        fewer = {int(size) for size in self._numbers("sizes") if size < most}
        return (most, *sorted(fewer, reverse=True))

    def methods(self, target: Format) -> tuple[Method, ...]:
        """Return the methods that ``target`` has, the plainest first."""
        found = []
        for (kind, backend), names in CALIBRATIONS.items():
            for name in names if kind == target else ():
                percents = self._numbers("percentiles") if name == "percentile" else (0.0,)
                found += [Method(backend, name, percent) for percent in percents]
        return tuple(found)


def quantize_swept(
    parent: Artifact,
    target: Format,
    calibration: Pixels,
    calibration_ids: Sequence[str],
    folder: Path,
    config: SweptConfig | None = None,
    *,
    score: Score,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Write ``parent`` in full int8, calibrated in the way that scores best.

    A way that a backend or a runtime refuses is kept with its reason and passed over.

    Args:
        parent: a Keras artifact.
        target: ``tflite`` or ``onnx``.
        calibration: ``(photo, height, width, 3)`` uint8, real photos of the training side.
        calibration_ids: their ids, in the same order; the manifest records those of the choice.
        folder: where the new artifact goes; must not exist.
        config: what is tried; the defaults if ``None``.
        score: of a model file, in [0, 1], such as weighted F1 on the validation photos.
        state: where the sweep is kept until the artifact is whole; beside ``folder`` if ``None``.
        progress: told of what is tried.

    Raises:
        ConversionError: the parent is no Keras artifact, the calibration photos do not fit it,
            or it can be calibrated in no way.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    config, told = config or SweptConfig(), progress or Silent()
    require_calibration(parent, calibration, calibration_ids)
    if folder.exists():  # said now, not after the sweep
        raise ArtifactError(f"{folder} exists; remove it or name another folder")
    state = state or folder.with_name(f"{folder.name}.sweep.json")
    ways = _Ways(parent, target, config, calibration, calibration_ids)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"trial.{target}"

        def judge(method: Method, photos: int) -> float:
            told.say(f"swept: {worded(method)} on {photos} photos")
            ways.write(method, photos, path)
            return score(path)

        trials = sweep(
            config.methods(target),
            config.photo_counts(len(calibration_ids)),
            judge,
            state,
            ways.key(),
        )
    best = best_trial(trials)
    if best is None:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in trials))
        raise ConversionError(f"{parent.manifest.variant}: no way of calibrating works: {reasons}")
    made = derive_artifact(
        folder,
        parent,
        fill=lambda path: ways.write(best.method, best.photos, path),
        variant=ways.variant,
        step=ways.step(best, trials),
    )
    state.unlink(missing_ok=True)
    return made


def sweep(
    methods: Sequence[Method],
    sizes: Sequence[int],
    judge: Callable[[Method, int], float],
    state_file: Path,
    key: str,
) -> tuple[Trial, ...]:
    """Score ways of calibrating until the best one is found.

    Args:
        methods: in the order that they are tried in.
        sizes: numbers of photos.
        judge: returns the score of one method on so many photos.
        state_file: where the sweep is kept after every score, and goes on from.
        key: digest of all that the sweep depends on.
    """
    state = read_state(SweepState, state_file, key)
    while (wanted := next_trial(methods, sizes, state.trials)) is not None:
        method, photos = wanted
        try:
            trial = Trial(method=method, photos=photos, score=judge(method, photos))
        except (ConversionError, RuntimeFailure) as error:
            trial = Trial(method=method, photos=photos, score=None, reason=str(error))
        state = state.model_copy(update={"trials": (*state.trials, trial)})
        save_state(state_file, state)
    return state.trials


class _Ways:
    """One network in one format, calibrated in any way."""

    def __init__(
        self,
        parent: Artifact,
        target: Format,
        config: SweptConfig,
        calibration: Pixels,
        ids: Sequence[str],
    ) -> None:
        self.variant = named(parent, config.plain(), target, "swept")
        self._parent, self._target, self._config = parent, target, config
        self._calibration, self._ids = calibration, ids
        self._model = load_keras(parent)

    def key(self) -> str:
        """Return a digest of all that scores depend on."""
        config = {**asdict(self._config), "reduced": self._config.reduces_range()}
        return digest_of(
            [self._parent.manifest.payload_sha256, self._target, config, list(self._ids)]
        )

    def write(self, method: Method, photos: int, path: Path) -> None:
        """Write the file, calibrated by ``method`` on so many of the photos."""
        pixels, _ = self._pixels(method, photos)
        config = self._settings(method, photos)
        if self._target == "onnx":
            content = integer_onnx(self._model, pixels, config)
            write_onnx(content, path, self._parent, self.variant)
        else:
            plain = integer_tflite(self._model, pixels, config)
            write_tflite(plain, path, self._parent, self.variant)

    def step(self, best: Trial, trials: Sequence[Trial]) -> Step:
        """Return what a manifest says: every setting of the best way, and all that was tried."""
        _, changed = self._pixels(best.method, best.photos)
        ids = [self._ids[place] for place in self._places(best.photos)]
        return Step(
            technique="swept",
            config={
                "format": self._target,
                **asdict(self._config),
                **asdict(self._settings(best.method, best.photos)),
                "score": best.score,
                "trials": [trial.model_dump(mode="json") for trial in trials],
                **calibration_record(ids, changed),
            },
            parent_sha256=self._parent.manifest.payload_sha256,
        )

    def _settings(self, method: Method, photos: int) -> QuantizeConfig:
        plain = replace(
            self._config.plain(),
            photos=photos,
            backend=method.backend,
            calibration=method.calibration,
        )
        return replace(plain, percentile=method.percentile) if method.percentile else plain

    def _places(self, photos: int) -> list[int]:
        """Return which of the photos a smaller number of them is."""
        chosen = random.Random(self._config.seed).sample(range(len(self._ids)), photos)
        return sorted(chosen)

    def _pixels(self, method: Method, photos: int) -> tuple[Pixels, int]:
        pixels = self._calibration[self._places(photos)]
        return reaching_both_ends(pixels, self._target, method.backend)
