"""Refitting: once a recipe is chosen, the photos that chose it train too.

The test side is left as it is, so that a refitted network and the one that was validated are
judged on the same photos. Nothing can be chosen on a refitted network: it has seen all the rest.
"""

from train.splits import Split


def with_validation_trained(split: Split) -> Split:
    """Return ``split`` with the validation photos on the training side, in its order."""
    return split.model_copy(
        update={"train": tuple(sorted((*split.train, *split.validation))), "validation": ()}
    )


def unseen_or_train(split: Split) -> tuple[str, ...]:
    """Return the validation photos, or the training photos where a refit left none.

    For what needs photos of the right kind and judges nothing by them: parity, timing.
    """
    return split.validation or split.train
