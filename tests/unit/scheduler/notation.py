"""The scenarios' notation as builders.

    cluster("rack", "a:1/2[r1] b:2[r1] c:2,1000m[r2]")     a: 1 of 2 GPUs free; c: 1000 millicores of CPU
    gang("A:2x1 B:3x8/1", root="R=rack", A="P=host")        A: 2 pods of 1 GPU; B: 3 pods of 8 GPUs, minimum 1
    gang("A:2x1", groups={"g": ("A", "R=rack")})            a topologyConstraintGroupConfig over A
    gang("A:2x1,2000m", on={"A": "n1"})                     CPU per pod; the first member of A already runs on n1

Levels go from coarse to fine; `host` stands for kubernetes.io/hostname.
"""

from __future__ import annotations

import re
from collections import defaultdict

from grove_operator.scheduler.model import (
    GPU,
    Constraint,
    Decision,
    Gang,
    GroupConfig,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Topology,
)
from grove_operator.scheduler.quantity import amount

HOST = "kubernetes.io/hostname"
NODE = re.compile(r"(?P<name>[\w-]+):(?P<free>\d+)(?:/(?P<all>\d+))?(?:,(?P<cpu>\d+m))?(?:\[(?P<labels>[\w,-]*)\])?")
GROUP = re.compile(r"(?P<name>[\w-]+):(?P<count>\d+)x(?P<gpu>\d+)(?:,(?P<cpu>\d+m))?(?:/(?P<minimum>\d+))?")


def cluster(levels: str, nodes: str, *, pods: int = 110) -> Snapshot:
    keys = tuple(levels.split())
    return Snapshot(
        nodes=tuple(_node(text, keys, pods) for text in nodes.split()),
        topologies=(Topology("default", keys),) if keys else (),
    )


def _node(text: str, keys: tuple[str, ...], pods: int) -> Node:
    found = NODE.fullmatch(text)
    assert found, f"not a node: {text}"
    name, free = found["name"], int(found["free"])
    labels = dict(zip(keys, (found["labels"] or "").split(","), strict=False))
    total = int(found["all"] or free)
    return Node(
        name=name,
        labels={HOST: name, **{k: v for k, v in labels.items() if v}},
        allocatable=(("cpu", amount("cpu", found["cpu"] or "1000")), (GPU, total), ("pods", pods)),
        used=((GPU, total - free),),
    )


def gang(
    podgroups: str,
    *,
    name: str = "g",
    root: str = "",
    groups: dict[str, tuple[str, str]] | None = None,
    on: dict[str, str] | None = None,
    gated: str = "",
    topology: str | None = None,
    priority: int = 0,
    created: str = "",
    base: str | None = None,
    ready: bool = True,
    **constraints: str,
) -> Gang:
    return Gang(
        namespace="ns",
        name=name,
        podgroups=tuple(_podgroup(name, text, constraints, (on or {}), gated.split()) for text in podgroups.split()),
        constraint=constraint(root),
        groups=tuple(
            GroupConfig(group, tuple(members.split()), constraint(text))
            for group, (members, text) in (groups or {}).items()
        ),
        topology=topology,
        priority=priority,
        created=created,
        base=base,
        ready=ready,
    )


def _podgroup(gang_name: str, text: str, constraints: dict[str, str], on: dict[str, str], gated: list[str]) -> PodGroup:
    found = GROUP.fullmatch(text)
    assert found, f"not a podgroup: {text}"
    name, count = found["name"], int(found["count"])
    requests = {GPU: int(found["gpu"]), "pods": 1, "cpu": amount("cpu", found["cpu"] or "1")}
    needs = Needs(tuple(sorted((k, v) for k, v in requests.items() if v)))
    nodes = on.get(name, "").split()
    members = tuple(
        Member(
            "ns",
            f"{gang_name}-{name}-{i}",
            needs,
            node=nodes[i] if i < len(nodes) else None,
            is_gated=f"{name}-{i}" in gated or name in gated,
        )
        for i in range(count)
    )
    minimum = count if found["minimum"] is None else int(found["minimum"])
    return PodGroup(name, minimum, members, constraint(constraints.get(name, "")))


def constraint(text: str) -> Constraint:
    parts = dict(part.split("=") for part in text.split())
    keys = {k: HOST if v == "host" else v for k, v in parts.items()}
    return Constraint(keys.get("R"), keys.get("P"))


def placed(decision: Decision, gang_name: str = "g") -> dict[str, list[str]]:
    """Sorted nodes per podgroup of one gang."""
    nodes: dict[str, list[str]] = defaultdict(list)
    for a in decision.assignments:
        if a.gang == f"ns/{gang_name}":
            nodes[a.podgroup].append(a.node)
    return {group: sorted(found) for group, found in nodes.items()}


def nodes_of(decision: Decision, gang_name: str = "g") -> list[str]:
    return sorted(n for found in placed(decision, gang_name).values() for n in found)


def score_of(decision: Decision, gang_name: str = "g") -> float:
    return next(s.value for s in decision.scores if s.gang == f"ns/{gang_name}")
