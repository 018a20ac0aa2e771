"""What each file of a source is: digest, size, mode, whether it decodes, what it looks like.

Every file is decoded once in full, by the very steps that feed a network, so that what the scan
calls readable is readable later too.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageOps, ImageStat

from train.pixels import MAX_PICTURE_PIXELS, to_rgb
from train.scan_cache import FactsCache, FileFacts, Stamp, facts_cache, stamp_of
from train.storage import digest_of_file

MAX_PICTURE_BYTES = 256 * 1024 * 1024
HASH_SIDE = 16  # a perceptual hash of 16 x 16 bits
_WORKERS = 2
_BATCH = 256  # files between two saves: what a killed scan loses at most
_FLAT_DEVIATION = 2.0  # grey levels; a flatter picture hashes to noise
_ORIENTATION_TAG = 0x0112


def scan_files(
    paths: Sequence[Path], *, advance: Callable[[int], None] | None = None
) -> dict[Path, FileFacts]:
    """Return the facts of every file, from the cache where they are known.

    Args:
        paths: the files; one that is missing or no regular file gets a ``problem``.
        advance: called with the number of files just finished, for a progress bar.
    """
    found: dict[Path, FileFacts] = {}
    with (
        warnings.catch_warnings(),
        facts_cache() as cache,
        ThreadPoolExecutor(max_workers=_WORKERS) as pool,
    ):
        # Set here and not in the workers: the filters belong to the whole process. A warning of
        # Pillow's about a file is that file's fact, and not the user's line to read.
        warnings.simplefilter("ignore")
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            found.update(_scan_batch(batch, cache, pool))
            if advance is not None:
                advance(len(batch))
    return found


def inspect_file(path: Path, *, sha256: str = "") -> FileFacts:
    """Return the facts of one regular file by decoding it in full.

    Args:
        path: the file.
        sha256: its digest, where it is already known.
    """
    try:
        size = path.stat().st_size
        digest = sha256 or digest_of_file(path)
        if size == 0:
            return FileFacts(sha256=digest, problem="zero bytes")
        if size > MAX_PICTURE_BYTES:
            return FileFacts(sha256=digest, file_bytes=size, problem="over 256 MiB")
        data = path.read_bytes()
    except OSError as error:
        return FileFacts(problem=error.strerror or "cannot be opened")
    return _inspect_bytes(data, FileFacts(sha256=digest, file_bytes=size))


def _inspect_bytes(data: bytes, known: FileFacts) -> FileFacts:
    base: dict[str, Any] = {"sha256": known.sha256, "file_bytes": known.file_bytes}
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PICTURE_PIXELS:
                size = f"{picture.width} x {picture.height}"
                return FileFacts(**base, problem=f"{size} pixels: a decompression bomb")
            conversion = _conversion(picture)
            orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
            if orientation in range(2, 9):
                conversion = ", ".join(filter(None, (conversion, "EXIF-rotated")))
            base |= {"width": picture.width, "height": picture.height, "mode": picture.mode}
            rgb = to_rgb(ImageOps.exif_transpose(picture))
            looks = _perceptual_hash(rgb)
    except Image.DecompressionBombError:
        return FileFacts(
            sha256=known.sha256, file_bytes=known.file_bytes, problem="a decompression bomb"
        )
    except Exception as error:  # Pillow raises anything from KeyError to struct.error on bad files
        return FileFacts(
            sha256=known.sha256, file_bytes=known.file_bytes, problem=_plain_reason(error)
        )
    upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return FileFacts(**base, orientation=upright, conversion=conversion, perceptual_hash=looks)


def _plain_reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not a picture"
    if "truncated" in text.lower() or "unexpected end" in text.lower():
        return "truncated"
    return f"cannot be decoded ({type(error).__name__})"


def _conversion(picture: Image.Image) -> str:
    """Say what turns ``picture`` into 8-bit RGB; call before anything loads its pixels."""
    # 16-bit colour opens as plain "RGB"; how it is stored is said by the decoder's arguments.
    stored = repr([tile[3] for tile in getattr(picture, "tile", ())])
    reasons = []
    if picture.mode.startswith(("I", "F")) or ";16" in stored:
        reasons.append("16-bit")
    if picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;"):
        reasons.append("greyscale")
    elif picture.mode == "P":
        reasons.append("palette")
    elif picture.mode not in ("RGB", "RGBA", "RGBX", "RGBa", "PA"):
        reasons.append(picture.mode)
    if picture.has_transparency_data:
        reasons.append("alpha")
    return ", ".join(reasons)


def _perceptual_hash(rgb: Image.Image) -> str:
    import imagehash

    grey = rgb.convert("L")
    small = grey.resize((64, 64), Image.Resampling.BOX)
    if ImageStat.Stat(small).stddev[0] < _FLAT_DEVIATION:
        return ""
    return str(imagehash.phash(grey, hash_size=HASH_SIDE))


def _scan_batch(
    batch: Sequence[Path], cache: FactsCache, pool: ThreadPoolExecutor
) -> dict[Path, FileFacts]:
    found: dict[Path, FileFacts] = {}
    stamps: dict[Path, Stamp] = {}
    for path in batch:
        stamp = stamp_of(path)
        if isinstance(stamp, FileFacts):
            found[path] = stamp
        elif (known := cache.by_stamp(stamp)) is not None:
            found[path] = known
        else:
            stamps[path] = stamp
    digests = dict(zip(stamps, pool.map(_digest, stamps), strict=True))
    unknown = []
    for path, digest in digests.items():
        if digest and (known := cache.by_digest(digest)) is not None:
            found[path] = known
        else:
            unknown.append(path)
    inspected = pool.map(lambda path: inspect_file(path, sha256=digests[path]), unknown)
    found.update(zip(unknown, inspected, strict=True))
    cache.remember((stamp, found[path]) for path, stamp in stamps.items())
    return found


def _digest(path: Path) -> str:
    try:
        return digest_of_file(path)
    except OSError:
        return ""
