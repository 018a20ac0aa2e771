"""What is said where a training's numbers are no longer numbers, and the weights it leaves.

What it learned up to its best epoch is written under the network's own names, so that another
training may begin from it: the checkpoints themselves serve the very same settings alone.
"""

from pathlib import Path
from typing import Any

import numpy as np

from train.approaches import Recipe
from train.storage import whole_file
from train.weight_places import named_variables


def divergence(name: str, recipe: Recipe, *, epoch: int, loss: float) -> str:
    """Return what happened, and the settings that it can come from.

    Args:
        name: of the network.
        recipe: by which it was trained.
        epoch: in which it happened, from 1.
        loss: its mean.
    """
    return (
        f"{name}: the loss or the weights are no longer numbers in epoch {epoch} (mean loss"
        f" {loss}); lower {causes_of(recipe)}: a changed setting begins anew"
    )


def causes_of(recipe: Recipe) -> str:
    """Return the settings that numbers may grow without end by, with their values."""
    scratch = recipe == recipe.from_scratch()
    rate = "learning_rate, or scratch_rate from scratch," if scratch else "learning_rate"
    causes = [f"{rate} (now {recipe.learning_rate})"]
    if recipe.head_rate != 1.0:
        causes.append(f"head_rate (now {recipe.head_rate})")
    if recipe.weight_decay:
        causes.append(f"weight_decay (now {recipe.weight_decay})")
    *others, last = causes
    return f"{', '.join(others)} or {last}" if others else last


def write_weights(model: Any, path: Path) -> None:
    """Write all variables of a network as an ``.npz`` file that ``--weights`` takes.

    Args:
        model: one of ``train.networks``.
        path: of the file; one that is there is replaced.

    Raises:
        ArtifactError: it cannot be written.
    """
    arrays = {name: variable.numpy() for name, variable in named_variables(model).items()}
    with whole_file(path) as draft, draft.open("wb") as stream:
        np.savez(stream, **arrays)
