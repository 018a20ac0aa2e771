"""Cores that do not fall asleep between the calls of a measurement.

Between two operators, or two calls, a thread waits for another one. Whether its core sleeps
meanwhile, and how long it takes to wake, is up to the system and to what else the machine does. On
a virtual machine it changes from minute to minute, and with it the time of a network of many small
operators. Linux lets a program ask for the shortest wake-up.
Source: https://docs.kernel.org/power/pm_qos_interface.html
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
_NO_MICROSECONDS = struct.pack("i", 0)


def may_keep_awake() -> bool:
    """Return whether this program may ask for it: on Linux, mostly as root."""
    return DEVICE.exists() and os.access(DEVICE, os.W_OK)


@contextmanager
def cores_awake() -> Iterator[None]:
    """Keep the cores from sleeping as long as the block runs, where that may be asked for.

    It holds for all programs of the machine, and ends with this process at the latest.
    """
    handle = None
    if may_keep_awake():
        with suppress(OSError):
            handle = os.open(DEVICE, os.O_WRONLY)
            os.write(handle, _NO_MICROSECONDS)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
