"""Reads the weights out of a PyTorch file of the older kind, without PyTorch and without code.

Such a file is five pickles (a magic number, a protocol number, a description of the machine, the
dictionary of tensors, the keys of the storages) and then the raw numbers of each storage. A
pickle may name any function to call, so only the four names that a dictionary of tensors needs
are known here, and they lead to stand-ins of our own; any other name is an error.
Source: the layout that ``torch.save(..., _use_new_zipfile_serialization=False)`` writes
(torch/serialization.py).
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from train.errors import WeightsError

Array = npt.NDArray[Any]
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
# The C unpickler grows its memo to the largest index named, so an index alone could ask for
# gigabytes; a dictionary of a thousand tensors needs about ten thousand.
MAX_MEMO_INDEX = 1_000_000
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    numbers: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """Stands in for ``torch._utils._rebuild_tensor_v2``; has no dict that a file could fill."""

    __slots__ = ()

    def __call__(
        self, storage: Any, offset: Any, shape: Any, strides: Any, *_unused: Any
    ) -> _Tensor:
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(
            isinstance(number, int) and number >= 0 for number in numbers
        ):
            raise WeightsError("a tensor is not described by a storage and whole numbers")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    **{("torch", name): dtype for name, dtype in STORAGE_DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the names in ``_KNOWN`` and no other."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise WeightsError(
                f"it names {module}.{name}, which no table of weights needs; it may be an attack:"
                " nothing of it was executed, do not use this file"
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, numbers, *view = pid
        if kind != "storage" or dtype not in STORAGE_DTYPES.values() or any(view):
            raise WeightsError(f"storage {key!r} is of an unknown kind ({kind!r}, {dtype!r})")
        return _Storage(str(key), dtype, int(numbers))


def read_torch_weights(path: Path) -> dict[str, Array]:
    """Return the tensors of a PyTorch file, in the file's order.

    Args:
        path: a file written by ``torch.save`` of a state dict in the format before zip files.

    Returns:
        One array an entry, in PyTorch's own axis order.

    Raises:
        WeightsError: the file is missing, of the zip format, truncated, names something other
            than tensors, or is no PyTorch file at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if data[:2] == b"PK":
        raise WeightsError(
            f"{path} is of PyTorch's zip format; save it again with"
            " torch.save(..., _use_new_zipfile_serialization=False)"
        )
    try:
        return _read(io.BytesIO(data))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except Exception as error:  # an unpickler fed foreign bytes raises anything
        raise WeightsError(
            f"{path} is not a whole PyTorch weights file ({error}); fetch it again"
        ) from error


def _read(stream: io.BytesIO) -> dict[str, Array]:
    if _load(stream) != MAGIC_NUMBER or _load(stream) != PROTOCOL_VERSION:
        raise WeightsError("it does not begin as a PyTorch weights file does")
    if _load(stream).get("little_endian") is not True:
        raise WeightsError("its numbers are big-endian; save it on a little-endian machine")
    tensors = _load(stream)
    keys = _load(stream)
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(value, _Tensor) for name, value in tensors.items()
    ):
        raise WeightsError("it holds something other than named tensors; save a state dict")
    dtypes = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {key: _read_storage(stream, dtypes[key]) for key in keys}
    return {name: _cut(name, tensor, storages) for name, tensor in tensors.items()}


def _load(stream: io.BytesIO) -> Any:
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name.endswith("PUT") and int(argument or 0) > MAX_MEMO_INDEX:
            raise WeightsError(f"its memo index {argument} is over the limit of {MAX_MEMO_INDEX}")
    end = stream.tell()
    stream.seek(start)
    value = _Unpickler(stream).load()
    stream.seek(end)
    return value


def _read_storage(stream: io.BytesIO, storage: _Storage) -> Array:
    dtype = np.dtype(storage.dtype)
    header = stream.read(8)
    data = stream.read(storage.numbers * dtype.itemsize)
    if len(header) < 8 or len(data) < storage.numbers * dtype.itemsize:
        raise WeightsError(f"it is cut off within storage {storage.key}; fetch it again")
    if int.from_bytes(header, "little") != storage.numbers:
        raise WeightsError(f"storage {storage.key} is not of the length that its tensors name")
    return np.frombuffer(data, dtype)


def _cut(name: str, tensor: _Tensor, storages: Mapping[str, Array]) -> Array:
    numbers = storages[tensor.storage.key]
    span = sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    count = math.prod(tensor.shape)
    if count > numbers.size or (count and tensor.offset + span >= numbers.size):
        raise WeightsError(f"tensor {name} reaches past the end of its storage")
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides)
    return view.copy()
