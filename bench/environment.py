"""What machine and software made a measurement.

A time belongs to its machine: an x86 time is never a phone time. No host name, user name or path
is kept, so that records can be published.
"""

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

from bench.awake import may_keep_awake
from bench.record import EnvironmentRecord
from train.artifact import library_versions
from train.storage import digest_of

# The kernel's or macOS's word -> ours: the instruction sets that the runtimes have kernels for.
FEATURE_NAMES = {
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "avx_vnni": "avx_vnni",
    "amx_tile": "amx_tile",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "neon": "neon",
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "hw.optional.neon": "neon",
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_FP16": "fp16",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
}
_MEMORY_STEP = 256 * 2**20  # what a kernel keeps for itself varies from boot to boot


def describe_environment() -> EnvironmentRecord:
    """Return the record of this machine; the same machine and software give the same digest."""
    cpu, features = _processor()
    fields = {
        "cpu": cpu,
        "cores": usable_cores(),
        "memory_bytes": round(psutil.virtual_memory().total / _MEMORY_STEP) * _MEMORY_STEP,
        "cpu_features": list(features),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": library_versions(),
        "kept_awake": may_keep_awake(),
    }
    return EnvironmentRecord.model_validate({"environment": digest_of(fields)[:16], **fields})


def usable_cores() -> int:
    """Return how many logical cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1


def parse_cpuinfo(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the processor's name and its features from the text of Linux's ``/proc/cpuinfo``.

    The name is empty where the text has none, as on most ARM boards.
    """
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    words = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1].strip() if name else "", _known(words[1].split() if words else [])


def parse_sysctl(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the processor's name and its features from the text of macOS's ``sysctl -a``."""
    pairs = dict(re.findall(r"^([\w.]+): (.*)$", text, re.MULTILINE))
    present = [key for key, value in pairs.items() if value.strip() == "1"]
    return pairs.get("machdep.cpu.brand_string", "").strip(), _known(present)


def _known(words: list[str]) -> tuple[str, ...]:
    return tuple(sorted({FEATURE_NAMES[word] for word in words if word in FEATURE_NAMES}))


def _processor() -> tuple[str, tuple[str, ...]]:
    """Return name and features; no features where the system does not tell them (Windows)."""
    name = ""
    features: tuple[str, ...] = ()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        name, features = parse_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    elif platform.system() == "Darwin":
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-a"], capture_output=True, text=True, check=False, timeout=10
        )
        name, features = parse_sysctl(told.stdout)
    return name or platform.processor() or platform.machine(), features
