"""Random clusters with one random gang of any scope shape, as our objects and as a `Problem` for the oracle.

zone? ── blocks ── racks ── hosts       3 to 256 hosts, labels missing now and then, free devices from full to empty
gang R?/P? ── groups R?/P?, replicas alike or not ── podgroups R?/P?, mixed sizes, now and then a member that runs
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from grove_operator.scheduler.model import (
    AVOIDS,
    GPU,
    MATCHES,
    Claim,
    Constraint,
    Gang,
    GroupConfig,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Topology,
)
from tests.property.scheduler import oracle

HOST = "kubernetes.io/hostname"
NAMES = ("zone", "block", "rack")
SIZES = ((1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), (8,), (1, 3, 5), (2, 3, 6))
Level = int
Levels = tuple[Level, Level]
"""(required, wished)."""
Group = tuple[int, int, Level, Level]
"""(first podgroup, how many, required, wished)."""


@dataclass(frozen=True)
class Instance:
    seed: int
    snapshot: Snapshot
    gang: Gang
    problem: oracle.Problem


@dataclass
class _Part:
    """A podgroup in the making. `required`, `wished` are levels, 0 for none."""

    count: int
    gpu: int
    cpu: int
    required: Level = 0
    wished: Level = 0


def instance(seed: int, most_hosts: int = 256) -> Instance:
    """The same for the same seed, always."""
    rng = random.Random(seed)
    keys = NAMES[rng.choice((0, 1, 1)) :]
    paths = _paths(rng, len(keys), _hosts(rng, most_hosts))
    free = _free(rng, len(paths))
    room = sum(gpu for gpu, _ in free)
    parts, groups, root = _gang(rng, len(keys) + 1, min(room, rng.choice((8, 24, 64, 200))))
    if seed % 10 == 7 and groups:
        groups[0] = (*groups[0][:2], len(keys) + 1, 0)  # a group that must share a host
    elif seed % 10 == 5 and sum(part.count for part in parts) < 12:
        root = (len(keys) + 1, 0)
    at = _running(rng, paths, parts)
    return Instance(
        seed, *_ours(keys, paths, free, parts, groups, root, at), _problem(paths, free, parts, groups, root, at)
    )


CLAIMS: tuple[tuple[Claim, ...], ...] = ((("0.0.0.0", "TCP", 80),), ((AVOIDS, "t", 0), (MATCHES, "t", 0)))
"""A host port and an anti-affinity to one's own kind: to the oracle two more resources, one of each on a host."""


def claiming(seed: int) -> Instance:
    """An instance of up to 64 hosts where some podgroups make claims, and strangers have made some already."""
    one = instance(seed, 64)
    rng = random.Random(-seed - 1)
    kinds = [rng.choice((None, None, *range(len(CLAIMS)))) for _ in one.gang.podgroups]
    made = tuple(CLAIMS[kind] if kind is not None else () for kind in kinds)
    taken = [[rng.random() < 0.1 for _ in CLAIMS] for _ in one.snapshot.nodes]
    row = {n.name: i for i, n in enumerate(one.snapshot.nodes)}
    for group, kind in zip(one.gang.podgroups, kinds, strict=True):
        for member in group.members:
            if member.node and kind is not None:
                taken[row[member.node]][kind] = True
    groups = tuple(
        replace(g, members=tuple(replace(m, needs=replace(m.needs, claims=claims)) for m in g.members))
        for g, claims in zip(one.gang.podgroups, made, strict=True)
    )
    nodes = tuple(
        replace(n, used_claims=tuple(c for kind, is_taken in enumerate(t) if is_taken for c in CLAIMS[kind]))
        for n, t in zip(one.snapshot.nodes, taken, strict=True)
    )
    problem = replace(
        one.problem,
        free=[(*free, *(int(not x) for x in t)) for free, t in zip(one.problem.free, taken, strict=True)],
        podgroups=[
            (count, (*request, *(int(kind == k) for k in range(len(CLAIMS)))))
            for (count, request), kind in zip(one.problem.podgroups, kinds, strict=True)
        ],
    )
    return Instance(seed, replace(one.snapshot, nodes=nodes), replace(one.gang, podgroups=groups), problem)


def _hosts(rng: random.Random, most: int) -> int:
    small, middle = min(16, most), min(64, most)
    return rng.choice(
        (rng.randint(3, small), rng.randint(3, small), rng.randint(small, middle), rng.randint(middle, most))
    )


def _paths(rng: random.Random, depth: int, hosts: int) -> list[tuple[str, ...]]:
    fan = [rng.randint(1, 3) for _ in range(depth - 1)] + [rng.randint(1, 4 if hosts < 65 else 8)]
    paths = [tuple(f"{'zbr'[-depth:][i]}{rng.randrange(f)}" for i, f in enumerate(fan)) for _ in range(hosts)]
    if rng.random() < 0.15:
        for _ in range(rng.randint(1, 3)):
            n, missing = rng.randrange(hosts), rng.randrange(depth)
            paths[n] = tuple("" if i == missing else label for i, label in enumerate(paths[n]))
    return paths


def _free(rng: random.Random, hosts: int) -> list[tuple[int, int]]:
    gpus = rng.choice((range(9), range(9), (0, 4, 8), (0, 0, 0, 1, 2, 8), (8,), (0, 1, 2, 3)))
    cpus = rng.choice(((64,), (64,), (4, 8, 64), (2, 6)))
    return [(rng.choice(gpus), rng.choice(cpus)) for _ in range(hosts)]


