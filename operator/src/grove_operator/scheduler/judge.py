"""How good a complete placement is: the objective's key, and the placement score that is published.

key     (no room for siblings, levels lost per scope, domains of the wished level used per scope, hosts)
score   mean over constrained scopes of (levels kept / levels wished) · (fewest domains possible / domains used)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grove_operator.scheduler.lanes import Lanes
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.topology import TopologyIndex

Rows = Mapping[int, tuple[int, ...]]
"""Node rows of the placed members, by id of their leaf scope."""
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
        self._nothing_lost = (0,) * len(self.scopes)
        self._one_each = (1,) * len(self.scopes)

    def perfect(self, hosts: int, *, crowds: bool) -> Key:
        """The key of a placement that lost no level."""
        return crowds, self._nothing_lost, self._one_each, hosts

    def key(self, rows: Rows, hosts: int, *, crowds: bool) -> Key:
        """Smaller is better."""
        reached = [self.reach(scope, rows) for scope in self.scopes]
        lost = tuple(scope.wished - kept for scope, (kept, _) in zip(self.scopes, reached, strict=True))
        return crowds, lost, tuple(used for _, used in reached), hosts

    def reach(self, scope: Scope, rows: Rows) -> tuple[int, int]:
        """(finest level up to the wished one at which one domain holds the scope, domains used at the wished level)."""
        own = [r for leaf in scope.leaves() for r in rows.get(id(leaf), ())]
        at = self.index.position[np.array([*own, *scope.anchors], dtype=np.int64)]
        if not len(at):
            return scope.wished, 1
        for level in range(scope.wished, 0, -1):
            domains = self.index.dom[level][at]
            if (domains == domains[0]).all() and self.index.real[level][domains[0]]:
                break
        else:
            level = 0
        return level, len(np.unique(self.index.dom[scope.wished][at]))

    def score(self, rows: Rows, lanes: Lanes) -> float:
        """The table must be as it was before the placement: the fewest possible is counted on what was free then."""
        values = []
        for scope in self.scopes:
            kept, used = self.reach(scope, rows)
            if kept == scope.wished:
                values.append(1.0)
            else:
                values.append(kept / scope.wished * min(self._fewest_domains(scope, lanes), used) / used)
        return round(sum(values) / len(values), 4) if values else 1.0

    def _fewest_domains(self, scope: Scope, lanes: Lanes) -> int:
        """Lower bound on the domains of its wished level that the scope needs, by sums alone."""
        if not scope.need.pairs:
            return 1
        caps = lanes.at(scope.wished)[scope.need.rows]
        enough = (np.cumsum(-np.sort(-caps, axis=1), axis=1) >= scope.need.amounts).all(axis=0)
        return int(np.argmax(enough)) + 1
