"""Updates as seen from outside: one replica of a set at a time, and in it no more away than the budget allows."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.witness import (
    CLIQUE,
    GROUP,
    GROUP_REPLICA,
    HASH,
    INDEX,
    REPLICA,
    SET,
    Change,
    Invariant,
    Json,
    State,
    condition,
    controller,
    is_active,
    is_bound,
    is_ready,
    is_updating,
    label,
    minimum,
    name_of,
    set_of,
)

MIN_READY = "grove.io/rollout-min-ready-seconds"
CALM_S = 20.0
"""Nobody else took anything of the group away for this long: what is away is the update's doing."""
SEEN_S = 35.0
"""The same for a pod: what replaces it is made after a storm of 20 s and a death of 10 s at the latest."""


class UpdatesKeepTheirBudget(Invariant):
    """When the operator takes a Ready pod of the old template away, at most maxUnavailable of its clique are away.

    What followed another pod is away until it has been Ready for as long as the set asks.
    """

    def __init__(self) -> None:
        self._first_at: dict[tuple[str, str], str] = {}
        self._followers: set[str] = set()
        self._ready_at: dict[str, float] = {}
        self._disturbed: dict[str, float] = {}

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != "Pod":
            return
        pod = change.obj
        key = (controller(pod), label(pod, INDEX))
        if is_bound(pod) and self._first_at.setdefault(key, pod["metadata"]["uid"]) != pod["metadata"]["uid"]:
            self._followers.add(pod["metadata"]["uid"])
        was_ready = change.old is not None and is_active(change.old) and is_ready(change.old)
        if not was_ready and is_ready(pod):
            self._ready_at[pod["metadata"]["uid"]] = state.now_s
        lost = was_ready and (change.new is None or not is_active(change.new) or not is_ready(change.new))
        if lost and change.actor != "operator":
            self._disturbed[key[0]] = state.now_s
        if not (lost and change.actor == "operator" and change.old is not None):
            return
        clique = state.get("PodClique", pod["metadata"]["namespace"], label(pod, CLIQUE))
        if clique is None or clique["metadata"]["uid"] != key[0] or label(clique, GROUP):
            return
        if label(change.old, HASH) == label(clique, HASH):
            return
        yield from self._judge(state, change.old, clique)

    def _judge(self, state: State, pod: Json, clique: Json) -> Iterator[str]:
        pcs, uid = set_of(state, clique), clique["metadata"]["uid"]
        if pcs is None or (pcs["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            yield f"{name_of(pod)} was replaced although its set is updated only by deleting"
            return
        others = [p for p in state.pods_of(clique) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
        if len(others) >= clique["spec"]["replicas"]:
            return  # scaled in
        yield from _turn(pcs, clique, name_of(pod))
        if state.now_s - self._disturbed.get(uid, -SEEN_S) < SEEN_S:
            return
        away = 1 + sum(not is_ready(p) and (uid, label(p, INDEX)) in self._first_at for p in others)
        ready = {p["metadata"]["uid"] for p in others if is_ready(p)}
        away += sum(state.now_s - self._ready_at[follower] < _asked_s(pcs) for follower in ready & self._followers)
        budget = _budget(pcs, clique)
        if away > budget:
            yield f"{name_of(pod)} was replaced, so {away} of {name_of(clique)} are away, {budget} may be"


def _asked_s(pcs: Json) -> float:
    """For how long a pod is Ready before an update counts on it. Kubernetes tells times in whole seconds."""
    return max(0.0, float((pcs["metadata"].get("annotations") or {}).get(MIN_READY, 0)) - 1.0)


def _turn(pcs: Json, clique: Json, who: str) -> Iterator[str]:
    if not is_updating(pcs):
        if int(label(clique, REPLICA)) < pcs["spec"]["replicas"]:  # else it is going anyway
            yield f"{who} was replaced while no update of {name_of(pcs)} runs"
        return
    selected = [one["replicaIndex"] for one in pcs["status"]["updateProgress"].get("currentlyUpdating") or ()]
    if len(selected) > 1:
        yield f"replicas {selected} of {name_of(pcs)} are updated at once"
    if int(label(clique, REPLICA)) not in selected:
        yield f"{who} of replica {label(clique, REPLICA)} was replaced while {selected} are being updated"


def _budget(pcs: Json, clique: Json) -> int:
    for entry in pcs["spec"]["template"]["cliques"]:
        if clique["metadata"]["name"] == f"{label(clique, SET)}-{label(clique, REPLICA)}-{entry['name']}":
            declared = (entry.get("rollingUpdate") or {}).get("maxUnavailable")
            if declared:
                return int(declared)
    is_coherent = (pcs["spec"].get("updateStrategy") or {}).get("type") == "Coherent"
    return minimum(clique) if is_coherent else 1


class GroupsKeepTheirBudget(Invariant):
    """When the operator takes a whole group replica of the old template away, no other is away because of it.

    One that was taken is away until it has been whole for as long as the set asks.
    """

    def __init__(self) -> None:
        self._was_whole: set[tuple[str, str]] = set()
        self._taken: dict[str, set[str]] = {}
        self._whole_at: dict[tuple[str, str], float] = {}
        self._disturbed: dict[str, float] = {}

    def saw(self, state: State, change: Change) -> Iterator[str]:
        group = label(change.obj, GROUP)
        if not group or change.kind not in ("Pod", "PodClique"):
            return
        key = f"{change.obj['metadata']['namespace']}/{group}"
        if change.kind == "Pod":
            was = change.old is not None and is_active(change.old) and is_ready(change.old)
            lost = was and (change.new is None or not is_active(change.new) or not is_ready(change.new))
            if lost and change.actor != "operator":
                self._disturbed[key] = state.now_s
            if not lost and change.new is not None and is_ready(change.new):
                j = label(change.obj, GROUP_REPLICA)
                if _is_whole(state, change.obj, group, j, None):
                    self._was_whole.add((key, j))
                    self._whole_at.setdefault((key, j), state.now_s)
            return
        if change.takes_away and change.actor == "operator" and change.old is not None:
            yield from self._judge(state, change.old, group, key)

    def _judge(self, state: State, clique: Json, group: str, key: str) -> Iterator[str]:
        pcs, j = set_of(state, clique), label(clique, GROUP_REPLICA)
        live = state.get("PodCliqueScalingGroup", clique["metadata"]["namespace"], group)
        if pcs is None or live is None or int(j) >= live["spec"]["replicas"]:
            return
        if not is_updating(live) or (key, j) not in self._was_whole:
            return
        if condition(live, "GangTerminationInProgress") == "True" or may_be_recycled(state, clique):
            return
        if not _is_whole(state, clique, group, j, clique):
            self._was_whole.discard((key, j))
            return
        self._was_whole.discard((key, j))
        yield from _turn(pcs, clique, name_of(clique))
        if state.now_s - self._disturbed.get(key, -CALM_S) < CALM_S:
            return
        self._whole_at.pop((key, j), None)
        done = {k for (of, k), at_s in self._whole_at.items() if of == key and state.now_s - at_s >= _asked_s(pcs)}
        taken = {k for k in self._taken.get(key, set()) - done if int(k) < live["spec"]["replicas"]} | {j}
        self._taken[key] = taken
        if len(taken) > _group_budget(pcs, live):
            yield f"{name_of(clique)} goes, so replicas {sorted(taken)} of {name_of(live)} are away at once"


def may_be_recycled(state: State, clique: Json) -> bool:
    """Something of its replica that worked is in breach: the whole replica may be taken away for that."""
    beside = (c for c in state.all("PodClique") if label(c, SET) == label(clique, SET))
    same = (c for c in beside if label(c, REPLICA) == label(clique, REPLICA))
    return any(condition(c, "MinAvailableBreached") == condition(c, "EverScheduled") == "True" for c in same)


def _is_whole(state: State, like: Json, group: str, j: str, extra: Json | None) -> bool:
    namespace = like["metadata"]["namespace"]
    cliques = [
        c
        for c in state.all("PodClique")
        if label(c, GROUP) == group and label(c, GROUP_REPLICA) == j and c["metadata"]["namespace"] == namespace
    ]
    if extra is not None:
        cliques = [c for c in cliques if c["metadata"]["name"] != extra["metadata"]["name"]] + [extra]
    return bool(cliques) and all(sum(is_ready(p) for p in state.pods_of(c)) >= minimum(c) for c in cliques)


def _group_budget(pcs: Json, group: Json) -> int:
    for entry in pcs["spec"]["template"].get("podCliqueScalingGroups") or ():
        if group["metadata"]["name"].endswith(f"-{entry['name']}"):
            declared = (entry.get("rollingUpdate") or {}).get("maxUnavailable")
            if declared:
                return int(declared)
    is_coherent = (pcs["spec"].get("updateStrategy") or {}).get("type") == "Coherent"
    return int(group["spec"].get("minAvailable") or 1) if is_coherent else 1
