"""What the project that threadlite follows reported for its approaches; nothing of it is ours.

It trained four approaches on the same public photos. The figures are quoted as it reported them;
its test photos need not be ours, so they stand beside ours for orientation alone: they are no
measurement and no record.
"""

from dataclasses import dataclass

DATASETS = ("clothing", "clothing-dataset")  # the photos by name, or a clone of their repository


@dataclass(frozen=True, kw_only=True)
class Original:
    """The figures reported for one approach, in [0, 1]; ``None``: not reported."""

    f1: float
    five_fold_f1: float | None = None


ORIGINALS: dict[str, Original] = {
    "custom-cnn": Original(f1=0.66),
    "resnet50-17": Original(f1=0.61),
    "resnet50-10": Original(f1=0.70),
    "resnet50-v2-17": Original(f1=0.61),  # stands in for v1 where its weights cannot be had
    "resnet50-v2-10": Original(f1=0.70),
    "convnext-tiny": Original(f1=0.90, five_fold_f1=0.88),
}


def original_of(approach: str, dataset: str) -> Original | None:
    """Return what was reported for ``approach``; ``None`` for other photos or approaches."""
    return ORIGINALS.get(approach) if dataset in DATASETS else None
