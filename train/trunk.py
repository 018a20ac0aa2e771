"""Where a network's frozen layers end, and their maps of every photo, computed once.

Layers that do not learn give the same maps in every epoch and in every fold of a
cross-validation. So their maps of a photo and of some random views of it are computed once, by a
fast runtime, and kept in the user's cache; what learns is trained from those.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from pydantic import BaseModel, ConfigDict, ValidationError

from train.augment import AugmentConfig, augment
from train.backend import keras, tensorflow
from train.dataset import Photo
from train.errors import ConfigError
from train.forward import Forward, forward_of
from train.pixels import DECODER_VERSION, PixelContract, Pixels, load_pixels
from train.progress import Progress
from train.storage import (
    cache_folder,
    digest_of,
    stored_array,
    whole_file,
    write_array,
    write_text,
)

VIEWS_VERSION = 1  # to be raised when ``augment`` gives other views of the same seed
StoredMaps = npt.NDArray[np.float16]
VIEWS_BATCH = 32  # photos whose random views are drawn together
_LARGEST = float(np.finfo(np.float16).max)
_SAMPLES = 8
_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class PhotoViews:
    """What the maps of a set of photos depend on, the network apart.

    Attributes:
        photos: in the order of the maps' rows.
        contract: of the network's input.
        margin: photos that are cropped are kept larger than the input by this factor.
        augment: how random views are made.
        seed: of the random views.
    """

    photos: Sequence[Photo]
    contract: PixelContract
    margin: float
    augment: AugmentConfig
    seed: int


@dataclass(frozen=True, kw_only=True)
class FrozenMaps:
    """Maps of every photo at one layer.

    Attributes:
        views: one array a view, ``(photo, ...)`` float16, on disk; the first is of the photos
            themselves, the others of random views.
        runtime: what computed them.
        seconds: what computing them took, when they were computed.
    """

    views: tuple[StoredMaps, ...]
    runtime: str
    seconds: float


class _Note(BaseModel):
    """How one view's maps were computed, beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    seconds: float


def end_of_frozen(model: Any) -> str:
    """Return the name of the last layer that everything before does not learn, and all pass.

    Layers before it neither learn nor are bypassed: the rest of the network sees the picture
    through this layer's output alone. It comes before ``features``, which the loop drops from.

    Raises:
        ConfigError: nothing is frozen from the input on.
    """
    position = {layer.name: number for number, layer in enumerate(model.layers)}
    last_use = [0] * len(position)
    for number, layer in enumerate(model.layers):
        for node in layer.inbound_nodes:
            for parent in node.parent_nodes:
                if parent.layer.name in position:
                    source = position[parent.layer.name]
                    last_use[source] = max(last_use[source], number)
    found, frozen, reach = "", 0, 0
    for number, layer in enumerate(model.layers):
        if layer.trainable_weights or layer.name == "features":
            break
        frozen += len(layer.weights)
        if reach <= number and frozen:
            found = layer.name
        reach = max(reach, last_use[number])
    if not found:
        raise ConfigError(
            f"{model.name}: no layer is frozen from the input on; name the first stages in frozen,"
            " or set cached_views = 0"
        )
    return str(found)


def cut(model: Any, layer: str) -> tuple[Any, Any]:
    """Return the network up to and with ``layer``, and the rest of it; both share its weights."""
    module = keras()
    maps = model.get_layer(layer).output
    trunk = module.Model(model.input, maps, name=f"{model.name}-trunk")
    return trunk, module.Model(maps, model.output, name=f"{model.name}-rest")


def frozen_maps(trunk: Any, source: PhotoViews, *, views: int, progress: Progress) -> FrozenMaps:
    """Return the trunk's maps of every photo, from the user's cache as far as they are there.

    What is there and damaged is computed again, and said.

    Args:
        trunk: the frozen layers, from pixels ``(batch, rows, columns, 3)`` in [0, 255] to maps.
        source: photos and how they are viewed.
        views: how many; the first is of the photos themselves.
        progress: told of every batch, and of damaged files.

    Raises:
        ArtifactError: the cache cannot be written.
        ConfigError: a value is beyond float16.
        DataError: a photo cannot be decoded.
    """
    folder = cache_folder() / "maps" / _key(trunk, source)
    forward: Forward | None = None
    maps: list[StoredMaps] = []
    notes: list[_Note] = []
    for view in range(views):
        path = _path(folder, view, source)
        stored = stored_array(path, "<f2", (len(source.photos),), say=progress.say)
        note = _read_note(path.with_suffix(".json"), progress)
        if stored is None or note is None:
            begin = time.perf_counter()
            if forward is None:
                samples = pictures_of(source, 0, say=progress.say)[1](0, _SAMPLES)
                forward = forward_of(trunk, samples, threads=_THREADS)
            _compute(forward, source, view, path, progress)
            note = _Note(runtime=forward.runtime, seconds=time.perf_counter() - begin)
            write_text(path.with_suffix(".json"), note.model_dump_json())
            stored = np.load(path, mmap_mode="r")
        maps.append(stored)
        notes.append(note)
    return FrozenMaps(
        views=tuple(maps), runtime=notes[0].runtime, seconds=sum(note.seconds for note in notes)
    )


