"""``threadlite optimize rewrite --for RUNTIME``: the rewrites that pay there, by racing."""

import shutil
import statistics
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.layer_times import ProfilePlan, profile_model
from bench.race import race_files
from bench.record_layers import OperatorTimes
from deploy.parity import Parity, check_parity, require_parity
from optimize.convert import load_keras
from optimize.quantize import choose_calibration
from optimize.rewrite_artifact import compared_pictures
from optimize.rewrite_runtime import RUNTIME_REWRITES, Built, build_file, write_rewritten
from optimize.rewrite_search import Searched, Trial, rewrites_that_pay
from optimize.techniques import checked_config
from threadlite.commands import reopen_dataset
from threadlite.options import parse_settings
from train.artifact import Artifact, open_artifact
from train.dataset import Dataset
from train.errors import ConfigError, ConversionError, UsageError
from train.pixels import Pixels, load_pixels
from train.predict import predict
from train.progress import Progress
from train.splits import select
from train.storage import plain_write_errors

RUNTIME_WORDS = {"litert": "litert", "ort": "onnxruntime"}
ALL = "all"
KINDS = 10  # of operators in the profile: the rest are of no weight


@dataclass(frozen=True, kw_only=True)
class RaceConfig:
    """What is tried, and how it is timed.

    Attributes:
        rewrites: ``all`` for every exact one that the runtime has, or names joined by ``+``.
        allow: inexact ones to try too, joined by ``+``, such as ``int8-products``.
        least_gain: share of the time that a rewrite must save to be kept, in [0, 1).
        rounds: turns of each file in a race, five timed calls each, at least 1.
        threads: of the runtime, at least 1.
        photos: how many photos the answers are compared on, and how many training photos a rewrite
            that calibrates finds its ranges on, at least 1.
    """

    rewrites: str = ALL
    allow: str = ""
    least_gain: float = 0.01
    rounds: int = 10
    threads: int = 2
    photos: int = 32

    def __post_init__(self) -> None:
        for name in ("rounds", "threads", "photos"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")

    def names(self, runtime: str) -> tuple[str, ...]:
        """Return the rewrites to try on ``runtime``, in the order that they are applied in.

        Raises:
            ConfigError: the runtime has none of a name.
        """
        known = RUNTIME_REWRITES[runtime]
        chosen = known.exact if self.rewrites == ALL else self.rewrites.split("+")
        wanted = [*chosen, *filter(None, self.allow.split("+"))]
        known.require(wanted)
        refused = sorted(set(wanted) - set(known.exact) - set(self.allow.split("+")))
        if refused:
            raise ConfigError(
                f"{', '.join(refused)} changes answers; allow it with --set allow={refused[0]}"
            )
        return tuple(name for name in known.names if name in wanted)


@dataclass(kw_only=True)
class RaceTrack:
    """One network on one runtime, with what was built of it so far."""

    model: Any
    runtime: str
    config: RaceConfig
    picture: Pixels
    calibration: Pixels | None
    scratch: Path
    progress: Progress
    _files: list[tuple[Built, Path]] = field(default_factory=list)

    def build(self, names: tuple[str, ...]) -> Built:
        """Return the file with these rewrites."""
        self.progress.say(f"converting with {', '.join(names) or 'no rewrite'}")
        built = build_file(self.model, self.runtime, names, pictures=self.calibration)
        kind = RUNTIME_REWRITES[self.runtime].format
        path = self.scratch / f"{len(self._files)}.{kind}"
        path.write_bytes(built.serialized)
        self._files.append((built, path))
        return built

    def race(self, first: Built, second: Built) -> tuple[float, float]:
        """Return the median duration of a call of each file in ms."""
        times = race_files(
            [self._path(first), self._path(second)],
            self.runtime,
            threads=self.config.threads,
            picture=self.picture,
            rounds=self.config.rounds,
        )
        return statistics.median(times[0]), statistics.median(times[1])

    def profile(self, built: Built) -> list[OperatorTimes]:
        """Return the times of every operator of a file."""
        found = profile_model(
            self._path(built),
            self.runtime,
            self.picture[np.newaxis],
            threads=self.config.threads,
            plan=ProfilePlan(),
        )
        return [OperatorTimes.model_validate(one) for one in found["operators"]]

    def _path(self, built: Built) -> Path:
        return next(path for one, path in self._files if one is built)


def rewrite_for_runtime(arguments: Namespace, progress: Any) -> list[str]:
    """Write the runtime's file with the rewrites that pay there; return what was found, in lines.

    Args:
        arguments: words of the command: ``technique``, ``artifact``, ``runtime``, ``set``,
            ``out`` (must not exist), ``data`` and its columns.
        progress: a ``Display``.

    Raises:
        UsageError: the technique is not ``rewrite``.
        ConversionError: no rewrite pays, or the network cannot be rewritten or converted.
        ParityError: the file answers otherwise than its network.
        RuntimeFailure: the runtime refuses a file.
    """
    if arguments.technique != "rewrite":
        raise UsageError(f"--for is a word of rewrite, not of {arguments.technique}; leave it out")
    config = checked_config("rewrite", RaceConfig, parse_settings(arguments.set))
    runtime = RUNTIME_WORDS[arguments.runtime]
    names = config.names(runtime)
    parent = open_artifact(arguments.artifact)
    dataset = reopen_dataset(parent, arguments, progress)
    pictures = compared_pictures(parent, dataset, config.photos)
    with tempfile.TemporaryDirectory(prefix="threadlite-race-") as scratch:
        track = RaceTrack(
            model=load_keras(parent),
            runtime=runtime,
            config=config,
            picture=pictures[0],
            calibration=_calibration(parent, dataset, config, runtime),
            scratch=Path(scratch),
            progress=progress,
        )
        found = rewrites_that_pay(names, track.build, track.race, least_gain=config.least_gain)
        made, parity = _written(parent, track, found, pictures, arguments.out)
        bought = _bought_lines(track, found.built)
    return [
        *trial_lines(found.trials),
        "",
        *bought,
        f"answers on {parity.images} photos: the same best class on"
        f" {parity.argmax_agreement:.1%}, probabilities within {parity.max_difference:.2g}",
        f"{made.manifest.variant} in {made.folder}",
    ]


def _calibration(
    parent: Artifact, dataset: Dataset, config: RaceConfig, runtime: str
) -> Pixels | None:
    """Return training photos to calibrate on; ``None`` where no rewrite that is tried does so."""
    names = config.names(runtime)
    files = RUNTIME_REWRITES[runtime].file
    if not any(files[name].calibrated for name in names if name in files):
        return None
    chosen = choose_calibration(parent.split().train, config)
    return load_pixels(select(dataset.photos, chosen), parent.manifest.pixels)


def _bought_lines(track: RaceTrack, rewritten: Built) -> list[str]:
    """Return the profile before and after, and what all rewrites together bought."""
    try:
        plain = track.build(())
    except ConversionError as error:
        return [f"there is no plain export to compare it with: {error}"]
    before_ms, after_ms = track.race(plain, rewritten)
    return [
        *profile_lines(track.profile(plain), track.profile(rewritten)),
        "",
        f"plain export {before_ms:.2f} ms, rewritten {after_ms:.2f} ms: {before_ms / after_ms:.2f}"
        f" times as fast on {track.runtime}, {track.config.threads} threads",
    ]


def _written(
    parent: Artifact, track: RaceTrack, found: Searched, pictures: Pixels, folder: Path
) -> tuple[Artifact, Parity]:
    """Write the artifact once its answers are seen to be those of the network."""
    draft = folder.parent / f".rewriting-{folder.name}"
    shutil.rmtree(draft, ignore_errors=True)  # of one that was killed
    kept = [trial.rewrite for trial in found.trials if trial.kept]
    undone = [trial.rewrite for trial in found.trials if not trial.kept]
    try:
        made = write_rewritten(
            parent, track.runtime, found.built, draft, {"kept": [*kept], "undone": [*undone]}
        )
        probabilities = predict(track.model, pictures)
        parity = check_parity(made, probabilities, pictures, threads=track.config.threads)
        require_parity([parity])
        with plain_write_errors(folder):
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return open_artifact(folder), parity


def trial_lines(trials: Sequence[Trial]) -> list[str]:
    """Return what each rewrite bought, a line each under a heading."""
    rows = [("rewrite", "places", "without, ms", "with, ms", "bought", "")]
    rows += [
        (
            trial.rewrite,
            str(len(trial.layers)),
            _milliseconds(trial.without_ms),
            _milliseconds(trial.with_ms),
            "needed" if trial.gain is None else f"{100 * trial.gain:.1f} %",
            "kept" if trial.kept else "undone",
        )
        for trial in trials
    ]
    return list(_aligned(rows))


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def profile_lines(before: Sequence[OperatorTimes], after: Sequence[OperatorTimes]) -> list[str]:
    """Return the time in each kind of operator before and after, the costliest first."""
    sides = [_by_kind(operators) for operators in (before, after)]
    kinds = sorted(
        {*sides[0], *sides[1]}, key=lambda kind: -max(s.get(kind, _NONE)[1] for s in sides)
    )
    rows = [("operator", "before", "ms", "after", "ms")]
    for kind in kinds[:KINDS]:
        cells = [cell for side in sides for cell in _cells(*side.get(kind, _NONE))]
        rows.append((kind, cells[0], cells[1], cells[2], cells[3]))
    totals = [f"{sum(us for _, us in side.values()) / 1e3:.2f}" for side in sides]
    rows.append(("all", str(len(before)), totals[0], str(len(after)), totals[1]))
    return list(_aligned(rows))


_NONE = (0, 0.0)


def _cells(count: int, microseconds: float) -> tuple[str, str]:
    return str(count), f"{microseconds / 1e3:.2f}"


def _by_kind(operators: Sequence[OperatorTimes]) -> dict[str, tuple[int, float]]:
    """Return how many operators there are of each kind, and their time in microseconds."""
    found: dict[str, tuple[int, float]] = {}
    for one in operators:
        count, microseconds = found.get(one.operator, _NONE)
        found[one.operator] = count + 1, microseconds + one.median_us
    return found


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines: the first column to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        right = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join((f"{row[0]:<{widths[0]}}", *right)).rstrip()
