"""Models of TensorFlow Hub: found, checked, and opened as a feature extractor.

A handle is a folder with a SavedModel, an address on tfhub.dev, or its short form
``publisher/model/version``. What was downloaded before is taken from ``TFHUB_CACHE_DIR``, laid out
as TensorFlow Hub does, or from the user's own cache; so it works offline.
Behind the handle may stand ``#`` and what the model takes its pixels as. The ConvNeXt extractors
of sayakpaul take pixels from which ImageNet's mean was taken and divided by its deviation, in units
of [0, 255]; the convention of TensorFlow Hub is [0, 1].
Sources: https://www.tensorflow.org/hub/common_signatures/images;
https://github.com/sayakpaul/ConvNeXt-TF (notebooks/finetune.ipynb).
"""

import hashlib
import os
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.backend import keras, tensorflow
from train.chatter import native_chatter_hidden
from train.errors import ArtifactError, DataError, UsageError, WeightsError
from train.fetch import FetchConfig, fetch, forget
from train.hub_safety import require_harmless
from train.keras_weights import OFFLINE_VARIABLE, downloads_are_off
from train.networks.convnext import COLOUR_DEVIATION, MEAN_COLOUR
from train.storage import cache_folder, digest_of, digest_of_file, whole_folder

DEFAULT_HANDLE = "sayakpaul/convnext_tiny_1k_224_fe/1"
HUB_ADDRESS = "https://tfhub.dev/"
CACHE_VARIABLE = "TFHUB_CACHE_DIR"
MAX_MODEL_BYTES = 2 * 1024**3
_SPARE_BYTES = 200_000_000
_IMPATIENT = FetchConfig(connect_seconds=5.0, stall_seconds=15.0, attempts=1)

INPUTS: dict[str, tuple[list[float], list[float]]] = {
    "imagenet": (
        [1 / deviation for deviation in COLOUR_DEVIATION],
        [-mean / one for mean, one in zip(MEAN_COLOUR, COLOUR_DEVIATION, strict=True)],
    ),
    "unit": ([1 / 255] * 3, [0.0] * 3),
    "symmetric": ([1 / 127.5] * 3, [-1.0] * 3),
    "pixels": ([1.0] * 3, [0.0] * 3),
}
"""What a model takes its pixels as: scale and offset of each channel, from [0, 255]."""


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A SavedModel on disk that was checked.

    Attributes:
        label: handle as the origin names it; no path of a machine.
        folder: holds ``saved_model.pb``.
        inputs: key of ``INPUTS``.
        sha256: digest of its files.
    """

    label: str
    folder: Path
    inputs: str
    sha256: str


def open_hub(handle: str = DEFAULT_HANDLE) -> HubModel:
    """Find a model, download it if need be, and check that opening it can do no harm.

    Args:
        handle: folder, address or ``publisher/model/version``, each with ``#input`` or without.

    Raises:
        UsageError: what stands behind ``#`` is not one of ``INPUTS``.
        WeightsError: unreachable, damaged, no SavedModel, or it could do more than arithmetic.
    """
    model = _found(handle)
    require_harmless(model.folder)
    return model


def hub_identity(handle: str) -> str:
    """Return what ``open_hub`` would open, by content; a model is downloaded, not opened.

    Raises:
        UsageError: as ``open_hub``.
        WeightsError: unreachable or damaged.
    """
    model = _found(handle)
    return f"hub {model.sha256} {model.inputs}"


def _found(handle: str) -> HubModel:
    place, inputs = _split(handle)
    local = Path(place)
    if local.is_dir():
        folder, label = local, local.resolve().name
    else:
        folder, label = _downloaded(_address(place)), place
    return HubModel(
        label=f"hub {label}", folder=folder, inputs=inputs, sha256=digest_of_model(folder)
    )


def files_of_model(folder: Path) -> list[Path]:
    """Return the files that make a SavedModel what it is, in order.

    Raises:
        WeightsError: one is a link, which might lead out of the folder.
    """
    found = [folder / "saved_model.pb"]
    for part in ("variables", "assets"):
        found += [path for path in sorted((folder / part).rglob("*")) if not path.is_dir()]
    for path in found:
        if path.is_symlink():
            raise WeightsError(f"{path} is a link; copy the model's files into its folder")
    return found


def digest_of_model(folder: Path) -> str:
    """Return one SHA-256 over all files of a SavedModel and their names.

    Raises:
        WeightsError: a file cannot be read.
    """
    try:
        return digest_of(
            [
                [str(path.relative_to(folder)), digest_of_file(path)]
                for path in files_of_model(folder)
            ]
        )
    except OSError as error:
        raise WeightsError(f"{folder}: {error.strerror or error}; copy the model again") from error


def hub_layer(model: HubModel, *, name: str = "hub", trainable: bool = False) -> Any:
    """Return the model as a ``hub.KerasLayer``.

    Raises:
        WeightsError: TensorFlow cannot open it, or it is not callable.
    """
    layer_class = register_hub_layer()
    try:
        with native_chatter_hidden():
            return layer_class(str(model.folder), trainable=trainable, name=name)
    except Exception as error:  # a broken SavedModel fails in many ways
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(
            f"{model.label}: TensorFlow cannot open it as a layer ({first}); it must be a"
            " SavedModel that is called with pictures"
        ) from error


def register_hub_layer() -> Any:
    """Return ``hub.KerasLayer``, known to Keras from now on: networks with it can be copied."""
    tensorflow()
    import tensorflow_hub

    keras().utils.get_custom_objects()["KerasLayer"] = tensorflow_hub.KerasLayer
    return tensorflow_hub.KerasLayer


def input_size_of(layer: Any) -> int | None:
    """Return the rows that an opened model insists on; ``None`` where any will do."""
    for function in getattr(layer.resolved_object.__call__, "concrete_functions", ()):
        for spec in tensorflow().nest.flatten(function.structured_input_signature):
            shape = getattr(spec, "shape", None)
            if shape is not None and shape.rank == 4 and shape[1] is not None:
                return int(shape[1])
    return None


def rescaled_input(image_size: int, inputs: str) -> tuple[Any, Any]:
    """Return the input of pixels in [0, 255] and the same as a hub's model takes them."""
    layers = keras().layers
    scale, offset = INPUTS[inputs]
    pixels = layers.Input((image_size, image_size, 3), name="pixels")
    return pixels, layers.Rescaling(scale, offset=offset, name="rescale")(pixels)