def _read_note(path: Path, progress: Progress) -> _Note | None:
    if not path.exists():
        return None
    try:
        return _Note.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        progress.say(f"{path} in the cache is damaged: what it tells of is computed again")
        return None


def _key(trunk: Any, source: PhotoViews) -> str:
    weights = hashlib.sha256()
    for array in trunk.get_weights():
        weights.update(np.ascontiguousarray(array).tobytes())
    return digest_of(
        [
            _structure(trunk),
            weights.hexdigest(),
            [DECODER_VERSION, PIL.__version__, VIEWS_VERSION, version("ai-edge-litert")],
            source.contract.model_dump_json(),
            *(photo.sha256 for photo in source.photos),
        ]
    )


def _structure(trunk: Any) -> list[list[str]]:
    """Return layers with their settings, without the names that Keras counts up."""
    return [
        [
            layer.name,
            type(layer).__name__,
            json.dumps(layer.get_config(), sort_keys=True, default=str),
        ]
        for layer in trunk.layers
    ]


def _path(folder: Path, view: int, source: PhotoViews) -> Path:
    if view == 0:
        return folder / "plain.npy"
    made_by = digest_of([source.augment.model_dump_json(), str(source.seed), str(source.margin)])
    return folder / f"view-{made_by[:16]}-{view:03d}.npy"


def _compute(
    forward: Forward, source: PhotoViews, view: int, path: Path, progress: Progress
) -> None:
    count, pictures = pictures_of(source, view, say=progress.say)
    progress.begin(f"frozen maps, view {view}", count)
    first = forward.run(pictures(0, min(VIEWS_BATCH, count)))

    def rows() -> Iterator[StoredMaps]:
        for start in range(0, count, VIEWS_BATCH):
            stop = min(start + VIEWS_BATCH, count)
            maps = first if start == 0 else forward.run(pictures(start, stop))
            if not np.abs(maps).max() <= _LARGEST:
                raise ConfigError(
                    f"frozen layers give values up to {np.abs(maps).max():g}, and maps are kept as"
                    f" float16, up to {_LARGEST:g}; freeze to another layer, set cached_views = 0,"
                    " or load other weights"
                )
            progress.advance(len(maps))
            yield from maps.astype(np.float16)

    with whole_file(path) as draft:
        write_array(draft, "<f2", (count, *first.shape[1:]), rows())


def pictures_of(
    source: PhotoViews, view: int, *, say: Callable[[str], None] | None = None
) -> tuple[int, Callable[[int, int], npt.NDArray[np.float32]]]:
    """Return the number of photos, and a function that gives one view of a range of them.

    Args:
        source: photos and how they are viewed.
        view: 0 for the photos themselves, or the number of a random view.
        say: told of decoded photos in the cache that are damaged.

    Returns:
        The function takes first and last photo (exclusive), the first a multiple of
        ``VIEWS_BATCH``, which random views are drawn by; it gives ``(photo, rows, columns, 3)``
        float32 in [0, 255].
    """
    if view == 0:
        pixels: Pixels = load_pixels(source.photos, source.contract, say=say)
        return len(pixels), lambda start, stop: pixels[start:stop].astype(np.float32)
    large = load_pixels(source.photos, larger(source.contract, source.margin), say=say)
    tf = tensorflow()

    def viewed(start: int, stop: int) -> npt.NDArray[np.float32]:
        seed = tf.constant((source.seed * 100_003 + view, start), tf.int32)
        size = source.contract.height
        views = augment(tf.constant(large[start:stop]), size=size, seed=seed, config=source.augment)
        return np.asarray(views, dtype=np.float32)

    return len(large), viewed


def larger(contract: PixelContract, margin: float) -> PixelContract:
    """Return the contract of photos that are to be cropped to ``contract``."""
    sides = {side: round(getattr(contract, side) * margin) for side in ("height", "width")}
    return contract.model_copy(update=sides)
