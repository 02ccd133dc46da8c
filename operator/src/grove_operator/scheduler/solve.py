"""`schedule(snapshot, gangs, policy)`: which pod goes to which node, or why not. Pure and deterministic.

    minima of every gang, base gangs before the scaled ones of the same priority    all of a gang or nothing
    those whose pods follow others come first, with what they had beyond minima, and may wait for that place (`home`)
    then members beyond the minima, in the same order                               as many as fit in the gang's domains

The order of nodes, gangs and pods in the input doesn't matter: all are sorted by what they are.
`Solver` is the same with a memory: it follows a cluster change by change, so that a decision costs what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from grove_operator.scheduler import exact
from grove_operator.scheduler.cluster import Cluster
from grove_operator.scheduler.drain import hosts_to_drain
from grove_operator.scheduler.home import former_rows, should_wait
from grove_operator.scheduler.liking import NONE as NO_LIKING
from grove_operator.scheduler.liking import PACK, Liking, replicas_per_domain
from grove_operator.scheduler.model import (
    Assignment,
    Decision,
    Gang,
    Member,
    Policy,
    Refusal,
    Score,
    Snapshot,
    comes_later,
)
from grove_operator.scheduler.nodes import Ints
from grove_operator.scheduler.polish import polished
from grove_operator.scheduler.refusal import explain, proved, unsupported
from grove_operator.scheduler.scopes import NOWHERE, Scope, ScopeError, build, with_siblings
from grove_operator.scheduler.search import Placed, Search, Solution
from grove_operator.scheduler.topology import TopologyIndex


def schedule(snapshot: Snapshot, gangs: Iterable[Gang], policy: Policy | None = None) -> Decision:
    """Decide for every gang that is `ready` and complete; the others are context (siblings, anchors)."""
    solver = Solver(snapshot, gangs, policy)
    return solver.decide(solver.gangs)


class Solver:
    """Keeps cluster and gangs between decisions: `put`, `drop`, `cluster.update`, then `decide` on some of them."""

    def __init__(self, snapshot: Snapshot, gangs: Iterable[Gang] = (), policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.cluster = Cluster(snapshot, self.policy)
        self.gangs: dict[str, Gang] = {}
        self._last: dict[str, Refusal] = {}
        """What each gang was told last, if it was refused."""
        self._families: dict[str, list[str]] = {}
        self._owned: dict[str, set[str]] = {}
        for gang in gangs:
            self.put(gang)
        self._begin()

    def _begin(self) -> None:
        self.where: dict[str, dict[str, int]] = {}
        self.assignments: list[Assignment] = []
        self.refusals: list[Refusal] = []
        self.scores: list[Score] = []
        self._held: dict[str, list[tuple[Ints, Ints]]] = {}
        """By gang that waits to go back: rows that nobody else gets in this decision, and what is kept there."""
        self._going_back: set[tuple[str, str]] = set()
        """Gang and podgroup of which members beyond the minimum wait to go back."""
        self._hopeless: dict[tuple[object, ...], bool] = {}
        """Gangs refused by this decision, by what they ask for: is it proven? Room only gets less within a decision."""

    # ── the gangs that are known ────────────────────────────────────────────────────────────────────────────────────

    def put(self, gang: Gang) -> None:
        """A new gang, or what a known one is like now."""
        known = self.gangs.get(gang.key)
        if known is not None and (known.base_key != gang.base_key or known.owner != gang.owner):
            self.drop(gang.key)
        self.gangs[gang.key] = gang
        if gang.owner:
            self._owned.setdefault(gang.owner, set()).add(gang.key)
        family = self._families.setdefault(gang.base_key or gang.key, [])
        if gang.key not in family:
            family.append(gang.key)
            family.sort()

    def drop(self, key: str) -> None:
        self._last.pop(key, None)
        gang = self.gangs.pop(key, None)
        if gang is not None:
            if gang.owner:
                self._owned[gang.owner].discard(key)
            family = self._families[gang.base_key or key]
            family.remove(key)
            if not family:
                del self._families[gang.base_key or key]

    def family(self, gang: Gang) -> list[Gang]:
        """The other gangs of the same PodCliqueSet replica."""
        keys = self._families.get(gang.base_key or gang.key, ())
        return [self.gangs[k] for k in keys if k != gang.key] if len(keys) > 1 else []

    # ── decide ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def decide(self, keys: Iterable[str], starving: str | None = None) -> Decision:
        """Decide on these gangs. What is placed stays taken until the cluster is told otherwise.

        `starving` names a gang that waited too long: room is kept for it from all that come after it in the order.
        """
        self._begin()
        order = sorted((g for key in keys if (g := self.gangs[key]).ready and g.is_complete), key=turn)
        first = self.gangs.get(starving or "")
        before = [g for g in order if first is None or turn(g) <= turn(first)]
        placed = self._place_in_turn(before)
        if first is None or not self._keep_room(first, order[len(before) :], placed):
            placed += self._place_in_turn(order[len(before) :])
            self._place_extras(placed)
        for rows, kept in (entry for entries in self._held.values() for entry in entries):
            self.cluster.table.release(rows, kept)
        self.cluster.table.settle()
        return Decision(tuple(self.assignments), tuple(self.refusals), tuple(self.scores), tuple(sorted(self._held)))

    def _keep_room(self, first: Gang, later: Sequence[Gang], placed: list[Gang]) -> bool:
        """Decide on those that come later, and on all extras, without the room that `first` waits for.

        False, with nothing done, when it doesn't wait (any more) or could never be placed.
        """
        if not first.ready or not first.is_complete or self._stands(first):
            return False
        try:
            search, tree = self._prepare(first, self.family(first))
        except ScopeError:
            return False
        rows = hosts_to_drain(search, tree)
        kept = self.cluster.table.hold(rows)
        placed += self._place_in_turn(later)
        self._place_extras(placed)
        self.cluster.table.release(rows, kept)
        return True

    def adopt(self, gang: Gang, found: Decision) -> Decision | None:
        """A decision on the gang's minima that was found elsewhere, if there is still room for it; else None."""
        self._begin()
        node_of = {a.pod: a.node for a in found.assignments if a.gang == gang.key and a.is_minimum}
        search, tree = self._prepare(gang, self.family(gang))
        search.ready(tree)
        row = self.cluster.table.row
        leaves = [leaf for leaf in tree.leaves() if leaf.needed]
        nodes = [[node_of.get(m.name, "") for m in leaf.needed] for leaf in leaves]
        if not all(n in row for names in nodes for n in names):
            return None
        placed = [Placed(leaf, tuple(row[n] for n in names)) for leaf, names in zip(leaves, nodes, strict=True)]
        solution = search.accept(tree, placed)
        self.cluster.table.settle()
        if solution is None:
            return None
        self.scores.append(Score(gang.key, solution.score))
        self._record(gang, solution.placed, is_minimum=True)
        return Decision(tuple(self.assignments), (), tuple(self.scores))

    def _place_in_turn(self, order: Sequence[Gang]) -> list[Gang]:
        """Minima one after the other; those that stand.

        What gangs had beyond their minima before an update is theirs as well: it comes before minima of their priority
        that never had a place, or else a gang that waits for room gets one pod after the other of one that is updated.
        """
        placed: list[Gang] = []
        for (_, returns), some in groupby(order, lambda gang: (gang.priority, gang.returns)):
            stand = [gang for gang in some if self._place_minima(gang)]
            if returns:
                self._place_followers(stand)
            placed += stand
        return placed

    def _place_minima(self, gang: Gang) -> bool:
        """Places what is missing of the gang's minima, all or nothing; True when the minima stand."""
        base = self.gangs.get(gang.base_key or "") if gang.base else None
        if base is not None and not self._stands(base):
            return False  # not a refusal: it isn't its turn before its base gang is placed
        siblings = self.family(gang)
        try:
            search, tree = self._prepare(gang, siblings)
        except ScopeError as error:
            self.refusals.append(Refusal(gang.key, error.reason, error.scope, str(error), level=error.level))
            return False
        if not tree.demand:
            return True
        found = _first_unsupported(tree)
        if found is not None:
            self.refusals.append(unsupported(gang, *found))
            return False
        where = self.where
        lookahead = with_siblings(tree, siblings, self.cluster.table, search.index, where) if siblings else None
        if self._goes_back(gang, tree, lookahead, search):
            return False
        alike = () if siblings or tree.anchors or not self._hopeless else _asked_for(gang)
        if alike in self._hopeless:
            self._refuse_alike(gang, tree, search, is_proven=self._hopeless[alike])
            return False
        mark, liking = self.cluster.table.mark(), self._liking(gang, search.index)
        solution = search.place(tree, lookahead, liking)
        if solution is None:
            refusal = explain(gang, tree, search)
            if not refusal.proven:
                solution, refusal = self._decide_exactly(tree, search, refusal)
            if solution is None:
                self.refusals.append(refusal)
                self._last[gang.key] = refusal
                if not siblings and not tree.anchors:
                    self._hopeless[_asked_for(gang)] = refusal.proven
                return False
        if solution.may_improve and lookahead is None and liking is NO_LIKING:
            solution = polished(tree, solution, mark, search, lambda held: self._prepare(gang, siblings, held=held)[1])
        self._last.pop(gang.key, None)
        self.scores.append(Score(gang.key, solution.score))
        self._record(gang, solution.placed, is_minimum=True)
        return True

    def _goes_back(self, gang: Gang, tree: Scope, lookahead: Scope | None, search: Search) -> bool:
        """It waits for the pods before it to go; until then the room on their nodes is kept."""
        if not gang.returns or not gang.leaving:
            return False
        if not should_wait(gang, tree, lookahead, search, self._liking(gang, search.index)):
            return False
        table = self.cluster.table
        rows = np.array(sorted({*former_rows(gang, table.row).values()}), dtype=np.int64)
        self._held.setdefault(gang.key, []).append((rows, table.hold(rows)))
        return True

    def _liking(self, gang: Gang, index: TopologyIndex) -> Liking:
        packing = gang.packing or self.policy.packing
        if not gang.spread and not gang.reuse and packing == PACK:
            return NO_LIKING
        spread: dict[int, Ints] = {}
        if gang.spread and gang.owner and not gang.base:
            root = gang.base_key or gang.key
            others = [self.gangs[k] for k in sorted(self._owned[gang.owner]) if k != root and not self.gangs[k].base]
            spread = replicas_per_domain(index, gang.spread, [self._rows(other) for other in others])
        old = self.gangs.get(gang.reuse or "")
        rows = [] if old is None else self._rows(old)
        if gang.reuse == gang.key:
            rows = sorted({*former_rows(gang, self.cluster.table.row).values()})
        return Liking(packing, spread, frozenset(index.position[rows].tolist()))

    def _rows(self, gang: Gang) -> list[int]:
        """Rows of the nodes where the gang's members are."""
        placed, row = self.where.get(gang.key, NOWHERE), self.cluster.table.row
        found = [row.get(m.node) if m.node else placed.get(m.key) for g in gang.podgroups for m in g.members]
        return sorted({r for r in found if r is not None})

    def _refuse_alike(self, gang: Gang, tree: Scope, search: Search, *, is_proven: bool) -> None:
        """Another gang that asks for the same was refused just now: no search, and the same words as last time."""
        refusal = self._last.get(gang.key)
        if refusal is None or refusal.proven != is_proven:
            refusal = explain(gang, tree, search)
            refusal = proved(refusal) if is_proven else refusal
        self.refusals.append(refusal)
        self._last[gang.key] = refusal

    def _decide_exactly(self, tree: Scope, search: Search, refusal: Refusal) -> tuple[Solution | None, Refusal]:
        """A place after all, or the refusal as a proof, or as it was: undecided."""
        verdict = exact.decide(search, tree, columns=self.policy.exact_columns, nodes=self.policy.exact_nodes)
        if verdict == "impossible":
            return None, proved(refusal)
        return (None if verdict == "undecided" else search.accept(tree, verdict)), refusal

    def _stands(self, gang: Gang) -> bool:
        """Every podgroup has its minimum of members that are bound, or placed by this decision."""
        placed = self.where.get(gang.key, NOWHERE)
        return all(sum(m.node is not None or m.key in placed for m in g.members) >= g.minimum for g in gang.podgroups)

    def _prepare(
        self,
        gang: Gang,
        siblings: Sequence[Gang],
        extras: dict[str, int] | None = None,
        held: Mapping[str, int] | None = None,
    ) -> tuple[Search, Scope]:
        base = next((s for s in siblings if s.key == gang.base_key), None) if gang.base else None
        search = self.cluster.search(gang, base)
        return search, build(gang, siblings, self.cluster.table, search.index, self.where, extras, held)

    # ── members beyond the minima ───────────────────────────────────────────────────────────────────────────────────

    def _place_extras(self, gangs: Sequence[Gang]) -> None:
        """All of them if they fit; else one for each podgroup in turn, so that no gang takes what all could share."""
        waiting: list[tuple[Gang, str, list[Member]]] = []
        for gang in gangs:
            for group in gang.podgroups:
                extras = self._extras(gang, group.name)
                refused = [m for m in extras if m.needs.unsupported]
                if refused:
                    self.refusals.append(unsupported(gang, refused[0], f"podgroup {group.name}", is_extra=True))
                if len(extras) > len(refused) and (gang.key, group.name) not in self._going_back:
                    waiting.append((gang, group.name, [m for m in extras if not m.needs.unsupported]))
        if not waiting or self._place_all(waiting):
            return
        while waiting:
            waiting = [entry for entry in waiting if self._place_next(*entry)]

    def _place_followers(self, gangs: Sequence[Gang]) -> None:
        """Members beyond the minima that follow others. Who finds no place is told so in the turn of all extras."""
        for gang in gangs:
            for group in gang.podgroups:
                count = sum(m.former is not None and not m.needs.unsupported for m in self._extras(gang, group.name))
                if count and self._extras_go_back(gang, group.name, count):
                    self._going_back.add((gang.key, group.name))
                elif count and not self._place_members(gang, group.name, count):
                    while count and self._place_members(gang, group.name, 1):
                        count -= 1

    def _extras_go_back(self, gang: Gang, name: str, count: int) -> bool:
        if not gang.leaving:
            return False
        search, tree = self._prepare(gang, self.family(gang), {name: count})
        return self._goes_back(gang, tree, None, search)

    def _extras(self, gang: Gang, name: str) -> list[Member]:
        group = next(g for g in gang.podgroups if g.name == name)
        placed = self.where.get(gang.key, NOWHERE)
        found = [m for m in group.members if m.node is None and not m.is_gated and m.key not in placed]
        return sorted(found, key=comes_later)

    def _place_all(self, waiting: Sequence[tuple[Gang, str, list[Member]]]) -> bool:
        table = self.cluster.table
        mark, known = table.mark(), len(self.assignments)
        before = {gang.key: dict(self.where.get(gang.key, {})) for gang, _, _ in waiting}
        for gang, name, members in waiting:
            if not self._place_members(gang, name, len(members)):
                table.undo(mark)
                del self.assignments[known:]
                self.where.update(before)
                return False
        return True

    def _place_next(self, gang: Gang, name: str, members: list[Member]) -> bool:
        """Places one more; False when that was the last, or when there is no room for it, which is then told."""
        if self._place_members(gang, name, 1):
            del members[0]
            return bool(members)
        search, tree = self._prepare(gang, self.family(gang), {name: 1})
        self.refusals.append(explain(gang, tree, search, pods=tuple(m.key for m in members)))
        return False

    def _place_members(self, gang: Gang, name: str, count: int) -> bool:
        search, tree = self._prepare(gang, self.family(gang), {name: count})
        solution = search.place(tree, None, self._liking(gang, search.index))
        if solution is not None:
            self._record(gang, solution.placed, is_minimum=False)
        return solution is not None

    def _record(self, gang: Gang, placed: Sequence[Placed], *, is_minimum: bool) -> None:
        """Write assignments down, also where siblings and extras see them as anchors."""
        where = self.where.setdefault(gang.key, {})
        nodes = self.cluster.table.nodes
        for one in placed:
            podgroup = one.leaf.name.removeprefix("podgroup ")
            for member, row in zip(one.leaf.needed, one.rows, strict=True):
                where[member.key] = row
                self.assignments.append(
                    Assignment(gang.key, podgroup, member.namespace, member.name, nodes[row].name, is_minimum)
                )


def turn(gang: Gang) -> tuple[int, bool, bool, str, str]:
    """The order of decisions: higher priority, who had a place before, base before scaled gangs, older, by name."""
    return -gang.priority, not gang.returns, gang.base is not None, gang.created, gang.key


def _asked_for(gang: Gang) -> tuple[object, ...]:
    """Equal for gangs without bound members and siblings that ask for the same."""
    position = {g.name: i for i, g in enumerate(gang.podgroups)}
    groups = tuple((c.constraint, tuple(position.get(n) for n in c.podgroups)) for c in gang.groups)
    parts = tuple((g.minimum, g.constraint, tuple((m.needs, m.is_gated) for m in g.members)) for g in gang.podgroups)
    return gang.topology, gang.constraint, groups, parts


def _first_unsupported(tree: Scope) -> tuple[Member, str] | None:
    if not any(s.needs is not None and s.needs.unsupported for s, _ in tree.demand):
        return None
    return next((m, leaf.name) for leaf in tree.leaves() for m in leaf.needed if m.needs.unsupported)
