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

    def fewest_domains(self, scope: Scope, lanes: Lanes) -> int:
        """Lower bound on the domains of its wished level that the scope needs, by sums alone."""
        if not scope.need.pairs:
            return 1
        caps = lanes.at(scope.wished)[scope.need.rows]
        enough = (np.cumsum(-np.sort(-caps, axis=1), axis=1) >= scope.need.amounts).all(axis=0)
        return int(np.argmax(enough)) + 1
