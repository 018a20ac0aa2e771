"""Artifacts without a training behind them, for tests of what measures them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from train.artifact import Artifact, DatasetReference, Step, WeightsOrigin, write_artifact
from train.pixels import PixelContract
from train.splits import Split
from train.variant import parse_variant

SPLIT = Split(
    method="grouped",
    seed=0,
    train=("t0", "t1"),
    validation=("v0", "v1"),
    test=("p0", "p1", "p2", "p3"),
)


def write_fake(
    folder: Path,
    variant: str,
    content: bytes = b"",
    *,
    labels: tuple[str, ...] = ("a", "b", "c"),
    size: int = 16,
) -> Artifact:
    """Write an artifact around ``content`` with a square pixel contract."""

    def fill(path: Path) -> None:
        path.write_bytes(content)

    return write_artifact(
        folder,
        fill=fill,
        split=SPLIT,
        variant=parse_variant(variant),
        details={
            "approach": "custom-cnn",
            "steps": (Step(technique="train", config={}),),
            "labels": labels,
            "pixels": PixelContract(height=size, width=size),
            "dataset": DatasetReference(name="garments", fingerprint="0" * 64, photos=8),
            "seed": 0,
            "weights": WeightsOrigin(source="random", loaded_parameters=0, total_parameters=1),
        },
    )


@pytest.fixture
def fake_artifact() -> Callable[..., Artifact]:
    """Return what writes a fake artifact."""
    return write_fake
