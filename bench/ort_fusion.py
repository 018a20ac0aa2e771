"""Which nodes of an ``.onnx`` each node of ONNX Runtime's optimized graph was made from.

The runtime renames what it fuses (``x_nchwc``, ``x_token_3``) and keeps no list, so it is found
in two steps. A node that keeps a name, its own or that of the tensor it makes, is placed by it.
A node that vanished then runs inside the one that is placed next to it: before it, where that
one still lacks the operator it is named for (a convolution named after its ReLU); else behind it
(an addition folded into the later one of the two convolutions that feed it).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

INSERTED = frozenset(
    {"Transpose", "QuantizeLinear", "DequantizeLinear", "ReorderInput", "ReorderOutput", "Cast"}
)
_SUFFIX = re.compile(r"(_nchwc|_nhwc|_token_\d+|_Gemm|_transpose|_quant)$")
_TENSOR = re.compile(r"/output\d+$")
_SAME_KIND = {"Gemm": ("MatMul",), "QGemm": ("MatMul",)}  # beside those whose name holds it


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a graph: its inputs and outputs are names of tensors, constants left out."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def find_sources(
    file_nodes: Sequence[Node], optimized: Sequence[Node]
) -> dict[str, tuple[str, ...]]:
    """Return, for each optimized node by name, the nodes of the file that it was made from.

    Args:
        file_nodes: of the file, in topological order.
        optimized: of the graph as it runs, in order of execution.

    Returns:
        Names of file nodes in the file's order; nothing for a node that the runtime inserted.
    """
    owners = _Owners(file_nodes, optimized)
    owners.place_by_name()
    owners.draw_in_producers()
    owners.hand_to_producers()
    owners.hand_to_consumers()
    return {
        node.name: tuple(one.name for one in file_nodes if owners.owner.get(one.name) == position)
        for position, node in enumerate(optimized)
    }


class _Owners:
    """For each file node, the position of the optimized node that it runs in."""

    def __init__(self, file_nodes: Sequence[Node], optimized: Sequence[Node]) -> None:
        self.owner: dict[str, int] = {}
        self._nodes, self._optimized = file_nodes, optimized
        self._by_name = {node.name: node for node in file_nodes}
        self._maker = {tensor: node for node in file_nodes for tensor in node.outputs}
        self._takers: dict[str, list[Node]] = {}
        for node in file_nodes:
            for tensor in node.inputs:
                self._takers.setdefault(tensor, []).append(node)

    def place_by_name(self) -> None:
        """Place what keeps its name or the name of its tensor."""
        for position, node in enumerate(self._optimized):
            if node.kind in ("ReorderInput", "ReorderOutput"):
                continue
            for name in (node.name, *node.outputs):
                found = self._named(name)
                if found is not None:
                    self.owner.setdefault(found.name, position)

    def draw_in_producers(self) -> None:
        """Give a node that lacks the operator it is named for what vanished before it."""
        members = self._members()
        for position, node in enumerate(self._optimized):
            front = list(members.get(position, ()))
            if any(_same_kind(node.kind, one.kind) for one in front):
                continue
            while front:
                free = [one for one in self._producers(front) if one.name not in self.owner]
                fitting = [one for one in free if _same_kind(node.kind, one.kind)]
                front = fitting[:1] or free
                self.owner.update({one.name: position for one in front})
                if fitting:
                    break

    def hand_to_producers(self) -> None:
        """Let the rest run in the latest of the nodes that feed them."""
        for node in self._nodes:
            behind = [
                self.owner[one.name] for one in self._producers([node]) if one.name in self.owner
            ]
            if node.name not in self.owner and behind:
                self.owner[node.name] = max(behind)

    def hand_to_consumers(self) -> None:
        """Let what takes constants alone run in the first node that needs it."""
        for node in reversed(self._nodes):
            takers = [one for tensor in node.outputs for one in self._takers.get(tensor, ())]
            ahead = [self.owner[one.name] for one in takers if one.name in self.owner]
            if node.name not in self.owner and ahead:
                self.owner[node.name] = min(ahead)

    def _members(self) -> Mapping[int, list[Node]]:
        members: dict[int, list[Node]] = {}
        for name, position in self.owner.items():
            members.setdefault(position, []).append(self._by_name[name])
        return members

    def _producers(self, nodes: Iterable[Node]) -> Iterator[Node]:
        for node in nodes:
            yield from (self._maker[name] for name in node.inputs if name in self._maker)

    def _named(self, name: str) -> Node | None:
        """Return the file node that a name of the optimized graph speaks of."""
        while True:
            found = self._by_name.get(name) or self._maker.get(name)
            if found is not None:
                return found
            shorter = _SUFFIX.sub("", name)
            if shorter == name:
                return self._by_name.get(_TENSOR.sub("", name))
            name = shorter


def _same_kind(optimized: str, original: str) -> bool:
    """Return whether ``QLinearConv``, ``FusedConv`` and their like do what ``Conv`` does."""
    return original in optimized or original in _SAME_KIND.get(optimized, ())
