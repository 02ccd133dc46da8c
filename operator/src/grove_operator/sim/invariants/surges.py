"""Further replicas of an update as seen from outside: only while it runs, first in line, and gone with a reason."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.budgets import may_be_recycled
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
    is_active,
    is_ready,
    is_updating,
    label,
    minimum,
    name_of,
    set_of,
)

MAX_SURGE = "grove.io/rollout-max-surge"
GONE_WITHIN_S = 75.0
"""A process may be dead for 10 s, a storm may last 20, and the wait before the next attempt be as long as that."""
REFUSED_WITHIN_S = 60.0


class SurgesComeAndGo(Invariant):
    """No more replicas than spec.replicas, and as many as the annotation says while an update runs that has not
    given them up; given up once, and for want of room only where a pod found none."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._refused: dict[str, float] = {}

    def looked(self, state: State) -> Iterator[str]:
        self._refused |= {label(pod, SET): state.now_s for pod in state.all("Pod") if _is_refused(pod)}
        for pcs in state.all("PodCliqueSet"):
            allowed, uid = pcs["spec"]["replicas"] + _may_surge(pcs), pcs["metadata"]["uid"]
            cliques = (c for c in state.all("PodClique") if set_of(state, c) is pcs)
            too_many = sorted({int(label(c, REPLICA)) for c in cliques if int(label(c, REPLICA)) >= allowed})
            if not too_many:
                self._since.pop(uid, None)
            elif state.now_s - self._since.setdefault(uid, state.now_s) > GONE_WITHIN_S:
                yield f"{name_of(pcs)} has replicas {too_many} for {GONE_WITHIN_S:g} s, {allowed} may be"

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind == "Pod" and change.new is not None and _is_refused(change.new):
            self._refused[label(change.new, SET)] = state.now_s
        if change.kind != "PodCliqueSet" or change.old is None or change.new is None:
            return
        said, before = _surge(change.new), _surge(change.old)
        is_tried_again = before.get("status") == "False" and said.get("status") == "Unknown"
        if is_tried_again and _begun(change.old) == _begun(change.new):
            yield f"{name_of(change.new)} tries again what it gave up in the same update"
        if said.get("reason") != "NoRoom" or before.get("reason") == "NoRoom":
            return
        name = change.new["metadata"]["name"]
        waiting = any(_is_refused(p) and is_active(p) for p in state.all("Pod") if label(p, SET) == name)
        if not waiting and state.now_s - self._refused.get(name, -REFUSED_WITHIN_S) >= REFUSED_WITHIN_S:
            yield f"{name_of(change.new)} says {said['message']!r}, and no pod of it was refused"


class SurgesComeFirst(Invariant):
    """What an update takes first of the old pods of a replica, it takes after all further replicas were available.

    Available: of the new images, and as many pods Ready as each part needs, at some moment since the template changed.
    While the set's status still speaks of the template before, that one counts: the operator knows of no other.
    """

    def __init__(self) -> None:
        self._was_available: set[tuple[str, str]] = set()
        self._touched: set[tuple[str, str, str]] = set()

    def looked(self, state: State) -> Iterator[str]:
        self._look(state)
        return iter(())

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind == "Pod" and change.new is not None and is_ready(change.new) and _asks(state, change.new):
            self._look(state)
        if not (change.actor == "operator" and change.takes_away and change.old is not None):
            return
        if change.kind == "Pod" and _is_replaced(state, change.old):
            yield from self._judge(state, change.old)
        if change.kind == "PodClique" and label(change.old, GROUP) and _is_remade(state, change.old):
            yield from self._judge(state, change.old)

    def _judge(self, state: State, taken: Json) -> Iterator[str]:
        pcs = set_of(state, taken)
        if pcs is None or not _further(pcs) or int(label(taken, REPLICA)) >= pcs["spec"]["replicas"]:
            return
        uid, generation = pcs["metadata"]["uid"], _generation(pcs)
        key = (uid, generation, label(taken, REPLICA))
        is_first = key not in self._touched
        self._touched.add(key)
        was_available = not self._was_available.isdisjoint({(uid, generation), (uid, _noticed(pcs))})
        if is_first and _surge(pcs).get("status") != "False" and not was_available:
            yield f"{name_of(taken)} of replica {key[2]} goes before a further replica of {name_of(pcs)} was available"

    def _look(self, state: State) -> None:
        for pcs in state.all("PodCliqueSet"):
            first = pcs["spec"]["replicas"]
            count = _further(pcs)
            if count and all(_is_available(state, pcs, i) for i in range(first, first + count)):
                self._was_available |= {(pcs["metadata"]["uid"], said) for said in (_generation(pcs), _noticed(pcs))}


