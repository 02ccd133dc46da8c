"""Why a gang waits, scope by scope, and the smallest changes that would let it go: one object for CLI, JSON and text.

    scope       each podgroup, each constrained group and the gang, asked of the scheduler one at a time
    domain      the one that comes closest to holding the scope; what is short there, by how much, and who holds it
    way out     one change after which the scheduler places the gang, found by running it on changed copies

Everything rests on `schedule`, the production solver; nothing here knows how it searches. Gangs that come before this
one in the scheduler's order (priority, base before scaled, age, name) have their places already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from grove_operator.scheduler.model import (
    Assignment,
    Closest,
    Constraint,
    Decision,
    Gang,
    Needs,
    Node,
    Policy,
    Refusal,
    Snapshot,
)
from grove_operator.scheduler.solve import schedule

HOSTNAME = "kubernetes.io/hostname"
CLUSTER = "the cluster"
HOLDERS = 5
PARTS = 32


@dataclass(frozen=True, slots=True)
class Holding:
    """A pod that holds a node's resources. `is_pinned`: it belongs to its node (DaemonSet, static), so it stays."""

    namespace: str
    pod: str
    node: str
    needs: Needs
    gang: str | None = None
    priority: int = 0
    is_leaving: bool = False
    is_pinned: bool = False

    @property
    def unit(self) -> tuple[str, str]:
        """(kind, key) of what would have to go: the whole gang of a gang's pod."""
        return ("podgang", self.gang) if self.gang else ("pod", f"{self.namespace}/{self.pod}")

    def amount(self, resource: str) -> int:
        return dict(self.needs.requests).get(resource, 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """`amount` of the scarce resource that a podgang or pod holds on `nodes` of the domain."""

    kind: str
    key: str
    amount: int
    nodes: tuple[str, ...]
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """How far one scope is from a place by itself. `level` is a node label key, '' for the whole cluster.

    `fits` of `wanted` pods go into `domain`, the closest one; it is `short` of `resource`. `unusable` are its nodes
    that take no pods now, with the reason. `blocked_by` names an inner scope that has no place by itself.
    """

    scope: str
    level: str
    domain: str
    fits: int
    wanted: int
    resource: str = ""
    short: int = 0
    holders: tuple[Holder, ...] = ()
    unusable: tuple[tuple[str, str], ...] = ()
    message: str = ""
    blocked_by: str = ""

    @property
    def is_satisfied(self) -> bool:
        return self.fits >= self.wanted and not self.message


@dataclass(frozen=True, slots=True)
class WayOut:
    """One change that unblocks. `action`: wait, uncordon, free, evict, lower or relax.

    `amount` counts units of `resource` (free), pods (lower) or what `targets` lists (the others).
    """

    action: str
    message: str
    domain: str = ""
    resource: str = ""
    amount: int = 0
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`refusal` is None for a gang that has, or would now get, its place. `runs` counts what-if runs of the solver;
    `is_complete` is False when the budget ended them early."""

    gang: str
    refusal: Refusal | None = None
    scopes: tuple[ScopeReport, ...] = ()
    ways_out: tuple[WayOut, ...] = ()
    runs: int = 0
    is_complete: bool = True

    @property
    def sentence(self) -> str:
        """For a condition or an event: the refusal, and the first way out."""
        if self.refusal is None:
            return f"podgang {self.gang}: nothing stands in its way"
        hint = f"; to unblock: {self.ways_out[0].message}" if self.ways_out else ""
        return self.refusal.message + hint


@dataclass(frozen=True, slots=True)
class Scene:
    """One gang before a cluster in which all that comes before it has its place.

    `family` are its siblings, as context; `observed` is the cluster as it was given.
    """

    snapshot: Snapshot
    observed: Snapshot
    gang: Gang
    family: tuple[Gang, ...]
    holdings: tuple[Holding, ...]
    refusal: Refusal | None
    policy: Policy | None = None

    def decide(self, gang: Gang, snapshot: Snapshot | None = None) -> Decision:
        return schedule(snapshot or self.snapshot, [*self.family, gang], self.policy)


def scene(
    snapshot: Snapshot, gangs: Iterable[Gang], key: str, holdings: Iterable[Holding] = (), policy: Policy | None = None
) -> Scene:
    """Raises KeyError when no gang has that key (`namespace/name`)."""
    by_key = {gang.key: gang for gang in gangs}
    target = by_key[key]
    decision = schedule(snapshot, by_key.values(), policy)
    refusal = next((r for r in decision.refusals if r.gang == key), None)
    wants_extras = refusal is not None and bool(refusal.pods)
    before = {gang.key for gang in by_key.values() if _turn(gang) < _turn(target)}
    taken = [
        a
        for a in decision.assignments
        if (a.gang in before and (a.is_minimum or wants_extras)) or (wants_extras and (a.is_minimum or a.gang == key))
    ]
    placed = {gang.key: _with_places(gang, taken) for gang in by_key.values()}
    root = target.base_key or target.key
    family = tuple(
        replace(g, ready=False) for k, g in sorted(placed.items()) if k != key and (g.base_key or g.key) == root
    )
    needs = {m.key: m.needs for g in by_key.values() for pg in g.podgroups for m in pg.members}
    return Scene(
        _with_usage(snapshot, [(a.node, needs[f"{a.namespace}/{a.pod}"]) for a in taken]),
        snapshot,
        placed[key],
        family,
        tuple(holdings),
        refusal,
        policy,
    )


def _turn(gang: Gang) -> tuple[int, bool, str, str]:
    """The scheduler's order, as `schedule` documents it."""
    return -gang.priority, gang.base is not None, gang.created, gang.key


def _with_places(gang: Gang, taken: Sequence[Assignment]) -> Gang:
    where = {f"{a.namespace}/{a.pod}": a.node for a in taken if a.gang == gang.key}
    if not where:
        return gang
    groups = tuple(
        replace(g, members=tuple(replace(m, node=m.node or where.get(m.key)) for m in g.members))
        for g in gang.podgroups
    )
    return replace(gang, podgroups=groups)


def _with_usage(snapshot: Snapshot, taken: Iterable[tuple[str, Needs]]) -> Snapshot:
    by_node: dict[str, list[Needs]] = defaultdict(list)
    for node, needs in taken:
        by_node[node].append(needs)
    return replace(
        snapshot, nodes=tuple(_loaded(n, by_node[n.name]) if n.name in by_node else n for n in snapshot.nodes)
    )


def _loaded(node: Node, more: Iterable[Needs]) -> Node:
    used, ports = dict(node.used), list(node.used_claims)
    for needs in more:
        for resource, amount in needs.requests:
            used[resource] = used.get(resource, 0) + amount
        ports += needs.claims
    return replace(node, used=tuple(sorted(used.items())), used_claims=tuple(sorted(ports)))


# ── scope by scope ──────────────────────────────────────────────────────────────────────────────────────────────────


def scope_reports(seen: Scene) -> tuple[ScopeReport, ...]:
    """Podgroups first, then groups, then the gang; a scope without pods to place says nothing."""
    reports: list[ScopeReport] = []
    for part, name in _parts(seen.gang):
        report = _report(seen, part, name, {r.scope for r in reports if not r.is_satisfied})
        if report is not None:
            reports.append(report)
    return tuple(reports)


def _parts(gang: Gang) -> Iterator[tuple[Gang, str]]:
    """The gang cut down to one scope at a time, under the constraints that enclose it."""
    by_name = {g.name: g for g in gang.podgroups}
    if len(gang.podgroups) > 1:
        group_of = {name: config for config in gang.groups for name in config.podgroups}
        for group in gang.podgroups[:PARTS]:
            config = group_of.get(group.name)
            only = replace(config, podgroups=(group.name,)) if config else None
            yield replace(gang, podgroups=(group,), groups=(only,) if only else ()), f"podgroup {group.name}"
        for config in gang.groups[:PARTS]:
            members = tuple(by_name[name] for name in config.podgroups if name in by_name)
            if config.constraint and len(members) > 1:
                yield replace(gang, podgroups=members, groups=(config,)), f"group {config.name}"
    yield gang, f"podgang {gang.name}"


def _report(seen: Scene, part: Gang, name: str, stuck: Set[str]) -> ScopeReport | None:
    decision = seen.decide(part)
    wanted = sum(max(g.minimum - sum(m.node is not None for m in g.members), 0) for g in part.podgroups)
    refusal = next((r for r in decision.refusals if r.gang == part.key), None)
    if refusal is None:
        if not wanted:
            return None
        level = _tightest(part)
        domains = sorted({domain_of(seen.snapshot, part, level, a.node) for a in decision.assignments if a.is_minimum})
        return ScopeReport(name, level, ", ".join(domains[:3]) + (", ..." if len(domains) > 3 else ""), wanted, wanted)
    level = "" if refusal.level == "cluster" else refusal.level
    if refusal.scope != name and refusal.scope in stuck:
        level = part.constraint.required or "" if part is seen.gang else _tightest(part)
        return ScopeReport(name, level, "", 0, wanted, message=refusal.message, blocked_by=refusal.scope)
    best = refusal.closest[0] if refusal.closest else Closest("", 0, wanted or len(refusal.pods))
    nodes = domain_nodes(seen.snapshot, part, refusal.level, best.domain)
    return ScopeReport(
        scope=name,
        level=level,
        domain=best.domain,
        fits=min(best.fits, best.wanted),
        wanted=best.wanted,
        resource=refusal.resource,
        short=refusal.short,
        holders=_holders(seen, nodes, refusal.resource),
        unusable=tuple((n.name, why) for n in nodes if (why := why_unusable(n)))[:HOLDERS],
        message=refusal.message,
    )


def _tightest(part: Gang) -> str:
    """The required level that binds the whole part, innermost first."""
    inner = [g.constraint for g in part.podgroups] if len(part.podgroups) == 1 else []
    groups = [c.constraint for c in part.groups] if len(part.groups) == 1 else []
    return next((c.required for c in (*inner, *groups, part.constraint) if c.required), "")


def _holders(seen: Scene, nodes: Sequence[Node], resource: str) -> tuple[Holder, ...]:
    names = {node.name for node in nodes}
    amounts: dict[tuple[str, str], int] = defaultdict(int)
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    stays: set[tuple[str, str]] = set()
    for holding in seen.holdings:
        if holding.node in names and (amount := holding.amount(resource)):
            amounts[holding.unit] += amount
            places[holding.unit].add(holding.node)
            if not holding.is_leaving:
                stays.add(holding.unit)
    top = sorted(amounts, key=lambda unit: (-amounts[unit], unit))[:HOLDERS]
    return tuple(Holder(*unit, amounts[unit], tuple(sorted(places[unit])), unit not in stays) for unit in top)


def why_unusable(node: Node) -> str:
    """In words; '' for a node that takes pods."""
    if not node.ready:
        return "not ready"
    return "cordoned" if node.unschedulable else ""


# ── domains by name ─────────────────────────────────────────────────────────────────────────────────────────────────


def domain_of(snapshot: Snapshot, gang: Gang, level: str, node: str) -> str:
    """The node's domain at a level (a label key), spelled as refusals spell it; the cluster's where there is none."""
    found = next((n for n in snapshot.nodes if n.name == node), None)
    return (found and _domain(found, _keys(snapshot, gang, level), level)) or CLUSTER


def domain_nodes(snapshot: Snapshot, gang: Gang, level: str, domain: str) -> list[Node]:
    """Nodes of a domain that a refusal names, sorted by name."""
    keys = _keys(snapshot, gang, level)
    if not level or domain in ("", CLUSTER):
        return sorted(snapshot.nodes, key=lambda n: n.name)
    return sorted((n for n in snapshot.nodes if _domain(n, keys, level) == domain), key=lambda n: n.name)


def _domain(node: Node, keys: tuple[str, ...], level: str) -> str:
    if not level or level == "cluster":
        return CLUSTER
    if level == HOSTNAME and level not in keys:
        return node.name
    path = [node.labels.get(key, "") for key in keys]
    return "/".join(path) if all(path) else ""


def _keys(snapshot: Snapshot, gang: Gang, level: str) -> tuple[str, ...]:
    """The topology's keys down to the level: the gang's own topology first, then any that has the level."""
    ranked = sorted(snapshot.topologies, key=lambda t: (t.name != (gang.topology or "default"), t.name))
    for topology in ranked:
        if level in topology.keys:
            return topology.keys[: topology.keys.index(level) + 1]
    return () if level == HOSTNAME else (level,)


def relaxed(constraint: Constraint) -> Constraint:
    """The same wish, no longer a condition."""
    return Constraint(None, constraint.preferred or constraint.required)
