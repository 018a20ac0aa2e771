"""What a file adds to a download."""

import zlib
from pathlib import Path

from deploy.sizes import Sizes, sizes_of


def test_each_file_is_compressed_on_its_own_and_added_up(tmp_path: Path) -> None:
    same, noise = tmp_path / "same", tmp_path / "noise"
    same.write_bytes(bytes(100_000))
    noise.write_bytes(bytes(index * index * 7 % 251 for index in range(5_000)))
    one, other = sizes_of([same]), sizes_of([noise])
    assert one.file_bytes == 100_000
    # DEFLATE copies at most 258 bytes a step: 388 steps of some bits each, and 18 bytes of gzip's.
    assert 18 < one.gzip_bytes < 500 and 0 < one.brotli_bytes < 100
    both = sizes_of([same, noise])
    assert both == one + other
    compressed = zlib.compress(noise.read_bytes(), level=9, wbits=31)
    assert other.gzip_bytes == len(compressed)


def test_cells_are_megabytes() -> None:
    assert (
        Sizes(file_bytes=13_522_024, gzip_bytes=12_530_005, brotli_bytes=0).as_cells
        == "13.52 | 12.53 | 0.00"
    )
