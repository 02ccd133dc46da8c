"""Can a domain hold these pods? Necessary tests on sums, exact for sizes that divide each other.

Lemma. Sizes s1 > s2 > ... each dividing the one before, n_i pods of size s_i, nodes with c_b free. They fit iff for
all i

    Σ_{j<=i} n_j · (s_j / s_i)  <=  Σ_b floor(c_b / s_i)

Necessary: cut the larger pods into pieces of s_i. Sufficient: placing sizes in descending order, wherever they fit,
takes exactly s_j/s_i from every later right-hand side, so room for the next size never depends on earlier choices.
"""

from __future__ import annotations

import numpy as np

from grove_operator.scheduler.nodes import Bools, Ints, NodeTable
from grove_operator.scheduler.scopes import Demand, Scope
from grove_operator.scheduler.topology import TopologyIndex


def chain(sizes: dict[int, int]) -> list[tuple[int, int]] | None:
    """(size, pieces of that size needed), largest size first, or None when the sizes don't divide each other."""
    found: list[tuple[int, int]] = []
    pieces, previous = 0, 0
    for size in sorted(sizes, reverse=True):
        if previous and previous % size:
            return None
        pieces = pieces * (previous // size if previous else 1) + sizes[size]
        found.append((size, pieces))
        previous = size
    return found


def divisible_fits(free: Ints, sizes: dict[int, int]) -> bool:
    """The lemma on plain numbers: `free` per node, `sizes` maps size to count. ValueError if sizes don't divide."""
    inequalities = chain(sizes)
    if inequalities is None:
        raise ValueError(f"sizes {sorted(sizes)} don't divide each other")
    return all(pieces <= int((free // size).sum()) for size, pieces in inequalities)


class Capacity:
    """Per-domain capacity of one table along one topology."""

    def __init__(self, table: NodeTable, index: TopologyIndex) -> None:
        self.table, self.index = table, index

    def columns(self, demand: Demand, lo: int, hi: int) -> tuple[Ints, Ints]:
        """(need[C], room[hi - lo, C]): a set of positions can hold the demand only if its room sums to the need."""
        rows = self.index.perm[lo:hi]
        need: list[int] = []
        room: list[Ints] = []
        for shape, n in demand:
            self.table.catch_up(shape)
            need.append(n)
            room.append(shape.fits[rows])
        if len(demand) > 1:
            self._joint(demand, rows, need, room)
        return np.array(need, dtype=np.int64), np.stack(room, axis=1) if room else np.zeros(
            (hi - lo, 0), dtype=np.int64
        )

    def _joint(self, demand: Demand, rows: Ints, need: list[int], room: list[Ints]) -> None:
        """Tests that no single shape shows: sums of each resource, and the lemma for countable devices."""
        usable = np.logical_or.reduce([s.fits[rows] > 0 for s, _ in demand])
        asked = np.stack([n * s.request for s, n in demand]).sum(axis=0)
        for column in np.flatnonzero(asked).tolist():
            free = np.where(usable, np.maximum(self.table.free[rows, column], 0), 0)
            sizes: dict[int, int] = {}
            for shape, n in demand:
                size = int(shape.request[column])
                if size:
                    sizes[size] = sizes.get(size, 0) + n
            inequalities = chain(sizes) if is_device(self.table.resources[column]) else None
            for size, pieces in inequalities or [(1, int(asked[column]))]:
                need.append(pieces)
                room.append(free // size)

    def feasible(self, scope: Scope, level: int, lo: int, hi: int) -> Bools:
        """For each domain of `level` in [lo, hi): could it hold the scope, as far as these tests tell?"""
        first, end = self.index.inside(level, lo, hi)
        verdict = self.index.real[level][first:end].copy() if level else np.ones(end - first, dtype=bool)
        if end == first:
            return verdict
        if scope.demand:
            need, room = self.columns(scope.demand, lo, hi)
            starts = self.index.lo[level][first:end] - lo
            verdict &= (np.add.reduceat(room, starts, axis=0) >= need).all(axis=1)
        for child in scope.children:
            if child.required > level and child.demand and verdict.any():
                below = self.feasible(child, child.required, lo, hi)
                verdict &= self._per_parent(below.astype(np.int64), child.required, level, lo, hi) > 0
        if len(scope.children) > 1 and verdict.any():
            verdict &= self._replicas(scope, level, lo, hi)
        return verdict

    def _replicas(self, scope: Scope, level: int, lo: int, hi: int) -> Bools:
        """Whole identical leaves per narrow domain: Σ floor(room / pods) must reach the number of leaves."""
        first, end = self.index.inside(level, lo, hi)
        verdict = np.ones(end - first, dtype=bool)
        templates: dict[tuple[int, int, int], list[Scope]] = {}
        for leaf in scope.leaves():
            if leaf.required > level and len(leaf.demand) == 1 and not len(leaf.anchors):
                shape, n = leaf.demand[0]
                templates.setdefault((leaf.required, id(shape), n), []).append(leaf)
        for (required, _, n), leaves in templates.items():
            if len(leaves) > 1:
                inner, stop = self.index.inside(required, lo, hi)
                fits = leaves[0].demand[0][0].fits[self.index.perm[lo:hi]]
                whole = np.add.reduceat(fits, self.index.lo[required][inner:stop] - lo) // n
                whole[~self.index.real[required][inner:stop]] = 0
                verdict &= self._per_parent(whole, required, level, lo, hi) >= len(leaves)
        return verdict

    def _per_parent(self, values: Ints, level: int, broader: int, lo: int, hi: int) -> Ints:
        """Sums of per-domain values of a narrow level over the domains of a broader one, within [lo, hi)."""
        inner, stop = self.index.inside(level, lo, hi)
        first, end = self.index.inside(broader, lo, hi)
        parents = self.index.dom[broader][self.index.lo[level][inner:stop]] - first
        return np.bincount(parents, weights=values, minlength=end - first).astype(np.int64)


def is_device(resource: str) -> bool:
    """Extended resources are counted in whole devices."""
    return "/" in resource