def _further(pcs: Json) -> int:
    return int((pcs["metadata"].get("annotations") or {}).get(MAX_SURGE, 0))


def _may_surge(pcs: Json) -> int:
    return _further(pcs) if is_updating(pcs) and _surge(pcs).get("status") in ("True", "Unknown") else 0


def _surge(pcs: Json) -> Json:
    said = (pcs.get("status") or {}).get("conditions") or ()
    return next((c for c in said if c["type"] == "Surge"), {})


def _begun(pcs: Json) -> str:
    return str(((pcs.get("status") or {}).get("updateProgress") or {}).get("updateStartedAt"))


def _generation(pcs: Json) -> str:
    """The images of the template: nothing else of it changes in stories."""
    return " ".join(f"{c['name']}={_images(c['spec']['podSpec'])}" for c in pcs["spec"]["template"]["cliques"])


def _noticed(pcs: Json) -> str:
    """The hash of the template that the operator has taken in."""
    return str((pcs.get("status") or {}).get("currentGenerationHash"))


def _images(pod_spec: Json) -> str:
    return ",".join(str(c.get("image", "")) for c in pod_spec["containers"])


def _asks(state: State, pod: Json) -> bool:
    pcs = set_of(state, pod)
    return pcs is not None and bool(_further(pcs))


def _is_refused(pod: Json) -> bool:
    said = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in said)


def _is_replaced(state: State, pod: Json) -> bool:
    """A Ready pod of an old template, of a standalone PodClique that isn't scaled in."""
    clique = state.get("PodClique", pod["metadata"]["namespace"], label(pod, CLIQUE))
    if clique is None or label(clique, GROUP) or not (is_active(pod) and is_ready(pod)):
        return False
    others = [p for p in state.pods_of(clique) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
    return label(pod, HASH) != label(clique, HASH) and len(others) < clique["spec"]["replicas"]


def _is_remade(state: State, clique: Json) -> bool:
    """A member that an update of its group takes away, not a recycle, and not scaling in."""
    group = state.get("PodCliqueScalingGroup", clique["metadata"]["namespace"], label(clique, GROUP))
    if group is None or int(label(clique, GROUP_REPLICA)) >= group["spec"]["replicas"]:
        return False
    if condition(group, "GangTerminationInProgress") == "True" or may_be_recycled(state, clique):
        return False
    is_up = sum(is_ready(p) for p in state.pods_of(clique)) >= minimum(clique) > 0
    return is_updating(group) and is_up


def _is_available(state: State, pcs: Json, i: int) -> bool:
    namespace, prefix = pcs["metadata"]["namespace"], f"{pcs['metadata']['name']}-{i}"
    template = pcs["spec"]["template"]
    groups = template.get("podCliqueScalingGroups") or []
    images = {c["name"]: _images(c["spec"]["podSpec"]) for c in template["cliques"]}
    members = {name for group in groups for name in group["cliqueNames"]}
    for name in images.keys() - members:
        if not _is_new(state, state.get("PodClique", namespace, f"{prefix}-{name}"), images[name]):
            return False
    for group in groups:
        live = state.get("PodCliqueScalingGroup", namespace, f"{prefix}-{group['name']}")
        if live is None:
            return False
        whole = 0
        for j in range(live["spec"]["replicas"]):
            where = f"{live['metadata']['name']}-{j}"
            parts = ((n, state.get("PodClique", namespace, f"{where}-{n}")) for n in group["cliqueNames"])
            whole += all(_is_new(state, part, images[n]) for n, part in parts)
        if whole < minimum(live):
            return False
    return True


def _is_new(state: State, clique: Json | None, images: str) -> bool:
    """Enough of its pods are Ready and run the template's images."""
    if clique is None:
        return False
    ready = [p for p in state.pods_of(clique) if is_ready(p) and _images(p["spec"]) == images]
    return len(ready) >= minimum(clique)
