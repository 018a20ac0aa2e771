"""What a search for the layers to keep in float found, for the manifest and for people."""

from collections.abc import Mapping
from typing import Any

from optimize.selective_search import SearchState, spare, worst_first


def outcome(state: SearchState, max_f1_drop: float) -> dict[str, Any]:
    """Return what a manifest says of a search: culprits with their cost, and the scores.

    Each layer in ``kept_in_float`` has its ``sqnr_db`` if it alone were in int8, and
    ``score_in_int8``, that of the variant with it in int8 too; ``None`` where the budget of
    evaluations ended before.

    Args:
        state: of a search that has scored the float network and one variant at least.
        max_f1_drop: how far the score may fall below the float network's.
    """
    costs = worst_first(state.costs)
    least = (state.float_score or 0.0) - max_f1_drop
    spared = spare(state, [cost.name for cost in costs], least)
    return {
        "kept_in_float": [
            {**cost.model_dump(), "score_in_int8": spared.in_int8.get(cost.name)}
            for cost in costs
            if cost.name in spared.names
        ],
        "layers": len(costs),
        "float_score": state.float_score,
        "score": spared.score,
        "scores": {str(kept): score for kept, score in sorted(state.scores.items())},
        "evaluations_used": state.evaluations,
        "bound_met": spared.score >= least,
    }


def sentences(step: Mapping[str, Any]) -> list[str]:
    """Return what a person is told of a search, a line each.

    Args:
        step: the configuration of a manifest's ``selective`` step.
    """
    kept, bound = step["kept_in_float"], step["max_f1_drop"]
    held = "is within" if step["bound_met"] else "is not within"
    lines = [
        f"{len(kept)} of {step['layers']} layers stay in float: validation F1 {step['score']:.3f},"
        f" in float {step['float_score']:.3f}, wholly in int8 {step['scores']['0']:.3f}; that"
        f" {held} the drop of {bound:g} allowed ({step['evaluations_used']} variants scored)"
    ]
    for layer in kept:
        score = layer["score_in_int8"]
        cost = "not tried in int8 again" if score is None else f"F1 {score:.3f} with it in int8"
        lines.append(
            f"  {layer['name']} ({layer['operator']}): SQNR {layer['sqnr_db']:.1f} dB, {cost}"
        )
    if not step["bound_met"]:
        lines.append(
            "  raise evaluations or max_f1_drop, or fine-tune with quantize-aware before it"
        )
    return lines
