"""Measure how many compressed bytes zeros leave: ``python docs/results/gzip_of_zeros.py``.

EfficientNet-Lite0 on the packaged ImageNet weights, its smallest weights set to zero and not
fine-tuned, in full int8 as ``.tflite``. How large the file is compressed does not depend on what it
was calibrated on, so noise serves. Writes ``docs/results/zeros/``: bytes, and the table.
"""

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.prune import prunable_kernels
from optimize.quantize_litert import to_int8_tflite
from optimize.tflite_file import packed, unpacked
from train.networks import NETWORKS
from train.weights import load_weights

NETWORK, SIZE, CLASSES = "efficientnet-lite0", 224, 17
SHARES = (0.6, 0.65, 0.68, 0.7)
RESULTS = Path(__file__).parent / "zeros"

Kernel = npt.NDArray[np.float32]


def compressed_bytes(model: Any) -> int:
    """Return the bytes of the int8 file, written as threadlite writes files, compressed."""
    noise = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    content = to_int8_tflite(model, noise)
    written = packed(unpacked(content), room_bytes=len(content))
    return len(gzip.compress(written, compresslevel=9, mtime=0))


def without_smallest(kernels: Sequence[Kernel], share: float, *, together: bool) -> list[Kernel]:
    """Return the kernels with the share ``share`` of each, or of all together, set to zero."""
    sizes = [np.abs(kernel) for kernel in kernels]
    overall = np.quantile(np.concatenate([size.ravel() for size in sizes]), share)
    bounds = [overall if together else np.quantile(size, share) for size in sizes]
    return [
        np.where(size <= bound, 0.0, kernel).astype(np.float32)
        for kernel, size, bound in zip(kernels, sizes, bounds, strict=True)
    ]


def measured() -> Iterator[tuple[str, int]]:
    """Yield what was set to zero, and the compressed bytes; without zeros first."""
    model = NETWORKS[NETWORK](image_size=SIZE, classes=CLASSES)
    load_weights(model, network=NETWORK, source="auto")
    variables = prunable_kernels(model)
    kernels = [variable.numpy() for variable in variables]
    yield "none", compressed_bytes(model)
    for together in (False, True):
        for share in SHARES:
            for variable, kernel in zip(
                variables, without_smallest(kernels, share, together=together), strict=True
            ):
                variable.assign(kernel)
            where = "of all, one threshold" if together else "of each kernel"
            yield f"{share:.0%} {where}", compressed_bytes(model)


def page(found: dict[str, int]) -> str:
    """Return the table, from the bytes alone."""
    whole = found["none"]
    lines = [
        "# Compressed bytes that zeros leave",
        "",
        "EfficientNet-Lite0 in int8 (ImageNet weights, not fine-tuned), compressed by gzip. Made by"
        " `python docs/results/gzip_of_zeros.py`.",
        "",
        "| zeros | bytes | of those without zeros |",
        "|---|---:|---:|",
        *(f"| {zeros} | {size:,} | {size / whole:.3f} |" for zeros, size in found.items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write bytes and table."""
    found = {}
    for zeros, size in measured():
        found[zeros] = size
        sys.stdout.write(f"{zeros}: {size:,} bytes\n")
        sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bytes.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "zeros.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
