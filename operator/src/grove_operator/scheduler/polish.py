"""Fewer domains for the gang as a whole, where the search may have missed them: one more question to the exact program.

The search takes the first place of its inner scopes, so that mixed sizes inside a gang may spread over one host or rack
more than needed. When sums don't rule out fewer, and the question is small, the program is asked for a placement that
keeps every level that was kept and uses fewer domains of the gang's wished level, until there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from grove_operator.scheduler import exact
from grove_operator.scheduler.judge import Judge
from grove_operator.scheduler.model import Constraint, Gang
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Placed, Search, Solution

Rebuild = Callable[[Gang], Scope]
ROUNDS = 4
EASIER = 10
"""A better place is worth less than a place: its search ends after so much fewer nodes."""


def polished(gang: Gang, tree: Scope, found: Solution, mark: int, search: Search, rebuild: Rebuild) -> Solution:
    """The placement, or a better one; the table holds what is returned. `mark` is where it stood before."""
    judge, best = Judge(tree, search.index), found.placed
    if not judge.scopes or judge.scopes[0] is not tree or _is_large(search):
        return found
    for _ in range(ROUNDS):
        reached = judge.measure({id(p.leaf): p.rows for p in best})
        used = reached[0][1]
        if used < 2:
            break
        search.table.undo(mark)
        if used <= judge.fewest_domains(tree, search.ready(tree)):
            break
        kept = {scope.name: level for scope, (level, _) in zip(judge.scopes, reached, strict=True)}
        better = _fewer(gang, tree, kept, used - 1, search, rebuild)
        if better is None:
            break
        best = better
    search.table.undo(mark)
    search.ready(tree)
    return search.accept(tree, best) or search.accept(tree, found.placed) or found


def _is_large(search: Search) -> bool:
    lanes, most = search.lanes, search.policy.polish_columns
    return len(search.table) > most or int((lanes.k[: len(lanes.shapes)] > 0).sum()) > most


def _fewer(
    gang: Gang, tree: Scope, kept: dict[str, int], most: int, search: Search, rebuild: Rebuild
) -> list[Placed] | None:
    """A placement with every kept level required and at most so many domains of the root's wished level."""
    harder = rebuild(_holding(gang, kept, search))
    home = {int(search.index.dom[tree.wished][search.index.position[row]]) for row in tree.anchors}
    bound = exact.Bound(tree.wished, most, frozenset(home))
    policy = search.policy
    nodes = policy.exact_nodes // EASIER
    verdict = exact.decide(search, harder, columns=2 * policy.polish_columns, nodes=nodes, bound=bound)
    if isinstance(verdict, str):
        return None
    rows = {p.leaf.name: p.rows for p in verdict}
    return [Placed(leaf, rows[leaf.name]) for leaf in tree.leaves() if leaf.needed]


def _holding(gang: Gang, kept: dict[str, int], search: Search) -> Gang:
    def held(constraint: Constraint, name: str) -> Constraint:
        level = kept.get(name, 0)
        return Constraint(search.index.level_name(level), constraint.preferred) if level else constraint

    return replace(
        gang,
        constraint=held(gang.constraint, f"podgang {gang.name}"),
        groups=tuple(replace(c, constraint=held(c.constraint, f"group {c.name}")) for c in gang.groups),
        podgroups=tuple(replace(g, constraint=held(g.constraint, f"podgroup {g.name}")) for g in gang.podgroups),
    )
