"""Why a gang can't be placed: data first (scope, closest domains, resource, short by how much), then a sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from grove_operator.scheduler.model import Closest, Gang, Member, Needs, Refusal
from grove_operator.scheduler.nodes import Ints, NodeTable, Shape
from grove_operator.scheduler.predicates import claims_collide, objections
from grove_operator.scheduler.quantity import spell
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Search

LISTED = 6
EXAMINED = 32
CLAIMED = "hosts without colliding host ports or anti-affinity"
UNDECIDED = "none was found yet, the search goes on while there is time"
PROVED = "an exact search proves that there is no way"


@dataclass(frozen=True, slots=True)
class _Gap:
    """What one domain lacks."""

    name: str
    fits: int
    resource: str
    short: int


def explain(gang: Gang, tree: Scope, search: Search, pods: tuple[str, ...] = ()) -> Refusal:
    """The innermost scope that no domain can hold by itself; else that the parts don't fit beside each other."""
    for scope in tree.leaves():
        for shape, n in scope.demand:
            if shape.needs is not None and not shape.mask.any():
                return _no_node(gang, scope, shape.needs, n, search, pods)
    lanes = search.ready(tree)
    scopes = [s for s in tree.walk() if s.ask and (s.is_constrained or s is tree)]
    for scope in reversed(scopes):
        if not search.holds_anywhere(lanes, scope):
            return _insufficient(gang, scope, search, pods)
    return _not_together(gang, tree, search, pods)


def proved(refusal: Refusal) -> Refusal:
    """The exact solver's word on a refusal that the search left open."""
    return replace(refusal, proven=True, message=refusal.message.replace(UNDECIDED, PROVED))


def unsupported(gang: Gang, member: Member, scope: str, *, is_extra: bool = False) -> Refusal:
    """A member uses a feature that isn't modelled: it is never bound."""
    features = ", ".join(member.needs.unsupported)
    return Refusal(
        gang=gang.key,
        reason="Unsupported",
        scope=scope,
        message=f"pod {member.key} uses {features}, which this scheduler doesn't place by yet; "
        "remove it or set another schedulerName",
        pods=(member.key,) if is_extra else (),
    )


def _no_node(gang: Gang, scope: Scope, needs: Needs, n: int, search: Search, pods: tuple[str, ...]) -> Refusal:
    counted = objections(needs, search.table.nodes)
    total = len(search.table)
    reasons = "; ".join(f"{count} {why}" for why, count in sorted(counted.items(), key=lambda i: (-i[1], i[0])))
    return Refusal(
        gang=gang.key,
        reason="NoMatchingNode",
        scope=scope.name,
        message=f"{scope.name}: 0/{total} nodes may run its pods"
        + (f": {reasons}" if reasons else ": there are no nodes"),
        closest=(Closest("the cluster", 0, n),),
        pods=pods,
    )


def _insufficient(gang: Gang, scope: Scope, search: Search, pods: tuple[str, ...]) -> Refusal:
    if (without := _no_zone(gang, scope, search, pods)) is not None:
        return without
    level = scope.required
    gaps = _gaps(scope, level, search)
    name = search.index.level_name(level)
    where = f"in one {name}" if level else "in the cluster"
    if not gaps:
        message = f"{scope.name} needs {scope.pods} pods {where}: no node carries that label; label the nodes"
        return Refusal(gang.key, "UnknownLevel", scope.name, message, level=name, pods=pods)
    best = gaps[0]
    listed = ", ".join(f"{g.name} takes {g.fits} of {scope.pods}" for g in gaps[:LISTED])
    more = f" and {len(gaps) - LISTED} more take no more" if len(gaps) > LISTED else ""
    stays = " where its running members are" if len(scope.anchors) and level else ""
    return Refusal(
        gang=gang.key,
        reason="Insufficient",
        scope=scope.name,
        message=f"{scope.name} needs {scope.pods} pods {where}{stays}: {listed}{more}; "
        f"{best.name} is short of {spell(best.resource, best.short)}",
        level=name,
        closest=tuple(Closest(g.name, g.fits, scope.pods) for g in gaps[:EXAMINED]),
        resource=best.resource,
        short=best.short,
        pods=pods,
    )


def _no_zone(gang: Gang, scope: Scope, search: Search, pods: tuple[str, ...]) -> Refusal | None:
    """Hosts would do, but no NUMA zone of theirs; None when that is not the reason."""
    unit, table = scope.unit, search.table
    if unit is None or not unit.zoned:
        return None
    hosts = np.flatnonzero(_fits(unit, table.free, np.arange(len(table)), table)).tolist()
    gaps = [(*gap, table.nodes[row].name) for row in hosts for gap in table.zone_gaps(row, unit)]
    if not hosts:
        return None
    level = search.index.zone
    head = f"{scope.name} needs {scope.pods} pods in one NUMA zone ({level})"
    if not gaps:
        message = (
            f"{head}: none of the {len(hosts)} hosts with room has a NodeResourceTopology with zones; have one made "
            "for each node, or require kubernetes.io/hostname"
        )
        return Refusal(gang.key, "UnknownLevel", scope.name, message, level=level, pods=pods)
    _, short, resource, node = min(gaps)
    return Refusal(
        gang.key,
        "Insufficient",
        scope.name,
        f"{head}: the best one, on {node}, is short of {spell(resource, short)}",
        level=level,
        closest=(Closest(node, 0, scope.pods),),
        resource=resource,
        short=short,
        pods=pods,
    )


