"""Reads weights out of ``.npz``, ``.weights.h5``, ``.h5`` and ``.keras`` files, as named arrays.

Keras files are opened as plain HDF5 (a ``.keras`` is a zip with such a file in it): no layer
and no function is built from what they say, so a foreign file cannot run code.
"""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import WeightsError
from train.torch_pickle import Array

MAX_WEIGHTS_BYTES = 2 * 1024**3


def read_npz(path: Path, model: Any) -> dict[str, Array]:
    """Return the arrays of a NumPy archive, keyed as they are in it.

    Raises:
        WeightsError: not an ``.npz`` file, truncated, with pickled objects in it, or it unpacks to
            over 2 GiB.
    """
    del model
    try:
        with zipfile.ZipFile(path) as archive:
            _require_size(sum(entry.file_size for entry in archive.infolist()))
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise _unreadable(path, ".npz", error) from error


def read_weights_h5(path: Path, model: Any) -> dict[str, Array]:
    """Return the arrays of a ``.weights.h5`` file under ``layer/variable``.

    Such a file counts layers by class (``layers/conv2d_3``) and knows no names, so it is read
    by the order of ``model``'s own layers.

    Raises:
        WeightsError: not such a file, or truncated.
    """
    try:
        return _read_h5(path, _class_and_name(model), model)
    except Exception as error:  # h5py raises OSError, KeyError and RuntimeError alike
        raise _unreadable(path, ".weights.h5", error) from error


def read_legacy_h5(path: Path, model: Any) -> dict[str, Array]:
    """Return the arrays of an ``.h5`` file in Keras' older layout under ``layer/variable``.

    Keras Applications publish their weights so: one group a top-level layer, its weights named in
    an attribute. The layer's own name is the group's, or the nearest one above the variable where
    a group holds a network of several layers.

    Raises:
        WeightsError: not such a file, truncated, or its arrays take over 2 GiB.
    """
    import h5py

    del model
    entries: dict[str, Array] = {}
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for layer in map(_text, root.attrs["layer_names"]):
                names = [_text(name) for name in root[layer].attrs["weight_names"]]
                _require_size(sum(root[layer][name].nbytes for name in names))
                entries |= {
                    key: np.asarray(root[layer][name])
                    for key, name in zip(_layer_and_variable(layer, names), names, strict=True)
                }
    except Exception as error:  # h5py raises OSError, KeyError and RuntimeError alike
        raise _unreadable(path, ".h5", error) from error
    return entries


def read_keras(path: Path, model: Any) -> dict[str, Array]:
    """Return the arrays of a ``.keras`` file under ``layer/variable``.

    Raises:
        WeightsError: not such a file, truncated, or its weights unpack to over 2 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _require_size(archive.getinfo("model.weights.h5").file_size)
            config = json.loads(archive.read("config.json"))
            weights = archive.read("model.weights.h5")
        layers = [
            (str(layer["class_name"]), str(layer["config"]["name"]))
            for layer in config["config"]["layers"]
        ]
        return _read_h5(io.BytesIO(weights), layers, model)
    except Exception as error:  # a foreign zip fails as BadZipFile, KeyError, ValueError, OSError
        raise _unreadable(path, ".keras", error) from error


READERS: dict[str, Callable[[Path, Any], dict[str, Array]]] = {
    ".npz": read_npz,
    ".weights.h5": read_weights_h5,
    ".h5": read_legacy_h5,
    ".keras": read_keras,
}
"""Ending to reader; the first that a file's name ends in reads it."""


def variable_name(variable: Any) -> str:
    """Return the last part of a Keras variable's name: ``kernel`` of ``stem_conv/kernel:0``."""
    return str(variable.name).split(":")[0].rsplit("/", 1)[-1]


def _unreadable(path: Path, kind: str, error: Exception) -> WeightsError:
    return WeightsError(f"{path} is not a whole {kind} file of weights ({error}); make it again")


def _require_size(size: int) -> None:
    if size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"its weights unpack to {size:,} bytes, over the limit of 2 GiB")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _layer_and_variable(layer: str, names: list[str]) -> list[str]:
    parts = [name.split(":")[0].split("/") for name in names]
    inner = {tuple(part[:-1]) for part in parts}
    if len(inner) <= 1:
        return [f"{layer}/{part[-1]}" for part in parts]
    return ["/".join(part[-2:]) for part in parts]


def _class_and_name(model: Any) -> list[tuple[str, str]]:
    return [(type(layer).__name__, layer.name) for layer in model.layers]


def _read_h5(
    source: Path | io.BytesIO, layers: Iterable[tuple[str, str]], model: Any
) -> dict[str, Array]:
    import h5py

    own = {layer.name: layer for layer in model.layers}
    names = dict(_group_names(layers))
    entries: dict[str, Array] = {}
    with h5py.File(source, "r") as file:
        for group, holder in file["layers"].items():
            values = [np.asarray(holder["vars"][key]) for key in sorted(holder["vars"], key=int)]
            layer = names.get(group, group)
            weights = own[layer].weights if layer in own else []
            variables = [variable_name(weight) for weight in weights]
            for index, value in enumerate(values):
                known = variables[index] if index < len(variables) else str(index)
                entries[f"{layer}/{known}"] = value
    return entries


def _group_names(layers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Yield the group in the file and the layer's name, for each layer in order."""
    counts: dict[str, int] = {}
    for class_name, name in layers:
        base = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", class_name).lower()
        seen = counts.get(base, 0)
        counts[base] = seen + 1
        yield (f"{base}_{seen}" if seen else base), name
