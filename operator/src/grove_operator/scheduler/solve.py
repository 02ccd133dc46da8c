"""`schedule(snapshot, gangs, policy)`: which pod goes to which node, or why not. Pure and deterministic.

    minima of every gang, base gangs before the scaled ones of the same priority    all of a gang or nothing
    those whose pods follow others come first, with what they had beyond minima, and may wait for that place (`home`)
    then members beyond the minima, in the same order                               as many as fit in the gang's domains

The order of nodes, gangs and pods in the input doesn't matter: all are sorted by what they are.
`Solver` is the same with a memory: it follows a cluster change by change, so that a decision costs what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from grove_operator.scheduler import exact
from grove_operator.scheduler.cluster import Cluster
from grove_operator.scheduler.drain import hosts_to_drain, hosts_with_room
from grove_operator.scheduler.extras import Extras
from grove_operator.scheduler.gangs import Gangs
from grove_operator.scheduler.liking import NONE as NO_LIKING
from grove_operator.scheduler.model import Decision, Gang, Policy, Refusal, Score, Snapshot
from grove_operator.scheduler.polish import polished
from grove_operator.scheduler.refusal import asked_for, explain, first_unsupported, proved, unsupported
from grove_operator.scheduler.scopes import Scope, ScopeError, with_siblings
from grove_operator.scheduler.search import Placed, Search, Solution
from grove_operator.scheduler.session import Session


def schedule(snapshot: Snapshot, gangs: Iterable[Gang], policy: Policy | None = None) -> Decision:
    """Decide for every gang that is `ready` and complete; the others are context (siblings, anchors)."""
    solver = Solver(snapshot, gangs, policy)
    return solver.decide(solver.gangs)


class Solver:
    """Keeps cluster and gangs between decisions: `put`, `drop`, `cluster.update`, then `decide` on some of them."""

    def __init__(self, snapshot: Snapshot, gangs: Iterable[Gang] = (), policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.cluster = Cluster(snapshot, self.policy)
        self._known = Gangs()
        self.gangs = self._known.by_key
        self._last: dict[str, Refusal] = {}
        """What each gang was told last, if it was refused."""
        for gang in gangs:
            self.put(gang)
        self._begin()

    def _begin(self) -> None:
        self._session = Session(self._known, self.cluster, self.policy)
        self._extras = Extras(self._session)
        self._hopeless: dict[tuple[object, ...], bool] = {}
        """Gangs refused by this decision, by what they ask for: is it proven? Room only gets less within a decision."""

    # ── the gangs that are known ────────────────────────────────────────────────────────────────────────────────────

    def put(self, gang: Gang) -> None:
        """A new gang, or what a known one is like now."""
        if self._known.put(gang):
            self._last.pop(gang.key, None)

    def drop(self, key: str) -> None:
        self._last.pop(key, None)
        self._known.drop(key)

    def family(self, gang: Gang) -> list[Gang]:
        """The other gangs of the same PodCliqueSet replica."""
        return self._known.family(gang)

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
            self._extras.place(placed)
        self._session.kept.release()
        self.cluster.table.settle()
        return self._session.decision()

    def _keep_room(self, first: Gang, later: Sequence[Gang], placed: list[Gang]) -> bool:
        """Decide on those that come later, and on all extras, without the room that `first` waits for.

        False, with nothing done, when it doesn't wait (any more) or could never be placed.
        """
        if not first.ready or not first.is_complete or self._session.stands(first):
            return False
        try:
            search, tree = self._session.prepare(first)
        except ScopeError:
            return False
        rows = hosts_to_drain(search, tree)
        kept = self.cluster.table.hold(rows)
        placed += self._place_in_turn(later)
        self._extras.place(placed)
        self.cluster.table.release(rows, kept)
        return True

    def adopt(self, gang: Gang, found: Decision) -> Decision | None:
        """A decision on the gang's minima that was found elsewhere, if there is still room for it; else None."""
        self._begin()
        node_of = {a.pod: a.node for a in found.assignments if a.gang == gang.key and a.is_minimum}
        search, tree = self._session.prepare(gang)
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
        self._session.scores.append(Score(gang.key, solution.score))
        self._session.record(gang, solution.placed, is_minimum=True)
        return self._session.decision()

    def _place_in_turn(self, order: Sequence[Gang]) -> list[Gang]:
        """Minima one after the other; those that stand.

        What gangs had beyond their minima before an update is theirs as well: it comes before minima of their priority
        that never had a place, or else a gang that waits for room gets one pod after the other of one that is updated.
        """
        placed: list[Gang] = []
        for (_, returns), some in groupby(order, lambda gang: (gang.priority, gang.returns)):
            stand = [gang for gang in some if self._place_minima(gang)]
            if returns:
                self._extras.place_followers(stand)
            placed += stand
        return placed

    def _place_minima(self, gang: Gang) -> bool:
        """Places what is missing of the gang's minima, all or nothing; True when the minima stand."""
        if self._only_keeps(gang):
            return False  # not a refusal: it isn't its turn
        siblings = self.family(gang)
        try:
            search, tree = self._session.prepare(gang)
        except ScopeError as error:
            self._session.refusals.append(Refusal(gang.key, error.reason, error.scope, str(error), level=error.level))
            return False
        if not tree.demand:
            return True
        found = first_unsupported(tree)
        if found is not None:
            self._session.refusals.append(unsupported(gang, *found))
            return False
        where = self._session.where
        lookahead = with_siblings(tree, siblings, self.cluster.table, search.index, where) if siblings else None
        if self._session.goes_back(gang, tree, lookahead, search):
            self._extras.keep_for_followers(gang)
            return False
        alike = asked_for(gang) if self._hopeless and self._is_alone(gang, tree) else ()
        if alike in self._hopeless:
            self._refuse_alike(gang, tree, search, is_proven=self._hopeless[alike])
            return False
        mark, liking = self.cluster.table.mark(), self._session.liking(gang, search.index)
        solution = search.place(tree, lookahead, liking)
        if solution is None:
            refusal = explain(gang, tree, search)
            if not refusal.proven:
                solution, refusal = self._decide_exactly(tree, search, refusal)
            if solution is None:
                self._refuse(gang, refusal, tree, search)
                return False
        if solution.may_improve and lookahead is None and liking is NO_LIKING:
            solution = polished(tree, solution, mark, search, lambda held: self._session.prepare(gang, held=held)[1])
        self._last.pop(gang.key, None)
        self._session.scores.append(Score(gang.key, solution.score))
        self._session.record(gang, solution.placed, is_minimum=True)
        return True

    def _refuse(self, gang: Gang, refusal: Refusal, tree: Scope, search: Search) -> None:
        """One that had a place keeps what there is, until there is room for all of it."""
        self._session.refusals.append(refusal)
        self._last[gang.key] = refusal
        if gang.returns:
            self._session.kept.keep(gang.key, hosts_with_room(search, tree).tolist())
            self._extras.keep_for_followers(gang)
        if self._is_alone(gang, tree):
            self._hopeless[asked_for(gang)] = refusal.proven

    def _is_alone(self, gang: Gang, tree: Scope) -> bool:
        """What is decided on it holds for any other that asks for the same."""
        return not tree.anchors and not gang.returns and not self.family(gang)

    def _only_keeps(self, gang: Gang) -> bool:
        """It isn't whole just now, or its base gang isn't, so that nothing of it can be placed."""
        base = self.gangs.get(gang.base_key or "") if gang.base else None
        is_early = base is not None and not self._session.stands(base)
        if gang.keeps or (is_early and gang.returns):
            self._session.kept.keep(gang.key, self._session.former(gang).values())
        return gang.keeps or is_early

    def _refuse_alike(self, gang: Gang, tree: Scope, search: Search, *, is_proven: bool) -> None:
        """Another gang that asks for the same was refused just now: no search, and the same words as last time."""
        refusal = self._last.get(gang.key)
        if refusal is None or refusal.proven != is_proven:
            refusal = explain(gang, tree, search)
            refusal = proved(refusal) if is_proven else refusal
        self._session.refusals.append(refusal)
        self._last[gang.key] = refusal

    def _decide_exactly(self, tree: Scope, search: Search, refusal: Refusal) -> tuple[Solution | None, Refusal]:
        """A place after all, or the refusal as a proof, or as it was: undecided."""
        verdict = exact.decide(search, tree, columns=self.policy.exact_columns, nodes=self.policy.exact_nodes)
        if verdict == "impossible":
            return None, proved(refusal)
        return (None if verdict == "undecided" else search.accept(tree, verdict)), refusal


def turn(gang: Gang) -> tuple[int, bool, bool, str, str]:
    """The order of decisions: higher priority, who had a place before, base before scaled gangs, older, by name."""
    return -gang.priority, not gang.returns, gang.base is not None, gang.created, gang.key