def _not_together(gang: Gang, tree: Scope, search: Search, pods: tuple[str, ...]) -> Refusal:
    level = tree.required
    gaps = _gaps(tree, level, search)
    best = gaps[0]
    name = search.index.level_name(level)
    where = f"{name} {best.name}" if level else "the cluster"
    return Refusal(
        gang=gang.key,
        reason="DoesNotFitTogether",
        scope=tree.name,
        message=f"{tree.name}: each of its parts fits alone but not all {tree.pods} pods together; {UNDECIDED} "
        f"({where} came closest: {min(best.fits, tree.pods)} of {tree.pods} if its inner constraints were dropped)",
        level=name,
        closest=tuple(Closest(g.name, g.fits, tree.pods) for g in gaps[:EXAMINED]),
        resource=best.resource,
        short=best.short,
        proven=False,
        pods=pods,
    )


def _gaps(scope: Scope, level: int, search: Search) -> list[_Gap]:
    """Domains by how many of the scope's pods they take, most first; at most EXAMINED are looked at closely."""
    index, table = search.index, search.table
    is_open = index.real[level]
    allowed = search.capacity.anchored(scope, level, 0, len(table))
    ids = np.flatnonzero(is_open if allowed is None else is_open & allowed)
    if not len(ids):
        return []
    taken = np.zeros(len(index.lo[level]), dtype=np.int64)
    for shape, n in scope.demand:
        fits = _fits(shape, table.free, np.arange(len(table)), table)[index.perm]
        taken += np.minimum(fits if level == index.host else np.add.reduceat(fits, index.lo[level]), n)
    order = ids[np.lexsort((ids, -taken[ids]))][:EXAMINED]
    gaps = [_gap(scope, level, int(d), search) for d in order]
    return sorted(gaps, key=lambda g: -g.fits)


def _fits(shape: Shape, free: Ints, rows: Ints, table: NodeTable) -> Ints:
    """How many pods of the shape the rows take with so much free each."""
    most = np.full(len(rows), 1 if shape.is_exclusive else 2**31)
    for column, amount in shape.asked:
        np.minimum(most, free[:, column] // amount, out=most)
    fits: Ints = np.maximum(most, 0) * shape.mask[rows]
    if shape.claims:
        for i in np.flatnonzero(fits).tolist():
            if claims_collide(shape.claims, table.claims[rows[i]]):
                fits[i] = 0
    return fits


def _gap(scope: Scope, level: int, domain: int, search: Search) -> _Gap:
    table, index = search.table, search.index
    rows = index.perm[slice(*index.range(level, domain))]
    free = table.free[rows].copy()
    fits = 0
    missing = np.zeros(len(table.resources), dtype=np.int64)
    last: Shape | None = None
    for shape, n in sorted(scope.demand, key=lambda d: tuple(-np.sort(-d[0].request)), reverse=True):
        there = _fits(shape, free, rows, table)
        take = np.minimum(there, np.maximum(n - np.cumsum(there) + there, 0))
        free -= take[:, None] * shape.request
        placed = int(take.sum())
        fits += placed
        if placed < n:
            missing += (n - placed) * shape.request
            last = shape
    usable = np.logical_or.reduce([s.mask[rows] for s, _ in scope.demand])
    resource, short = _scarcest(scope, rows[usable], missing, last, search)
    return _Gap(index.domain_name(level, domain), fits, resource, short)


def _scarcest(scope: Scope, rows: Ints, missing: Ints, last: Shape | None, search: Search) -> tuple[str, int]:
    """The resource whose sum is short by the largest share; if all sums suffice, the device that is too scattered."""
    table = search.table
    asked = sum((n * s.request for s, n in scope.demand), np.zeros(len(table.resources), dtype=np.int64))
    short = asked - np.maximum(table.free[rows], 0).sum(axis=0)
    columns = np.flatnonzero(asked)
    share = short[columns] / asked[columns]
    if len(columns) and share.max() > 0:
        best = int(columns[np.argmax(share)])
        return table.resources[best], int(short[best])
    if last is None:
        return "pods", 0
    if last.claims:
        return CLAIMED, int(missing[table.column["pods"]])
    # Everything is there in sum, yet no single node has enough of this:
    tight = [(int((table.free[rows, c] // amount).clip(0).sum()), c) for c, amount in last.asked]
    best = min(tight)[1] if tight else table.column["pods"]
    return table.resources[best], int(missing[best])


def asked_for(gang: Gang) -> tuple[object, ...]:
    """Equal for gangs without bound members and siblings that ask for the same."""
    position = {g.name: i for i, g in enumerate(gang.podgroups)}
    groups = tuple((c.constraint, tuple(position.get(n) for n in c.podgroups)) for c in gang.groups)
    parts = tuple((g.minimum, g.constraint, tuple((m.needs, m.is_gated) for m in g.members)) for g in gang.podgroups)
    return gang.topology, gang.constraint, groups, parts


def first_unsupported(tree: Scope) -> tuple[Member, str] | None:
    if not any(s.needs is not None and s.needs.unsupported for s, _ in tree.demand):
        return None
    return next((m, leaf.name) for leaf in tree.leaves() for m in leaf.needed if m.needs.unsupported)
