"""Models of TensorFlow Hub: found, checked, and opened as a feature extractor.

A handle is a folder with a SavedModel, an address on tfhub.dev, or its short form
``publisher/model/version``; ``hub_download`` brings those.
Behind the handle may stand ``#`` and what the model takes its pixels as, or ``layer`` for a model
that is to stay a ``hub.KerasLayer`` although it might be opened into a graph of ours, or both:
``publisher/model/version#unit,layer``. The convention of TensorFlow Hub is [0, 1]; the ConvNeXt
extractors of sayakpaul take pixels in units of [0, 255] from which ImageNet's mean was taken, and
divided by its deviation.
Sources: https://www.tensorflow.org/hub/common_signatures/images;
https://github.com/sayakpaul/ConvNeXt-TF (notebooks/finetune.ipynb).
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.backend import keras, tensorflow
from train.chatter import native_chatter_hidden
from train.errors import UsageError, WeightsError, first_line
from train.hub_download import GRAPH_FILE, downloaded
from train.hub_safety import require_harmless
from train.networks.convnext import COLOUR_DEVIATION, MEAN_COLOUR
from train.storage import digest_of, digest_of_file

DEFAULT_HANDLE = "sayakpaul/convnext_tiny_1k_224_fe/1"
STAYS_LAYER = "layer"
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
        stays_layer: whether it is to stay a ``hub.KerasLayer``, unmatched to a graph of ours.
    """

    label: str
    folder: Path
    inputs: str
    sha256: str
    stays_layer: bool = False


def open_hub(handle: str = DEFAULT_HANDLE) -> HubModel:
    """Find a model, download it if need be, and check that opening it can do no harm.

    Args:
        handle: folder, address or ``publisher/model/version``, each with ``#input``, ``#layer``
            or ``#input,layer`` or without.

    Raises:
        UsageError: what stands behind ``#`` is neither one of ``INPUTS`` nor ``layer``.
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
    return f"hub {model.sha256} {model.inputs}{f' {STAYS_LAYER}' * model.stays_layer}"


def _found(handle: str) -> HubModel:
    place, inputs, stays_layer = _split(handle)
    local = Path(place)
    if local.is_dir():
        if not (local / GRAPH_FILE).exists():
            raise WeightsError(
                f"{place}: a hub's model is a folder with {GRAPH_FILE} in it, and this one has"
                " none; give the folder that tf.saved_model.save or model.export wrote"
            )
        folder, label = local, local.resolve().name
    else:
        folder, label = downloaded(place), place
    return HubModel(
        label=f"hub {label}",
        folder=folder,
        inputs=inputs,
        sha256=digest_of_model(folder),
        stays_layer=stays_layer,
    )


def files_of_model(folder: Path) -> list[Path]:
    """Return the files that make a SavedModel what it is, in order.

    Raises:
        WeightsError: one is a link, which might lead out of the folder.
    """
    found = [folder / GRAPH_FILE]
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
        first = first_line(error)
        raise WeightsError(
            f"{model.label}: TensorFlow cannot open it as a layer ({first}); it must be a"
            " SavedModel that is called with pictures"
        ) from error


def register_hub_layer() -> Any:
    """Return ``hub.KerasLayer``, known to Keras from now on: networks with it can be copied."""
    tensorflow()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # no user's concern
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


def _split(handle: str) -> tuple[str, str, bool]:
    """Return place, input and whether the model is to stay a layer."""
    place, _, words = handle.partition("#")
    place = place or DEFAULT_HANDLE
    asked = [word for word in words.split(",") if word]
    inputs = [word for word in asked if word != STAYS_LAYER]
    default = "imagenet" if "convnext" in place.lower() else "unit"
    if len(inputs) > 1 or not set(inputs) <= INPUTS.keys():
        raise UsageError(
            f"hub handle {handle!r}: input {','.join(inputs)!r} is not one of {', '.join(INPUTS)};"
            f" beside it there may be {STAYS_LAYER}"
        )
    return place, (inputs or [default])[0], STAYS_LAYER in asked
