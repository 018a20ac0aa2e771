"""Swept calibration: what is tried in which order, by hand, and on files of both formats."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.litert import open_litert
from deploy.onnxrt import open_onnxruntime
from optimize.quantize import QuantizeConfig
from optimize.sweep import SweptConfig, quantize_swept, sweep
from optimize.sweep_search import Method, Trial, best_trial, next_trial, sentences, worded
from tests.tiny_models import TRAIN_IDS, pictures
from train.artifact import Artifact
from train.errors import ArtifactError, ConfigError, ConversionError
from train.variant import Format

PLAIN, EDGE = Method("converter", "min-max", 0.0), Method("ai-edge-quantizer", "mse", 0.0)
CUT = Method("converter", "percentile", 99.9)


def scored(method: Method, photos: int, score: float | None, reason: str = "") -> Trial:
    return Trial(method=method, photos=photos, score=score, reason=reason)


def test_methods_are_compared_on_most_photos_and_the_best_goes_on_with_fewer(
    tmp_path: Path,
) -> None:
    scores = {
        (PLAIN, 200): 0.80, (EDGE, 200): 0.85, (CUT, 200): 0.85, (EDGE, 100): 0.86, (EDGE, 32): 0.7
    }  # fmt: skip
    asked: list[tuple[Method, int]] = []

    def judge(method: Method, photos: int) -> float:
        asked.append((method, photos))
        return scores[method, photos]

    trials = sweep((PLAIN, EDGE, CUT), (32, 200, 100), judge, tmp_path / "s.json", "k")
    assert asked == [(PLAIN, 200), (EDGE, 200), (CUT, 200), (EDGE, 100), (EDGE, 32)]
    best = best_trial(trials)
    assert best is not None
    assert (best.method, best.photos, best.score) == (EDGE, 100, 0.86)
    told = sentences({"trials": [trial.model_dump(mode="json") for trial in trials]})
    assert told[0] == "mse by ai-edge-quantizer on 100 photos: validation F1 0.860, chosen"
    assert told[-1] == "mse by ai-edge-quantizer on 32 photos: validation F1 0.700"
    assert len(told) == 5


def test_a_tie_leaves_the_plainest_method_and_the_most_photos() -> None:
    trials = [scored(PLAIN, 200, 0.8), scored(EDGE, 200, 0.8), scored(PLAIN, 32, 0.8)]
    assert best_trial(trials) == trials[0]


def test_a_way_that_is_refused_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    def judge(method: Method, photos: int) -> float:
        if method == PLAIN:
            raise ConversionError("no such form")
        return 0.0  # a score all the same

    trials = sweep((PLAIN, EDGE), (8,), judge, tmp_path / "s.json", "k")
    assert trials == (scored(PLAIN, 8, None, "no such form"), scored(EDGE, 8, 0.0))
    assert best_trial(trials) == trials[1]
    told = sentences({"trials": [trial.model_dump(mode="json") for trial in trials]})
    assert told[1] == "min-max by converter on 8 photos: no such form"
    assert best_trial(trials[:1]) is None
    assert next_trial((PLAIN,), (8, 16), [scored(PLAIN, 16, None)]) is None


def test_a_sweep_that_was_killed_pays_for_nothing_twice(tmp_path: Path) -> None:
    asked: list[int] = []

    def judge(method: Method, photos: int) -> float:
        if len(asked) == 2:
            asked.append(-1)
            raise KeyboardInterrupt
        asked.append(photos)
        return 0.5

    state = tmp_path / "s.json"
    with pytest.raises(KeyboardInterrupt):
        sweep((PLAIN, EDGE), (64, 32), judge, state, "k")
    assert len(json.loads(state.read_text())["trials"]) == 2
    sweep((PLAIN, EDGE), (64, 32), judge, state, "k")
    assert asked == [64, 64, -1, 32]
    sweep((PLAIN, EDGE), (64, 32), judge, state, "other")  # nothing of another sweep is taken
    assert asked[4:] == [64, 64, 32]


def test_each_format_has_its_methods_the_plainest_first() -> None:
    config = SweptConfig(percentiles="99+99.9")
    assert [worded(method) for method in config.methods("tflite")] == [
        "min-max by converter",
        "min-max by ai-edge-quantizer",
        "average by ai-edge-quantizer",
        "mse by ai-edge-quantizer",
    ]
    assert [worded(method) for method in config.methods("onnx")] == [
        "percentile 99 by converter",
        "percentile 99.9 by converter",
        "min-max by converter",
        "entropy by converter",
    ]
    assert config.photo_counts(500) == (200, 100, 32)
    assert config.photo_counts(60) == (60, 32)
    assert config.photo_counts(32) == (32,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": "7"}, "sizes must be whole numbers from 8, got 7"),
        ({"sizes": "9.5"}, "sizes must be whole numbers from 8, got 9.5"),
        ({"sizes": "many"}, "sizes must be numbers joined by [+], got 'many'"),
        ({"percentiles": "40"}, r"percentile must be in \(50, 100\], got 40"),
        ({"photos": 4}, "photos must be at least 8"),
    ],
)
def test_settings_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SweptConfig(**settings)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_the_best_way_is_written_and_the_manifest_says_what_was_tried(
    parent: Artifact, tmp_path: Path, target: Format
) -> None:
    """Of the variants that answer nearest to float on pictures not calibrated on."""
    from train.keras_file import load_keras

    shown = pictures(40)[24:]
    exact = load_keras(parent.payload).predict(shown.astype(np.float32), verbose=0)
    open_model = open_litert if target == "tflite" else open_onnxruntime
    found: list[float] = []

    def score(model: Path) -> float:
        answers = open_model(model, threads=1).predict(shown)
        found.append(float(1.0 - np.abs(answers - exact).mean()))
        return found[-1]

    config = SweptConfig(photos=24, sizes="8", percentiles="90+99.99")
    made = quantize_swept(
        parent, target, pictures(24), TRAIN_IDS, tmp_path / "out", config, score=score
    )
    assert made.manifest.variant == f"tiny.swept.int8.{target}"
    step: dict[str, Any] = made.manifest.steps[-1].config
    assert [trial["score"] for trial in step["trials"]] == found
    assert len(found) == 5  # four methods, and the best of them on fewer photos
    assert step["score"] == max(found)
    assert len(set(found)) > 1  # else nothing was chosen
    best = next(trial for trial in step["trials"] if trial["score"] == max(found))
    assert [step["backend"], step["calibration"]] == best["method"][:2]
    assert len(step["calibration_ids"]) == best["photos"] == step["photos"]
    assert set(step["calibration_ids"]) <= set(TRAIN_IDS)
    scored_again = list(found)
    assert score(made.payload) == max(scored_again)  # the file written is the one that scored
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_in_the_way_is_refused_before_the_sweep(parent: Artifact, tmp_path: Path) -> None:
    def never(model: Path) -> float:
        raise AssertionError("scored")

    with pytest.raises(ArtifactError, match="exists; remove it or name another"):
        quantize_swept(parent, "onnx", pictures(24), TRAIN_IDS, tmp_path, score=never)


def test_what_plain_int8_has_is_kept() -> None:
    config = SweptConfig(photos=50, seed=3, onnx_activations="int8", backend="ai-edge-quantizer")
    assert config.plain() == QuantizeConfig(photos=50, seed=3, onnx_activations="int8")
    assert replace(config, sizes="8").photo_counts(50) == (50, 8)
