"""The name budget of a graph, and the shorter PodCliqueSet name where the graph's own would exceed it.

len(PodCliqueSet) + len(lone clique)                    <= 45
len(PodCliqueSet) + len(group) + len(longest clique)    <= 45
"""

from __future__ import annotations

from collections.abc import Iterable

from grove_operator.api.constants import NAME_BUDGET

LEADER, WORKER = "-ldr", "-wkr"
LEAST_BUDGET = 8
"""Characters that the PodCliqueSet must keep; a component that leaves fewer is refused."""
HASH_LENGTH = 4
Part = tuple[str, bool, bool]
"""Name, whether it spans nodes, whether it is a scaling group."""


def name_length(name: str, *, is_multinode: bool, is_group: bool) -> int:
    """Characters that a component takes of the budget."""
    if is_multinode:
        return 2 * len(name) + len(LEADER)
    return 2 * len(name) if is_group else len(name)


def left_for_the_set(parts: Iterable[Part]) -> int:
    """Characters that the components leave for the PodCliqueSet's name."""
    taken = (name_length(name, is_multinode=nodes, is_group=group) for name, nodes, group in parts)
    return NAME_BUDGET - max(taken, default=0)


def pod_clique_set_name(graph: str, parts: Iterable[Part]) -> str:
    """The graph's name where it fits; else its beginning and four hexadecimal digits of its FNV-1a hash."""
    budget = max(left_for_the_set(parts), LEAST_BUDGET)
    if len(graph) <= budget:
        return graph
    return f"{graph[: budget - HASH_LENGTH - 1]}-{fnv1a_32(graph) & 0xFFFF:04x}"


def fnv1a_32(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
