"""Why a gang can't be placed: data first (scope, closest domains, resource, short by how much), then a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grove_operator.scheduler.model import Closest, Gang, Refusal
from grove_operator.scheduler.nodes import Bools, Ints, Shape
from grove_operator.scheduler.predicates import objections
from grove_operator.scheduler.quantity import spell
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Search

LISTED = 6
EXAMINED = 32


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
            if not shape.mask.any():
                return _no_node(gang, scope, shape, n, search, pods)
    scopes = [s for s in tree.walk() if s.demand and (s.is_constrained or s is tree)]
    for scope in reversed(scopes):
        allowed = search.capacity.feasible(scope, scope.required, 0, len(search.table))
        allowed &= search.anchored(scope, scope.required)
        if not allowed.any():
            return _insufficient(gang, scope, search, pods)
    return _not_together(gang, tree, search, pods)


def _no_node(gang: Gang, scope: Scope, shape: Shape, n: int, search: Search, pods: tuple[str, ...]) -> Refusal:
    counted = objections(shape.needs, search.table.nodes)
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
    level = scope.required
    gaps = _gaps(scope, level, search.anchored(scope, level), search)
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


def _not_together(gang: Gang, tree: Scope, search: Search, pods: tuple[str, ...]) -> Refusal:
    level = tree.required
    gaps = _gaps(tree, level, search.anchored(tree, level), search)
    best = gaps[0]
    name = search.index.level_name(level)
    how = (
        f"the search ended after {search.policy.attempts} attempts"
        if search.is_exhausted
        else "no arrangement was found"
    )
    where = f"{name} {best.name}" if level else "the cluster"
    return Refusal(
        gang=gang.key,
        reason="DoesNotFitTogether",
        scope=tree.name,
        message=f"{tree.name}: each of its parts fits alone but not all {tree.pods} pods together; {how} "
        f"({where} came closest: {min(best.fits, tree.pods)} of {tree.pods} if its inner constraints were dropped)",
        level=name,
        closest=tuple(Closest(g.name, g.fits, tree.pods) for g in gaps[:EXAMINED]),
        resource=best.resource,
        short=best.short,
        proven=False,
        pods=pods,
    )


def _gaps(scope: Scope, level: int, allowed: Bools, search: Search) -> list[_Gap]:
    """Domains by how many of the scope's pods they take, most first; at most EXAMINED are looked at closely."""
    index = search.index
    real = index.real[level] if level else np.ones(len(index.lo[0]), dtype=bool)
    ids = np.flatnonzero(real & allowed)
    need, room = search.capacity.columns(scope.demand, 0, len(search.table))
    if not len(ids):
        return []
    share = np.minimum(np.add.reduceat(room, index.lo[level], axis=0), need)[ids] / np.maximum(need, 1)
    order = ids[np.lexsort((ids, -share.mean(axis=1)))][:EXAMINED]
    gaps = [_gap(scope, level, int(d), search) for d in order]
    return sorted(gaps, key=lambda g: -g.fits)


def _gap(scope: Scope, level: int, domain: int, search: Search) -> _Gap:
    table, index = search.table, search.index
    rows = index.perm[int(index.lo[level][domain]) : int(index.hi[level][domain])]
    mark = table.mark()
    fits = 0
    missing = np.zeros(len(table.resources), dtype=np.int64)
    last: Shape | None = None
    for shape, n in sorted(scope.demand, key=lambda d: tuple(-np.sort(-d[0].request)), reverse=True):
        table.catch_up(shape)
        take = np.minimum(shape.fits[rows], np.maximum(n - np.cumsum(shape.fits[rows]) + shape.fits[rows], 0))
        table.take(shape, rows, take)
        placed = int(take.sum())
        fits += placed
        if placed < n:
            missing += (n - placed) * shape.request
            last = shape
    table.undo(mark)
    usable = np.logical_or.reduce([s.mask[rows] for s, _ in scope.demand])
    column, short = _scarcest(scope, rows[usable], missing, last, search)
    return _Gap(index.domain_name(level, domain), fits, table.resources[column], short)


def _scarcest(scope: Scope, rows: Ints, missing: Ints, last: Shape | None, search: Search) -> tuple[int, int]:
    """The resource whose sum is short by the largest share; if all sums suffice, the device that is too scattered."""
    table = search.table
    asked = sum((n * s.request for s, n in scope.demand), np.zeros(len(table.resources), dtype=np.int64))
    short = asked - np.maximum(table.free[rows], 0).sum(axis=0)
    columns = np.flatnonzero(asked)
    share = short[columns] / asked[columns]
    if len(columns) and share.max() > 0:
        best = int(columns[np.argmax(share)])
        return best, int(short[best])
    if last is None:
        return table.column["pods"], 0
    # Everything is there in sum, yet no single node has enough of this:
    tight = [(int((table.free[rows, c] // last.request[c]).clip(0).sum()), c) for c in last.columns.tolist()]
    best = min(tight)[1] if tight else table.column["pods"]
    return best, int(missing[best])