def _split(handle: str) -> tuple[str, str]:
    place, _, inputs = handle.partition("#")
    place = place or DEFAULT_HANDLE
    inputs = inputs or ("imagenet" if "convnext" in place.lower() else "unit")
    if inputs not in INPUTS:
        raise UsageError(
            f"hub handle {handle!r}: input {inputs!r} is not one of {', '.join(INPUTS)}"
        )
    return place, inputs


def _address(place: str) -> str:
    if place.startswith(("http://", "https://")):
        return place.rstrip("/")
    if place.startswith(("/", ".", "~")) or place.count("/") not in (1, 2):
        raise WeightsError(
            f"hub handle {place!r} is neither a folder with a SavedModel nor an address nor"
            " publisher/model/version; give one of them"
        )
    return f"{HUB_ADDRESS}{place}" if place.count("/") == 2 else f"{HUB_ADDRESS}{place}/1"


def _downloaded(address: str) -> Path:
    """Return the folder of a model in TensorFlow Hub's cache or in ours, downloaded if need be."""
    key = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    own = cache_folder() / "hub"
    for cache in (os.environ.get(CACHE_VARIABLE), own):
        if cache and (Path(cache) / key / "saved_model.pb").is_file():
            return Path(cache) / key
    if downloads_are_off():
        raise WeightsError(f"{address} is in no cache and {OFFLINE_VARIABLE} is set; {_CURES}")
    part = own / f"{key}.tar.gz.part"
    try:
        own.mkdir(parents=True, exist_ok=True)
        fetch(
            f"{address}?tf-hub-format=compressed",
            part,
            require_room=lambda coming: _require_room(own, coming),
            config=_IMPATIENT,
        )
        _unpack(part, own / key, address)
    except (DataError, ArtifactError, OSError) as error:
        raise WeightsError(f"{error}; {_CURES}") from error
    forget(part)
    return own / key


_CURES = (
    "give a folder with the SavedModel (--weights hub:FOLDER), set TFHUB_CACHE_DIR to a cache that"
    " holds it, or train without (--weights none)"
)


def _require_room(folder: Path, coming: int | None) -> None:
    free, needed = shutil.disk_usage(folder).free, 2 * (coming or _SPARE_BYTES) + _SPARE_BYTES
    if free < needed:
        raise ArtifactError(f"{folder}: {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed")


def _unpack(archive: Path, folder: Path, address: str) -> None:
    try:
        with tarfile.open(archive, "r:*") as packed, whole_folder(folder) as draft:
            unpacked = 0
            for member in packed:
                unpacked += member.size
                if unpacked > MAX_MODEL_BYTES:
                    raise DataError(f"{address}: it unpacks to over 2 GiB")
                if member.isfile() or member.isdir():
                    packed.extract(member, draft, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        forget(archive)
        raise DataError(f"{address}: the archive is damaged ({error}); it was removed") from error
