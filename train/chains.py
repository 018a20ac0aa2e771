"""Chains of things that belong together, link by link."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import TypeVar

_T = TypeVar("_T", bound=Hashable)


def chains(links: Iterable[tuple[_T, _T]]) -> list[list[_T]]:
    """Return the groups that the links join, directly or through others.

    Args:
        links: pairs that belong together; a pair of one thing with itself names it.
    """
    parents: dict[_T, _T] = {}

    def root(member: _T) -> _T:
        while parents.setdefault(member, member) != member:
            member = parents[member]
        return member

    for left, right in links:
        parents[root(right)] = root(left)
    found: dict[_T, list[_T]] = defaultdict(list)
    for member in list(parents):
        found[root(member)].append(member)
    return list(found.values())
