"""What the project that threadlite follows reported for its approaches; nothing of it is ours.

It trained four approaches on the same public photos. The figures are quoted as it reported them;
its test photos need not be ours, so they stand beside ours for orientation alone: they are no
measurement and no record. It says nothing of parameters, and its times name no machine.
Source: https://github.com/MohamedSebaie/Tahaluf-Deep-Learning-Engineer-Task, its README.
"""

from dataclasses import dataclass

DATASETS = ("clothing", "clothing-dataset")  # the photos by name, or a clone of their repository
CONVNEXT_NOTE = (
    "The original could not open its ConvNeXt-Tiny and quoted 4,500 million FLOPs from a benchmark,"
    " halved for its MACCs; 4,500 million is what the paper counts in multiply-accumulates (Liu et"
    " al. 2022, arXiv:2201.03545, table 1), so its row stands at half of the true cost."
)


@dataclass(frozen=True, kw_only=True)
class OriginalCost:
    """The complexity reported for one approach.

    Attributes:
        flops: of one call.
        maccs: of one call.
        expensive_layer: the layer that takes longest, by the original's names.
        expensive_ms: its time.
    """

    flops: int
    maccs: int
    expensive_layer: str
    expensive_ms: float


@dataclass(frozen=True, kw_only=True)
class Original:
    """The figures reported for one approach, F1 in [0, 1]; ``None``: not reported."""

    f1: float
    five_fold_f1: float | None = None
    cost: OriginalCost | None = None


_RESNET_COST = OriginalCost(
    flops=7_735_460_000,
    maccs=3_867_730_000,
    expensive_layer="ResBlock3_Conv3",
    expensive_ms=0.45,
)
ORIGINALS: dict[str, Original] = {
    "custom-cnn": Original(
        f1=0.66,
        cost=OriginalCost(
            flops=29_891_940_000,
            maccs=14_945_970_000,
            expensive_layer="Batch-Normalization",
            expensive_ms=0.055,
        ),
    ),
    "resnet50-17": Original(f1=0.61, cost=_RESNET_COST),
    "resnet50-10": Original(f1=0.70, cost=_RESNET_COST),
    # They stand in for version 1 where its weights cannot be had.
    "resnet50-v2-17": Original(f1=0.61, cost=_RESNET_COST),
    "resnet50-v2-10": Original(f1=0.70, cost=_RESNET_COST),
    "convnext-tiny": Original(
        f1=0.90,
        five_fold_f1=0.88,
        cost=OriginalCost(
            flops=4_500_460_000,
            maccs=2_250_230_000,
            expensive_layer="ConvNext_Block_FE",
            expensive_ms=0.07,
        ),
    ),
}


def original_of(approach: str, dataset: str) -> Original | None:
    """Return what was reported for ``approach``; ``None`` for other photos or approaches."""
    return ORIGINALS.get(approach) if dataset in DATASETS else None
