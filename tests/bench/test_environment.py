"""The environment: features read off what systems tell, and a digest that repeats."""

import re

import psutil
import pytest

from bench import environment
from bench.environment import describe_environment, parse_cpuinfo, parse_sysctl
from train.storage import digest_of

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu sse2 avx avx2 fma avx512f avx512_vnni amx_int8 hypervisor

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu sse2 avx avx2
"""
RASPBERRY = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid asimdhp asimddp
CPU implementer\t: 0x41

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
OLD_ARM = "processor\t: 0\nFeatures\t: half thumb vfpv4 neon\n"
MAC = """hw.ncpu: 8
machdep.cpu.brand_string: Apple M1
hw.optional.neon: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 0
"""


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (
            X86,
            "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            ("amx_int8", "avx", "avx2", "avx512_vnni", "avx512f", "fma"),
        ),
        (RASPBERRY, "Raspberry Pi 5 Model B Rev 1.0", ("dotprod", "fp16", "neon")),
        (OLD_ARM, "", ("neon",)),
        ("", "", ()),
    ],
    ids=["x86", "arm", "nameless", "empty"],
)
def test_linux_tells_name_and_features(text: str, name: str, features: tuple[str, ...]) -> None:
    assert parse_cpuinfo(text) == (name, features)


def test_macos_tells_only_features_that_are_on() -> None:
    assert parse_sysctl(MAC) == ("Apple M1", ("dotprod", "neon"))


def test_the_digest_repeats_and_covers_every_other_field() -> None:
    record = describe_environment()
    assert describe_environment() == record
    fields = record.model_dump(mode="json", exclude={"environment", "schema_version", "kind"})
    assert record.environment == digest_of(fields)[:16]
    assert re.fullmatch(r"[0-9a-f]{16}", record.environment)


def test_another_package_version_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe_environment()
    monkeypatch.setattr(environment, "library_versions", lambda: {"onnxruntime": "0.0.1"})
    assert describe_environment().environment != before.environment


def test_what_a_kernel_keeps_for_itself_is_not_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Memory:
        total = 0

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    Memory.total = 8 * 2**30 - 5_000_000
    first = describe_environment()
    Memory.total = 8 * 2**30 - 9_000_000
    assert describe_environment() == first
    assert first.memory_bytes == 8 * 2**30
    Memory.total = 16 * 2**30
    assert describe_environment() != first


def test_this_machine_is_described_without_naming_its_owner() -> None:
    record = describe_environment()
    assert record.cpu
    assert record.cores >= 1
    assert record.memory_bytes > 2**28
    assert record.packages["numpy"]
    words = set(re.findall(r"[^\s\"]+", record.model_dump_json()))
    assert environment.platform.node() not in words
