"""How much of the cluster a topology covers: which nodes carry the label of each level.

    zone   topology.kubernetes.io/zone   20 of 20 nodes, 1 domain
    rack   topology.kubernetes.io/rack   18 of 20 nodes, 5 domains      -> NodesCovered=False, SomeNodesNotCovered

A node without a level's label lies in no domain of it: a workload that must be packed there never lands on that node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from grove_operator.api.conditions import condition
from grove_operator.api.constants import CONDITION_NODES_COVERED, DOMAIN_NUMA
from grove_operator.api.kinds import Json


@dataclass(frozen=True, slots=True)
class LevelCoverage:
    """`nodes` carry the level's label, with `domains` different values."""

    domain: str
    key: str
    nodes: int
    domains: int


def coverage(binding: Json, labels: Collection[Mapping[str, str]]) -> list[LevelCoverage]:
    """One entry for each level of labels, broadest first; `labels` are every node's. An empty value counts as none."""
    found = []
    for level in binding["spec"].get("levels") or ():
        if level["domain"] == DOMAIN_NUMA:
            continue
        values = [value for node in labels if (value := node.get(level["key"]))]
        found.append(LevelCoverage(level["domain"], level["key"], len(values), len(set(values))))
    return found


def coverage_condition(binding: Json, labels: Iterable[Mapping[str, str]]) -> Json:
    """The binding's condition NodesCovered: True when every node lies in a domain of every level."""
    nodes = list(labels)
    levels = coverage(binding, nodes)
    generation = binding["metadata"].get("generation")

    def say(status: bool, reason: str, message: str) -> Json:
        return condition(CONDITION_NODES_COVERED, status, reason, message, observed_generation=generation)

    counts = ", ".join(f"{level.domain} {level.nodes} in {_domains(level.domains)}" for level in levels)
    message = f"of {len(nodes)} nodes: {counts}"
    if not nodes:
        return say(False, "NoNodes", "the cluster has no nodes")
    if empty := [level for level in levels if not level.nodes]:
        keys = ", ".join(level.key for level in empty)
        return say(
            False, "LevelWithoutNodes", f"{message}; no node has the label {keys}: label the nodes or correct it"
        )
    if partly := [level for level in levels if level.nodes < len(nodes)]:
        keys = ", ".join(level.key for level in partly)
        return say(
            False, "SomeNodesNotCovered", f"{message}; label the other nodes with {keys} to use them at that level"
        )
    return say(True, "AllNodesCovered", message)


def _domains(count: int) -> str:
    return "1 domain" if count == 1 else f"{count} domains"
