"""Who may exist and who may delete: one pod per index, nothing foreign touched, nothing left over, parents first."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.witness import (
    CLIQUE,
    GANG,
    GROUP,
    HASH,
    INDEX,
    MANAGED_BY,
    OURS,
    REPLICA,
    SET,
    Change,
    Invariant,
    Json,
    State,
    controller,
    is_active,
    is_bound,
    is_ready,
    label,
    minimum,
    name_of,
    set_of,
)

PARENT_WAS_READY_S = 5.0
OLD_S = 10.0
FILLED_WITHIN_S = 75.0
"""A process may be dead for 10 s, a storm may last 20, and the wait before the next attempt be as long as that."""


class OnePodPerIndex(Invariant):
    """Two active pods of one PodClique never hold the same index."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], set[str]] = {}

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != "Pod" or not label(change.obj, INDEX):
            return
        key = (controller(change.obj), label(change.obj, INDEX))
        holders = self._active.setdefault(key, set())
        uid = change.obj["metadata"]["uid"]
        if change.new is None or not is_active(change.new):
            holders.discard(uid)
            return
        if uid not in holders and holders:
            yield f"{name_of(change.obj)} is a second active pod at index {key[1]} of its PodClique"
        holders.add(uid)


class OnlyOwnThingsAreDeleted(Invariant):
    """The operator deletes nothing that doesn't say it is its own, and changes nothing that another controls."""

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.actor != "operator" or change.old is None:
            return
        if change.takes_away and label(change.old, MANAGED_BY) != OURS and not _is_root(change.old):
            yield f"{name_of(change.old)} is not the operator's and was deleted by it"
        if label(change.old, MANAGED_BY) == "somebody":
            yield f"{name_of(change.old)} is somebody else's and was changed by the operator"


def _is_root(obj: Json) -> bool:
    return bool(obj["kind"] == "PodCliqueSet")


