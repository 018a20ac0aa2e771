"""Copies among photos: the same bytes, and pictures that look the same.

Two pictures look the same when their 256-bit perceptual hashes differ in at most ``NEAR_BITS``
bits. Of the clothing dataset's photos, copies saved again at quality 40, at half size or 15 %
brighter differ in at most 18 bits, and the two nearest different garments in 38. That finds
copies of one photograph; two photographs of one garment are for the sender groups to keep
together.
Source: pHash as in the ImageHash package (discrete cosine transform, lowest 16 x 16
frequencies, above or below their median).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from train.chains import chains

NEAR_BITS = 24
_ROWS = 512  # photos compared with all others at once: 20 MB of distances for 5,000 photos

Groups = tuple[tuple[str, ...], ...]
Hashes = npt.NDArray[np.uint64]


def exact_duplicates(digests: Mapping[str, str]) -> Groups:
    """Return groups of names whose files hold the same bytes.

    Args:
        digests: SHA-256 of a file's bytes, by name.
    """
    return _sorted_groups(names for names in _names_by_digest(digests).values() if len(names) > 1)


def near_duplicates(digests: Mapping[str, str], looks: Mapping[str, str]) -> Groups:
    """Return groups of names whose pictures look the same though their bytes differ.

    A group is a chain of near pairs; byte-identical copies of its members are in it too.

    Args:
        digests: SHA-256 of a file's bytes, by name.
        looks: perceptual hash (64 hex digits) by SHA-256; a file without one is left out.
    """
    names = _names_by_digest(digests)
    known = [digest for digest in sorted(names) if looks.get(digest)]
    if len(known) < 2:
        return ()
    raw = b"".join(bytes.fromhex(looks[digest]) for digest in known)
    hashes = np.frombuffer(raw, dtype=np.uint64).reshape(len(known), -1)
    linked = chains(near_pairs(hashes))
    return _sorted_groups([name for i in chain for name in names[known[i]]] for chain in linked)


def conflicting_duplicates(groups: Iterable[Sequence[str]], labels: Mapping[str, str]) -> Groups:
    """Return those groups whose members carry different labels.

    Args:
        groups: names of copies.
        labels: label by name; a name without one agrees with every label.
    """
    return _sorted_groups(
        group for group in groups if len({labels[name] for name in group if name in labels}) > 1
    )


def near_pairs(hashes: Hashes, *, most_bits: int = NEAR_BITS) -> list[tuple[int, int]]:
    """Return index pairs ``(i, j)``, ``i < j``, whose hashes differ in ``most_bits`` at most.

    Args:
        hashes: ``(photo, word)`` uint64, the bits of each hash.
        most_bits: largest Hamming distance of a pair.
    """
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(hashes), _ROWS):
        block, rest = hashes[start : start + _ROWS], hashes[start:]
        # A pair is no nearer in all words than in the first, which rules nearly all of them out.
        first = np.bitwise_count(block[:, None, 0] ^ rest[None, :, 0])
        left, right = np.nonzero(first <= most_bits)
        upper = right > left
        left, right = left[upper], right[upper]
        distances = np.bitwise_count(block[left] ^ rest[right]).sum(axis=1)
        near = distances <= most_bits
        pairs.extend(
            (start + int(i), start + int(j)) for i, j in zip(left[near], right[near], strict=True)
        )
    return pairs


def _names_by_digest(digests: Mapping[str, str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        names[digest].append(name)
    return names


def _sorted_groups(groups: Iterable[Sequence[str]]) -> Groups:
    return tuple(sorted({tuple(sorted(group)) for group in groups}))
