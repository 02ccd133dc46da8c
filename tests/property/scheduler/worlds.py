"""Random clusters with several gangs that meet: siblings, members beyond the minima, host ports, bound and gated pods.

    blocks ── racks ── hosts     labels missing now and then, ports taken by strangers
    base gang ── scaled gangs    of one PodCliqueSet replica, others beside them; levels block, rack, host

`audit` judges a decision by the world alone and shares no code with the solver.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from grove_operator.scheduler.model import (
    AVOIDS,
    GPU,
    MATCHES,
    Claim,
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
from grove_operator.scheduler.solve import schedule

ROUNDS = 4
HOST = "kubernetes.io/hostname"
KEYS = ("block", "rack")
LEVELS = (None, None, None, *KEYS, HOST)
PORT: Claim = ("0.0.0.0", "TCP", 8000)
ALONE: tuple[Claim, ...] = ((AVOIDS, "t", 0), (MATCHES, "t", 0))
CLAIMS: tuple[tuple[Claim, ...], ...] = (
    (),
    (),
    (),
    (PORT,),
    (("10.0.0.1", "TCP", 8000),),
    (("10.0.0.2", "TCP", 8000),),
    ALONE,
    ALONE[:1],
    ALONE[1:],
)


@dataclass(frozen=True)
class World:
    seed: int
    nodes: tuple[Node, ...]
    gangs: tuple[Gang, ...]

    @property
    def snapshot(self) -> Snapshot:
        """With what the bound members use."""
        used = {n.name: Counter(dict(n.used)) for n in self.nodes}
        claims = {n.name: list(n.used_claims) for n in self.nodes}
        for _, _, member in members(self.gangs):
            if member.node:
                used[member.node].update(dict(member.needs.requests))
                claims[member.node] += member.needs.claims
        return Snapshot(
            tuple(
                replace(n, used=tuple(sorted(used[n.name].items())), used_claims=tuple(claims[n.name]))
                for n in self.nodes
            ),
            (Topology("default", KEYS),),
        )

    def after(self, decision: Decision) -> World:
        """Everything decided is bound; then gates fall, bound members and gangs leave."""
        rng = random.Random(self.seed)
        node_of = {(a.namespace, a.pod): a.node for a in decision.assignments}

        def later(member: Member) -> Member:
            bound = member.node or node_of.get((member.namespace, member.name))
            if bound and rng.random() < 0.1:
                bound = None  # it was deleted and comes again
            return replace(member, node=bound, is_gated=member.is_gated and not bound and rng.random() < 0.5)

        gangs = tuple(
            replace(
                gang,
                ready=gang.ready or rng.random() < 0.7,
                podgroups=tuple(replace(g, members=tuple(map(later, g.members))) for g in gang.podgroups),
            )
            for gang in self.gangs
            if rng.random() < 0.9
        )
        return replace(self, seed=self.seed + 1_000_000, gangs=gangs)


def members(gangs: Iterable[Gang]) -> Iterator[tuple[Gang, PodGroup, Member]]:
    return ((gang, group, member) for gang in gangs for group in gang.podgroups for member in group.members)


def world(seed: int) -> World:
    """The same for the same seed, always."""
    rng = random.Random(seed)
    nodes = tuple(_node(rng, i) for i in range(rng.randint(2, 14)))
    gangs: list[Gang] = []
    for i in range(rng.randint(1, 3)):
        base = _gang(rng, f"g{i}")
        gangs += [base]
        gangs += [_gang(rng, f"g{i}-s{j}", base=base) for j in range(rng.choice((0, 0, 1, 2)))]
    return World(seed, nodes, tuple(gangs))


def _node(rng: random.Random, i: int) -> Node:
    labels = {HOST: f"n{i:02}", "block": f"b{rng.randrange(2)}", "rack": f"r{rng.randrange(3)}"}
    if rng.random() < 0.12:
        del labels[rng.choice(KEYS)]
    free = rng.choice((0, 2, 4, 8, 8))
    taken = rng.choice(((), (), (), (), (PORT,), (ALONE[0],), (ALONE[1],)))
    alloc = (("cpu", rng.choice((4000, 16000))), (GPU, 8), ("pods", rng.choice((3, 20, 20))))
    return Node(f"n{i:02}", labels, alloc, used=((GPU, 8 - free), ("pods", len(taken))), used_claims=taken)


def _gang(rng: random.Random, name: str, base: Gang | None = None) -> Gang:
    groups = tuple(_podgroup(rng, name, f"p{i}") for i in range(rng.randint(1, 3)))
    configs = ()
    if len(groups) > 1 and rng.random() < 0.4:
        configs = (GroupConfig("c", ("p0", "p1"), _constraint(rng)),)
    constraint = _constraint(rng)
    return Gang(
        "ns",
        name,
        groups,
        constraint,
        configs,
        base=base.name if base else None,
        ready=rng.random() < 0.9,
        priority=rng.choice((0, 0, 5)),
        packing=rng.choice((None, None, None, "balanced", "small-first")),
    )


def _constraint(rng: random.Random) -> Constraint:
    return Constraint(rng.choice(LEVELS), rng.choice(LEVELS))


def _podgroup(rng: random.Random, gang: str, name: str) -> PodGroup:
    asked = {GPU: rng.choice((0, 1, 1, 2, 4, 3)), "cpu": rng.choice((0, 500, 1500)), "pods": 1}
    needs = Needs(tuple(sorted((k, v) for k, v in asked.items() if v)), claims=rng.choice(CLAIMS))
    count = rng.randint(1, 5)
    gate = rng.choice((0.0, 0.0, 0.4))
    made = tuple(Member("ns", f"{gang}-{name}-{j}", needs, is_gated=rng.random() < gate) for j in range(count))
    return PodGroup(name, rng.randint(0, count) if rng.random() < 0.7 else count, made, _constraint(rng))


def live(one: World) -> Counter[str]:
    """Decide, bind, let things change, again and again; every decision is lawful."""
    tally: Counter[str] = Counter()
    for turn in range(ROUNDS):
        decision = schedule(one.snapshot, one.gangs)
        assert not (found := list(faults(one, decision))), f"seed {one.seed}, round {turn}: {found}"
        tally["minima"] += sum(a.is_minimum for a in decision.assignments)
        tally["extras"] += sum(not a.is_minimum for a in decision.assignments)
        tally["refusals"] += len(decision.refusals)
        one = one.after(decision)
    return tally


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────────────────


def faults(before: World, decision: Decision) -> list[str]:
    """Everything about the decision that breaks a law, in words."""
    where = {f"{a.namespace}/{a.pod}": a.node for a in decision.assignments}
    found = [] if len(where) == len(decision.assignments) else ["a pod is placed twice"]
    found += _nodes_overfull(before, where)
    for gang in before.gangs:
        found += _minima(gang, where)
        for name, required, parts in _scopes(gang, before.gangs):
            found += _one_domain(before, name, required, parts, where)
    return found


def _nodes_overfull(before: World, where: dict[str, str]) -> Iterator[str]:
    new: dict[str, list[Member]] = {n.name: [] for n in before.nodes}
    for _, _, member in members(before.gangs):
        if member.key in where:
            assert member.node is None, f"{member.key} runs already"
            assert not member.is_gated, f"{member.key} is gated"
            new[where[member.key]].append(member)
    for node in before.snapshot.nodes:
        used = Counter(dict(node.used))
        claims = list(node.used_claims)
        for member in new[node.name]:
            used.update(dict(member.needs.requests))
            yield from (
                f"{member.key} and {there} on {node.name}"
                for mine in member.needs.claims
                for there in claims
                if _collide(mine, there)
            )
            claims += member.needs.claims
        if new[node.name]:
            asked = {r for m in new[node.name] for r, _ in m.needs.requests}
            yield from (f"{node.name} gives {used[r]} {r}" for r in asked if used[r] > dict(node.allocatable).get(r, 0))


def _collide(a: Claim, b: Claim) -> bool:
    kinds = {a[0], b[0]}
    if kinds & {AVOIDS, MATCHES}:
        return kinds == {AVOIDS, MATCHES} and a[1] == b[1]
    return a[1:] == b[1:] and (a[0] == b[0] or "0.0.0.0" in kinds)


def _minima(gang: Gang, where: dict[str, str]) -> Iterator[str]:
    placed = [m for g in gang.podgroups for m in g.members if m.key in where]
    if placed and not gang.ready:
        yield f"{gang.key} is not ready"
    for group in gang.podgroups if placed else ():
        stands = sum(m.node is not None or m.key in where for m in group.members)
        if stands < group.minimum:
            yield f"{gang.key} {group.name}: {stands} of {group.minimum}"


def _scopes(gang: Gang, gangs: tuple[Gang, ...]) -> Iterator[tuple[str, str | None, list[Member]]]:
    by_name = {g.name: g for g in gang.podgroups}
    everything = [m for g in gang.podgroups for m in g.members]
    yield gang.key, gang.constraint.required, everything
    for config in gang.groups:
        yield (
            f"{gang.key} {config.name}",
            config.constraint.required,
            [m for n in config.podgroups for m in by_name[n].members],
        )
    for group in gang.podgroups:
        yield f"{gang.key} {group.name}", group.constraint.required, list(group.members)
    base = next((g for g in gangs if g.name == gang.base), None)
    if base is not None:
        family = [base, *(g for g in gangs if g.base == base.name)]
        parts = [m for g in family for p in g.podgroups for m in p.members]
        yield f"family of {base.key}", base.constraint.required, parts


def _one_domain(
    before: World, name: str, required: str | None, parts: list[Member], where: dict[str, str]
) -> Iterator[str]:
    """All in one domain, if those that run were before."""
    new = [where[m.key] for m in parts if m.key in where]
    old = [m.node for m in parts if m.node]
    paths = {n.name: _path(n, required) for n in before.nodes}
    old_domains = {paths[n] for n in old}
    if not required or not new or len(old_domains) > 1 or None in old_domains:
        return
    domains = {paths[n] for n in (*new, *old)}
    if len(domains) > 1 or None in domains:
        yield f"{name} requires {required}: new on {sorted(set(new))}, before on {sorted(set(old))}"


def _path(node: Node, key: str | None) -> tuple[str, ...] | None:
    """The domain of that level, None for a node that is in none."""
    if key == HOST:
        return (node.name,)
    labels = [node.labels.get(k) for k in KEYS[: KEYS.index(key) + 1]] if key else []
    return tuple(x for x in labels if x) if all(labels) else None
