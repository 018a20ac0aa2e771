"""How fast the memory that cores share answers: what a run met, beside the times that it measured.

Networks of some megabytes live in a cache that all cores share, on a virtual machine with those of
other guests too. Whoever is busy there slows such networks and spares the small ones, so that the
ratio of two variants differs from one hour to the next and no interval within a run tells it. A
copy of a few megabytes between the rounds does: runs whose copies were as fast can be compared.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

BUFFER_BYTES = 4 * 2**20  # two of them: beyond a core's own caches, within those that are shared
PASSES = 5


def copy_speed(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how fast one thread copies ``BUFFER_BYTES``, in 10⁹ bytes a second, read or written.

    The median of ``PASSES`` copies, after one that brings both buffers near.
    """
    source = np.ones(BUFFER_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    seconds = []
    np.copyto(target, source)
    for _ in range(PASSES):
        start = clock()
        np.copyto(target, source)
        seconds.append(clock() - start)
    return BUFFER_BYTES / statistics.median(seconds) / 1e9
