"""Nodes as numpy columns, and what is still free on them: kept in step by events, with an undo log for trying things.

rows: nodes in order of name        columns: every resource seen on a node or asked for by a pod
free[N, R] int64                    log: (rows, amounts, claims) of every `take`, undone in reverse
dirty: rows whose free amounts changed, in order; whoever derives numbers from `free` catches up from where it was
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grove_operator.scheduler.model import Amounts, Claim, Needs, Node
from grove_operator.scheduler.predicates import claims_collide, eligible, objection

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KEPT_DIRTY = 16384
"""Entries of the dirty log that are kept; who is further behind counts anew."""
KEPT_SHAPES = 4096


@dataclass(eq=False, slots=True)
class Shape:
    """Interned needs: `request[R]`, `mask[N]` = may run there at all. Pods of one shape are interchangeable.

    A *unit* is several pods that must share one node, as one shape: `parts` are its pods' shapes with their counts.
    A unit that is `zoned` must have one NUMA zone of the node to itself (`zones`).
    `asked` lists the (column, amount) pairs of the request that aren't zero.
    At most one pod of an `exclusive` shape fits on a node: its claims (host ports, anti-affinity) exclude its like.
    """

    number: int
    request: Ints
    asked: tuple[tuple[int, int], ...]
    mask: Bools
    claims: tuple[Claim, ...] = ()
    needs: Needs | None = None
    parts: tuple[tuple[Shape, int], ...] = ()
    is_possible: bool = True
    zoned: bool = False

    @property
    def is_exclusive(self) -> bool:
        return bool(self.claims) and claims_collide(self.claims, self.claims)

    def allows(self, row: int, node: Node) -> bool:
        """May a pod of this shape run on the node, resources aside?"""
        if self.needs is not None:
            return objection(self.needs, node) is None
        return self.is_possible and all(bool(part.mask[row]) for part, _ in self.parts)


@dataclass(slots=True)
class Taken:
    """One entry of the undo log: `amounts[m, R]` taken from `rows` (distinct), and what is claimed there."""

    rows: Ints
    amounts: Ints
    claims: list[tuple[int, tuple[Claim, ...]]]


class NodeTable:
    def __init__(self, nodes: Iterable[Node], needs: Iterable[Needs] = ()) -> None:
        self.nodes: list[Node] = sorted(nodes, key=lambda n: n.name)
        self.row = {node.name: i for i, node in enumerate(self.nodes)}
        names = {"pods", "cpu", "memory"}
        names.update(r for node in self.nodes for r, _ in (*node.allocatable, *node.used))
        names.update(r for need in needs for r, _ in need.requests)
        self.resources = sorted(names)
        self.column = {r: i for i, r in enumerate(self.resources)}
        self.alloc = np.zeros((len(self.nodes), len(self.resources)), dtype=np.int64)
        self.free = np.zeros_like(self.alloc)
        self.claims: list[list[Claim]] = [list(node.used_claims) for node in self.nodes]
        for i, node in enumerate(self.nodes):
            self.alloc[i] = self._amounts(node.allocatable)
            self.free[i] = self.alloc[i] - self._amounts(node.used)
        self.statics = 0
        """Counts changes that no dirty log tells: masks, resources. Whoever saw another number counts anew."""
        self.epoch = 0
        """Counts how often shapes were forgotten: those of another epoch are not to be used any more."""
        self.shapes: dict[object, Shape] = {}
        self._by_id: dict[int, tuple[Needs, Shape]] = {}
        self._log: list[Taken] = []
        self._dirty: list[Ints] = []
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self.nodes)

    # ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def shape(self, needs: Needs) -> Shape:
        """The shape of these needs; needs that are the same object are looked up without comparing."""
        known = self._by_id.get(id(needs))
        if known is not None:
            return known[1]
        shape = self.shapes.get(needs)
        if shape is None:
            self.learn({r for r, _ in needs.requests})
            mask = eligible(needs, self.nodes)
            request = self._amounts(needs.requests)
            shape = Shape(len(self.shapes), request, _asked(request), mask, needs.claims, needs=needs)
            self.shapes[needs] = shape
        self._by_id[id(needs)] = (needs, shape)
        return shape

    def unit(self, parts: Iterable[tuple[Shape, int]], *, zoned: bool = False) -> Shape:
        """All these pods on one node, or in one NUMA zone of it, as one shape."""
        found = tuple(sorted(parts, key=lambda p: p[0].number))
        if len(found) == 1 and found[0][1] == 1 and not zoned:
            return found[0][0]
        key = (zoned, *((s.number, n) for s, n in found))
        shape = self.shapes.get(key)
        if shape is None:
            claims = tuple(claim for s, _ in found for claim in s.claims)
            possible = not any(
                (n > 1 and s.is_exclusive) or any(claims_collide(s.claims, t.claims) for t, _ in found[i + 1 :])
                for i, (s, n) in enumerate(found)
            )
            request = np.zeros(len(self.resources), dtype=np.int64)
            mask = np.full(len(self.nodes), possible)
            for part, n in found:
                request += n * part.request
                mask &= part.mask
            shape = Shape(
                len(self.shapes), request, _asked(request), mask, claims, None, found, is_possible=possible, zoned=zoned
            )
            self.shapes[key] = shape
        return shape

    def learn(self, resources: set[str]) -> None:
        """Room for resources that no node and no pod had before."""
        new = sorted(resources - self.column.keys())
        if not new:
            return
        for resource in new:
            self.column[resource] = len(self.resources)
            self.resources.append(resource)
        pad = ((0, 0), (0, len(new)))
        self.alloc, self.free = np.pad(self.alloc, pad), np.pad(self.free, pad)
        for shape in self.shapes.values():
            shape.request = np.pad(shape.request, pad[1])
        for taken in self._log:
            taken.amounts = np.pad(taken.amounts, pad)
        self.statics += 1

    def _amounts(self, amounts: Amounts) -> Ints:
        row = np.zeros(len(self.resources), dtype=np.int64)
        for resource, value in amounts:
            row[self.column[resource]] = value
        return row

    # ── what the cluster's events say ───────────────────────────────────────────────────────────────────────────────

    def update(self, node: Node) -> bool:
        """A known node as it is now, with its usage; True when pods may fit there that didn't before.

        Only between decisions: what was taken on it since `settle` is overwritten.
        """
        row = self.row[node.name]
        before = self.nodes[row]
        self.nodes[row] = node
        is_better = False
        if _rules(before) != _rules(node):
            self.statics += 1
            for shape in self.shapes.values():  # parts come before the units made of them
                allowed = shape.allows(row, node)
                is_better = is_better or (allowed and not shape.mask[row])
                shape.mask[row] = allowed
        self.learn({r for r, _ in (*node.allocatable, *node.used)})
        allocatable = self._amounts(node.allocatable)
        if (allocatable != self.alloc[row]).any():
            self.statics += 1
            self.alloc[row] = allocatable
        if (before.zones, before.zoned) != (node.zones, node.zoned):
            self.learn({r for amounts in (*node.zones, node.zoned) for r, _ in amounts})
            self._mark_dirty(np.array([row], dtype=np.int64))
            is_better = True
        return self.use(node.name, node.used, node.used_claims) or is_better

    def zones_for(self, row: int, shape: Shape, free: Sequence[int] | None = None) -> int:
        """How often a zoned shape fits into the node's NUMA zones; `free` of the node, when it isn't the table's.

        Nobody tells which zone a pod came to be in before the next report: what was taken since the last one counts
        against every zone.
        """
        return sum(
            max(min((left // amount for _, amount, left in zone), default=0), 0)
            for zone in self._zones(row, shape, self.free[row].tolist() if free is None else free)
        )

    def zone_gaps(self, row: int, shape: Shape) -> list[tuple[float, int, str]]:
        """For each NUMA zone of the node what it lacks most for one zoned shape: share, amount, resource."""
        found = []
        for zone in self._zones(row, shape, self.free[row].tolist()):
            lacks = [((amount - left) / amount, amount - left, r) for r, amount, left in zone if left < amount]
            found.append(max(lacks, default=(0.0, 0, "pods")))
        return found

    def _zones(self, row: int, shape: Shape, free: Sequence[int]) -> list[list[tuple[str, int, int]]]:
        """(resource, asked, left) in each zone, for what zones have of what is asked."""
        node, known = self.nodes[row], dict(self.nodes[row].zoned)
        kept = {r for amounts in node.zones for r, _ in amounts}
        asked = [(self.resources[c], amount, c) for c, amount in shape.asked if self.resources[c] in kept]
        since = {r: max(int(self.alloc[row, c]) - free[c] - known.get(r, 0), 0) for r, _, c in asked}
        return [[(r, n, z.get(r, 0) - since[r]) for r, n, _ in asked] for z in map(dict, node.zones)]

    def use(self, name: str, used: Iterable[tuple[str, int]], claims: Sequence[Claim] = ()) -> bool:
        """What is in use on a node now, every resource of it known; True when there is more room than before.

        Only between decisions: what was taken there since `settle` is overwritten.
        """
        row = self.row[name]
        free = self.alloc[row].tolist()
        for resource, amount in used:
            free[self.column[resource]] -= amount
        before = self.free[row].tolist()
        if free == before and self.claims[row] == list(claims):
            return False
        is_better = not set(claims) >= set(self.claims[row]) or any(a > b for a, b in zip(free, before, strict=True))
        self.free[row] = free
        self.claims[row] = list(claims)
        self._mark_dirty(np.array([row], dtype=np.int64))
        return is_better

    def hold(self, rows: Ints) -> Ints:
        """Keep what is free on these rows from everybody; give the answer to `release` before anything is undone."""
        kept: Ints = np.maximum(self.free[rows], 0)
        self.free[rows] -= kept
        self._mark_dirty(rows)
        return kept

    def release(self, rows: Ints, kept: Ints) -> None:
        self.free[rows] += kept
        self._mark_dirty(rows)

    @contextmanager
    def without(self, pods: Iterable[tuple[int, Shape]]) -> Iterator[None]:
        """As if these pods (row, shape) were gone from their nodes. What is taken meanwhile must be undone inside."""
        gone = list(pods)
        rows = np.unique(np.array([row for row, _ in gone], dtype=np.int64))
        free, claims = self.free[rows].copy(), {row: list(self.claims[row]) for row in rows.tolist()}
        for row, shape in gone:
            self.free[row] += shape.request
            for claim in shape.claims:
                if claim in self.claims[row]:
                    self.claims[row].remove(claim)
        self._mark_dirty(rows)
        try:
            yield
        finally:
            self.free[rows] = free
            for row, known in claims.items():
                self.claims[row] = known
            self._mark_dirty(rows)

    def settle(self) -> None:
        """Forget how to undo, and shapes that pile up."""
        self._log.clear()
        if len(self.shapes) > KEPT_SHAPES or len(self._by_id) > 16 * KEPT_SHAPES:
            self.shapes.clear()
            self._by_id.clear()
            self.epoch += 1

    # ── trying things ───────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, rows: Ints, amounts: Ints, claims: list[tuple[int, tuple[Claim, ...]]] | None = None) -> None:
        """Take `amounts[m, R]` from `rows` (distinct) and make claims; the caller has checked that it fits."""
        self.free[rows] -= amounts
        self._log.append(Taken(rows, amounts, claims or []))
        self._mark_dirty(rows)
        for row, claimed in claims or ():
            self.claims[row].extend(claimed)

    def mark(self) -> int:
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Give back everything taken since `mark`, newest first."""
        while len(self._log) > mark:
            taken = self._log.pop()
            self.free[taken.rows] += taken.amounts
            self._mark_dirty(taken.rows)
            for row, claimed in reversed(taken.claims):
                del self.claims[row][-len(claimed) :]

    def taken_since(self, mark: int) -> Sequence[Taken]:
        return self._log[mark:]

    def _mark_dirty(self, rows: Ints) -> None:
        self._dirty.append(rows)
        if len(self._dirty) > KEPT_DIRTY:
            half = KEPT_DIRTY // 2
            del self._dirty[:half]
            self._forgotten += half

    @property
    def now(self) -> int:
        """Position in the dirty log."""
        return self._forgotten + len(self._dirty)

    def changed_since(self, position: int) -> Ints | None:
        """Distinct rows that changed since a position of the log; None when that is forgotten."""
        if position < self._forgotten:
            return None
        changed = self._dirty[position - self._forgotten :]
        if not changed:
            return np.zeros(0, dtype=np.int64)
        return changed[0] if len(changed) == 1 else np.unique(np.concatenate(changed))


def _asked(request: Ints) -> tuple[tuple[int, int], ...]:
    return tuple((c, int(request[c])) for c in np.flatnonzero(request).tolist())


def _rules(node: Node) -> tuple[object, ...]:
    """What masks depend on."""
    return node.labels, node.taints, node.unschedulable, node.ready
