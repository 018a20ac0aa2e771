"""From what the user names to a dataset: ``clothing``, ``garments`` or a path.

Dirt is reported and never fatal; only a source that cannot serve at all is refused.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from train.dataset import (
    Dataset,
    Dirt,
    Photo,
    SourceOptions,
    choose_labels,
    fingerprint_of,
    require_photos,
)
from train.dirt import conflicting_duplicates, exact_duplicates, near_duplicates
from train.download import clothing_folder, download_clothing
from train.errors import ArtifactError, DataError
from train.fetch import Received
from train.listing import Listing, list_source
from train.scan import scan_files
from train.scan_cache import FileFacts
from train.storage import cache_folder, whole_folder

CLOTHING_VARIABLE = "THREADLITE_CLOTHING"
_DEFAULT_OPTIONS = SourceOptions()


def open_dataset(
    source: str,
    options: SourceOptions = _DEFAULT_OPTIONS,
    *,
    advance: Callable[[int], None] | None = None,
    received: Received | None = None,
) -> Dataset:
    """Return the labelled, readable photos of ``source`` and what is wrong with the rest.

    Args:
        source: ``clothing``, ``garments``, a table's path, or the path of a folder with a table
            in it or with one subfolder a class.
        options: columns, classes and labels to drop.
        advance: called with the number of files just looked at, for a progress bar.
        received: called with bytes so far and bytes in all (``None`` where unknown), should the
            clothing dataset have to be downloaded.

    Raises:
        DataError: the source cannot serve: missing, empty, a broken table, fewer than two
            classes, a class without photos.
    """
    listing = list_source(_folder_of(source, options, received), options)
    paths = [photo.path for photo in listing.listed] + list(listing.leftover.values())
    facts = scan_files(paths, advance=advance)
    photos = [
        Photo(
            photo_id=photo.photo_id,
            path=photo.path,
            label=photo.label,
            sender=photo.sender,
            sha256=facts[photo.path].sha256,
        )
        for photo in sorted(listing.listed, key=lambda photo: photo.photo_id)
        if not facts[photo.path].problem
    ]
    labels = _chosen_labels(listing, photos, options)
    kept = tuple(photo for photo in photos if photo.label in labels)
    left_out = Counter(photo.label for photo in photos if photo.label not in labels)
    return Dataset(
        name=source if source in ("clothing", "garments") else listing.name,
        photos=kept,
        labels=tuple(sorted(labels)),
        fingerprint=fingerprint_of(kept),
        dirt=_dirt(listing, kept, facts, left_out),
        unlabelled=tuple(
            Photo(photo_id=name, path=path, label="", sender=name, sha256=facts[path].sha256)
            for name, path in sorted(listing.leftover.items())
            if not facts[path].problem
        ),
    )


def _folder_of(source: str, options: SourceOptions, received: Received | None) -> Path:
    if source == "garments":
        return _garments_folder(options.seed)
    if source != "clothing":
        return Path(source).expanduser().absolute()
    named = os.environ.get(CLOTHING_VARIABLE)
    if not named:
        folder = clothing_folder()
        return folder if folder.is_dir() else download_clothing(folder, received=received)
    folder = Path(named).expanduser().absolute()
    if not folder.exists():
        raise DataError(
            f"{CLOTHING_VARIABLE} names {named!r}, which is not there: set it to the folder of"
            " the clothing dataset, or unset it to have the dataset downloaded"
        )
    return folder


def _garments_folder(seed: int) -> Path:
    """Return the rendered garments, rendering them the first time."""
    from train import garments

    folder = cache_folder() / "garments" / f"{garments.GARMENTS_VERSION}-{seed}"
    if not folder.is_dir():
        try:
            with whole_folder(folder) as draft:
                garments.render_garments(draft, seed=seed)
        except ArtifactError:
            if not folder.is_dir():  # else another process was first with the same pictures
                raise
    return folder


def _chosen_labels(
    listing: Listing, photos: Sequence[Photo], options: SourceOptions
) -> frozenset[str]:
    counts = Counter(photo.label for photo in photos)
    if not counts:
        raise DataError(_nothing_readable(listing))
    if options.classes.strip().lower() == "all" and not options.empty_classes:
        dropped = {label.casefold() for label in options.dropped_labels}
        require_photos(
            (label for label in listing.expected if label.casefold() not in dropped), counts
        )
    return choose_labels(
        counts, options.classes, place=str(listing.place), dropped=options.dropped_labels
    )


def _nothing_readable(listing: Listing) -> str:
    if listing.missing and not listing.listed:
        return (
            f"none of the table's {len(listing.missing)} images is in {listing.place}"
            f" (first: {listing.missing[0]!r}); put them there, with or without extension"
        )
    return (
        f"{listing.place} holds no readable labelled photo ({len(listing.listed)} looked at);"
        " sort photos into one subfolder a class, or name them in a table"
    )


def _dirt(
    listing: Listing,
    kept: Sequence[Photo],
    facts: Mapping[Path, FileFacts],
    left_out: Mapping[str, int],
) -> Dirt:
    paths = {photo.photo_id: photo.path for photo in listing.listed} | listing.leftover
    readable = {name: facts[path] for name, path in paths.items() if not facts[path].problem}
    digests = {name: found.sha256 for name, found in readable.items()}
    looks = {found.sha256: found.perceptual_hash for found in readable.values()}
    exact, near = exact_duplicates(digests), near_duplicates(digests, looks)
    labels = {photo.photo_id: photo.label for photo in kept}
    return Dirt(
        missing_files=listing.missing,
        files_without_row=tuple(sorted(listing.leftover)),
        unreadable=tuple(
            sorted(
                [
                    *(
                        (name, facts[path].problem)
                        for name, path in paths.items()
                        if name not in readable
                    ),
                    *((name, "not a format that is read") for name in listing.foreign),
                ]
            )
        ),
        converted=tuple(
            (photo.photo_id, facts[photo.path].conversion)
            for photo in kept
            if facts[photo.path].conversion
        ),
        duplicate_ids=listing.repeated,
        exact_duplicates=exact,
        near_duplicates=near,
        conflicting_duplicates=conflicting_duplicates((*exact, *near), labels),
        dropped_labels=tuple(sorted(left_out.items())),
    )
