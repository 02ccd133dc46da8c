"""Can a domain hold a scope? Necessary tests on sums over lanes, scope by scope down the tree.

A domain holds no more copies of a scope than any of its sums allows, and no more than the narrower domains inside hold
of the parts that must each sit in one of those. For pods whose sizes divide each other the sums are exact (`lanes`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from grove_operator.scheduler.lanes import Lanes
from grove_operator.scheduler.nodes import Bools, Ints, NodeTable, Shape
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.topology import TopologyIndex

KEPT_CELLS = 16_000_000
"""Numbers kept in lanes per topology (8 bytes each); the least recently used lanes go first."""


class Capacity:
    """Lanes of one topology, made when first asked for."""

    def __init__(self, table: NodeTable, index: TopologyIndex) -> None:
        self.table, self.index = table, index
        self._lanes: OrderedDict[tuple[int, ...], Lanes] = OrderedDict()
        self._epoch = table.epoch

    def lanes(self, shapes: Iterable[Shape]) -> Lanes:
        """The lanes of these shapes, up to date."""
        if self._epoch != self.table.epoch:
            self._lanes.clear()
            self._epoch = self.table.epoch
        distinct = {s.number: s for s in shapes}
        key = tuple(sorted(distinct))
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes[key] = Lanes(self.table, self.index, list(distinct.values()))
            while len(self._lanes) > 1 and sum(lanes.k.size for lanes in self._lanes.values()) > KEPT_CELLS:
                self._lanes.popitem(last=False)
        else:
            self._lanes.move_to_end(key)
            found.catch_up()
        return found

    def wholes(self, lanes: Lanes, scope: Scope, level: int, lo: int, hi: int, cap: int = 1) -> Ints:
        """For each domain of `level` in [lo, hi): no more copies of the scope than this fit, counted up to `cap`."""
        index = self.index
        first, end = index.inside(level, lo, hi)
        copies = lanes.wholes(scope.need, level, first, end, cap)
        if not index.is_real[level]:
            copies *= index.real[level][first:end]
        if level == index.host and not index.is_real[scope.labelled]:
            copies *= index.is_in_a_domain(scope.labelled)[first:end]
        for part, count in scope.templates(level) if end > first else ():
            below = self.wholes(lanes, part, part.required, lo, hi, count * cap)
            allowed = self.anchored(part, part.required, lo, hi)
            if allowed is not None:
                below = below * allowed
            starts = index.lo[level][first:end]
            if part.required < index.host:
                starts = index.dom[part.required][starts] - int(index.dom[part.required][lo])
            else:
                starts = starts - lo
            np.minimum(copies, np.add.reduceat(below, starts) // count, out=copies)
        return copies

    def copies(self, lanes: Lanes, scope: Scope, level: int, lo: int, hi: int, cap: int) -> Ints:
        """As `wholes`, but with room for the members beyond the minima of each copy too."""
        found = self.wholes(lanes, scope, level, lo, hi, cap)
        if scope.need_full is not scope.need:
            found = np.minimum(found, lanes.wholes(scope.need_full, level, *self.index.inside(level, lo, hi), cap))
        return found

    def has_room(self, lanes: Lanes, scope: Scope, level: int) -> bool:
        """Could some domain of the level hold the scope, wherever its members run?"""
        return bool(self.wholes(lanes, scope, level, 0, len(self.table)).any())

    def anchored(self, scope: Scope, level: int, lo: int, hi: int) -> Bools | None:
        """Domains of the level in [lo, hi) that bound members leave open, None for all.

        That is the one domain that has them all; at the required level, else, the one that has most of them.
        """
        if not scope.anchors:
            return None
        index = self.index
        first, end = index.inside(level, lo, hi)
        at = index.position[np.array(scope.anchors, dtype=np.int64)]
        at = at[(at >= lo) & (at < hi)]
        if not len(at):
            return None
        domains = index.dom[level][at]
        domains = domains[index.real[level][domains]] - first
        if not len(domains):  # members without the label of this level: no domain of it holds the scope
            return None if level == scope.required else np.zeros(end - first, dtype=bool)
        ids, counts = np.unique(domains, return_counts=True)
        allowed = np.zeros(end - first, dtype=bool)
        if len(ids) == 1 or level == scope.required:
            allowed[ids[np.argmax(counts)]] = True
        return allowed
