"""Where pods stand: nodes are never over-full, gangs never half there for long, required domains hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from grove_operator.sim.invariants.witness import (
    BASE_GANG,
    GANG,
    GATE,
    Change,
    Invariant,
    Json,
    State,
    condition,
    has_ended,
    is_active,
    is_bound,
)

PARTLY_S = 150.0
"""The scheduler's grace of 60 s, and room for its death and for storms."""


class NoNodeIsOverfull(Invariant):
    """Requests of what is bound and not ended never exceed what a node has."""

    def __init__(self) -> None:
        self._used: dict[str, Counter[str]] = {}

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != "Pod":
            return
        before, after = _held(change.old), _held(change.new)
        if before == after:
            return
        for held, sign in ((before, -1), (after, 1)):
            if held is not None:
                used = self._used.setdefault(held[0], Counter())
                for resource, amount in held[1].items():
                    used[resource] += sign * amount
        if after is None:
            return
        node = state.get("Node", "", after[0])
        room = (node or {}).get("status", {}).get("allocatable", {})
        for resource, amount in self._used[after[0]].items():
            if amount > int(room.get(resource, 0)):
                yield f"node {after[0]} has {room.get(resource, 0)} {resource}, {amount} are taken"


def _held(pod: Json | None) -> tuple[str, Counter[str]] | None:
    if pod is None or not is_bound(pod) or has_ended(pod):
        return None
    amounts: Counter[str] = Counter({"pods": 1})
    for container in pod["spec"].get("containers") or ():
        for resource, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            if str(amount).isdigit():
                amounts[resource] += int(amount)
    return pod["spec"]["nodeName"], amounts


class NoGangIsPartlyBound(Invariant):
    """A gang that was never whole has all its minima bound or, after the bind window, none."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._whole: set[str] = set()

    def looked(self, state: State) -> Iterator[str]:
        pods = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for p in state.all("Pod") if is_active(p)}
        for gang in state.all("PodGang"):
            uid = gang["metadata"]["uid"]
            if uid in self._whole:
                continue
            missing = bound = 0
            for group in gang["spec"]["podgroups"]:
                refs = ((r["namespace"], r["name"]) for r in group.get("podReferences") or ())
                count = sum(ref in pods and is_bound(pods[ref]) for ref in refs)
                bound += count
                missing += max(0, group["minReplicas"] - count)
            if not missing:
                self._whole.add(uid)
            elif bound:
                since = self._since.setdefault(uid, state.now_s)
                if state.now_s - since > PARTLY_S:
                    yield f"podgang {gang['metadata']['name']}: {bound} bound, {missing} missing for {PARTLY_S:g} s"
            else:
                self._since.pop(uid, None)


class GatesOpenInOrder(Invariant):
    """A pod loses its gate when its PodGang names it, in a scaled gang only once the base gang's minima had nodes."""

    def __init__(self) -> None:
        self._was_scheduled: set[str] = set()

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != "Pod" or change.new is None:
            return
        pod, namespace = change.new, change.new["metadata"]["namespace"]
        base = state.get("PodGang", namespace, pod["metadata"]["labels"].get(GANG, ""))
        if is_bound(pod) and base is not None:
            self._remember(state, base)
        if change.old is None or not _is_gated(change.old) or _is_gated(pod) or change.actor != "operator":
            return
        labels = pod["metadata"]["labels"]
        gang = state.get("PodGang", namespace, labels.get(GANG, ""))
        groups = gang["spec"]["podgroups"] if gang else ()
        if not any(ref["name"] == pod["metadata"]["name"] for g in groups for ref in g.get("podReferences") or ()):
            yield f"pod {pod['metadata']['name']} lost its gate before its PodGang named it"
        base_name = labels.get(BASE_GANG, "")
        if base_name and f"{namespace}/{base_name}" not in self._was_scheduled:
            yield f"pod {pod['metadata']['name']} lost its gate before {base_name} was scheduled"

    def _remember(self, state: State, gang: Json) -> None:
        key = f"{gang['metadata']['namespace']}/{gang['metadata']['name']}"
        if key in self._was_scheduled:
            return
        for group in gang["spec"]["podgroups"]:
            clique = state.get("PodClique", gang["metadata"]["namespace"], group["name"])
            pods = state.pods_of(clique) if clique else []
            if sum(map(is_bound, pods)) < group["minReplicas"]:
                return
        self._was_scheduled.add(key)


def _is_gated(pod: Json) -> bool:
    gates = pod["spec"].get("schedulingGates") or ()
    return any(gate["name"] == GATE for gate in gates)


class RequiredDomainsHold(Invariant):
    """At rest, the bound pods of a gang share the value of each required label, and of each group's."""

    def at_rest(self, state: State) -> Iterator[str]:
        pods = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for p in state.all("Pod") if is_active(p)}
        labels = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in state.all("Node")}
        for gang in state.all("PodGang"):
            groups = {g["name"]: g for g in gang["spec"]["podgroups"]}
            scopes: list[tuple[Json, Iterable[str]]] = [(gang["spec"], groups)]
            scopes += [(config, config["podGroupNames"]) for config in _configs(gang)]
            scopes += [(group, [name]) for name, group in groups.items()]
            for scope, names in scopes:
                key = ((scope.get("topologyConstraint") or {}).get("packConstraint") or {}).get("required")
                refs = [r for name in names if name in groups for r in groups[name].get("podReferences") or ()]
                there = [pods[r["namespace"], r["name"]] for r in refs if (r["namespace"], r["name"]) in pods]
                values = {labels.get(p["spec"]["nodeName"], {}).get(key) for p in there if is_bound(p)}
                if key and len(values) > 1:
                    where = ", ".join(sorted(map(str, values)))
                    yield f"podgang {gang['metadata']['name']} requires one {key} and stands in {where}"


def _configs(gang: Json) -> Iterable[Json]:
    found: Iterable[Json] = gang["spec"].get("topologyConstraintGroupConfigs") or ()
    return found


class EveryPodIsInItsGang(Invariant):
    """At rest each active pod is referenced by exactly one PodGang, the one its label names."""

    def at_rest(self, state: State) -> Iterator[str]:
        gangs: dict[tuple[str, str], list[str]] = {}
        for gang in state.all("PodGang"):
            for group in gang["spec"]["podgroups"]:
                for ref in group.get("podReferences") or ():
                    gangs.setdefault((ref["namespace"], ref["name"]), []).append(gang["metadata"]["name"])
            if condition(gang, "Initialized") != "True":
                yield f"podgang {gang['metadata']['name']} is not initialized"
        for pod in state.all("Pod"):
            meta = pod["metadata"]
            wanted = [meta["labels"].get(GANG, "")]
            found = gangs.get((meta["namespace"], meta["name"]), [])
            if is_active(pod) and found != wanted:
                yield f"pod {meta['name']} belongs to {wanted} and is referenced by {found}"
