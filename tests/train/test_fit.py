import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.train.small_network import Cut, CutAfter
from train.artifact import HISTORY_NAME, open_artifact
from train.checkpoint import LOG_NAME
from train.errors import ArtifactError, ConfigError, DataError, WeightsError
from train.fit import train_approach
from train.keras_file import load_keras
from train.loop import Trainer
from train.metrics import weighted_f1
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Progress
from train.splits import select
from train.training import Training

Make = Callable[..., Training]


def validation_score(training: Training, payload: Path) -> float:
    """The weighted F1 of a stored network on the validation photos' pixels."""
    photos = select(training.dataset.photos, training.split.validation)
    pixels = load_pixels(photos, training.contract)
    predictions = predict(load_keras(payload), pixels).argmax(axis=1)
    return weighted_f1(training.rows().of_validation(), predictions.tolist(), 3)


def test_training_learns_and_keeps_its_best_weights(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(epochs=10)
    artifact = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    scores = [epoch["validation_f1"] for epoch in history["epochs"]]
    assert max(scores) > 0.8  # chance is 0.33
    kept = validation_score(training, artifact.payload)
    assert kept == pytest.approx(max(scores), abs=1e-9)
    assert not (tmp_path / "ck").exists()


def test_cut_off_training_ends_with_the_same_bytes(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(epochs=3)
    whole = train_approach(training, tmp_path / "whole", checkpoints=tmp_path / "ck1")
    for _ in range(2):
        with pytest.raises(Cut):
            train_approach(
                training, tmp_path / "cut", checkpoints=tmp_path / "ck2", progress=CutAfter(1)
            )
    assert not (tmp_path / "cut").exists()
    assert len(json.loads((tmp_path / "ck2" / LOG_NAME).read_text())["epochs"]) == 2
    cut = train_approach(training, tmp_path / "cut", checkpoints=tmp_path / "ck2")
    assert cut.manifest == whole.manifest


def test_a_refit_trains_on_validation_photos_too_and_keeps_the_last_epoch(
    shapes_training: Make, tmp_path: Path
) -> None:
    training = shapes_training(epochs=2)
    split = training.split
    artifact = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck", refit=True)
    kept = artifact.split()
    assert kept.train == tuple(sorted(split.train + split.validation))
    assert (kept.validation, kept.test) == ((), split.test)
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    batch = training.recipe.batch_size
    assert history["images_per_epoch"] == len(kept.train) // batch * batch
    assert [epoch["validation_f1"] for epoch in history["epochs"]] == [None, None]
    assert all(epoch["best"] for epoch in history["epochs"])


def test_checkpoints_of_another_training_are_refused(shapes_training: Make, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        train_approach(
            shapes_training(), tmp_path / "a", checkpoints=tmp_path / "ck", progress=CutAfter(1)
        )
    with pytest.raises(ArtifactError, match="holds a training with other settings"):
        train_approach(
            shapes_training(learning_rate=1e-4), tmp_path / "a", checkpoints=tmp_path / "ck"
        )


def test_patience_stops_a_training_that_gets_no_better(
    shapes_training: Make, tmp_path: Path
) -> None:
    training = shapes_training(epochs=30, patience=2, learning_rate=1e-12)
    artifact = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    assert len(history["epochs"]) < 10


def test_loss_that_is_no_number_stops_with_a_cure(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(learning_rate=1e30)
    with pytest.raises(ConfigError, match=r"lower learning_rate \(now 1e\+30\) or weight_decay"):
        train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    assert not (tmp_path / "net").exists()


def test_a_later_loss_that_is_no_number_leaves_the_epochs_before_it(
    shapes_training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, run_epoch = shapes_training(epochs=3), Trainer.run_epoch
    whole = train_approach(training, tmp_path / "whole", checkpoints=tmp_path / "ck1")

    def broken(trainer: Trainer, epoch: int, progress: Progress) -> float:
        return math.nan if epoch == 2 else run_epoch(trainer, epoch, progress)

    with monkeypatch.context() as patch, pytest.raises(ConfigError, match="numbers in epoch 3"):
        patch.setattr(Trainer, "run_epoch", broken)
        train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    assert not (tmp_path / "net").exists()
    assert len(json.loads((tmp_path / "ck" / LOG_NAME).read_text())["epochs"]) == 2
    again = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    assert again.manifest == whole.manifest


def test_head_alone_is_fitted_to_frozen_features(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(epochs=0, head_first=True)
    artifact = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck")
    history = json.loads((artifact.folder / HISTORY_NAME).read_text())
    kept = validation_score(training, artifact.payload)
    assert kept == pytest.approx(history["head_validation_f1"])
    assert history["head"].startswith("lda (")
    assert history["epochs"] == []
    assert kept > 0.5  # random features and a linear head: above chance, 0.33


def test_manifest_tells_all_that_made_it(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training(epochs=1)
    made = train_approach(training, tmp_path / "net", checkpoints=tmp_path / "ck").manifest
    assert open_artifact(tmp_path / "net").manifest == made
    assert made.variant == "custom-cnn.float.keras"
    assert made.dataset.fingerprint == training.dataset.fingerprint
    assert made.steps[0].config["recipe"]["epochs"] == 1  # type: ignore[index,call-overload]
    assert made.weights.source == "random"
    assert str(tmp_path) not in made.model_dump_json()


def test_frozen_prefix_of_no_layer_is_refused(shapes_training: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frozen prefix 'trunk' names no layer"):
        train_approach(
            shapes_training(frozen=("trunk",)), tmp_path / "net", checkpoints=tmp_path / "ck"
        )


def test_frozen_layers_keep_their_weights(shapes_training: Make, tmp_path: Path) -> None:
    one = train_approach(
        shapes_training(epochs=1, frozen=("stem",), freeze_batch_norm=True),
        tmp_path / "one",
        checkpoints=tmp_path / "ck",
    )
    two = train_approach(
        shapes_training(epochs=2, frozen=("stem",), freeze_batch_norm=True),
        tmp_path / "two",
        checkpoints=tmp_path / "ck",
    )
    models = [load_keras(artifact.payload) for artifact in (one, two)]
    for layer in models[0].layers:
        first, second = layer.get_weights(), models[1].get_layer(layer.name).get_weights()
        same = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        if first:
            kept = layer.name.startswith("stem") or "bn" in layer.name or "norm" in layer.name
            assert same == kept, layer.name


def test_batch_larger_than_the_photos_is_refused(shapes_training: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch_size 500 is more than the \d+ training photos"):
        train_approach(
            shapes_training(batch_size=500), tmp_path / "net", checkpoints=tmp_path / "ck"
        )


def test_folder_in_the_way_is_kept(shapes_training: Make, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(ArtifactError, match="exists already"):
        train_approach(shapes_training(), tmp_path / "net", checkpoints=tmp_path / "ck")


def test_empty_side_is_said(shapes_training: Make, tmp_path: Path) -> None:
    training = shapes_training()
    bare = training.split.model_copy(update={"validation": ()})
    with pytest.raises(DataError, match="leave the validation side of the split empty"):
        train_approach(
            Training(**{**vars(training), "split": bare}),
            tmp_path / "net",
            checkpoints=tmp_path / "ck",
        )


def test_key_follows_the_content_of_the_weights(shapes_training: Make, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.npz", "copy.npz", "other.npz")]
    for path, content in zip(files, (b"a", b"a", b"b"), strict=True):
        path.write_bytes(content)
    training = shapes_training()
    one, copy, other = (replace(training, weights=str(path)).key for path in files)
    assert one == copy
    assert one != other
    assert one != training.key


def test_missing_weights_are_said_before_the_work(shapes_training: Make, tmp_path: Path) -> None:
    training = replace(shapes_training(), weights=str(tmp_path / "ghost.npz"))
    with pytest.raises(WeightsError, match=r"ghost\.npz: No such file"):
        _ = training.key


@pytest.mark.parametrize("seed", [-1, 2**14])
def test_seed_out_of_range_is_refused(shapes_training: Make, seed: int) -> None:
    with pytest.raises(ConfigError, match=r"seed must be in \[0, 16384\)"):
        replace(shapes_training(), seed=seed)


def test_split_that_is_not_the_manifests_is_refused(shapes_training: Make, tmp_path: Path) -> None:
    train_approach(shapes_training(epochs=1), tmp_path / "net", checkpoints=tmp_path / "ck")
    path = tmp_path / "net" / "split.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ArtifactError, match="not the split that the manifest names"):
        open_artifact(tmp_path / "net").split()
