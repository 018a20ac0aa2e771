"""What a file adds to an app's download: as it is, and as stores and servers compress it."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LARGE_BYTES = 10_000_000  # what a phone's user waits for on a slow network: about ten seconds
# Of brotli's 0 to 11: above 5 a file takes many times as long and comes out at most 5 % smaller.
BROTLI_QUALITY = 5


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of one or more files.

    Attributes:
        file_bytes: as they are.
        gzip_bytes: each compressed by DEFLATE at its best level, as app stores do.
        brotli_bytes: each compressed by brotli at ``BROTLI_QUALITY``, as web servers do.
    """

    file_bytes: int = 0
    gzip_bytes: int = 0
    brotli_bytes: int = 0

    def __add__(self, other: Self) -> "Sizes":
        return Sizes(
            file_bytes=self.file_bytes + other.file_bytes,
            gzip_bytes=self.gzip_bytes + other.gzip_bytes,
            brotli_bytes=self.brotli_bytes + other.brotli_bytes,
        )

    @property
    def as_cells(self) -> str:
        """The three in megabytes of 10⁶ bytes, as cells of a Markdown table."""
        values = (self.file_bytes, self.gzip_bytes, self.brotli_bytes)
        return " | ".join(f"{value / 1e6:.2f}" for value in values)


def sizes_of(paths: Iterable[Path]) -> Sizes:
    """Return the sizes of files, each compressed on its own, added up."""
    import brotli

    total = Sizes()
    for path in paths:
        content = path.read_bytes()
        total += Sizes(
            file_bytes=len(content),
            gzip_bytes=len(zlib.compress(content, level=9, wbits=31)),  # 31: with gzip's header
            brotli_bytes=len(brotli.compress(content, quality=BROTLI_QUALITY)),
        )
    return total
