"""Print how many compressed bytes zeros leave: ``python docs/results/gzip_of_zeros.py``.

EfficientNet-Lite0 on the packaged ImageNet weights, its smallest weights set to zero and not
fine-tuned, in full int8 as ``.tflite``. How large the file is compressed does not depend on what it
was calibrated on, so noise serves.
"""

import gzip
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.prune import prunable_kernels
from optimize.quantize_litert import to_int8_tflite
from train.networks import NETWORKS
from train.weights import load_weights

NETWORK, SIZE, CLASSES = "efficientnet-lite0", 224, 17
SHARES = (0.6, 0.65, 0.68, 0.7)

Kernel = npt.NDArray[np.float32]


def compressed_bytes(model: Any) -> int:
    """Return the bytes of the int8 file, compressed."""
    noise = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    return len(gzip.compress(to_int8_tflite(model, noise), compresslevel=9, mtime=0))


def without_smallest(kernels: Sequence[Kernel], share: float, *, together: bool) -> list[Kernel]:
    """Return the kernels with the share ``share`` of each, or of all together, set to zero."""
    sizes = [np.abs(kernel) for kernel in kernels]
    overall = np.quantile(np.concatenate([size.ravel() for size in sizes]), share)
    bounds = [overall if together else np.quantile(size, share) for size in sizes]
    return [
        np.where(size <= bound, 0.0, kernel).astype(np.float32)
        for kernel, size, bound in zip(kernels, sizes, bounds, strict=True)
    ]


def main() -> None:
    """Measure and print a line for each share."""
    model = NETWORKS[NETWORK](image_size=SIZE, classes=CLASSES)
    load_weights(model, network=NETWORK, source="auto")
    variables = prunable_kernels(model)
    kernels = [variable.numpy() for variable in variables]
    whole = compressed_bytes(model)
    sys.stdout.write(f"no zeros: {whole:,} bytes\n")
    for together in (False, True):
        for share in SHARES:
            for variable, kernel in zip(
                variables, without_smallest(kernels, share, together=together), strict=True
            ):
                variable.assign(kernel)
            left = compressed_bytes(model)
            where = "of all" if together else "of each kernel"
            sys.stdout.write(f"{share:.0%} {where}: {left:,} bytes, {left / whole:.3f}\n")


if __name__ == "__main__":
    main()
