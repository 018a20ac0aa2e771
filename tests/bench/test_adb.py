"""Finding and describing a phone, against a fake ``adb``."""

import pytest

from bench.adb import Adb, describe_phone, is_phone, parse_target
from tests.bench.fake_adb import DEVICES, PHONE, FakePhone, phone
from tests.bench.gate_records import machine
from train.errors import RuntimeFailure, UsageError

__all__ = ["phone"]


def test_targets() -> None:
    assert parse_target("adb") == ""
    assert parse_target("adb:PIXEL") == "PIXEL"
    assert parse_target("adb:192.168.1.5:5555") == "192.168.1.5:5555"
    for wrong in ("", "adb:", "ios", "adbx"):
        with pytest.raises(UsageError, match="adb or adb:SERIAL"):
            parse_target(wrong)


def test_the_phone_is_described_without_its_serial_number(phone: FakePhone) -> None:
    found = describe_phone(Adb(), "ab" * 32)
    assert found.cpu == "Google Pixel 8 (Tensor G3, arm64-v8a)"
    assert found.system == "Android 14 Linux 5.15.110-android14 aarch64"
    assert found.cores == 9
    assert found.memory_bytes == 30 * 256 * 2**20  # 7,864,320 kB
    assert found.cpu_features == ("dotprod", "fp16", "i8mm", "neon")
    assert found.packages == {"benchmark_model": "sha256 abababababab"}
    assert not {"SECRET", "PIXEL"} & set(found.model_dump_json().split('"'))
    assert "SECRET" not in found.model_dump_json()
    assert is_phone(found)
    assert not is_phone(machine())


def test_the_same_phone_has_the_same_name_and_another_tool_another(phone: FakePhone) -> None:
    names = [describe_phone(Adb("PIXEL"), digest * 32).environment for digest in ("ab", "ab", "cd")]
    assert names[0] == names[1] != names[2]


def test_a_phone_that_tells_little(phone: FakePhone, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, text in {"getprop": "", "cat /proc/meminfo": "", "nproc": "?"}.items():
        monkeypatch.setitem(PHONE, command, text)
    phone.save()
    found = describe_phone(Adb(), "ab" * 32)
    assert found.cpu == "Android phone (unknown processor, ?)"
    assert (found.cores, found.memory_bytes) == (1, 0)


@pytest.mark.parametrize(
    ("devices", "serial", "words"),
    [
        ("List of devices attached\n\n", "", "0 phones are attached; attach one"),
        (DEVICES + "TABLET\tdevice\n", "", "2 phones are attached; name one with --device"),
        (DEVICES, "TABLET", "phone TABLET is not attached; attached: PIXEL"),
        (DEVICES.replace("\tdevice", "\tunauthorized"), "", "is unauthorized; allow USB debugging"),
    ],
)
def test_not_exactly_one_phone_is_meant(
    phone: FakePhone, devices: str, serial: str, words: str
) -> None:
    phone.play["devices"] = devices
    phone.save()
    with pytest.raises(RuntimeFailure, match=words):
        Adb(serial)


def test_no_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeFailure, match="install Android's platform-tools"):
        Adb()


def test_a_command_that_fails_says_its_last_words(phone: FakePhone) -> None:
    phone.answers["^ls"] = (2, ["a\nls: /nope: No such file or directory\n"])
    phone.save()
    with pytest.raises(RuntimeFailure, match="ls on the phone ended with code 2: ls: /nope"):
        Adb().shell("ls", "/nope")


def test_words_are_quoted_for_the_phones_shell(phone: FakePhone) -> None:
    Adb().attempt("echo", "a b; rm x")
    assert phone.log[-1][3] == "echo 'a b; rm x' 2>&1; echo threadlite-status=$?"


def test_a_phone_that_goes_away(phone: FakePhone) -> None:
    phone.play["unplugged_at"] = "nproc"
    phone.save()
    with pytest.raises(RuntimeFailure, match="device 'PIXEL' not found"):
        describe_phone(Adb(), "ab" * 32)
