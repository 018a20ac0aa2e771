"""What a variant lost against its float parent, in plain sentences. Measures nothing."""

from bench.record import AccuracyRecord
from bench.scores import count_flips, paired_difference

GOAL_POINTS = 1.0  # what a quantized variant may lose of weighted F1, in points
_NAMED_CLASSES = 3


def explain_loss(parent: AccuracyRecord, variant: AccuracyRecord) -> tuple[str, ...]:
    """Say what a variant lost, where it lost more than ``GOAL_POINTS`` of weighted F1.

    Args:
        parent: the float variant's predictions.
        variant: the predictions of the one that was made from it, on the same photos.

    Returns:
        Nothing where the goal is kept; else the loss with its interval, and where it went.

    Raises:
        DataError: the two were not measured on the same photos.
    """
    change = paired_difference(variant, parent=parent)
    if 100 * change.value >= -GOAL_POINTS:
        return ()
    flips = count_flips(variant, parent=parent)
    classes = range(len(variant.labels))
    lost = {number: _hits(parent, number) - _hits(variant, number) for number in classes}
    worst = sorted((n for n in classes if lost[n] > 0), key=lambda n: -lost[n])[:_NAMED_CLASSES]
    named = ", ".join(f"{variant.labels[number]} ({lost[number]})" for number in worst)
    open_question = " (the interval holds the goal: more photos would decide)"
    return (
        f"{variant.variant} on {variant.runtime} loses {-100 * change.value:.1f} points of weighted"
        f" F1 against {parent.variant} [{-100 * change.high:.1f}, {-100 * change.low:.1f}], more"
        f" than the {GOAL_POINTS:g} allowed"
        f"{open_question if 100 * change.high >= -GOAL_POINTS else ''}.",
        f"Of {flips.photos} photos {flips.right_to_wrong} went from right to wrong and"
        f" {flips.wrong_to_right} from wrong to right"
        f"{f'; most hits were lost in {named}' if named else ''}.",
    )


def _hits(record: AccuracyRecord, number: int) -> int:
    pairs = zip(record.truths, record.predictions, strict=True)
    return sum(truth == predicted == number for truth, predicted in pairs)
