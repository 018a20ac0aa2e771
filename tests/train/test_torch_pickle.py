"""The restricted reader of PyTorch files, against files written opcode by opcode."""

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.errors import WeightsError
from train.torch_pickle import MAGIC_NUMBER, PROTOCOL_VERSION, read_torch_weights

START = b"\x80\x02"
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(whole(value) for value in values) + b"t"


def tensor(
    *,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    storage: bytes = b"ctorch\nFloatStorage\n",
    key: str = "7",
    length: int = 6,
) -> bytes:
    """Return the opcodes of one tensor, as ``torch.save`` writes them."""
    view = b"(" + text("storage") + storage + text(key) + text("cpu") + whole(length) + b"NtQ"
    arguments = view + whole(offset) + numbers(*shape) + numbers(*strides) + b"\x89" + ORDERED_DICT
    return REBUILD + b"(" + arguments + b"tR"


def legacy_file(
    tensors: dict[str, bytes],
    storages: dict[str, np.ndarray[Any, Any]],
    *,
    magic: int = MAGIC_NUMBER,
    little_endian: bool = True,
    state: bytes | None = None,
) -> bytes:
    """Return a whole file: four pickles, the storages' keys, then each length and its numbers."""
    items = b"".join(text(name) + opcodes for name, opcodes in tensors.items())
    raw = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return (
        pickle.dumps(magic, protocol=2)
        + pickle.dumps(PROTOCOL_VERSION, protocol=2)
        + pickle.dumps({"little_endian": little_endian}, protocol=2)
        + (state if state is not None else START + ORDERED_DICT + b"(" + items + b"u.")
        + pickle.dumps(list(storages), protocol=2)
        + raw
    )


SIX = np.arange(6, dtype="<f4")
ROWS = {"stem.weight": tensor(shape=(2, 3), strides=(3, 1))}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return path


def test_a_tensor_comes_back_with_its_shape_and_numbers(tmp_path: Path) -> None:
    found = read_torch_weights(write(tmp_path, legacy_file(ROWS, {"7": SIX})))
    assert list(found) == ["stem.weight"]
    assert found["stem.weight"].dtype == np.float32
    np.testing.assert_array_equal(found["stem.weight"], [[0, 1, 2], [3, 4, 5]])


def test_views_of_one_storage_follow_their_strides_and_offsets(tmp_path: Path) -> None:
    tensors = {
        "turned": tensor(shape=(3, 2), strides=(1, 3)),
        "tail": tensor(shape=(2,), strides=(1,), offset=4),
        "scalar": tensor(shape=(), strides=(), offset=5),
    }
    found = read_torch_weights(write(tmp_path, legacy_file(tensors, {"7": SIX})))
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["tail"], [4, 5])
    assert found["scalar"].shape == ()
    assert found["scalar"] == 5


def test_storages_are_told_apart_by_key_and_type(tmp_path: Path) -> None:
    count = tensor(shape=(1,), strides=(1,), storage=b"ctorch\nLongStorage\n", key="8", length=1)
    storages = {"8": np.array([2**40], "<i8"), "7": SIX}
    found = read_torch_weights(write(tmp_path, legacy_file({**ROWS, "count": count}, storages)))
    assert found["count"].tolist() == [2**40]
    assert found["stem.weight"][1, 2] == 5


class Call:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_of_the_system_is_named_and_not_made(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "executed"
    attack = pickle.dumps(Call(os.system, f"touch {marker}"), protocol=protocol)
    pickle.loads(attack)  # the attack does work on an unpickler that knows every name
    assert marker.exists()
    marker.unlink()
    path = write(tmp_path, legacy_file({}, {}, state=attack))
    with pytest.raises(WeightsError, match=rf"{os.system.__module__}\.system.*not use this file"):
        read_torch_weights(path)
    assert not marker.exists()


def test_an_attack_in_the_first_pickle_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    path = write(tmp_path, pickle.dumps(Call(os.system, f"touch {marker}"), protocol=2))
    with pytest.raises(WeightsError, match=r"\.system"):
        read_torch_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins\neval", "numpy\nload", "torch\nload", "collections\nOrderedDict.fromkeys"],
)
def test_every_other_name_is_refused(tmp_path: Path, name: str) -> None:
    state = START + b"c" + name.encode() + b"\n)R."
    with pytest.raises(WeightsError, match=name.replace("\n", r"\.")):
        read_torch_weights(write(tmp_path, legacy_file({}, {}, state=state)))


def test_a_file_can_leave_nothing_on_the_reader(tmp_path: Path) -> None:
    state = START + REBUILD + b"}" + text("left") + text("behind") + b"sb."
    path = write(tmp_path, legacy_file({}, {}, state=state))
    with pytest.raises(WeightsError, match="not a whole PyTorch"):
        read_torch_weights(path)


def test_a_huge_memo_index_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    state = START + b"}r" + struct.pack("<I", 2**31) + b"."
    with pytest.raises(WeightsError, match="memo index 2147483648"):
        read_torch_weights(write(tmp_path, legacy_file({}, {}, state=state)))


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    data = legacy_file(ROWS, {"7": SIX})
    for length in range(len(data)):
        with pytest.raises(WeightsError):
            read_torch_weights(write(tmp_path, data[:length]))


@pytest.mark.parametrize(
    "opcodes",
    [
        tensor(shape=(7,), strides=(1,)),
        tensor(shape=(2, 3), strides=(3, 1), offset=1),
        tensor(shape=(100, 100), strides=(0, 0)),
    ],
    ids=["too long", "shifted", "repeated"],
)
def test_a_tensor_past_its_storage_is_refused(tmp_path: Path, opcodes: bytes) -> None:
    with pytest.raises(WeightsError, match="tensor stem reaches past"):
        read_torch_weights(write(tmp_path, legacy_file({"stem": opcodes}, {"7": SIX})))


def test_a_negative_stride_is_refused(tmp_path: Path) -> None:
    opcodes = tensor(shape=(2,), strides=(-1,), offset=3)
    with pytest.raises(WeightsError, match="whole numbers"):
        read_torch_weights(write(tmp_path, legacy_file({"stem": opcodes}, {"7": SIX})))


def test_a_storage_of_another_length_is_refused(tmp_path: Path) -> None:
    data = bytearray(legacy_file(ROWS, {"7": SIX}))
    data[-32:-24] = struct.pack("<q", 5)  # eight bytes of length before 24 bytes of numbers
    with pytest.raises(WeightsError, match="storage 7 is not of the length"):
        read_torch_weights(write(tmp_path, bytes(data)))


def test_other_files_are_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_torch_weights(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="_use_new_zipfile_serialization=False"):
        read_torch_weights(write(tmp_path, b"PK\x03\x04 and so on"))
    with pytest.raises(WeightsError, match="does not begin"):
        read_torch_weights(write(tmp_path, legacy_file(ROWS, {"7": SIX}, magic=1)))
    with pytest.raises(WeightsError, match="big-endian"):
        read_torch_weights(write(tmp_path, legacy_file(ROWS, {"7": SIX}, little_endian=False)))
    with pytest.raises(WeightsError, match="save a state dict"):
        read_torch_weights(
            write(tmp_path, legacy_file({}, {}, state=pickle.dumps({"epoch": 3}, protocol=2)))
        )
