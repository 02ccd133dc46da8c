"""How good a complete placement is: the objective's key, and the placement score that is published.

key     (no room for siblings, levels lost per scope, domains of the wished level used per scope, hosts)
score   mean over constrained scopes of (levels kept / levels wished) · (fewest domains possible / domains used)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.lanes import Lanes
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.topology import TopologyIndex

Rows = Mapping[int, tuple[int, ...]]
"""Node rows of the placed members, by id of their leaf scope."""
Reach = tuple[int, int]
"""(finest level up to the wished one at which one domain holds the scope, domains used at the wished level)."""
Key = tuple[bool, tuple[int, ...], tuple[int, ...], int]


def constrained(tree: Scope) -> list[Scope]:
    """Scopes that wish for a level, outermost first."""
    layers, found = [tree], []
    while layers:
        found += [s for s in layers if s.wished and s.is_constrained]
        layers = [c for s in layers for c in s.children]
    return found


class Judge:
    def __init__(self, tree: Scope, index: TopologyIndex) -> None:
        self.tree, self.index = tree, index
        self.scopes = constrained(tree)

    def measure(self, rows: Rows) -> list[Reach]:
        """What each constrained scope reached."""
        return [self._reach(scope, rows) for scope in self.scopes]

    def key(self, reached: list[Reach], hosts: int, *, crowds: bool) -> Key:
        """Smaller is better."""
        lost = tuple(scope.wished - kept for scope, (kept, _) in zip(self.scopes, reached, strict=True))
        return crowds, lost, tuple(used for _, used in reached), hosts

    def _reach(self, scope: Scope, rows: Rows) -> Reach:
        own = [r for leaf in scope.leaves() for r in rows.get(id(leaf), ())]
        at = self.index.position[own + scope.anchors]
        if not len(at):
            return scope.wished, 1
        for level in range(scope.wished, 0, -1):
            domains = self.index.dom[level][at]
            if (domains == domains[0]).all() and self.index.real[level][domains[0]]:
                break
        else:
            level = 0
        return level, 1 if level == scope.wished else len(set(self.index.dom[scope.wished][at].tolist()))

    def score(self, reached: list[Reach], lanes: Lanes) -> float:
        """The table must be as it was before the placement: the fewest possible is counted on what was free then."""
        values = []
        for scope, (kept, used) in zip(self.scopes, reached, strict=True):
            if kept == scope.wished:
                values.append(1.0)
            else:
                values.append(kept / scope.wished * min(self.fewest_domains(scope, lanes), used) / used)
        return round(sum(values) / len(values), 4) if values else 1.0

    def fewest_domains(self, scope: Scope, lanes: Lanes, kept: int = 0) -> int:
        """No placement of the scope in one domain of level `kept` uses fewer domains of the wished level, by sums."""
        need, index = scope.need, self.index
        if not need.pairs:
            return 1
        caps, starts = lanes.at(scope.wished)[need.rows], index.lo[kept]
        around = index.dom[kept][index.lo[scope.wished]]  # for each wished domain the one of level `kept` it is in
        first = np.searchsorted(around, np.arange(len(starts)))
        missing = np.zeros(len(starts), dtype=np.int64)
        for row, (amount,) in zip(caps, need.amounts.tolist(), strict=True):
            largest = row[np.lexsort((-row, around))]
            before = np.cumsum(largest) - largest
            is_needed = before - before[first][around] < amount
            np.maximum(missing, np.add.reduceat(is_needed.astype(np.int64), first), out=missing)
            missing[np.add.reduceat(row, first) < amount] = len(row)
        return max(int(missing.min()), 1)

    def may_improve(self, reached: list[Reach], capacity: Capacity, lanes: Lanes) -> bool:
        """Do sums leave open that some scope keeps a finer level or uses fewer domains?

        The table must be as it was before the placement.
        """
        return any(
            kept < scope.wished
            and scope.demand
            and (
                used > self.fewest_domains(scope, lanes, kept)
                or any(capacity.has_room(lanes, scope, level) for level in range(kept + 1, scope.wished + 1))
            )
            for scope, (kept, used) in zip(self.scopes, reached, strict=True)
        )