class WantedThingsAreKept(Invariant):
    """The operator deletes no pod that is Ready, current, within its clique's size, and of a clique that stays.

    When a clique is scaled in, what has no node goes before what is Ready.
    """

    def __init__(self) -> None:
        self._made: dict[str, float] = {}

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind == "Pod" and change.old is None:
            self._made[_uid(change.obj)] = state.now_s
        if change.actor != "operator" or change.kind != "Pod" or not change.takes_away or change.old is None:
            return
        pod = change.old
        namespace = pod["metadata"]["namespace"]
        clique = state.get("PodClique", namespace, label(pod, CLIQUE))
        if clique is None or clique["metadata"]["uid"] != controller(pod) or "deletionTimestamp" in clique["metadata"]:
            return
        if not (is_active(pod) and is_ready(pod) and label(pod, HASH) == label(clique, HASH)):
            return
        others = [p for p in state.pods_of(clique) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
        left = len(others)
        waiting = [name_of(p) for p in others if not is_bound(p) and state.now_s - self._made.get(_uid(p), 0) > OLD_S]
        if left == clique["spec"]["replicas"] and waiting:
            yield f"{name_of(pod)} is Ready and went, while {waiting[0]} has no node and stays"
        if left < clique["spec"]["replicas"]:
            yield f"{name_of(pod)} is Ready and current, and of {clique['spec']['replicas']} wanted {left} are left"


def _uid(obj: Json) -> str:
    return str(obj["metadata"]["uid"])


class HolesAreFilled(Invariant):
    """A PodClique has as many active pods as it wants, or has them soon: what is terminating is not waited for."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def looked(self, state: State) -> Iterator[str]:
        for clique in state.all("PodClique"):
            uid, lacking = clique["metadata"]["uid"], clique["spec"]["replicas"] - len(state.pods_of(clique))
            if lacking <= 0:
                self._since.pop(uid, None)
            elif state.now_s - self._since.setdefault(uid, state.now_s) > FILLED_WITHIN_S:
                yield f"{name_of(clique)} lacks {lacking} pods for {FILLED_WITHIN_S:g} s"


class NothingIsLeftOver(Invariant):
    """At rest every managed object has a living owner, and every PodClique as many active pods as it wants."""

    def at_rest(self, state: State) -> Iterator[str]:
        uids = {obj["metadata"]["uid"] for kind in state.objects.values() for obj in kind.values()}
        for kind, objects in state.objects.items():
            for obj in objects.values():
                if label(obj, MANAGED_BY) == OURS and kind != "Event" and controller(obj) not in uids:
                    yield f"{name_of(obj)} has lost its owner"
        for clique in state.all("PodClique"):
            pods = state.pods_of(clique)
            if len(pods) != clique["spec"]["replicas"]:
                yield f"{name_of(clique)} wants {clique['spec']['replicas']} pods and has {len(pods)}"
        for pcs in state.all("PodCliqueSet"):
            yield from _shape(state, pcs)


def _shape(state: State, pcs: Json) -> Iterator[str]:
    """Exactly the PodCliques and groups that the template and the live sizes of groups call for."""
    namespace, name = pcs["metadata"]["namespace"], pcs["metadata"]["name"]
    template = pcs["spec"]["template"]
    groups = template.get("podCliqueScalingGroups") or []
    members = {clique for group in groups for clique in group["cliqueNames"]}
    wanted: set[str] = set()
    for i in range(pcs["spec"]["replicas"]):
        wanted |= {f"{name}-{i}-{c['name']}" for c in template["cliques"] if c["name"] not in members}
        for group in groups:
            live = state.get("PodCliqueScalingGroup", namespace, f"{name}-{i}-{group['name']}")
            if live is None:
                yield f"PodCliqueScalingGroup {name}-{i}-{group['name']} is missing"
                continue
            for j in range(live["spec"]["replicas"]):
                wanted |= {f"{name}-{i}-{group['name']}-{j}-{c}" for c in group["cliqueNames"]}
    found = {c["metadata"]["name"] for c in state.all("PodClique") if label(c, SET) == name}
    if found != wanted:
        yield f"PodCliqueSet {name}: PodCliques missing {sorted(wanted - found)}, too many {sorted(found - wanted)}"


class ParentsAreReadyFirst(Invariant):
    """A pod becomes Ready for the first time only after the minimum of each of its parents in the gang was."""

    def __init__(self) -> None:
        self._enough: dict[tuple[str, str], float] = {}
        self._started: set[str] = set()

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != "Pod":
            return
        pod = change.obj
        clique = state.get("PodClique", pod["metadata"]["namespace"], label(pod, CLIQUE))
        if clique is not None and self._is_enough(state, clique, change.old):
            self._enough[label(pod, GANG), clique["metadata"]["name"]] = state.now_s
        if change.new is None or not is_ready(change.new) or pod["metadata"]["uid"] in self._started:
            return
        self._started.add(pod["metadata"]["uid"])
        if clique is None:
            return
        for parent in _parents(state, pod, clique):
            at = self._enough.get((label(pod, GANG), parent["metadata"]["name"]))
            now = sum(is_ready(p) for p in state.pods_of(parent)) >= minimum(parent)
            if not now and (at is None or state.now_s - at > PARENT_WAS_READY_S):
                yield f"{name_of(pod)} is Ready before enough of {name_of(parent)} are"

    def _is_enough(self, state: State, clique: Json, before: Json | None) -> bool:
        """Now, or until just now, when the pod that changed was still as it was `before`."""
        ready = {p["metadata"]["uid"] for p in state.pods_of(clique) if is_ready(p)}
        if before and is_active(before) and is_ready(before) and controller(before) == clique["metadata"]["uid"]:
            ready.add(before["metadata"]["uid"])
        return len(ready) >= minimum(clique)


def _parents(state: State, pod: Json, clique: Json) -> Iterator[Json]:
    """The PodCliques of the same gang that the startup type puts before this one; standalone parents only."""
    pcs = set_of(state, pod)
    if pcs is None or label(clique, GROUP):
        return
    template = pcs["spec"]["template"]
    names = [c["name"] for c in template["cliques"]]
    members = {c for g in template.get("podCliqueScalingGroups") or () for c in g["cliqueNames"]}
    prefix = clique["metadata"]["name"]
    own = next((n for n in names if prefix == f"{label(pod, SET)}-{label(pod, REPLICA)}-{n}"), None)
    if own is None or template.get("cliqueStartupType") != "CliqueStartupTypeInOrder" or names.index(own) == 0:
        return
    before = names[names.index(own) - 1]
    if before in members:
        return
    where = f"{label(pod, SET)}-{label(pod, REPLICA)}-{before}"
    parent = state.get("PodClique", pod["metadata"]["namespace"], where)
    if parent is not None:
        yield parent
