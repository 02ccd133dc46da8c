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

from grove_operator.scheduler import exact
from grove_operator.scheduler.cluster import Cluster
from grove_operator.scheduler.drain import hosts_to_drain, hosts_with_room
from grove_operator.scheduler.home import former_rows, kept_for
from grove_operator.scheduler.judge import constrained
from grove_operator.scheduler.kept import Kept
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
from grove_operator.scheduler.refusal import asked_for, explain, first_unsupported, proved, unsupported
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
        self._kept = Kept(self.cluster.table)
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
        wanted = (self.gangs[key] for key in keys)
        order = sorted((g for g in wanted if g.ready and (g.is_complete or g.keeps)), key=turn)
        first = self.gangs.get(starving or "")
        before = [g for g in order if first is None or turn(g) <= turn(first)]
        placed = self._place_in_turn(before)
        if first is None or not self._keep_room(first, order[len(before) :], placed):
            placed += self._place_in_turn(order[len(before) :])
            self._place_extras(placed)
        self._kept.release()
        self.cluster.table.settle()
        return Decision(tuple(self.assignments), tuple(self.refusals), tuple(self.scores), self._kept.gangs)

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
        if self._only_keeps(gang):
            return False  # not a refusal: it isn't its turn
        siblings = self.family(gang)
        try:
            search, tree = self._prepare(gang, siblings)
        except ScopeError as error:
            self.refusals.append(Refusal(gang.key, error.reason, error.scope, str(error), level=error.level))
            return False
        if not tree.demand:
            return True
        found = first_unsupported(tree)
        if found is not None:
            self.refusals.append(unsupported(gang, *found))
            return False
        where = self.where
        lookahead = with_siblings(tree, siblings, self.cluster.table, search.index, where) if siblings else None
        if self._goes_back(gang, tree, lookahead, search):
            self._keep_for_followers(gang)
            return False
        alike = asked_for(gang) if self._hopeless and self._is_alone(gang, tree) else ()
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
                self._refuse(gang, refusal, tree, search)
                return False
        if solution.may_improve and lookahead is None and liking is NO_LIKING:
            solution = polished(tree, solution, mark, search, lambda held: self._prepare(gang, siblings, held=held)[1])
        self._last.pop(gang.key, None)
        self.scores.append(Score(gang.key, solution.score))
        self._record(gang, solution.placed, is_minimum=True)
        return True

    def _refuse(self, gang: Gang, refusal: Refusal, tree: Scope, search: Search) -> None:
        """One that had a place keeps what there is, until there is room for all of it."""
        self.refusals.append(refusal)
        self._last[gang.key] = refusal
        if gang.returns:
            self._kept.keep(gang.key, hosts_with_room(search, tree).tolist())
            self._keep_for_followers(gang)
        if self._is_alone(gang, tree):
            self._hopeless[asked_for(gang)] = refusal.proven

    def _is_alone(self, gang: Gang, tree: Scope) -> bool:
        """What is decided on it holds for any other that asks for the same."""
        return not tree.anchors and not gang.returns and not self.family(gang)

    def _goes_back(self, gang: Gang, tree: Scope, lookahead: Scope | None, search: Search) -> bool:
        """It waits for the pods before it to go; until then the room on their nodes is kept."""
        if not gang.returns or not gang.leaving:
            return False
        rows = kept_for(gang, self._former(gang), tree, lookahead, search, self._liking(gang, search.index))
        if rows:
            self._kept.keep(gang.key, rows)
        return bool(rows)

    def _keep_for_followers(self, gang: Gang) -> None:
        """Its minima wait, and so members beyond them have to: theirs may be another place than they had."""
        for group in gang.podgroups:
            if count := len(self._followers(gang, group.name)):
                search, tree = self._prepare(gang, self.family(gang), {group.name: count})
                if tree.demand:
                    self._kept.keep(gang.key, hosts_with_room(search, tree).tolist())

    def _only_keeps(self, gang: Gang) -> bool:
        """It isn't whole just now, or its base gang isn't, so that nothing of it can be placed."""
        base = self.gangs.get(gang.base_key or "") if gang.base else None
        is_early = base is not None and not self._stands(base)
        if gang.keeps or (is_early and gang.returns):
            self._kept.keep(gang.key, self._former(gang).values())
        return gang.keeps or is_early

    def _former(self, gang: Gang) -> dict[str, int]:
        """Row of the node that a predecessor had, by key of the members that wait for a place."""
        return former_rows(gang, self.cluster.table.row, self.where.get(gang.key, NOWHERE))

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
            rows = sorted({*self._former(gang).values()})
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
        """Members beyond the minima that follow others. Who finds no place is told so in the turn of all extras.

        Where a level is wished for they wait together rather than stand apart; else only those wait that must.
        """
        for gang in gangs:
            for group in gang.podgroups:
                left = len(self._followers(gang, group.name))
                if left and not self._extras_go_back(gang, group.name, left, only_levels=True):
                    if self._place_members(gang, group.name, left):
                        continue
                    while left and self._place_members(gang, group.name, 1):
                        left -= 1
                    self._extras_go_back(gang, group.name, left)

    def _extras_go_back(self, gang: Gang, name: str, count: int, *, only_levels: bool = False) -> bool:
        if not gang.leaving or not count:
            return False
        search, tree = self._prepare(gang, self.family(gang), {name: count})
        if (only_levels and not constrained(tree)) or not self._goes_back(gang, tree, None, search):
            return False
        self._going_back.add((gang.key, name))
        return True

    def _extras(self, gang: Gang, name: str) -> list[Member]:
        group = next(g for g in gang.podgroups if g.name == name)
        placed = self.where.get(gang.key, NOWHERE)
        found = [m for m in group.members if m.node is None and not m.is_gated and m.key not in placed]
        return sorted(found, key=comes_later)

    def _followers(self, gang: Gang, name: str) -> list[Member]:
        return [m for m in self._extras(gang, name) if m.former is not None and not m.needs.unsupported]

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
