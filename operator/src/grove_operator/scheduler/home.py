"""Back to the domains it had: when a gang waits for its own pods to go instead of settling elsewhere.

    members follow others, which are on their way out but still hold their place
        ├─ there is room in a domain it had, or elsewhere it stands better    taken at once
        └─ only there, once they are gone, it stands as well                  it waits, and others don't get that room

"A domain it had" is one of the level that a scope wishes for (`preferred`, else `required`), and so for each scope.
Where no level is wished for any node will do, and it waits only when there is none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grove_operator.scheduler.judge import constrained
from grove_operator.scheduler.liking import Liking
from grove_operator.scheduler.model import Gang, Member
from grove_operator.scheduler.nodes import Ints, Shape
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Search, Solution

Former = Mapping[str, int]
"""Row of the node that a member's predecessor had, by member key."""


def former_rows(gang: Gang, row_of: Mapping[str, int], placed: Mapping[str, int]) -> dict[str, int]:
    """Of members that wait for a place; nodes that are gone are left out."""
    waiting = (m for g in gang.podgroups for m in g.members if m.node is None and m.former and m.key not in placed)
    return {m.key: row_of[m.former] for m in waiting if m.former and m.former in row_of}


def kept_for(
    gang: Gang, former: Former, tree: Scope, lookahead: Scope | None, search: Search, liking: Liking
) -> set[int]:
    """Rows that are to be kept for a gang with pods on their way out; {} when it doesn't wait. Leaves the table as is.

    These are where it would stand once they are gone, and where its pods were.
    """
    table = search.table
    scopes = constrained(tree)
    if not any(m.key in former for leaf in tree.leaves() for m in leaf.needed):
        return set()
    mark = table.mark()
    now = search.place(tree, lookahead, liking)
    table.undo(mark)
    if now is not None and _is_home(now, scopes, former, search):
        return set()
    with table.without(_leaving(gang, search)):
        later = search.place(tree, lookahead, liking)
        table.undo(mark)
    if later is None or not _is_home(later, scopes, former, search):
        return set()
    if now is not None and later.score < now.score:
        return set()
    return {*former.values(), *(row for placed in later.placed for row in placed.rows)}


def _leaving(gang: Gang, search: Search) -> list[tuple[int, Shape]]:
    table = search.table
    return [(table.row[node], table.shape(needs)) for node, needs in gang.leaving if node in table.row]


def _is_home(solution: Solution, scopes: list[Scope], former: Former, search: Search) -> bool:
    rows = {id(placed.leaf): placed.rows for placed in solution.placed}
    for scope in scopes:
        had = _had(scope, former, search)
        now = [row for leaf in scope.leaves() for row in rows.get(id(leaf), ())]
        if had and not had >= _domains(scope, now, search):
            return False
    return True


def _had(scope: Scope, former: Former, search: Search) -> set[int]:
    """Domains of the scope's wished level where its pods were, and those where others of it are; {} if none waits."""
    members: list[Member] = [m for leaf in scope.leaves() for m in leaf.needed]
    rows = [former[m.key] for m in members if m.key in former]
    return _domains(scope, rows + scope.anchors, search) if rows else set()


def _domains(scope: Scope, rows: list[int], search: Search) -> set[int]:
    index = search.index
    at: Ints = index.position[np.array(rows, dtype=np.int64)]
    return set(index.dom[scope.wished][at].tolist())
