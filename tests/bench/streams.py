"""The streams of gangs that decisions are measured on, and the clusters they run on.

zone ── 4 blocks ── 16 racks ── 16 hosts of 8 GPUs        domains grow in number with the nodes, not in size
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from grove_operator.scheduler.model import (
    GPU,
    Constraint,
    Expression,
    Gang,
    GroupConfig,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Taint,
    Toleration,
    Topology,
)

LEVELS = ("zone", "block", "rack")
HOST = "kubernetes.io/hostname"
RACK, BLOCK, ZONE = 16, 16 * 16, 4 * 16 * 16


def cluster(nodes: int, *, rack: int = RACK, block: int = BLOCK, zone: int = ZONE) -> Snapshot:
    """Hosts with a taint and a pool label, so that predicates have something to do; one in 50 is cordoned."""
    return Snapshot(
        nodes=tuple(
            Node(
                name=f"n{i:05}",
                labels={
                    HOST: f"n{i:05}",
                    "zone": f"z{i // zone:02}",
                    "block": f"b{i // block:03}",
                    "rack": f"r{i // rack:04}",
                    "pool": "gpu",
                },
                allocatable=(("cpu", 192_000), ("memory", 2**41), (GPU, 8), ("pods", 110)),
                taints=(Taint(GPU, "present", "NoSchedule"),),
                unschedulable=i % 50 == 49,
            )
            for i in range(nodes)
        ),
        topologies=(Topology("default", LEVELS),),
    )


def needs(gpus: int, cpu: int = 0) -> Needs:
    """A GPU pod with the toleration, selector and affinity that such pods have."""
    return Needs(
        requests=(
            ("cpu", cpu or 2000 * gpus),
            ("memory", max(gpus, 1) * 2**34),
            *(((GPU, gpus),) if gpus else ()),
            ("pods", 1),
        ),
        selector=(("pool", "gpu"),),
        affinity=((Expression("zone", "Exists"),),),
        tolerations=(Toleration(GPU, "Exists", "", "NoSchedule"),),
    )


NEEDS = {0: needs(0, cpu=4000), **{g: needs(g) for g in (1, 2, 4, 8)}}
"""By GPUs; without any it is a router or a leader."""


def podgroup(gang: str, name: str, count: int, gpus: int, constraint: Constraint | None = None) -> PodGroup:
    members = tuple(Member("ns", f"{gang}-{name}-{i}", NEEDS[gpus]) for i in range(count))
    return PodGroup(name, count, members, constraint or Constraint())


def single(count: int, gpus: int, constraint: Constraint) -> Callable[[int], Gang]:
    """Gangs of one podgroup."""
    return lambda i: Gang("ns", f"g{i}", (podgroup(f"g{i}", "w", count, gpus),), constraint)


def mixed(i: int) -> Gang:
    """1 to 32 pods of 1 to 8 GPUs, zone required, rack preferred."""
    rng = random.Random(i)
    group = podgroup(f"g{i}", "w", rng.choice((1, 2, 4, 8, 16, 32)), rng.choice((1, 2, 4, 8)))
    return Gang("ns", f"g{i}", (group,), Constraint("zone", "rack"))


def three_levels(i: int) -> Gang:
    """12 pods: block > three replicas in a rack each > their prefill (2 x 4) and decode (2 x 1 or 2) on a host each."""
    rng = random.Random(i)
    name, small = f"g{i}", rng.choice((1, 2))
    groups = tuple(
        podgroup(name, f"{role}{r}", 2, gpus, Constraint(HOST))
        for r in range(3)
        for role, gpus in (("prefill", 4), ("decode", small))
    )
    configs = tuple(GroupConfig(f"r{r}", (f"prefill{r}", f"decode{r}"), Constraint("rack")) for r in range(3))
    return Gang("ns", name, groups, Constraint("block"), configs)


def disaggregated(i: int) -> Gang:
    """Two CPU frontends; in a rack each: once or twice prefill (leader, 2 x 4), decode (leader, 2 or 4 x 8 GPU)."""
    rng = random.Random(i)
    name, decode = f"g{i}", rng.choice((2, 4))
    roles = [(f"prefill{r}", 2, 4) for r in range(rng.choice((1, 2)))] + [("decode0", decode, 8)]
    groups = [podgroup(name, "frontend", 2, 0)]
    for role, count, gpus in roles:
        groups += [podgroup(name, f"{role}-leader", 1, 0), podgroup(name, f"{role}-worker", count, gpus)]
    configs = tuple(GroupConfig(role, (f"{role}-leader", f"{role}-worker"), Constraint("rack")) for role, *_ in roles)
    return Gang("ns", name, tuple(groups), Constraint("block", "rack"), configs)


@dataclass(frozen=True)
class Stream:
    """`make(i)` is the i-th gang; gangs leave in the order they came once `fill` of all GPUs are in use."""

    name: str
    make: Callable[[int], Gang]
    fill: float = 0.7
    gangs: int = 1500


STREAMS = (
    Stream("4 x 8 GPU, rack required", single(4, 8, Constraint("rack"))),
    Stream("1 to 32 pods, zone required, rack preferred", mixed),
    Stream("64 x 8 GPU, block required, rack preferred", single(64, 8, Constraint("block", "rack")), gangs=500),
    Stream("12 pods, block > rack > host", three_levels),
    *(Stream(f"disaggregated, {fill:.0%} full", disaggregated, fill, gangs=600) for fill in (0.3, 0.5, 0.7, 0.9)),
)
