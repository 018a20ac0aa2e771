"""What this processor does to 8-bit products, where that decides how weights are stored.

x86 processors without VNNI add two products of ``uint8`` and ``int8`` in 16 bits, which
overflow to the nearest end of their range: wrong sums, no error. Weights of 7 bits cannot.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import platform
import re
from pathlib import Path

_X86 = frozenset({"x86_64", "amd64", "i386", "i686"})
_WIDE_SUMS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})  # as Linux names them
_CPUINFO = Path("/proc/cpuinfo")


def products_overflow(machine: str, cpuinfo: str) -> bool:
    """Return whether sums of ``uint8`` by ``int8`` products overflow on a processor.

    Args:
        machine: its architecture, as ``platform.machine`` has it.
        cpuinfo: the text of Linux's ``/proc/cpuinfo``; empty where there is none, and then an
            x86 processor is taken for one that overflows: that costs a bit, the other the sums.
    """
    if machine.lower() not in _X86:
        return False
    flags = re.search(r"^flags\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return flags is None or not _WIDE_SUMS & set(flags[1].split())


def products_overflow_here() -> bool:
    """Return whether sums of ``uint8`` by ``int8`` products overflow on this processor."""
    text = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""
    return products_overflow(platform.machine(), text)
