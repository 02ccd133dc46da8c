"""The scenarios of the scheduling reference as YAML: read here, run against the pure function, the loop, a real server.

    nodes: a:1/2[r1] b:2,500m[r1]       a has 1 of 2 devices free, b has 500 millicores of cpu; labels by level
    nodes: 30 x w:1[b/14,r/7]           30 nodes w00.. with 1 device; 14 to a block, 7 to a rack
    used, pods per node, others         {node: devices}, {node: pods}, {other pod: [node, devices, phase]}
    gangs: {g: {pods: "A:2x1,500m/1"}}  podgroup A: 2 pods of 1 device and 500m, minimum 1 (all of them unless told)
      root, groups, own                 R=level P=level for the gang, {name: [podgroups, ...]}, {podgroup: ...}
      running, gated, apart             nodes of members that run; gated podgroups or pods; podgroups that share no host
      base, priority, created, topology, owner, spread, reuse

Numbers on nodes are without the gangs' own running pods.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from grove_operator.scheduler.model import AVOIDS, GPU, MATCHES, Gang, Member, Node, Policy, Snapshot
from tests.unit.scheduler import notation

HERE = Path(__file__).parent
MANY = re.compile(r"(?P<count>\d+) x (?P<name>\w+):(?P<rest>[\d/,m]*)(?:\[(?P<labels>[\w/,]*)\])?")
Data = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """`others` are pods of other schedulers: (name, node, devices, phase)."""

    title: str
    data: Data
    snapshot: Snapshot
    gangs: tuple[Gang, ...]
    others: tuple[tuple[str, str, int, str], ...]
    policy: Policy

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(self.data.get("levels", "").split())

    @property
    def expect(self) -> dict[str, Data]:
        return dict(self.data["expect"])

    def seen_by_the_solver(self) -> Snapshot:
        """The nodes with what the running members and the other schedulers' pods hold."""
        held: dict[str, Counter[str]] = {node.name: Counter(dict(node.used)) for node in self.snapshot.nodes}
        for gang in self.gangs:
            for group in gang.podgroups:
                for member in group.members:
                    if member.node:
                        held[member.node].update(dict(member.needs.requests))
        for _, node, devices, phase in self.others:
            if phase == "Running":
                held[node].update({GPU: devices, "pods": 1})
        nodes = tuple(replace(n, used=tuple(sorted(held[n.name].items()))) for n in self.snapshot.nodes)
        return replace(self.snapshot, nodes=nodes)


def scenarios() -> list[Scenario]:
    """All of them, in order of files and of their places there."""
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        for data in yaml.safe_load(path.read_text()):
            if "steps" not in data:
                found.append(read(data))
    return found


def read(data: Data) -> Scenario:
    snapshot = notation.cluster(data.get("levels", ""), " ".join(_nodes(data)))
    used, pods = data.get("used", {}), data.get("pods per node", {})
    nodes = tuple(_adjusted(n, used.get(n.name, 0), pods.get(n.name)) for n in snapshot.nodes)
    gangs = tuple(_gang(name, said) for name, said in data["gangs"].items())
    others = tuple((name, *where) for name, where in data.get("others", {}).items())
    title = f"{data['scenario']} {data['says']}"
    policy = Policy(packing=data.get("policy", "pack"))
    return Scenario(title, data, replace(snapshot, nodes=nodes), gangs, others, policy)


def _nodes(data: Data) -> Iterator[str]:
    for text in (data["nodes"], data.get("more nodes", "")):
        found = MANY.fullmatch(text)
        if not found:
            yield from text.split()
            continue
        count = int(found["count"])
        width = len(str(count - 1))
        for i in range(count):
            labels = [part.split("/") for part in (found["labels"] or "").split(",") if part]
            values = ",".join(f"{name}{i // int(size):02}" for name, size in labels)
            yield f"{found['name']}{i:0{width}}:{found['rest']}[{values}]"


def _adjusted(node: Node, used: int, pods: int | None) -> Node:
    allocatable = tuple((k, pods if k == "pods" and pods is not None else v) for k, v in node.allocatable)
    before = dict(node.used)
    return replace(node, allocatable=allocatable, used=tuple({**before, GPU: before.get(GPU, 0) + used}.items()))


def _gang(name: str, said: Data) -> Gang:
    found = notation.gang(
        said["pods"],
        name=name,
        root=said.get("root", ""),
        groups={k: (v[0], v[1]) for k, v in said.get("groups", {}).items()},
        on=said.get("running"),
        gated=said.get("gated", ""),
        topology=said.get("topology"),
        priority=said.get("priority", 0),
        created=said.get("created", ""),
        base=said.get("base"),
        **said.get("own", {}),
    )
    apart = said.get("apart", "").split()
    groups = tuple(
        replace(g, members=tuple(_apart(m, f"{name}-{g.name}") for m in g.members)) if g.name in apart else g
        for g in found.podgroups
    )
    reuse = f"ns/{said['reuse']}" if "reuse" in said else None
    spread = tuple(said.get("spread", "").split())
    owner = f"ns/{said['owner']}" if "owner" in said else None
    return replace(found, podgroups=groups, owner=owner, spread=spread, reuse=reuse)


def _apart(member: Member, term: str) -> Member:
    return replace(member, needs=replace(member.needs, claims=((AVOIDS, term, 0), (MATCHES, term, 0))))
