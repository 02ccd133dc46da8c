"""`schedule(snapshot, gangs, policy)`: which pod goes to which node, or why not. Pure and deterministic.

    minima of every gang, base gangs before the scaled ones of the same priority    all of a gang or nothing
    then members beyond the minima, in the same order                               as many as fit in the gang's domains

The order of nodes, gangs and pods in the input doesn't matter: all are sorted by what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.model import (
    Assignment,
    Decision,
    Gang,
    Member,
    Policy,
    Refusal,
    Score,
    Snapshot,
    Topology,
)
from grove_operator.scheduler.nodes import NodeTable
from grove_operator.scheduler.refusal import explain
from grove_operator.scheduler.scopes import Scope, ScopeError, build, with_siblings
from grove_operator.scheduler.search import Placed, Search, score
from grove_operator.scheduler.topology import HOSTNAME, TopologyIndex

DEFAULT = "default"


def schedule(snapshot: Snapshot, gangs: Iterable[Gang], policy: Policy | None = None) -> Decision:
    """Decide for every gang that is `ready` and complete; the others are context (siblings, anchors)."""
    return Solver(snapshot, gangs, policy or Policy()).decide()


class Solver:
    """One decision's working state. `place_minima` may be called gang by gang."""

    def __init__(self, snapshot: Snapshot, gangs: Iterable[Gang], policy: Policy) -> None:
        self.policy = policy
        self.gangs = {g.key: g for g in gangs}
        needs = {m.needs for g in self.gangs.values() for pg in g.podgroups for m in pg.members}
        self.table = NodeTable(snapshot.nodes, needs)
        self.topologies = {t.name: t for t in sorted(snapshot.topologies, key=lambda t: t.name)}
        self._searches: dict[tuple[str, tuple[str, ...]], Search] = {}
        self._families: dict[str, list[str]] = {}
        for gang in sorted(self.gangs.values(), key=lambda g: g.key):
            self._families.setdefault(gang.base_key or gang.key, []).append(gang.key)
        self.assignments: list[Assignment] = []
        self.refusals: list[Refusal] = []
        self.scores: list[Score] = []

    def decide(self) -> Decision:
        order = sorted(
            (g for g in self.gangs.values() if g.ready and g.is_complete),
            key=lambda g: (-g.priority, g.base is not None, g.created, g.key),
        )
        placed = [g.key for g in order if self.place_minima(g.key)]
        for key in placed:
            self.place_extras(key)
        return Decision(tuple(self.assignments), tuple(self.refusals), tuple(self.scores))

    def place_minima(self, key: str) -> bool:
        """Places what is missing of the gang's minima, all or nothing; True when the minima stand."""
        gang = self.gangs[key]
        base = self.gangs.get(gang.base_key or "")
        if base is not None and not base.stands:
            return False  # not a refusal: it isn't its turn before its base gang is placed
        try:
            search, tree, siblings = self._prepare(gang)
        except ScopeError as error:
            self.refusals.append(Refusal(key, error.reason, error.scope, str(error), level=error.level))
            return False
        unsupported = [(m, leaf) for leaf in tree.leaves() for m in leaf.needed if m.needs.unsupported]
        if unsupported:
            self.refusals.append(_unsupported(gang, *unsupported[0]))
            return False
        if not tree.demand:
            return True
        lookahead = with_siblings(tree, siblings, self.table, search.index) if siblings else None
        mark = self.table.mark()
        placed = search.place(tree, lookahead)
        if placed is None:
            self.refusals.append(explain(gang, tree, search))
            return False
        self._score(gang, tree, search, placed, mark)
        self._record(gang, placed, is_minimum=True)
        return True

    def place_extras(self, key: str) -> None:
        """Members beyond the minima, podgroup by podgroup, as many as fit where the gang's scopes already are."""
        gang = self.gangs[key]
        search, tree, _ = self._prepare(gang)
        for name in [leaf.name for leaf in tree.leaves() if leaf.extras]:
            gang = self.gangs[key]
            search, tree, _ = self._prepare(gang)
            leaf = next(s for s in tree.leaves() if s.name == name)
            extras = [m for m in leaf.extras if not m.needs.unsupported]
            refused = next((m for m in leaf.extras if m.needs.unsupported), None)
            if refused is not None:
                self.refusals.append(_unsupported(gang, refused, leaf))
            placed = self._as_many(search, tree, leaf, extras)
            rest = extras[len(placed[0].rows) if placed else 0 :]
            self._record(gang, placed, is_minimum=False)
            if rest:
                search, tree, _ = self._prepare(self.gangs[key])
                leaf = next(s for s in tree.leaves() if s.name == name)
                _ask_only(tree, leaf, rest[:1], self.table)
                self.refusals.append(explain(gang, tree, search, pods=tuple(m.key for m in rest)))

    def _as_many(self, search: Search, tree: Scope, leaf: Scope, extras: Sequence[Member]) -> list[Placed]:
        """The largest prefix of the extras that fits, found by bisection; taken from the table."""
        low, high = 0, len(extras)
        attempt = high
        while low < high:
            _ask_only(tree, leaf, extras[:attempt], self.table)
            mark = self.table.mark()
            found = search.place(tree)
            if found is not None and attempt == high:
                return [p for p in found if p.leaf is leaf]
            self.table.undo(mark)
            low, high = (attempt, high) if found is not None else (low, attempt - 1)
            attempt = high if high - low <= 1 else (low + high + 1) // 2
        if not low:
            return []
        _ask_only(tree, leaf, extras[:low], self.table)
        return [p for p in search.place(tree) or [] if p.leaf is leaf]

    def _prepare(self, gang: Gang) -> tuple[Search, Scope, list[Gang]]:
        siblings = [self.gangs[k] for k in self._families.get(gang.base_key or gang.key, ()) if k != gang.key]
        search = self._search(gang, next((s for s in siblings if s.key == gang.base_key), None))
        return search, build(gang, siblings, self.table, search.index), siblings

    def _search(self, gang: Gang, base: Gang | None) -> Search:
        name, keys = self._topology(gang, base)
        found = self._searches.get((name, keys))
        if found is None:
            found = Search(Capacity(self.table, TopologyIndex(self.table, name, keys)), self.policy)
            self._searches[name, keys] = found
        return found

    def _topology(self, gang: Gang, base: Gang | None) -> tuple[str, tuple[str, ...]]:
        """The annotated topology, else `default`, else the only one, else the label keys that the gang itself names."""
        name = gang.topology or (base.topology if base else None)
        if name and name not in self.topologies:
            known = ", ".join(self.topologies) or "none"
            raise ScopeError(
                "UnknownTopology",
                f"podgang {gang.name}",
                f"podgang {gang.name}: there is no ClusterTopologyBinding {name} (there are: {known}); create it",
            )
        chosen: Topology | None = self.topologies.get(name or DEFAULT)
        if chosen is None and len(self.topologies) == 1:
            chosen = next(iter(self.topologies.values()))
        if chosen is not None:
            return chosen.name, chosen.keys
        return "(node labels)", self._plain_keys([gang, base] if base else [gang])

    def _plain_keys(self, gangs: Sequence[Gang]) -> tuple[str, ...]:
        """Keys named by the gangs that some node carries, those with fewer values first: they are the broader ones."""
        constraints = [
            constraint
            for gang in gangs
            for constraint in (
                gang.constraint,
                *(c.constraint for c in gang.groups),
                *(g.constraint for g in gang.podgroups),
            )
        ]
        keys = {k for c in constraints for k in (c.required, c.preferred) if k and k != HOSTNAME}
        values = {k: {n.labels[k] for n in self.table.nodes if k in n.labels} for k in keys}
        return tuple(sorted((k for k in keys if values[k]), key=lambda k: (len(values[k]), k)))

    def _score(self, gang: Gang, tree: Scope, search: Search, placed: list[Placed], mark: int) -> None:
        taken = self.table.taken_since(mark)
        self.table.undo(mark)
        self.scores.append(Score(gang.key, score(search, tree, placed)))
        for shape, rows, counts in [(s, r, c) for r, c, s in taken]:
            self.table.take(shape, rows, counts)

    def _record(self, gang: Gang, placed: Sequence[Placed], *, is_minimum: bool) -> None:
        """Write assignments down, and into the gang, so that siblings and extras see its members as anchors."""
        where: dict[str, str] = {}
        for one in placed:
            for member, row in zip(one.leaf.needed, one.rows, strict=True):
                where[member.key] = self.table.nodes[row].name
                self.assignments.append(
                    Assignment(
                        gang.key,
                        one.leaf.name.removeprefix("podgroup "),
                        member.namespace,
                        member.name,
                        where[member.key],
                        is_minimum,
                    )
                )
        groups = tuple(
            replace(g, members=tuple(replace(m, node=where.get(m.key, m.node)) for m in g.members))
            for g in gang.podgroups
        )
        self.gangs[gang.key] = replace(gang, podgroups=groups)


def _ask_only(tree: Scope, leaf: Scope, members: Sequence[Member], table: NodeTable) -> None:
    """Make the tree ask for these members of one leaf and for nothing else."""
    counts: dict[int, int] = {}
    shapes = {id(table.shape(m.needs)): table.shape(m.needs) for m in members}
    for member in members:
        counts[id(table.shape(member.needs))] = counts.get(id(table.shape(member.needs)), 0) + 1
    demand = [(shapes[i], n) for i, n in counts.items()]
    for scope in tree.walk():
        is_on_path = any(s is leaf for s in scope.walk())
        scope.demand = scope.full = demand if is_on_path else []
        scope.needed = list(members) if scope is leaf else []


def _unsupported(gang: Gang, member: Member, leaf: Scope) -> Refusal:
    features = ", ".join(member.needs.unsupported)
    return Refusal(
        gang=gang.key,
        reason="Unsupported",
        scope=leaf.name,
        message=f"pod {member.key} uses {features}, which this scheduler doesn't place by yet; "
        "remove it or set another schedulerName",
        pods=(member.key,) if member in leaf.extras else (),
    )
