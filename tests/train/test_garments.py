import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from train.backend import keras, make_repeatable, tensorflow
from train.errors import UsageError
from train.garments import (
    GARMENT_COUNTS,
    SENDERS,
    draw_sender,
    render_garments,
    render_picture,
    sender_of,
)
from train.wardrobe import DRAWINGS
from train.wardrobe.sewing import into_box

GOLDEN = Path(__file__).parents[1] / "golden" / "garments.json"
CLOTHING_CLASSES = [
    *("Blazer", "Blouse", "Body", "Dress", "Hat", "Hoodie", "Longsleeve", "Outwear", "Pants"),
    *("Polo", "Shirt", "Shoes", "Shorts", "Skirt", "T-Shirt", "Top", "Undershirt"),
]


def _small(picture: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    small = picture.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.uint8)


def _pictures(
    per_class: int, side: int, first: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    wanted = [(label, first + index) for label in DRAWINGS for index in range(per_class)]
    pixels = np.stack([_small(render_picture(label, index, 0), side) for label, index in wanted])
    return pixels, np.array([CLOTHING_CLASSES.index(label) for label, _ in wanted])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three pictures a class, for what does not need them all."""
    path = tmp_path_factory.mktemp("garments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.garments.GARMENT_COUNTS", dict.fromkeys(GARMENT_COUNTS, 3))
        render_garments(path, seed=0)
    return path


def test_classes_are_those_of_the_clothing_dataset() -> None:
    assert list(GARMENT_COUNTS) == CLOTHING_CLASSES
    assert list(DRAWINGS) == CLOTHING_CLASSES


def test_counts_are_mildly_uneven() -> None:
    assert 1_200 <= sum(GARMENT_COUNTS.values()) <= 1_500
    assert min(GARMENT_COUNTS.values()) >= 40
    assert 1.5 <= max(GARMENT_COUNTS.values()) / min(GARMENT_COUNTS.values()) <= 2.5


@pytest.mark.parametrize("label", CLOTHING_CLASSES)
def test_pictures_are_as_they_were(label: str) -> None:
    # A change here means: raise GARMENTS_VERSION and write the golden file anew. Compared are the
    # means of 4 x 4 fields of the picture; a Pillow that draws an edge pixel otherwise moves them
    # by less than a grey level, a change in the order of random numbers by tens.
    golden = np.array(json.loads(GOLDEN.read_text())[label])
    picture = np.asarray(render_picture(label, 0, 0), dtype=np.float64)
    fields = [
        [column.mean() for column in np.array_split(row, 4, axis=1)]
        for row in np.array_split(picture, 4, axis=0)
    ]
    np.testing.assert_allclose(np.array(fields), golden, atol=2.0)


def test_a_picture_depends_on_seed_class_and_index_alone() -> None:
    first = render_picture("Polo", 7, 3)
    render_picture("Hat", 1, 3)
    assert render_picture("Polo", 7, 3).tobytes() == first.tobytes()
    others = (("Polo", 8, 3), ("Polo", 7, 4), ("Shirt", 7, 3))
    for label, index, seed in others:
        other = render_picture(label, index, seed)
        difference = _small(other, 32).astype(float) - _small(first, 32).astype(float)
        assert np.abs(difference).mean() > 8.0, (label, index, seed)


def test_files_are_the_same_bytes_on_every_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.garments.GARMENT_COUNTS", {"Shoes": 3, "Hat": 2})
    render_garments(tmp_path, seed=0)
    written = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in written] == [
        *(f"hat-{index:03d}.jpg" for index in range(2)),
        *(f"shoes-{index:03d}.jpg" for index in range(3)),
    ]
    for path in written:
        assert path.read_bytes() == (folder / "images" / path.name).read_bytes()


def test_table_and_files_agree(folder: Path) -> None:
    with (folder / "images.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["image", "sender_id", "label", "kids"]
    assert Counter(row["label"] for row in rows) == dict.fromkeys(CLOTHING_CLASSES, 3)
    files = {path.stem for path in (folder / "images").iterdir()}
    assert files == {row["image"] for row in rows}
    assert len(files) == len(rows)
    assert {row["kids"] for row in rows} <= {"True", "False"}
    for row in rows:
        index = int(row["image"].rsplit("-", 1)[1])
        assert int(row["sender_id"]) == sender_of(row["label"], index, 0)
        with Image.open(folder / "images" / f"{row['image']}.jpg") as picture:
            assert picture.mode == "RGB"
            assert picture.size in {(160, 160), (144, 192)}


def test_progress_counts_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.garments.GARMENT_COUNTS", {"Top": 4})
    steps: list[int] = []
    render_garments(tmp_path, seed=1, advance=steps.append)
    assert sum(steps) == 4


def test_senders_share_the_classes_between_them() -> None:
    senders = {
        label: {sender_of(label, index, 0) for index in range(count)}
        for label, count in GARMENT_COUNTS.items()
    }
    assert set().union(*senders.values()) == set(range(SENDERS))
    assert min(len(numbers) for numbers in senders.values()) >= 15


def test_a_sender_keeps_home_and_phone() -> None:
    again, other = draw_sender(5, 0), draw_sender(6, 0)
    assert again.camera == draw_sender(5, 0).camera
    assert again.rooms == draw_sender(5, 0).rooms
    assert again.camera != other.camera


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(UsageError, match=r"'Sock'.*Undershirt"):
        render_picture("Sock", 0, 0)


@pytest.mark.parametrize("label", CLOTHING_CLASSES)
def test_outlines_are_finite_and_of_garment_size(label: str) -> None:
    for seed in range(20):
        shapes = DRAWINGS[label](np.random.default_rng(seed))
        centre, size = into_box(shapes)
        assert all(np.isfinite(shape.points).all() for shape in shapes)
        assert 0.5 < size < 4.0
        assert np.abs(centre).max() < 1.6


def test_a_linear_model_on_pixels_does_not_solve_it() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    pixels, truths = _pictures(18, 32)
    flat = pixels.reshape(len(pixels), -1) / 255.0 - 0.5
    held_out = np.arange(len(truths)) % 3 == 0
    model = LogisticRegression(C=0.01, max_iter=200).fit(flat[~held_out], truths[~held_out])
    guesses = model.predict(flat[held_out])
    assert model.score(flat[~held_out], truths[~held_out]) > 0.3  # it did learn something
    assert f1_score(truths[held_out], guesses, average="weighted") < 0.4


def _small_cnn(side: int, classes: int) -> Any:
    """Five convolutions with batch norm: 19 million MACCs at 96 pixels."""
    layers, models = keras().layers, keras()
    pixels = layers.Input((side, side, 3))
    maps = layers.Rescaling(1 / 127.5, -1)(pixels)
    for channels, stride in ((24, 2), (48, 1), (96, 1), (128, 1), (192, 1)):
        maps = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(maps)
        maps = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(maps))
        maps = maps if channels == 192 else layers.MaxPool2D()(maps)
    flat = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(maps))
    return models.Model(pixels, layers.Dense(classes)(flat))


def _crop_and_flip(picture: Any, truth: Any) -> tuple[Any, Any]:
    tf = tensorflow()
    side = picture.shape[0]
    picture = tf.image.random_flip_left_right(tf.cast(picture, tf.float32))
    kept = tf.cast(side * tf.random.uniform([], 0.75, 1.0), tf.int32)
    picture = tf.image.resize(tf.image.random_crop(picture, [kept, kept, 3]), (side, side))
    return tf.clip_by_value(picture * tf.random.uniform([], 0.8, 1.2), 0, 255), truth


@pytest.mark.slow
def test_a_small_cnn_solves_it() -> None:
    from sklearn.metrics import f1_score

    tf, models = tensorflow(), keras()
    make_repeatable(0)
    pixels, truths = _pictures(80, 96)
    held_out = np.arange(len(truths)) % 4 == 0
    known = (pixels[~held_out], truths[~held_out])
    batches = tf.data.Dataset.from_tensor_slices(known).shuffle(2_000, seed=0)
    batches = batches.map(_crop_and_flip).batch(32, drop_remainder=True).prefetch(2)
    epochs = 24
    steps = epochs * (len(known[1]) // 32)
    model = _small_cnn(96, len(CLOTHING_CLASSES))
    model.compile(
        models.optimizers.AdamW(models.optimizers.schedules.CosineDecay(3e-3, steps), 1e-3),
        models.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(batches, epochs=epochs, verbose=0)
    guesses = model.predict(pixels[held_out].astype(np.float32), verbose=0).argmax(axis=1)
    # This network reached 0.80 on the whole dataset (1,481 pictures, a quarter held out, one
    # seed); the bar is lower for fewer pictures, other seeds and other machines.
    assert f1_score(truths[held_out], guesses, average="weighted") > 0.65
