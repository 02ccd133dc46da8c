"""More levels and fewer domains where the search may have missed them.

The search takes the first place of its inner scopes and compares few places of the gang as a whole. So each scope that
lost something is asked for it again, outermost scope first, as the objective has it: with all that was reached before
held fast, is there a placement that keeps a finer level, then one that uses fewer domains of the wished level? The sums
answer first, then the search (for levels), then the exact program if the question is small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grove_operator.scheduler import exact
from grove_operator.scheduler.judge import Judge, Reach
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Placed, Search, Solution

Rebuild = Callable[[Mapping[str, int]], Scope]
"""The tree with levels held, by name of scope."""
QUESTIONS = 24
"""To the search or the program, for one gang."""
EASIER = 10
"""A better place is worth less than a place: its search ends after so much fewer attempts and nodes."""


def polished(tree: Scope, found: Solution, mark: int, search: Search, rebuild: Rebuild) -> Solution:
    """The placement, or a better one; the table holds what is returned. `mark` is where it stood before."""
    judge = Judge(tree, search.index)
    search.table.undo(mark)
    polish = _Polish(tree, found.placed, judge, search, rebuild)
    polish.gain_levels()
    polish.save_domains()
    search.ready(tree)
    return search.accept(tree, polish.best) or search.accept(tree, found.placed) or found


@dataclass(eq=False)
class _Polish:
    tree: Scope
    best: list[Placed]
    judge: Judge
    search: Search
    rebuild: Rebuild
    questions: int = 0
    reached: list[Reach] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._measure()
        self.is_large = self._is_large()

    def _measure(self) -> None:
        self.reached = self.judge.measure({id(p.leaf): p.rows for p in self.best})

    def _is_large(self) -> bool:
        lanes, most = self.search.ready(self.tree), self.search.policy.polish_columns
        return len(self.search.table) > most or int((lanes.k[: len(lanes.shapes)] > 0).sum()) > most

    def _open(self) -> list[tuple[int, Scope]]:
        """Scopes that have pods to be placed, with their place in `reached`."""
        return [(i, scope) for i, scope in enumerate(self.judge.scopes) if scope.demand]

    def gain_levels(self) -> None:
        """Holds each scope to the finest level that it can keep beside those held before."""
        for i, scope in self._open():
            for level in range(scope.wished, self.reached[i][0], -1):
                if self._has_room(scope, level) and self._keeps(scope, level):
                    break
            if self.reached[i][0] > scope.required:
                self.held[scope.name] = self.reached[i][0]

    def _has_room(self, scope: Scope, level: int) -> bool:
        return self.search.capacity.has_room(self.search.ready(self.tree), scope, level)

    def _keeps(self, scope: Scope, level: int) -> bool:
        tree = self.rebuild({**self.held, scope.name: level})
        search = self.search
        if not search.holds_anywhere(search.ready(tree), tree):
            return False
        return self._is_better(self._searched(tree) or self._decided(tree, []))

    def save_domains(self) -> None:
        """The levels that were reached are held; outer scopes' numbers of domains, too."""
        bounds: list[tuple[str, int]] = []
        for i, scope in self._open():
            while self.reached[i][1] > self._fewest(scope, self.reached[i][0]):
                tree = self.rebuild(self.held)
                wanted = [*bounds, (scope.name, self.reached[i][1] - 1)]
                if not self._is_better(self._decided(tree, wanted)):
                    break
            if self.reached[i][1] > 1:
                bounds.append((scope.name, self.reached[i][1]))

    def _fewest(self, scope: Scope, kept: int) -> int:
        return self.judge.fewest_domains(scope, self.search.ready(self.tree), kept)

    def _searched(self, tree: Scope) -> list[Placed] | None:
        if self._is_spent():
            return None
        found = self.search.place(tree, attempts=self.search.policy.attempts // EASIER)
        self.search.table.undo(self.search.start)
        return None if found is None else found.placed

    def _decided(self, tree: Scope, wanted: Sequence[tuple[str, int]]) -> list[Placed] | None:
        if self.is_large or self._is_spent():
            return None
        search, policy = self.search, self.search.policy
        scope_of = {scope.name: scope for scope in tree.walk()}
        bounds = [self._bound(scope_of[name], most) for name, most in wanted]
        nodes = policy.exact_nodes // EASIER
        verdict = exact.decide(search, tree, columns=2 * policy.polish_columns, nodes=nodes, bounds=bounds)
        return None if isinstance(verdict, str) else verdict

    def _bound(self, scope: Scope, most: int) -> exact.Bound:
        index = self.search.index
        home = {int(index.dom[scope.wished][index.position[row]]) for row in scope.anchors}
        return exact.Bound(scope, scope.wished, most, frozenset(home))

    def _is_spent(self) -> bool:
        self.questions += 1
        return self.questions > QUESTIONS

    def _is_better(self, found: list[Placed] | None) -> bool:
        """Takes a placement over, told in the scopes of the tree that was asked for."""
        if found is None:
            return False
        rows = {p.leaf.name: p.rows for p in found}
        self.best = [Placed(leaf, rows[leaf.name]) for leaf in self.tree.leaves() if leaf.needed]
        self._measure()
        return True
