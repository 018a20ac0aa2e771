"""Keras files that are byte-identical for equal networks and weights, and safe to open.

Keras writes the time of day into its archive; here the archive is written again with fixed
dates, and without the optimizer, which an artifact has no use for. Opening one runs no code
from the file: networks with Lambda layers are refused.
"""

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from train.backend import keras
from train.errors import ArtifactError
from train.hub_file import keep_hub_models, opened_hub_models

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold
_METADATA = "metadata.json"
_CONFIG = "config.json"


def save_keras(model: Any, path: Path) -> None:
    """Write a functional network and its weights as ``.keras``, without the optimizer.

    Args:
        model: a functional ``tf_keras`` model; it is not changed.
        path: the file, ending in ``.keras``; written over if it exists.

    Raises:
        ArtifactError: the network holds a Lambda layer, which ``load_keras`` would refuse.
    """
    config = model.get_config()
    _refuse_lambdas(config, path)
    plain = type(model).from_config(config)
    plain.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "model.keras"
        plain.save(raw, save_format="keras")
        keep_hub_models(raw, path.parent)
        _normalise(raw, path)


def load_keras(path: Path) -> Any:
    """Return the network in a ``.keras`` file, not compiled.

    Raises:
        ArtifactError: the file is missing, is no Keras file, is truncated, or holds a Lambda
            layer (code that opening would run).
    """
    _refuse_lambdas(_read_config(path), path)
    try:
        with opened_hub_models(path) as whole:
            return keras().models.load_model(whole, compile=False, safe_mode=True)
    except ArtifactError:
        raise
    except Exception as error:  # Keras raises many kinds on files that are not its own
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtifactError(
            f"{path}: not a network that Keras can open ({first}); make the artifact again"
        ) from error


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


def _read_config(path: Path) -> Any:
    """Return the configuration inside a Keras file; reading it runs nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_CONFIG))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"{path}: not a readable Keras file ({error}); make the artifact again"
        ) from error


def _refuse_lambdas(config: Any, path: Path) -> None:
    lambdas = _find_lambdas(config)
    if lambdas:
        raise ArtifactError(
            f"{path}: layer {lambdas[0]!r} is a Lambda, which holds code that opening would run;"
            " replace it by a layer of its own and train again"
        )


def _find_lambdas(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _find_lambdas(item)]
    if not isinstance(value, dict):
        return []
    below = [name for item in value.values() for name in _find_lambdas(item)]
    if value.get("class_name") == "Lambda":
        return [str(value.get("config", {}).get("name", "lambda")), *below]
    return below
