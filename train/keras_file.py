"""Keras files that are byte-identical for equal networks and weights, and safe to open.

Keras writes the time of day into its archive; here the archive is written again with fixed
dates, and without the optimizer, which an artifact has no use for. Opening one runs no code
from the file: a network of other classes than ours (``keras_safety``) is refused before Keras
sees it, and so is an archive with anything in it but a configuration and weights.
"""

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from train.backend import keras
from train.errors import ArtifactError, WeightsError, first_line
from train.hub_file import keep_hub_models, opened_hub_models
from train.keras_safety import require_known_classes
from train.networks.square_root import square_root
from train.weight_files import require_plain_h5, require_size

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold
_METADATA = "metadata.json"
_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_MAX_CONFIG_BYTES = 64 * 1024**2  # ConvNeXt-Tiny's takes 0.2 MB


def save_keras(model: Any, path: Path) -> None:
    """Write a functional network and its weights as ``.keras``, without the optimizer.

    Args:
        model: a functional ``tf_keras`` model; it is not changed.
        path: the file, ending in ``.keras``; written over if it exists.

    Raises:
        ArtifactError: the network holds a layer that ``load_keras`` would refuse.
    """
    require_known_classes(_serialized(model, path), path)
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "model.keras"
        plain.save(raw, save_format="keras")
        keep_hub_models(raw, path.parent)
        _normalise(raw, path)


def load_keras(path: Path) -> Any:
    """Return the network in a ``.keras`` file, not compiled.

    Raises:
        ArtifactError: the file is missing, is no Keras file, is truncated, unpacks to over 2 GiB,
            or holds a layer that is none of ours (a Lambda is code that opening would run).
    """
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / _WEIGHTS
        require_known_classes(_unpack(path, weights), path)
        try:
            with opened_hub_models(path) as whole:
                return _rebuilt(whole, weights)
        except ArtifactError:
            raise
        except Exception as error:  # Keras raises many kinds on files that are not its own
            raise ArtifactError(
                f"{path}: not a network that Keras can open ({_reason(error)}); make the artifact"
                " again"
            ) from error


def _rebuilt(path: Path, weights: Path) -> Any:
    """Return the network of a configuration, with weights that were unpacked already.

    ``load_model`` reads them inside the archive, where each step back starts from the archive's
    beginning again: half a minute for ConvNeXt-Tiny, which takes five seconds here.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(_CONFIG))
    config["compile_config"] = None
    square_root()  # a network may name it
    model = keras().saving.deserialize_keras_object(config, safe_mode=True)
    model.load_weights(weights)
    return model


def _normalise(source: Path, target: Path) -> None:
    """Write the archive again: sorted names, fixed dates, no time of saving."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name, date_time=_FIXED_DATE)
            entry.external_attr = 0o644 << 16
            with old.open(name) as reader, new.open(entry, "w", force_zip64=True) as writer:
                if name == _METADATA:
                    metadata = json.load(reader)
                    metadata["date_saved"] = ""
                    reader_text = json.dumps(metadata, sort_keys=True).encode()
                    shutil.copyfileobj(io.BytesIO(reader_text), writer)
                else:
                    shutil.copyfileobj(reader, writer)


def _serialized(model: Any, path: Path) -> Any:
    try:
        return keras().saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: the network cannot be written down ({error}); build it with"
            " keras.Model(inputs, outputs)"
        ) from error


def _unpack(path: Path, weights: Path) -> Any:
    """Return the configuration inside a Keras file and unpack its weights; it runs nothing.

    The weights are looked over as well: HDF5 can lead into other files.
    """
    try:
        if path.suffix != ".keras":  # Keras would take it for a file of another format
            raise WeightsError("its name must end in .keras")
        with zipfile.ZipFile(path) as archive:
            _require_members(archive)
            config = json.loads(archive.read(_CONFIG))
            with archive.open(_WEIGHTS) as reader, weights.open("wb") as writer:
                shutil.copyfileobj(reader, writer)
        require_plain_h5(weights)
        return config
    except Exception as error:  # zipfile, zlib, json and h5py each raise their own
        raise ArtifactError(
            f"{path}: not a readable Keras file ({_reason(error)}); make the artifact again"
        ) from error


def _require_members(archive: zipfile.ZipFile) -> None:
    names, wanted = sorted(archive.namelist()), [_CONFIG, _METADATA, _WEIGHTS]
    if names != wanted:
        raise WeightsError(f"it must hold {', '.join(wanted)} and nothing else")
    for name in (_CONFIG, _METADATA):
        size = archive.getinfo(name).file_size
        if size > _MAX_CONFIG_BYTES:
            raise WeightsError(f"{name} takes {size:,} bytes, over {_MAX_CONFIG_BYTES:,}")
    require_size(archive.getinfo(_WEIGHTS).file_size)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{_CONFIG} is nested too deeply"
    return first_line(error)
