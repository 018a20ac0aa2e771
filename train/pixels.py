"""The one preprocessing contract, and the cache that keeps photos decoded.

Decode, apply the EXIF orientation, RGB, resize the whole picture to the network's input,
``uint8`` 0..255. All normalisation lives inside the graph, so a phone hands over camera
pixels and nothing else.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from train.dataset import Photo
from train.errors import DataError
from train.storage import cache_folder, digest_of, stored_array, whole_file, write_array

Pixels = npt.NDArray[np.uint8]
DECODER_VERSION = 1  # to be raised when ``decode`` gives other pixels
MAX_PICTURE_PIXELS = 64_000_000  # a 64-megapixel photo; beyond that a file is taken for a bomb


class PixelContract(BaseModel):
    """What a network is fed.

    Attributes:
        height: rows of the input.
        width: columns of the input.
        resize: ``stretch-bilinear``: the whole picture is stretched to ``height`` x ``width``
            with an antialiased triangle filter (Pillow's ``BILINEAR``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=16, le=1024)
    width: int = Field(ge=16, le=1024)
    resize: Literal["stretch-bilinear"] = "stretch-bilinear"


def decode(source: Path | bytes, contract: PixelContract) -> Pixels:
    """Return one picture as ``(height, width, 3)`` uint8, values in [0, 255].

    Args:
        source: a file or its bytes, in any format and mode that Pillow reads.
        contract: the size and the resize method.

    Raises:
        DataError: the file is missing, not a picture, truncated, or larger than
            ``MAX_PICTURE_PIXELS``.
    """
    name = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
    stream = source if isinstance(source, Path) else io.BytesIO(source)
    try:
        with Image.open(stream) as picture:
            if picture.width * picture.height > MAX_PICTURE_PIXELS:
                raise DataError(
                    f"{name}: a picture of {picture.width} x {picture.height} is over the limit"
                    f" of {MAX_PICTURE_PIXELS:,} pixels; scale it down"
                )
            upright = ImageOps.exif_transpose(picture)
            rgb = to_rgb(upright)
            small = rgb.resize((contract.width, contract.height), Image.Resampling.BILINEAR)
    except DataError:
        raise
    except Exception as error:  # Pillow raises anything from KeyError to struct.error on bad files
        raise DataError(f"{name}: not a readable picture ({error})") from error
    return np.asarray(small, dtype=np.uint8)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return ``picture`` as 8-bit RGB: 16-bit scaled, transparency laid on white."""
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        values = np.asarray(picture, dtype=np.float64)
        top = 255.0 if values.max(initial=0.0) <= 255.0 else 65535.0
        grey = (values.clip(0, top) / top * 255.0).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def load_pixels(
    photos: Sequence[Photo],
    contract: PixelContract,
    *,
    advance: Callable[[int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Pixels:
    """Return the photos as ``(photo, height, width, 3)`` uint8, decoded at most once.

    The array is a read-only view of a file in the user's cache, keyed by the photos' own
    digests and the contract, so that epochs and later runs decode nothing. A damaged file is
    made again.

    Args:
        photos: what to decode; every one must be readable.
        contract: the size and the resize method.
        advance: called with the number of photos just decoded, for a progress bar.
        say: told of a file in the cache that is damaged.

    Raises:
        ArtifactError: the cache cannot be written.
        DataError: a photo cannot be decoded, or ``photos`` is empty.
    """
    if not photos:
        raise DataError("no photos to decode: the selection is empty")
    decoder = {"decoder": DECODER_VERSION, "pillow": PIL.__version__}
    digests = [photo.sha256 for photo in photos]
    key = digest_of({"photos": digests, **decoder, **contract.model_dump()})
    path = cache_folder() / "pixels" / f"{contract.height}x{contract.width}-{key[:16]}.npy"
    shape = (len(photos), contract.height, contract.width, 3)
    pixels: Pixels | None = stored_array(path, "|u1", shape, say=say)
    if pixels is None:
        with whole_file(path) as draft:
            write_array(draft, "|u1", shape, _decoded(photos, contract, advance))
        pixels = np.load(path, mmap_mode="r")
    return pixels


def _decoded(
    photos: Sequence[Photo], contract: PixelContract, advance: Callable[[int], None] | None
) -> Iterator[Pixels]:
    """Yield the photos' pixels in order, decoded two at a time."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        for picture in pool.map(lambda photo: decode(photo.path, contract), photos):
            yield picture
            if advance is not None:
                advance(1)
