"""Gang termination as seen from outside: not before its delay, and not long after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grove_operator.sim.invariants.witness import (
    CLIQUE,
    GROUP,
    GROUP_REPLICA,
    HASH,
    REPLICA,
    SET,
    Change,
    Invariant,
    Json,
    State,
    condition,
    is_updating,
    label,
    minimum,
    name_of,
    set_of,
    works,
)

WHOLE_S = 60.0
EARLY_S, LATE_S, FLICKER_S = 30.0, 75.0, 6.0
"""Clocks jump by 20 s at most, processes are dead for 10 s, storms last 20; recoveries this short may go unseen."""


@dataclass(slots=True)
class _Life:
    was_whole: bool = False
    below_since: float | None = None
    above_since: float | None = None
    lenient_since: float | None = None


class BreachesEndInTime(Invariant):
    """A PodClique that worked and has less than its minimum is gone soon after the delay, and not before it.

    With a standalone one everything of its replica goes that ever worked.

    Followed by UID: recycling makes another object. `delay_s` is the stories' terminationDelay.
    """

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}
        self._told: set[str] = set()
        self._rightly: dict[tuple[str, str, str], float] = {}
        self._recycles: list[tuple[float, str, set[str]]] = []

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind == "Pod":
            clique = state.get("PodClique", change.obj["metadata"]["namespace"], label(change.obj, CLIQUE))
            if clique is not None:
                self._follow(state, clique)
        elif change.kind == "PodClique":
            if change.takes_away and change.actor == "operator" and change.old is not None:
                yield from self._judge_deletion(state, change.old)
            if change.new is not None:
                self._follow(state, change.new)

    def looked(self, state: State) -> Iterator[str]:
        alive = {clique["metadata"]["uid"]: name_of(clique) for clique in state.all("PodClique")}
        for _, why, uids in [r for r in self._recycles if r[0] <= state.now_s]:
            if left := sorted(alive[uid] for uid in uids if uid in alive):
                yield f"{why} was recycled {WHOLE_S:g} s ago, and of its replica {', '.join(left)} was left"
        self._recycles = [r for r in self._recycles if r[0] > state.now_s]
        for clique in state.all("PodClique"):
            uid, life = clique["metadata"]["uid"], self._lives.get(clique["metadata"]["uid"])
            pcs = set_of(state, clique)
            if life is None or pcs is None or life.below_since is None or not life.was_whole or uid in self._told:
                continue
            if _is_updating(state, pcs, clique) or _group_is_excused(state, clique):
                life.below_since = state.now_s
                continue
            allowed = _delay_s(pcs) * (2 if label(clique, GROUP) else 1) + LATE_S
            if state.now_s - life.below_since > allowed:
                self._told.add(uid)
                yield f"{name_of(clique)} has less than its minimum for {allowed:g} s and was not recycled"

    def _follow(self, state: State, clique: Json) -> None:
        life = self._lives.setdefault(clique["metadata"]["uid"], _Life())
        enough = sum(works(p) for p in state.pods_of(clique)) >= minimum(clique)
        if enough:
            life.was_whole = life.was_whole or minimum(clique) > 0
            life.below_since = None
            life.above_since = state.now_s if life.above_since is None else life.above_since
        elif life.below_since is None:
            life.below_since = state.now_s
            was_long = life.above_since is not None and state.now_s - life.above_since > FLICKER_S
            if life.lenient_since is None or was_long:
                life.lenient_since = state.now_s
            life.above_since = None

    def _judge_deletion(self, state: State, clique: Json) -> Iterator[str]:
        pcs = set_of(state, clique)
        if pcs is None or "deletionTimestamp" in pcs["metadata"] or _is_scaled_away(state, pcs, clique):
            return
        if _is_updating(state, pcs, clique):
            return
        same = [c for c in state.all("PodClique") if label(c, SET) == label(clique, SET)] + [clique]
        same = [c for c in same if label(c, REPLICA) == label(clique, REPLICA)]
        since = [self._lives[c["metadata"]["uid"]].lenient_since for c in same if c["metadata"]["uid"] in self._lives]
        known = [s for s in since if s is not None]
        where = (clique["metadata"]["namespace"], label(clique, SET), label(clique, REPLICA))
        if known and state.now_s - min(known) >= _delay_s(pcs) - EARLY_S:
            self._rightly[where] = state.now_s  # those that showed the breach may be gone before the others
        if state.now_s - self._rightly.get(where, -WHOLE_S) >= WHOLE_S:
            yield f"{name_of(clique)} was deleted, and nothing in its replica was in breach for the delay"
        if not label(clique, GROUP):
            lives = ((c["metadata"]["uid"], self._lives.get(c["metadata"]["uid"])) for c in same)
            beside = {uid for uid, life in lives if life is not None and life.was_whole}
            self._recycles.append((state.now_s + WHOLE_S, name_of(clique), beside))


def _delay_s(pcs: Json) -> float:
    text = pcs["spec"]["template"].get("terminationDelay", "4h")
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def _is_scaled_away(state: State, pcs: Json, clique: Json) -> bool:
    if int(label(clique, REPLICA)) >= pcs["spec"]["replicas"]:
        return True
    if not label(clique, GROUP):
        return False
    group = state.get("PodCliqueScalingGroup", clique["metadata"]["namespace"], label(clique, GROUP))
    return group is None or int(label(clique, GROUP_REPLICA)) >= group["spec"]["replicas"]


def _is_updating(state: State, pcs: Json, clique: Json) -> bool:
    """Its own, its group's or the set's update runs, or the template has just changed."""
    group = state.get("PodCliqueScalingGroup", clique["metadata"]["namespace"], label(clique, GROUP)) or {}
    if any(map(is_updating, (pcs, clique, group))):
        return True
    noticed = (pcs.get("status") or {}).get("observedGeneration") == pcs["metadata"].get("generation")
    return not noticed or label(clique, HASH) == ""


def _group_is_excused(state: State, clique: Json) -> bool:
    """A scaling group that never was healthy, or not since it was recycled, only waits."""
    group = state.get("PodCliqueScalingGroup", clique["metadata"]["namespace"], label(clique, GROUP))
    if group is None:
        return False
    return condition(group, "GangTerminationInProgress") == "True" or condition(group, "EverHealthy") != "True"
