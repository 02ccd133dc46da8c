"""A `Solver` kept in step with the watches, and the gangs that are worth a decision now.

node events ──> changed nodes ─┐
pod events ───> usage ─────────┼─ refresh ──> Solver ── decide(due) ──> assignments, refusals
gang events ──> changed gangs ─┘                ^
                            due: it changed, its family did, or a node it may use has more room

A gang that was refused is tried again only when one of these holds: an event, never a timer, brings it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from grove_operator.api.kinds import Json
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.scheduling_status import RefusalKey, refusal_key
from grove_operator.engine.scheduling_zones import Zones
from grove_operator.scheduler.model import Decision, Gang, Node, Policy, Refusal, Snapshot, Topology
from grove_operator.scheduler.solve import Solver, turn

log = logging.getLogger(__name__)

STARVING_S = 300.0
DRAIN_S = 900.0
GangAt = Callable[[str], Gang | None]
"""A gang by its key as it is now, None when there is none (any more)."""


class Feed:
    """`node`, `topology`, `gang` and `usage` follow events; `refresh` hands them to the solver all at once."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.usage = view.Usage()
        self.solver = Solver(Snapshot(()), (), policy)
        self.refusals: dict[str, tuple[Refusal, ...]] = {}
        self.scores: dict[str, float] = {}
        self.waiting_since: dict[str, float] = {}
        """When each gang was first refused a place for its minima."""
        self.returning: set[str] = set()
        """Gangs that wait for the pods before them to go. They are due whenever others are: their room is kept."""
        self._nodes: dict[str, Node] = {}
        self._zones = Zones()
        self._topologies: dict[str, Topology] = {}
        self._is_other_cluster = True
        self._are_other_topologies = True
        self._changed: set[str] = set()
        self._gangs: set[str] = set()
        self._due: set[str] = set()

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def node(self, old: Json | None, new: Json | None) -> bool:
        """False when nothing of it matters here."""
        if old and new and old["node"] == new["node"]:
            return False
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._nodes.pop(name, None)
            self._is_other_cluster = True
        else:
            self._is_other_cluster |= name not in self._nodes
            self._nodes[name] = self._zones.on(new["node"])
            self._changed.add(name)
        return True

    def zones(self, old: Json | None, new: Json | None) -> None:
        """A node's report on its NUMA zones."""
        name = self._zones.report(old, new, self.usage)
        if name in self._nodes:
            self._nodes[name] = self._zones.on(replace(self._nodes[name], zones=(), zoned=()))
            self._changed.add(name)

    def topology(self, old: Json | None, new: Json | None) -> bool:
        if old and new and old["topology"] == new["topology"]:
            return False
        if old is not None:
            self._topologies.pop(old["topology"].name, None)
        if new is not None:
            self._topologies[new["topology"].name] = new["topology"]
        self._are_other_topologies = True
        return True

    def gang(self, key: str) -> None:
        """The gang, or one of its pods, is other than before."""
        self._gangs.add(key)

    # ── keep the solver in step ─────────────────────────────────────────────────────────────────────────────────────

    def refresh(self, gang_at: GangAt) -> None:
        """Bring the solver in step and find out who is due."""
        if self._are_other_topologies:
            self._are_other_topologies = False
            self.solver.cluster.set_topologies(self._topologies.values())
            self._is_other_cluster = True  # a level may be another one now
        better = self._refresh_nodes()
        while self._gangs:  # one may change others of its family
            changed, self._gangs = sorted(self._gangs), set()
            for key in changed:
                self._refresh_gang(key, gang_at(key))
        if better is None:
            self._due.update(self.refusals)
        elif len(better):
            self._due.update(key for key in self.refusals if key not in self._due and self._is_helped(key, better))

    def _refresh_nodes(self) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
        """Rows where there is more room than before; None when all are to be looked at anew."""
        cluster, usage = self.solver.cluster, self.usage
        changed, used = set(self._changed), usage.changed - self._changed
        self._changed.clear()
        usage.changed.clear()
        if self._is_other_cluster:
            self._is_other_cluster = False
            cluster.replace(view.with_usage(node, usage) for node in self._nodes.values())
            return None
        better = [name for name in sorted(changed) if cluster.update(view.with_usage(self._nodes[name], usage))]
        for name in sorted(used):
            if name in cluster.table.row:
                amounts, claims = usage.held_on(name)
                cluster.table.learn({resource for resource, _ in amounts})
                if cluster.table.use(name, amounts, claims):
                    better.append(name)
        return np.array([cluster.table.row[name] for name in better], dtype=np.int64)

    def _refresh_gang(self, key: str, gang: Gang | None) -> None:
        before = self.solver.gangs.get(key)
        if gang is None:
            self.solver.drop(key)
            for memory in (self.refusals, self.scores, self.waiting_since):
                memory.pop(key, None)
        elif gang != before:
            self.solver.put(gang)
        if gang is not None and gang.keeps:
            self.returning.add(key)
        elif gang is None or not waits(gang):
            self._is_back(key)
        if gang == before:
            return
        family = self.solver.family(gang or before)  # type: ignore[arg-type]
        self._due.update(g.key for g in family if g.key in self.refusals or waits(g))
        if gang is not None:
            self._due.add(key)

    def _is_helped(self, key: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
        """May a pod that the gang waits with run on one of these nodes at all?"""
        gang = self.solver.gangs.get(key)
        if gang is None:
            return False
        table = self.solver.cluster.table
        shapes = {table.shape(m.needs) for g in gang.podgroups for m in g.members if m.node is None and not m.is_gated}
        return any(bool(shape.mask[rows].any()) for shape in shapes)

    # ── decide ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def due(self, is_held_back: Callable[[str], bool]) -> list[str]:
        """Gangs with something to bind that are to be decided on, from now on counted as decided."""
        gangs = self.solver.gangs
        ready = {k for k in self._due if k in gangs and not is_held_back(k)}
        self._due -= ready
        self._due.intersection_update(gangs)
        found = {k for k in ready if waits(gangs[k])}
        return sorted(found | {k for k in self.returning if waits(gangs[k]) or gangs[k].keeps} if found else found)

    def decide(self, due: Sequence[str], starving: str | None) -> Decision:
        """A fault that one gang brings to light must not stop the others: then each is decided on by itself."""
        try:
            return self.solver.decide(due, starving)
        except Exception:
            log.exception("deciding on %d podgangs failed; now one by one", len(due))
        found: list[Decision] = []
        for gang in sorted((self.solver.gangs[key] for key in due), key=turn):
            self.solver.cluster.replace(view.with_usage(node, self.usage) for node in self._nodes.values())
            for earlier in found:
                self._take(earlier)
            try:
                found.append(self.solver.decide([gang.key]))
            except Exception as error:
                log.exception("deciding on podgang %s failed", gang.key)
                found.append(Decision(refusals=(_failed(gang, error),)))
        return Decision(
            tuple(a for d in found for a in d.assignments),
            tuple(r for d in found for r in d.refusals),
            tuple(s for d in found for s in d.scores),
            tuple(sorted({key for d in found for key in d.returning})),
        )

    def _take(self, decision: Decision) -> None:
        """Room that a decision of this round has taken already."""
        table = self.solver.cluster.table
        needs = {m.key: m.needs for g in self.solver.gangs.values() for pg in g.podgroups for m in pg.members}
        for a in decision.assignments:
            shape = table.shape(needs[f"{a.namespace}/{a.pod}"])
            row = table.row[a.node]
            table.take(np.array([row], dtype=np.int64), shape.request[None], [(row, shape.claims)])

    def again(self, key: str) -> None:
        """Due once more, though nothing changed."""
        self._due.add(key)

    def starving(self, now: float) -> str | None:
        """The first in the order of those that waited STARVING_S or more for what may become free.

        Room is kept for DRAIN_S, then others have their turn again for as long as it took to come to this.
        """
        late = [
            self.solver.gangs[key]
            for key, since in self.waiting_since.items()
            if (now - since) % (STARVING_S + DRAIN_S) >= STARVING_S and key in self.solver.gangs
        ]
        return min(late, key=turn).key if late else None

    def all_again(self) -> None:
        """Everybody who was refused is due: room that was kept is not kept any more."""
        self._due.update(self.refusals)

    def take_over(self, keys: Iterable[str], decision: Decision, now: float) -> set[str]:
        """Remember what was decided on these gangs; those whose refusals are other than before."""
        found: dict[str, list[Refusal]] = {}
        for refusal in decision.refusals:
            found.setdefault(refusal.gang, []).append(refusal)
        self.scores.update({s.gang: s.value for s in decision.scores})
        changed = set()
        for key in keys:
            if key in decision.returning:
                self.returning.add(key)
            else:
                self._is_back(key)
            before, told = self.refusals.pop(key, ()), tuple(found.get(key, ()))
            if told:
                self.refusals[key] = told
            if before != told:
                changed.add(key)
            if any(r.reason in ("Insufficient", "DoesNotFitTogether") and not r.pods for r in told):
                self.waiting_since.setdefault(key, now)
            else:
                self.waiting_since.pop(key, None)
        return changed

    def _is_back(self, key: str) -> None:
        """It waits no more: who was refused the room that was kept for it is due."""
        if key in self.returning:
            self.returning.remove(key)
            self.all_again()
            if gang := self.solver.gangs.get(key):
                self._gangs.update(other.key for other in self.solver.family(gang) if other.keeps)

    def add_words(self, key: str, about: RefusalKey, words: str) -> None:
        """More to say about a refusal that is still the same."""
        self.refusals[key] = tuple(
            replace(r, message=r.message + words) if refusal_key(r) == about else r for r in self.refusals.get(key, ())
        )
        if not self.refusals[key]:
            del self.refusals[key]

    def snapshot(self) -> Snapshot:
        """The cluster as it is now, for whoever decides elsewhere."""
        nodes = tuple(view.with_usage(node, self.usage) for node in self._nodes.values())
        return Snapshot(nodes, tuple(self._topologies.values()))

    def gangs(self, due: Iterable[str]) -> list[Gang]:
        """All gangs; those that aren't due are context."""
        wanted = set(due)
        return [g if g.key in wanted else replace(g, ready=False) for g in self.solver.gangs.values()]


def _failed(gang: Gang, error: Exception) -> Refusal:
    return Refusal(
        gang=gang.key,
        reason="SchedulerFault",
        scope=f"podgang {gang.name}",
        message=f"podgang {gang.name}: the scheduler failed on it ({type(error).__name__}: {error}); please report it "
        "with a recording (GROVE_RECORD_DECISIONS)",
    )


def is_simple(gang: Gang) -> bool:
    """Sums and a short search decide on it: one kind of pods, and no level that it only prefers."""
    groups, wish = gang.podgroups, gang.constraint.preferred
    return len(groups) <= 1 and not wish and not gang.groups and not any(g.constraint.preferred for g in groups)


def waits(gang: Gang) -> bool:
    """Something of it could be bound now."""
    return (
        gang.ready
        and gang.is_complete
        and any(m.node is None and not m.is_gated for g in gang.podgroups for m in g.members)
    )
