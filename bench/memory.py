"""How much memory this process holds, and the most that it has held.

Source: Linux, proc_pid_status(5), ``VmHWM``. The more usual ``getrusage`` is no substitute there: a
new program inherits the peak of the process that started it.
"""

import re
import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def peak_resident_bytes() -> int | None:
    """Return the most memory that this process has held; ``None`` where the system has no word."""
    if _STATUS.is_file():
        return parse_peak(_STATUS.read_text(encoding="utf-8", errors="replace"))
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes there
    found = getattr(psutil.Process().memory_info(), "peak_wset", None)  # Windows
    return None if found is None else int(found)


def parse_peak(status: str) -> int | None:
    """Return the peak from the text of Linux's ``/proc/self/status``."""
    found = _PEAK.search(status)
    return 1024 * int(found[1]) if found else None
