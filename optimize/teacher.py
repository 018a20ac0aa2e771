"""What teachers answer to the very views that a student learns from, computed once and kept.

A view is drawn from (seed, number of the view), not from the size that it is scaled to, so a
teacher of another input size sees the same crop in the same colours. Where the teacher was itself
trained on stored maps of a view, its answers come from those maps, for a tenth of the work.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from train.approaches import Recipe
from train.artifact import Artifact
from train.backend import keras
from train.feeds import Rows
from train.fitting import freeze
from train.forward import forward_of
from train.keras_file import load_keras
from train.predict import Predictor
from train.progress import Progress
from train.storage import cache_folder, digest_of, stored_array, whole_file, write_array
from train.trunk import VIEWS_BATCH, PhotoViews, cut, end_of_frozen, frozen_maps, pictures_of

Answers = npt.NDArray[np.float16]
_THREADS = 2
_SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What one teacher answered.

    Attributes:
        probabilities: one array a view, ``(photo, classes)`` float16; rows that neither train nor
            validate are zero, and so are those that only validate in all views but the first.
        features: likewise, ``(photo, features)``; empty where they were not asked for.
    """

    probabilities: tuple[Answers, ...]
    features: tuple[Answers, ...]


def answers_of(
    teacher: Artifact,
    source: PhotoViews,
    rows: Rows,
    *,
    views: int,
    with_features: bool,
    progress: Progress,
) -> Taught:
    """Return a teacher's answers, from the user's cache as far as they are there.

    Args:
        teacher: a trained Keras network.
        source: the student's photos and how they are viewed.
        rows: which of them train and validate.
        views: how many; the first is of the photos themselves.
        with_features: whether the pooled features are wanted too.
        progress: told of every batch.

    Raises:
        ArtifactError: the teacher or the cache cannot be read or written.
        DataError: a photo cannot be decoded.
    """
    source = replace(source, contract=teacher.manifest.pixels)
    folder = cache_folder() / "answers" / _key(teacher, source, rows, with_features)
    paths = [folder / f"view-{view:03d}.npy" for view in range(views)]
    answer: Callable[[int], Answers] | None = None
    stored: list[Answers] = []
    for view, path in enumerate(paths):
        answered = stored_array(path, "<f2", (len(source.photos),), say=progress.say)
        if answered is None:
            if answer is None:
                answer = _answering(teacher, source, rows, views, with_features, progress)
            answered = answer(view)
            with whole_file(path) as draft:
                write_array(draft, "<f2", answered.shape, iter(answered))
        stored.append(answered)
    classes = len(teacher.manifest.labels)
    return Taught(
        probabilities=tuple(array[:, :classes] for array in stored),
        features=tuple(array[:, classes:] for array in stored) if with_features else (),
    )


def _key(teacher: Artifact, source: PhotoViews, rows: Rows, with_features: bool) -> str:
    chosen = hashlib.sha256(rows.train.tobytes() + rows.validation.tobytes())
    return digest_of(
        [
            teacher.manifest.payload_sha256,
            source.contract.model_dump_json(),
            source.augment.model_dump_json(),
            [source.seed, source.margin, with_features],
            chosen.hexdigest(),
            *(photo.sha256 for photo in source.photos),
        ]
    )


def _answering(
    teacher: Artifact,
    source: PhotoViews,
    rows: Rows,
    views: int,
    with_features: bool,
    progress: Progress,
) -> Callable[[int], Answers]:
    """Return what answers a view: ``(photo, classes [+ features])``."""
    model = load_keras(teacher.payload)
    outputs = model.output
    if with_features:
        features = model.get_layer("features").output
        outputs = keras().layers.Concatenate(name="answers")([outputs, features])
    model = keras().Model(model.input, outputs, name=model.name)
    by_maps, stored = _by_maps(teacher, model, source, views, progress)
    by_pixels = _by_pixels(model, source, progress) if stored < views else None
    width = int(model.output_shape[-1])
    name = teacher.manifest.name.network
    both = np.sort(np.concatenate([rows.train, rows.validation]))

    def answer(view: int) -> Answers:
        asked = np.sort(rows.train) if view else both
        progress.begin(f"answers of {name}, view {view}", len(asked))
        run = by_maps if view < stored else by_pixels
        assert run is not None  # one of them answers each view
        found = np.zeros((len(source.photos), width), dtype=np.float16)
        for start in range(0, len(source.photos), VIEWS_BATCH):
            chosen = asked[(asked >= start) & (asked < start + VIEWS_BATCH)]
            if len(chosen):
                found[chosen] = run(view, start, chosen)
                progress.advance(len(chosen))
        return found

    return answer


_Run = Callable[[int, int, npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def _by_maps(
    teacher: Artifact, model: Any, source: PhotoViews, views: int, progress: Progress
) -> tuple[_Run | None, int]:
    """Return what answers by the maps that the teacher was trained on, and to how many views."""
    recipe = Recipe.model_validate(teacher.manifest.steps[0].config["recipe"])
    same = (
        recipe.augment == source.augment
        and teacher.manifest.seed == source.seed
        and len(teacher.manifest.steps) == 1
    )
    stored = min(recipe.cached_views, views) if same else 0
    if not stored:
        return None, 0
    freeze(model, recipe)
    trunk, rest = cut(model, end_of_frozen(model))
    maps = frozen_maps(trunk, source, views=stored, progress=progress)
    predict = Predictor(rest)

    def run(view: int, _start: int, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return predict(maps.views[view][chosen])

    return run, stored


def _by_pixels(model: Any, source: PhotoViews, progress: Progress) -> _Run:
    samples = pictures_of(source, 0, say=progress.say)[1](0, _SAMPLES)
    forward = forward_of(model, samples, threads=_THREADS)
    drawn: dict[int, Callable[[int, int], npt.NDArray[np.float32]]] = {}

    def run(view: int, start: int, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if view not in drawn:
            drawn.clear()
            drawn[view] = pictures_of(source, view, say=progress.say)[1]
        stop = min(start + VIEWS_BATCH, len(source.photos))
        return forward.run(drawn[view](start, stop)[chosen - start])

    return run


def mean_of(answers: Sequence[Answers]) -> npt.NDArray[np.float32]:
    """Return the mean of several teachers' probabilities for one view, ``(photo, classes)``."""
    mean: npt.NDArray[np.float32] = np.mean(
        [array.astype(np.float32) for array in answers], axis=0, dtype=np.float32
    )
    return mean
