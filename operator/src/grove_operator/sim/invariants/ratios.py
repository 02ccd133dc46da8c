"""Coherent updates as seen from outside: no part is more than one step ahead of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    controller,
    is_active,
    is_ready,
    is_updating,
    label,
    minimum,
    set_of,
)


class CoherentPartsKeepStep(Invariant):
    """Units that the operator took away for the new template, and those done, count in steps of their part.

    What was lost, recycled or added meanwhile is of the new template, too, and begins no step. Done ones count at their
    most. A template that comes back is another update. Scaling makes other steps: what was taken before begins none.
    """

    def __init__(self) -> None:
        self._most: dict[tuple[str, str], int] = {}
        self._taken: dict[tuple[str, str], set[str]] = {}
        self._sizes: dict[tuple[str, str, str], dict[str, int]] = {}
        self._excused: dict[tuple[str, str], int] = {}

    def saw(self, state: State, change: Change) -> Iterable[str]:
        if change.actor != "operator" or not change.takes_away or change.old is None:
            return ()
        old, namespace = change.old, change.old["metadata"].get("namespace", "")
        pcs = set_of(state, old) if change.kind in ("Pod", "PodClique") else None
        update = _update_of(pcs or {})
        if change.kind == "Pod" and not label(old, GROUP):
            clique = state.get("PodClique", namespace, label(old, CLIQUE))
            is_its_own = clique is not None and controller(old) == clique["metadata"]["uid"]
            if clique and is_its_own and is_active(old) and label(old, HASH) != label(clique, HASH):
                uids = self._taken.setdefault((clique["metadata"]["uid"], update), set())
                uids.add(old["metadata"]["uid"])
        elif change.kind == "PodClique" and label(old, GROUP):
            group = state.get("PodCliqueScalingGroup", namespace, label(old, GROUP))
            is_recycled = group is not None and condition(group, "GangTerminationInProgress") == "True"
            if group and not is_recycled and int(label(old, GROUP_REPLICA)) < group["spec"]["replicas"]:
                self._taken.setdefault((group["metadata"]["uid"], update), set()).add(label(old, GROUP_REPLICA))
        return ()

    def looked(self, state: State) -> Iterator[str]:
        for pcs in state.all("PodCliqueSet"):
            if (pcs["spec"].get("updateStrategy") or {}).get("type") != "Coherent" or not is_updating(pcs):
                continue
            for one in pcs["status"]["updateProgress"].get("currentlyUpdating") or ():
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
        sizes = {name: p["spec"]["replicas"] for name, p in parts.items()}
        update = _update_of(pcs)
        is_scaled = self._sizes.get((pcs["metadata"]["uid"], update, replica), sizes) != sizes
        self._sizes[pcs["metadata"]["uid"], update, replica] = sizes
        begun, done = {}, {}
        for name, part in parts.items():
            least = max(1, minimum(part))
            size = least + max(0, part["spec"]["replicas"] - steps * least) // steps
            key = (part["metadata"]["uid"], update)
            taken = self._taken.get(key, set())
            units, whole = len(taken), _done(state, part, taken)
            self._most[key] = most = max(whole, self._most.get(key, 0))
            is_ended = bool(part["status"]["updateProgress"].get("updateEndedAt"))
            if is_scaled:
                self._excused[key] = units
            is_excused = units <= self._excused.get(key, -1)
            begun[name] = 0 if is_excused else min(-(-units // size), steps)
            done[name] = steps if is_ended else min(most // size, steps)
        if max(begun.values()) > min(done.values()) + 1:
            yield f"replica {replica} of {pcs['metadata']['name']}: begun {begun}, done {done} of {steps} steps"


def _update_of(pcs: Json) -> str:
    """What tells one update of the set from every other."""
    status = pcs.get("status") or {}
    began = (status.get("updateProgress") or {}).get("updateStartedAt", "")
    return f"{status.get('currentGenerationHash', '')} since {began}"


def _done(state: State, part: Json, taken: set[str]) -> int:
    """Ready units of the newest template; of a group those that were taken and are whole again."""
    if part["kind"] == "PodClique":
        return sum(is_ready(p) for p in state.pods_of(part) if label(p, HASH) == label(part, HASH))
    members: dict[str, list[Json]] = {}
    for clique in state.all("PodClique"):
        if label(clique, GROUP) == part["metadata"]["name"] and label(clique, GROUP_REPLICA) in taken:
            members.setdefault(label(clique, GROUP_REPLICA), []).append(clique)
    names = {j: {c["metadata"]["name"] for c in found} for j, found in members.items()}
    size = len(part["spec"]["cliqueNames"])
    return sum(
        len(names[j]) == size and all(sum(map(is_ready, state.pods_of(c))) >= minimum(c) for c in found)
        for j, found in members.items()
    )