def _gang(rng: random.Random, host: Level, room: int) -> tuple[list[_Part], list[Group], Levels]:
    """(podgroups, groups as (first podgroup, how many, required, wished), the gang's own levels)."""
    sizes = rng.choice(SIZES)
    wishes = rng.random() < 0.5
    root = _levels(rng, 0, host - 1, wishes=wishes)
    parts: list[_Part] = []
    groups: list[Group] = []
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        own = _levels(rng, root[0], host - 1, wishes=wishes)
        template = [_part(rng, sizes, own[0], host, wishes=wishes) for _ in range(rng.randint(1, 2))]
        for _ in range(rng.randint(1, 3)):
            groups.append((len(parts), len(template), *own))
            parts += [replace(part) for part in template]
    for _ in range(rng.randint(0 if parts else 1, 3)):
        parts.append(_part(rng, sizes, root[0], host, wishes=wishes))
    asked = sum(part.count * part.gpu for part in parts)
    scale = room * rng.choice((0.2, 0.5, 0.8, 1.0)) / max(asked, 1)
    if scale > 1:
        for part in parts:
            part.count = min(int(part.count * scale), 40)
    return parts, groups, root


def _levels(rng: random.Random, outer: Level, finest: Level, *, wishes: bool) -> Levels:
    required = rng.choice((0, 0, *range(1, finest + 1)))
    wished = rng.randint(1, finest + 1) if wishes and rng.random() < 0.6 else 0
    return required, wished


def _part(rng: random.Random, sizes: tuple[int, ...], outer: Level, host: Level, *, wishes: bool) -> _Part:
    required = rng.choice((0, 0, 0, *range(1, host + 1)))
    wished = rng.randint(1, host) if wishes and rng.random() < 0.3 else 0
    count = 1 if required == host and rng.random() < 0.5 else rng.randint(1, 4)
    return _Part(count, rng.choice((*sizes, 0)), rng.choice((0, 1, 1, 3)), required, wished)


def _running(rng: random.Random, paths: list[tuple[str, ...]], parts: list[_Part]) -> tuple[int, int] | None:
    """(podgroup, node) of one member that is bound already."""
    whole = [n for n, path in enumerate(paths) if all(path)]
    if rng.random() > 0.15 or not whole:
        return None
    return rng.randrange(len(parts)), rng.choice(whole)


def _ours(
    keys: tuple[str, ...],
    paths: list[tuple[str, ...]],
    free: list[tuple[int, int]],
    parts: list[_Part],
    groups: list[Group],
    root: Levels,
    at: tuple[int, int] | None,
) -> tuple[Snapshot, Gang]:
    def constraint(required: Level, wished: Level) -> Constraint:
        names = (None, *keys, HOST)
        return Constraint(names[required], names[wished])

    nodes = tuple(
        Node(
            f"n{i:03}",
            {HOST: f"n{i:03}", **{k: v for k, v in zip(keys, path, strict=True) if v}},
            (("cpu", 1000 * cpu), (GPU, gpu), ("pods", 999)),
        )
        for i, (path, (gpu, cpu)) in enumerate(zip(paths, free, strict=True))
    )
    podgroups = []
    for i, part in enumerate(parts):
        asked = {"cpu": 1000 * part.cpu, GPU: part.gpu, "pods": 1}
        needs = Needs(tuple(sorted((k, v) for k, v in asked.items() if v)))
        runs = at is not None and at[0] == i
        members = [Member("ns", f"p{i}-{j}", needs) for j in range(part.count)]
        members += [Member("ns", f"p{i}-r", needs, node=f"n{at[1]:03}")] if at is not None and runs else []
        podgroups.append(PodGroup(f"p{i}", len(members), tuple(members), constraint(part.required, part.wished)))
    configs = tuple(
        GroupConfig(f"g{j}", tuple(f"p{i}" for i in range(first, first + n)), constraint(*levels))
        for j, (first, n, *levels) in enumerate(groups)
    )
    gang = Gang("ns", "g", tuple(podgroups), constraint(*root), configs)
    return Snapshot(nodes, (Topology("default", keys),)), gang


def _problem(
    paths: list[tuple[str, ...]],
    free: list[tuple[int, int]],
    parts: list[_Part],
    groups: list[Group],
    root: Levels,
    at: tuple[int, int] | None,
) -> oracle.Problem:
    """Levels made consistent by hand: a scope is bound at least as tightly as the one around it.

    What it requires itself goes on counting: a podgroup that asks for a rack needs a node in a rack, also inside a
    group that must share a host.
    """

    def scope(members: range, levels: Levels, outer: Level) -> oracle.Scope:
        required = max(levels[0], outer)
        is_own = any(levels)
        wished = max(levels[1], required) if is_own else 0
        home = at[1] if at is not None and at[0] in members else None
        return oracle.Scope(tuple(members), required, wished, home, levels[0])

    everything = range(len(parts))
    scopes = [scope(everything, root, 0)]
    inner: list[oracle.Scope] = []
    grouped: set[int] = set()
    for first, n, *levels in groups:
        members = range(first, first + n)
        grouped.update(members)
        own = scope(members, (levels[0], levels[1]), scopes[0].required)
        layer = inner if any(levels) else scopes
        scopes += [own] if any(levels) else []
        layer += [scope(range(i, i + 1), (parts[i].required, parts[i].wished), own.required) for i in members]
    alone = [i for i in everything if i not in grouped]
    scopes += [scope(range(i, i + 1), (parts[i].required, parts[i].wished), scopes[0].required) for i in alone]
    requests = [(part.count, (part.gpu, part.cpu)) for part in parts]
    return oracle.Problem(free, paths, requests, tuple(s for s in (*scopes, *inner) if s.required or s.wished))
