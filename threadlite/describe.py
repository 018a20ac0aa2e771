"""What ``threadlite data SOURCE`` shows: classes, senders, dirt."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from train.dataset import Dataset, Dirt, Photo
from train.download import read_receipt

FOLDS = 5
_SHOWN_NAMES = 3
_SHOWN_SENDERS = 5


def describe_dataset(dataset: Dataset, console: Console, *, folds: int = FOLDS) -> None:
    """Print the classes, the largest senders and the dirt of ``dataset``.

    Args:
        dataset: what to describe.
        console: where to.
        folds: classes with fewer photos or senders than this are named.
    """
    senders = {photo.sender for photo in dataset.photos}
    console.print(
        _plain(
            f"{dataset.name}: {len(dataset.photos):,} photos in {len(dataset.labels)} classes"
            f" from {len(senders):,} senders"
            if _knows_senders(dataset)
            else f"{dataset.name}: {len(dataset.photos):,} photos in {len(dataset.labels)} classes,"
            " senders unknown"
        )
    )
    console.print(_plain(f"fingerprint {dataset.fingerprint}"))
    _print_receipt(dataset, console)
    console.print(_class_table(dataset))
    if _knows_senders(dataset):
        console.print(_sender_table(dataset.photos))
    _print_small_classes(dataset, console, folds)
    if dataset.unlabelled:
        console.print(_plain(f"{len(dataset.unlabelled):,} readable photos have no label"))
    _print_dirt(dataset.dirt, console)


def _plain(text: str) -> Text:
    """Return ``text`` as it is: no markup read out of it, nothing a terminal would obey."""
    return Text(
        "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    )


def _knows_senders(dataset: Dataset) -> bool:
    return any(photo.sender != photo.photo_id for photo in dataset.photos)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _class_table(dataset: Dataset) -> Table:
    table = Table(title="Classes")
    table.add_column("class")
    for column in ("photos", "share", "senders", "largest sender"):
        table.add_column(column, justify="right")
    photos = Counter(photo.label for photo in dataset.photos)
    known = _knows_senders(dataset)
    for label in sorted(dataset.labels, key=lambda label: (-photos[label], label)):
        senders = Counter(photo.sender for photo in dataset.photos if photo.label == label)
        table.add_row(
            _plain(label),
            f"{photos[label]:,}",
            _share(photos[label], len(dataset.photos)),
            f"{len(senders):,}" if known else "-",
            _share(max(senders.values()), photos[label]) if known else "-",
        )
    return table


def _sender_table(photos: Sequence[Photo]) -> Table:
    table = Table(title="Largest senders")
    table.add_column("sender")
    for column in ("photos", "share", "together"):
        table.add_column(column, justify="right")
    total = 0
    ranked = sorted(Counter(photo.sender for photo in photos).items(), key=lambda i: (-i[1], i[0]))
    for sender, count in ranked[:_SHOWN_SENDERS]:
        total += count
        table.add_row(
            _plain(sender), f"{count:,}", _share(count, len(photos)), _share(total, len(photos))
        )
    return table


def _print_small_classes(dataset: Dataset, console: Console, folds: int) -> None:
    photos = Counter(photo.label for photo in dataset.photos)
    senders = Counter(label for label, _ in {(p.label, p.sender) for p in dataset.photos})
    kinds = {"photos": photos} | ({"senders": senders} if _knows_senders(dataset) else {})
    for what, counts in kinds.items():
        few = [label for label in dataset.labels if counts[label] < folds]
        if few:
            named = ", ".join(f"{label} ({counts[label]})" for label in few)
            console.print(_plain(f"Fewer {what} than {folds} folds: {named}"))


def _print_receipt(dataset: Dataset, console: Console) -> None:
    folders = {photo.path.parent.parent for photo in dataset.photos[:1]}
    for receipt in filter(None, map(read_receipt, folders)):
        console.print(
            _plain(f"downloaded from {receipt.url}, sha256 {receipt.sha256} ({receipt.proof})")
        )


def _print_dirt(dirt: Dirt, console: Console) -> None:
    rows = [(kind, len(names), names) for kind, names in _dirt_kinds(dirt) if names]
    if not rows:
        console.print("No dirt found.")
        return
    table = Table(title="Dirt (reported, not fatal)")
    table.add_column("kind")
    table.add_column("count", justify="right")
    table.add_column("which", overflow="fold")
    for kind, count, names in rows:
        shown = names if "labels differ" in kind or "dropped" in kind else names[:_SHOWN_NAMES]
        more = f", and {count - len(shown):,} more" if count > len(shown) else ""
        table.add_row(kind, f"{count:,}", _plain(", ".join(shown) + more))
    console.print(table)


def _dirt_kinds(dirt: Dirt) -> list[tuple[str, list[str]]]:
    reasons = sorted({why for _, why in dirt.converted})
    converted = [
        (f"converted: {reason}", [name for name, why in dirt.converted if why == reason])
        for reason in reasons
    ]
    return [
        ("rows without a file", list(dirt.missing_files)),
        ("files without a row", list(dirt.files_without_row)),
        ("unreadable files", [f"{name} ({why})" for name, why in dirt.unreadable]),
        ("duplicate ids", list(dirt.duplicate_ids)),
        *converted,
        ("exact duplicates", _groups(dirt.exact_duplicates)),
        ("near duplicates", _groups(dirt.near_duplicates)),
        ("duplicates whose labels differ", _groups(dirt.conflicting_duplicates)),
        ("dropped labels", [f"{label} ({count})" for label, count in dirt.dropped_labels]),
    ]


def _groups(groups: Iterable[Sequence[str]]) -> list[str]:
    return [" = ".join(group) for group in groups]
