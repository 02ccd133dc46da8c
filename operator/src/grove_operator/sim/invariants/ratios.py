"""Coherent updates as seen from outside: no part is more than one step ahead of another."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.witness import (
    GROUP,
    GROUP_REPLICA,
    HASH,
    REPLICA,
    SET,
    Invariant,
    Json,
    State,
    controller,
    is_ready,
    label,
    minimum,
)


class CoherentPartsKeepStep(Invariant):
    """Units of the new template, begun or done, count in steps of their part; of done ones the most."""

    def __init__(self) -> None:
        self._most: dict[tuple[str, str], int] = {}

    def looked(self, state: State) -> Iterator[str]:
        for pcs in state.all("PodCliqueSet"):
            progress = (pcs.get("status") or {}).get("updateProgress")
            if (pcs["spec"].get("updateStrategy") or {}).get("type") != "Coherent" or not progress:
                continue
            if progress.get("updateEndedAt"):
                continue
            for one in progress.get("currentlyUpdating") or ():
                yield from self._judge(state, pcs, str(one["replicaIndex"]))

    def _judge(self, state: State, pcs: Json, replica: str) -> Iterator[str]:
        generation = pcs["status"]["currentGenerationHash"]
        parts = {}
        for kind in ("PodClique", "PodCliqueScalingGroup"):
            for part in state.all(kind):
                mine = label(part, SET) == pcs["metadata"]["name"] and label(part, REPLICA) == replica
                said = ((part.get("status") or {}).get("updateProgress") or {}).get("podCliqueSetGenerationHash")
                if mine and controller(part) == pcs["metadata"]["uid"] and said == generation:
                    parts[part["metadata"]["name"]] = part
        if len(parts) < 2:
            return
        steps = max(1, min(p["spec"]["replicas"] // max(1, minimum(p)) for p in parts.values()))
        begun, done = {}, {}
        for name, part in parts.items():
            least = max(1, minimum(part))
            size = least + max(0, part["spec"]["replicas"] - steps * least) // steps
            units, whole = _units(state, part)
            key = (part["metadata"]["uid"], generation)
            self._most[key] = most = max(whole, self._most.get(key, 0))
            is_ended = bool(part["status"]["updateProgress"].get("updateEndedAt"))
            begun[name] = min(-(-units // size), steps)
            done[name] = steps if is_ended else min(most // size, steps)
        if max(begun.values()) > min(done.values()) + 1:
            yield f"replica {replica} of {pcs['metadata']['name']}: begun {begun}, done {done} of {steps} steps"


def _units(state: State, part: Json) -> tuple[int, int]:
    """(begun, done) units of the newest template."""
    if part["kind"] == "PodClique":
        fresh = [p for p in state.pods_of(part) if label(p, HASH) == label(part, HASH)]
        return len(fresh), sum(map(is_ready, fresh))
    members = [c for c in state.all("PodClique") if label(c, GROUP) == part["metadata"]["name"]]
    started = part["status"]["updateProgress"]["updateStartedAt"]
    fresh_replicas = {label(c, GROUP_REPLICA) for c in members if c["metadata"]["creationTimestamp"] > started}
    whole = {
        j
        for j in fresh_replicas
        if all(sum(map(is_ready, state.pods_of(c))) >= minimum(c) for c in members if label(c, GROUP_REPLICA) == j)
    }
    return len(fresh_replicas), len(whole)
