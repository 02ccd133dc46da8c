"""Who is replaced pod by pod keeps its room, on a cluster where others wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.witness import (
    SET,
    Change,
    Invariant,
    Json,
    State,
    has_ended,
    is_active,
    is_bound,
    is_updating,
    label,
    name_of,
    set_of,
)

SCALED = ("PodCliqueSet", "PodCliqueScalingGroup", "PodClique")
GPU = "nvidia.com/gpu"


class RoomStaysWithItsSet(Invariant):
    """What a newcomer of no higher priority binds leaves room for the missing pods of each set that was whole before.

    A set is no longer protected once its size changes, a pod of it ends by itself, or a node comes or goes.
    """

    def __init__(self) -> None:
        self._had: dict[str, int] = {}
        """Bound pods of each set when it was whole, by UID."""

    def looked(self, state: State) -> Iterator[str]:
        for pcs in state.all("PodCliqueSet"):
            pods = _active(state, pcs)
            is_whole = (pcs.get("status") or {}).get("availableReplicas", 0) == pcs["spec"]["replicas"] > 0
            if is_whole and all(map(is_bound, pods)) and not is_updating(pcs):
                self._had[pcs["metadata"]["uid"]] = len(pods)
        return iter(())

    def saw(self, state: State, change: Change) -> Iterator[str]:
        old, new = change.old, change.new
        if change.kind == "Node":
            self._had.clear()
        elif change.kind in SCALED and old and new and old["spec"].get("replicas") != new["spec"].get("replicas"):
            self._forget(new if change.kind == SCALED[0] else set_of(state, new))
        elif change.kind == "Pod" and new is not None:
            if has_ended(new):
                self._forget(set_of(state, new))
            elif is_bound(new) and not (old and is_bound(old)):
                yield from self._bound(state, new)

    def _forget(self, pcs: Json | None) -> None:
        if pcs is not None:
            self._had.pop(pcs["metadata"]["uid"], None)

    def _bound(self, state: State, pod: Json) -> Iterator[str]:
        newcomer = set_of(state, pod)
        if newcomer is None or newcomer["metadata"]["uid"] in self._had:
            return
        for pcs in state.all("PodCliqueSet"):
            pods = _active(state, pcs)
            there = [p for p in pods if is_bound(p)]
            missing = self._had.get(pcs["metadata"]["uid"], 0) - len(there)
            size = max(map(_gpus, pods), default=0)
            if pcs is newcomer or missing <= 0 or not size or _priority(pod) > max(map(_priority, pods)):
                continue
            room = sum(free // size for free in _free(state, pcs).values())
            if room < missing:
                yield (
                    f"pod {pod['metadata']['name']} of a newcomer is bound to {pod['spec']['nodeName']}: "
                    f"{name_of(pcs)} lacks {missing} pods of {size} GPUs and has room for {room}"
                )


def _active(state: State, pcs: Json) -> list[Json]:
    meta = pcs["metadata"]
    pods = (p for p in state.all("Pod") if label(p, SET) == meta["name"])
    return [p for p in pods if is_active(p) and p["metadata"]["namespace"] == meta["namespace"]]


def _free(state: State, pcs: Json) -> dict[str, int]:
    """GPUs by node that nobody holds but pods of the set on their way out."""
    free = {n["metadata"]["name"]: int(n["status"]["allocatable"].get(GPU, 0)) for n in state.all("Node")}
    for pod in state.all("Pod"):
        is_leaving = set_of(state, pod) is pcs and not is_active(pod)
        if is_bound(pod) and not has_ended(pod) and not is_leaving:
            free[pod["spec"]["nodeName"]] -= _gpus(pod)
    return free


def _gpus(pod: Json) -> int:
    found = ((c.get("resources") or {}).get("requests") or {} for c in pod["spec"].get("containers") or ())
    return sum(int(requests.get(GPU, 0)) for requests in found)


def _priority(pod: Json) -> int:
    return int(pod["spec"].get("priority") or 0)
