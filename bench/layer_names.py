"""Layers by the names that model files keep: ``network/layer/Conv2D`` speaks of ``layer``."""

from collections.abc import Mapping, Sequence

from bench.layer_cost import LayerCost
from bench.record_layers import LayerCount, OperatorTimes


def layer_named(path: str) -> str | None:
    """Return the layer that a name such as ``network/layer/Conv2D`` speaks of, if it has one."""
    parts = path.split("/")
    return "/".join(parts[1:-1]) or None


def layers_in_file(costs: Sequence[LayerCost]) -> tuple[LayerCount, ...]:
    """Return the layers that a file tells of by the names in it, with its operators' MACCs.

    An operator that several layers were fused into bears all their names; its MACCs are counted
    for the first. One whose name speaks of no layer stands for itself where it has MACCs.

    Args:
        costs: of the file's operators, in order of execution.
    """
    found: dict[str, LayerCount] = {}
    for cost in costs:
        paths = [part for part in cost.name.split(";") if part]
        names = [name for path in paths if (name := layer_named(path))]
        if not names and cost.maccs != 0:
            names = paths[:1]
        for position, name in enumerate(dict.fromkeys(names)):
            maccs = cost.maccs if position == 0 else 0
            known = found.get(name)
            if known is None:
                found[name] = LayerCount(
                    name=name, kind=cost.kind if position == 0 else "", maccs=maccs
                )
            elif maccs or maccs is None:
                whole = None if maccs is None or known.maccs is None else known.maccs + maccs
                found[name] = known.model_copy(update={"kind": cost.kind, "maccs": whole})
    return tuple(found.values())


def layers_of(operators: Sequence[OperatorTimes], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the layers that each operator computes; none where that is unknown.

    Args:
        operators: of one record, in order of execution.
        names: of all layers, in order of execution.
    """
    known = {tuple(name.split("/")): name for name in names}
    found = [
        tuple(dict.fromkeys(filter(None, (_layer_in(path, known) for path in one.sources))))
        for one in operators
    ]
    placed = [position for position, layers in enumerate(found) if layers]
    if not placed:
        return found
    order = {name: position for position, name in enumerate(names)}
    claimed = sorted({order[name] for layers in found for name in layers})
    before, behind = tuple(names[: claimed[0]]), tuple(names[claimed[-1] + 1 :])
    for position in range(placed[0]):
        found[position] = before
    for position in range(placed[-1] + 1, len(found)):
        if not operators[position].inserted:
            found[position] = behind
    return found


def _layer_in(path: str, known: Mapping[tuple[str, ...], str]) -> str | None:
    """Return the layer that a name such as ``network/layer/Conv2D`` speaks of, the longest one."""
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        for start in range(len(parts) - length + 1):
            name = known.get(tuple(parts[start : start + length]))
            if name is not None:
                return name
    return None
