"""One decision while it is made: what it has placed so far and whom it refused, and what a gang is like by then.

    prepare ──> search, scope tree ─┬─ search.place, on the node table itself ──> record
                                    └─ goes_back: the gang waits, and room is kept for it

Assignments of the same decision count like bound members: they are anchors of what is placed later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grove_operator.scheduler.cluster import Cluster
from grove_operator.scheduler.gangs import Gangs
from grove_operator.scheduler.home import former_rows, kept_for
from grove_operator.scheduler.kept import Kept
from grove_operator.scheduler.liking import NONE as NO_LIKING
from grove_operator.scheduler.liking import PACK, Liking, replicas_per_domain
from grove_operator.scheduler.model import Assignment, Decision, Gang, Policy, Refusal, Score
from grove_operator.scheduler.nodes import Ints, NodeTable
from grove_operator.scheduler.scopes import NOWHERE, Scope, build
from grove_operator.scheduler.search import Placed, Search
from grove_operator.scheduler.topology import TopologyIndex


class Session:
    """`where` has the row of each member placed so far, by gang and member key."""

    def __init__(self, gangs: Gangs, cluster: Cluster, policy: Policy) -> None:
        self.gangs = gangs
        self.where: dict[str, dict[str, int]] = {}
        self.assignments: list[Assignment] = []
        self.refusals: list[Refusal] = []
        self.scores: list[Score] = []
        self.kept = Kept(cluster.table)
        self._cluster = cluster
        self._policy = policy

    @property
    def table(self) -> NodeTable:
        return self._cluster.table

    def decision(self) -> Decision:
        return Decision(tuple(self.assignments), tuple(self.refusals), tuple(self.scores), self.kept.gangs)

    def prepare(
        self, gang: Gang, extras: Mapping[str, int] | None = None, held: Mapping[str, int] | None = None
    ) -> tuple[Search, Scope]:
        """The search along the gang's topology, and the scope tree of what is still to be placed (`scopes.build`).

        Raises ScopeError for a topology, or a level of one, that there isn't.
        """
        siblings = self.gangs.family(gang)
        base = next((s for s in siblings if s.key == gang.base_key), None) if gang.base else None
        search = self._cluster.search(gang, base)
        return search, build(gang, siblings, self.table, search.index, self.where, extras, held)

    def stands(self, gang: Gang) -> bool:
        """Every podgroup has its minimum of members that are bound, or placed by this decision."""
        placed = self.where.get(gang.key, NOWHERE)
        return all(sum(m.node is not None or m.key in placed for m in g.members) >= g.minimum for g in gang.podgroups)

    def former(self, gang: Gang) -> dict[str, int]:
        """Row of the node that a predecessor had, by key of the members that wait for a place."""
        return former_rows(gang, self.table.row, self.where.get(gang.key, NOWHERE))

    def goes_back(self, gang: Gang, tree: Scope, lookahead: Scope | None, search: Search) -> bool:
        """It waits for the pods before it to go; until then the room on their nodes is kept."""
        if not gang.returns or not gang.leaving:
            return False
        rows = kept_for(gang, self.former(gang), tree, lookahead, search, self.liking(gang, search.index))
        if rows:
            self.kept.keep(gang.key, rows)
        return bool(rows)

    def liking(self, gang: Gang, index: TopologyIndex) -> Liking:
        """What the gang likes of several places that are lawful: packing, apart from other replicas, where it was."""
        packing = gang.packing or self._policy.packing
        if not gang.spread and not gang.reuse and packing == PACK:
            return NO_LIKING
        spread: dict[int, Ints] = {}
        if gang.spread and gang.owner and not gang.base:
            others = self.gangs.other_replicas(gang)
            spread = replicas_per_domain(index, gang.spread, [self._rows(other) for other in others])
        old = self.gangs.by_key.get(gang.reuse or "")
        rows = [] if old is None else self._rows(old)
        if gang.reuse == gang.key:
            rows = sorted({*self.former(gang).values()})
        return Liking(packing, spread, frozenset(index.position[rows].tolist()))

    def _rows(self, gang: Gang) -> list[int]:
        """Rows of the nodes where the gang's members are."""
        placed, row = self.where.get(gang.key, NOWHERE), self.table.row
        found = [row.get(m.node) if m.node else placed.get(m.key) for g in gang.podgroups for m in g.members]
        return sorted({r for r in found if r is not None})

    def record(self, gang: Gang, placed: Sequence[Placed], *, is_minimum: bool) -> None:
        """Write assignments down, also where siblings and extras see them as anchors."""
        where = self.where.setdefault(gang.key, {})
        nodes = self.table.nodes
        for one in placed:
            podgroup = one.leaf.name.removeprefix("podgroup ")
            for member, row in zip(one.leaf.needed, one.rows, strict=True):
                where[member.key] = row
                self.assignments.append(
                    Assignment(gang.key, podgroup, member.namespace, member.name, nodes[row].name, is_minimum)
                )
