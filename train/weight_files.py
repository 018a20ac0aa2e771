"""Reads weights out of ``.npz``, ``.weights.h5``, ``.h5`` and ``.keras`` files, as named arrays.

Keras files are opened as plain HDF5 (a ``.keras`` is a zip with such a file in it): no layer
and no function is built from what they say, so a foreign file cannot run code. HDF5 can also lead
into other files and unpack to any size; both are refused before an array is read.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import WeightsError
from train.stored_layers import (
    StoredLayer,
    have_names,
    layers_of_config,
    named_by_config,
    named_by_group,
    named_by_position,
)
from train.torch_pickle import Array

MAX_WEIGHTS_BYTES = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file holds.

    Attributes:
        entries: ``layer/variable`` to array.
        note: what is to be said of how they were read; empty where they were read by name.
    """

    entries: dict[str, Array]
    note: str = ""


def read_npz(path: Path, model: Any) -> Found:
    """Return the arrays of a NumPy archive, keyed as they are in it.

    Raises:
        WeightsError: not an ``.npz`` file, truncated, with pickled objects in it, or it unpacks to
            over 2 GiB.
    """
    del model
    try:
        with zipfile.ZipFile(path) as archive:
            require_size(sum(entry.file_size for entry in archive.infolist()))
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return Found(entries={name: archive[name] for name in archive.files})
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise _unreadable(path, ".npz", error) from error


def read_weights_h5(path: Path, model: Any) -> Found:
    """Return the arrays of a ``.weights.h5`` file under ``layer/variable``.

    Such a file counts layers by class (``layers/conv2d_3``). Keras 3 writes their names to it as
    well; without, it is read by the order of ``model``'s own layers, and must have just those.

    Raises:
        WeightsError: not such a file, truncated, its arrays take over 2 GiB, it leads into other
            files, or it has no names and comes from another graph.
    """
    try:
        stored = _stored(path)
    except Exception as error:  # h5py raises OSError, KeyError and RuntimeError alike
        raise _unreadable(path, ".weights.h5", error) from error
    if have_names(stored):
        return Found(entries=named_by_group(stored, path))
    return Found(entries=named_by_position(stored, model, path), note="read by position")


def read_legacy_h5(path: Path, model: Any) -> Found:
    """Return the arrays of an ``.h5`` file in Keras' older layout under ``layer/variable``.

    Keras Applications publish their weights so: one group a top-level layer, its weights named in
    an attribute. The layer's own name is the group's, or the nearest one above the variable where
    a group holds a network of several layers.

    Raises:
        WeightsError: not such a file, truncated, its arrays take over 2 GiB, or it leads into
            other files.
    """
    import h5py

    del model
    entries: dict[str, Array] = {}
    try:
        with h5py.File(path, "r") as file:
            _require_plain(file)
            root = file.get("model_weights", file)
            layers = {
                layer: [_text(name) for name in root[layer].attrs["weight_names"]]
                for layer in map(_text, root.attrs["layer_names"])
            }
            # Names may repeat; what is linked once could be read many times.
            require_size(sum(_bytes_of(root[x][name]) for x in layers for name in layers[x]))
            for layer, names in layers.items():
                entries |= {
                    key: np.asarray(root[layer][name])
                    for key, name in zip(_layer_and_variable(layer, names), names, strict=True)
                }
    except Exception as error:  # h5py raises OSError, KeyError and RuntimeError alike
        raise _unreadable(path, ".h5", error) from error
    return Found(entries=entries)


def read_keras(path: Path, model: Any) -> Found:
    """Return the arrays of a ``.keras`` file under ``layer/variable``, those of inner networks too.

    Raises:
        WeightsError: not such a file, truncated, its weights unpack to over 2 GiB, they lead into
            other files, or are not those of its configuration.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("config.json", "model.weights.h5"):
                require_size(archive.getinfo(name).file_size)
            config = json.loads(archive.read("config.json"))
            stored = _stored(io.BytesIO(archive.read("model.weights.h5")))
        if "layers" not in config["config"]:
            raise WeightsError("its config.json lists no layers, as of a subclassed model")
        layers = dict(layers_of_config(config["config"]["layers"]))
    except Exception as error:  # a foreign zip fails as BadZipFile, KeyError, ValueError, OSError
        raise _unreadable(path, ".keras", error) from error
    code = any(layer.kind == "lambda" for layer in layers.values())
    return Found(
        entries=named_by_config(stored, layers, model, path),
        note="without its Lambda layers, which are code" if code else "",
    )


READERS: dict[str, Callable[[Path, Any], Found]] = {
    ".npz": read_npz,
    ".weights.h5": read_weights_h5,
    ".h5": read_legacy_h5,
    ".keras": read_keras,
}
"""Ending to reader; the first that a file's name ends in reads it."""


def require_plain_h5(source: Path) -> None:
    """Refuse an HDF5 file that leads into others or unpacks to over 2 GiB; no array is read.

    Raises:
        WeightsError: names the group or dataset.
        OSError: not an HDF5 file.
    """
    import h5py

    with h5py.File(source, "r") as file:
        _require_plain(file)


def require_size(size: int) -> None:
    """Refuse weights that unpack to over 2 GiB.

    Raises:
        WeightsError: they do.
    """
    if size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"its weights unpack to {size:,} bytes, over the limit of 2 GiB")


def _unreadable(path: Path, kind: str, error: Exception) -> WeightsError:
    return WeightsError(f"{path} is not a whole {kind} file of weights ({error}); make it again")


def _require_plain(file: Any) -> None:
    """Refuse links, arrays that lie in other files, and too many bytes, by metadata alone."""
    import h5py

    total, waiting, seen = 0, [file], set[int]()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            raise WeightsError(f"its group {group.name} holds itself or stands in two places")
        seen.add(address)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(f"its {name!r} in {group.name} is a link to elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise WeightsError(f"its array {item.name} lies in another file")
                if item.dtype.hasobject:
                    raise WeightsError(f"its array {item.name} holds no numbers")
                total += _bytes_of(item)
                require_size(total)


def _bytes_of(dataset: Any) -> int:
    """Return what a dataset unpacks to; its own ``nbytes`` overflows for absurd shapes."""
    return math.prod(dataset.shape or ()) * int(dataset.dtype.itemsize)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _layer_and_variable(layer: str, names: list[str]) -> list[str]:
    parts = [name.split(":")[0].split("/") for name in names]
    inner = {tuple(part[:-1]) for part in parts}
    if len(inner) <= 1:
        return [f"{layer}/{part[-1]}" for part in parts]
    return ["/".join(part[-2:]) for part in parts]


def _stored(source: Path | io.BytesIO) -> dict[str, StoredLayer]:
    """Return what a file of Keras' newer layout holds, by group."""
    import h5py

    with h5py.File(source, "r") as file:
        _require_plain(file)
        if "layers" not in file:
            raise WeightsError("it has no group of layers; an older file's name must end in .h5")
        return dict(_groups(file["layers"]))


def _groups(layers: Any, outer: str = "") -> Iterator[tuple[str, StoredLayer]]:
    for group, holder in layers.items():
        values = holder["vars"]
        arrays = tuple(np.asarray(values[key]) for key in sorted(values, key=int))
        name = _text(values.attrs.get("name", ""))
        yield f"{outer}{group}", StoredLayer(arrays=arrays, name=name)
        if "layers" in holder:
            yield from _groups(holder["layers"], f"{outer}{group}/")
