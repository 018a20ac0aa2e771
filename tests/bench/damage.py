"""Model files with damage, for tests of what reads and runs them."""

import random


def truncated(content: bytes, order: random.Random) -> bytes:
    """Return ``content`` cut at a random place."""
    return content[: order.randrange(1, len(content))]


def flipped(content: bytes, order: random.Random, count: int = 200) -> bytes:
    """Return ``content`` with ``count`` of its bytes inverted."""
    damaged = bytearray(content)
    for place in order.sample(range(len(content)), min(count, len(content))):
        damaged[place] ^= 0xFF
    return bytes(damaged)
