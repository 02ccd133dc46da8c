"""One step of an update inside a selected PodCliqueSet replica (grove-behaviour 7.4 and 7.5).

standalone PodClique   old pods that aren't Ready go at once; Ready ones while no more than maxUnavailable are away
                       or Ready for less than the set asks (`core.settling`)
scaling group          old replicas that aren't whole go at once; whole ones one after another, lowest index first,
                       and only while no more than maxUnavailable replicas that had a place are away

Deleted first, then made anew: there is no surge here. The pods' part is derived from the pods; which group replicas
were selected stands in the status before anything of them is deleted, so that a crash in between is only a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import (
    ANNOTATION_REPLACES_PLACED,
    CONDITION_EVER_SCHEDULED,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_TEMPLATE_HASH,
    LABEL_SCALING_GROUP,
)
from grove_operator.api.kinds import Json
from grove_operator.core import coherent, podstate
from grove_operator.core.availability import least, reaches_least
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.observed import CliqueView, GroupView
from grove_operator.core.settling import is_settling, min_ready_s, settles_in_s
from grove_operator.core.strategy import (
    COHERENT,
    ON_DELETE,
    entry_of,
    is_its_turn,
    is_noticed,
    is_running,
    max_unavailable,
    set_progress,
    strategy,
)
from grove_operator.core.template import Group, Template

Members = Mapping[str, Json | None]
"""Member PodCliques of one group replica by clique name; None: not there."""


@dataclass(frozen=True, slots=True)
class Step:
    """`doomed`: UIDs of the pods (names of the PodCliques) to delete now. `progress`: the status' updateProgress.

    `is_decision`: the progress says something that others, or the next step, wait for.
    """

    doomed: frozenset[str] = frozenset()
    progress: Json | None = None
    is_decision: bool = False


def clique_step(view: CliqueView, kept: Sequence[Json], now: datetime) -> Step:
    """`kept`: the active pods that scaling in leaves."""
    obj, template = view.obj, view.template
    i, status = int(label(obj, LABEL_PCS_REPLICA_INDEX)), obj.get("status") or {}
    entry, before = entry_of(template, i, obj), status.get("updateProgress")
    if entry is None or not is_noticed(template):
        return Step(progress=before)
    generation, target = template.generation_hash, template.pod_template_hashes[entry.name]
    begun = before if before and before.get("podCliqueSetGenerationHash") == generation else None
    is_current = status.get("currentPodCliqueSetGenerationHash") == generation
    fresh: Json = {
        "updateStartedAt": _moment(now),
        "podCliqueSetGenerationHash": generation,
        "podTemplateHash": target,
    }
    if strategy(template) == ON_DELETE:
        if begun is None and (is_current or set_progress(template) is None):
            return Step(progress=before)
        return Step(progress=_ended(begun or fresh, now))
    if label(obj, LABEL_SCALING_GROUP) or label(obj, LABEL_POD_TEMPLATE_HASH) != target:
        return Step(progress=before)
    old = [pod for pod in kept if label(pod, LABEL_POD_TEMPLATE_HASH) != target]
    if begun is None or (old and _was_done_before(template, i, begun)):
        if not is_its_turn(template, i) or not (old or is_running(before)):
            return Step(progress=before)
        begun = fresh  # also where only the end of an earlier update was missed
    if not is_running(begun):
        return Step(progress=begun)
    if not old:
        return Step(progress=_ended(begun, now), is_decision=True)
    doomed = _doomed_pods(view, kept, old, entry.name, now) if is_its_turn(template, i) else []
    uids = frozenset(pod["metadata"]["uid"] for pod in doomed)
    return Step(uids, _told_of_pods(begun, view.pods, doomed, target), before is not begun)


def _was_done_before(template: Template, i: int, begun: Json) -> bool:
    """The template has come back: the part is through with it, and what was made from others meanwhile is not.

    Only while an update has selected the replica: what OnDelete left as it was is not made up for later.
    """
    return not is_running(begun) and is_running(set_progress(template)) and is_its_turn(template, i)


def _doomed_pods(view: CliqueView, kept: Sequence[Json], old: list[Json], name: str, now: datetime) -> list[Json]:
    replicas, minimum = view.obj["spec"]["replicas"], least(view.obj)
    least_s = min_ready_s(view.template)
    broken = [pod for pod in old if not podstate.is_ready(pod)]
    ready_old = sorted((pod for pod in old if podstate.is_ready(pod)), key=_age)
    ready = sum(map(podstate.is_ready, kept))
    away = max(0, replicas - len(kept)) + sum(_is_away(pod) or settles_in_s(pod, least_s, now) > 0 for pod in kept)
    free = max_unavailable(view.template, name, minimum) - away
    doomed = broken + (ready_old[: max(0, free)] if ready >= minimum else [])
    if strategy(view.template) == COHERENT:
        allowed = coherent.allowance(view.template, view.peers, view.obj["metadata"]["name"])
        return doomed[: max(0, allowed - (replicas - len(old)))]
    return doomed


def _is_away(pod: Json) -> bool:
    """Not serving where something stood: pods that wait for room and replace nothing that had any take nothing away."""
    if podstate.is_ready(pod):
        return False
    return podstate.is_scheduled(pod) or replaces_placed(pod)


def replaces_placed(pod: Json) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(ANNOTATION_REPLACES_PLACED) == "true"


def _told_of_pods(progress: Json, pods: Iterable[Json], doomed: Sequence[Json], target: str) -> Json:
    """readyPodsSelectedToUpdate: the pod that is going, and those that went before it."""
    going = [p for p in pods if is_terminating(p) and label(p, LABEL_POD_TEMPLATE_HASH) != target]
    names = [p["metadata"]["name"] for p in sorted(going, key=_age)] + [p["metadata"]["name"] for p in doomed]
    said = progress.get("readyPodsSelectedToUpdate") or {}
    known = [*(said.get("completed") or ()), *([said["current"]] if said.get("current") else ())]
    known += [name for name in dict.fromkeys(names) if name not in known]
    if not known:
        return progress
    selected: Json = {"current": known[-1]}
    if known[:-1]:
        selected["completed"] = known[:-1]
    return {**progress, "readyPodsSelectedToUpdate": selected}


def group_step(view: GroupView, i: int, group: Group, by_replica: Sequence[Members], now: datetime) -> Step:
    """Of the scaling group `view.obj` in PodCliqueSet replica `i`."""
    template, status = view.template, view.obj.get("status") or {}
    before = status.get("updateProgress")
    if not is_noticed(template):
        return Step(progress=before)
    generation = template.generation_hash
    begun = before if before and before.get("podCliqueSetGenerationHash") == generation else None
    is_current = status.get("currentPodCliqueSetGenerationHash") == generation
    fresh: Json = {"updateStartedAt": _moment(now), "podCliqueSetGenerationHash": generation}
    if strategy(template) == ON_DELETE:
        if begun is None and (is_current or set_progress(template) is None):
            return Step(progress=before)
        return Step(progress=_ended(begun or fresh, now))
    stale = {j for j, members in enumerate(by_replica) if _is_stale(template, members)}
    if begun is None or (stale and _was_done_before(template, i, begun)):
        if not is_its_turn(template, i) or not (stale or is_running(before)):
            return Step(progress=before)
        return Step(progress=fresh | _still_away(before or {}, by_replica), is_decision=True)
    if not is_running(begun):
        return Step(progress=_ended(begun, now) | _still_away(begun, by_replica))
    if not stale:
        return Step(progress=_ended(begun, now) | _still_away(begun, by_replica), is_decision=True)
    if not is_its_turn(template, i):
        return Step(progress=begun)
    return _group_decision(view, group, by_replica, stale, begun)


def _group_decision(view: GroupView, group: Group, by_replica: Sequence[Members], stale: set[int], begun: Json) -> Step:
    template, started = view.template, begun["updateStartedAt"]
    known = _selected(begun)
    broken = sorted(j for j in stale if not _is_whole(by_replica[j]))
    lost = [j for j in broken if j not in known and _had_a_place(by_replica[j])]
    doomed_replicas = [j for j in broken if j not in lost] + [j for j in known if j in stale and j not in broken]
    away = [j for j in known if j < len(by_replica) and (j in stale or not _is_finished(template, by_replica[j]))]
    away += lost
    away += [j for j, members in enumerate(by_replica) if j not in away and any(map(is_settling, members.values()))]
    whole = [j for j, members in enumerate(by_replica) if _is_whole(members)]
    candidates = [j for j in sorted(stale) if j not in broken and j not in known]
    minimum = least(view.obj)
    free = max_unavailable(template, group.name, minimum, is_group=True) - len(away)
    if len(whole) < minimum:
        free = 0
    if strategy(template) == COHERENT:
        allowed = coherent.allowance(template, view.peers, view.obj["metadata"]["name"])
        allowed -= len(by_replica) - len(stale)
        doomed_replicas = doomed_replicas[: max(0, allowed)]
        free = min(free, allowed - len(doomed_replicas))
    chosen = [*lost, *candidates[: max(0, free)]]
    doomed: set[str] = set()
    for j in doomed_replicas:
        doomed |= _doomed_members(template, by_replica[j], started)
    if not chosen:
        return Step(frozenset(doomed), begun)
    return Step(frozenset(doomed), begun | _selection([*known, *chosen]), True)


def _still_away(progress: Json, by_replica: Sequence[Members]) -> Json:
    """The selected replicas that aren't whole yet: the next update must not take others beside them."""
    return _selection([j for j in _selected(progress) if j < len(by_replica) and not _is_whole(by_replica[j])])


def _selection(indices: list[int]) -> Json:
    if not indices:
        return {}
    said: Json = {"current": indices[-1]}
    if indices[:-1]:
        said["completed"] = indices[:-1]
    return {"readyReplicaIndicesSelectedToUpdate": said}


def _had_a_place(members: Members) -> bool:
    """Something of it was scheduled: until it is whole again it uses up the budget."""
    live = [o for o in members.values() if o is not None]
    return any((o.get("status") or {}).get("scheduledReplicas") for o in live) or any(
        conditions.is_true(o, CONDITION_EVER_SCHEDULED) for o in live
    )


def _doomed_members(template: Template, members: Members, started: str) -> set[str]:
    """All that is older than the update; those that show that the replica is old go last."""
    live = {name: obj for name, obj in members.items() if obj is not None and not is_terminating(obj)}
    stale = {o["metadata"]["name"] for name, o in live.items() if _is_old(template, name, o)}
    older = {o["metadata"]["name"] for o in live.values() if o["metadata"]["creationTimestamp"] < started}
    return older - stale or stale


def _selected(progress: Json) -> list[int]:
    said = progress.get("readyReplicaIndicesSelectedToUpdate") or {}
    return [*(said.get("completed") or ()), *([said["current"]] if "current" in said else ())]


def _is_stale(template: Template, members: Members) -> bool:
    return any(o is not None and not is_terminating(o) and _is_old(template, name, o) for name, o in members.items())


def _is_old(template: Template, name: str, clique: Json) -> bool:
    return label(clique, LABEL_POD_TEMPLATE_HASH) != template.pod_template_hashes[name]


def _is_whole(members: Members) -> bool:
    return all(reaches_least(o, "scheduledReplicas") and reaches_least(o, "readyReplicas") for o in members.values())


def _is_finished(template: Template, members: Members) -> bool:
    return _is_whole(members) and not _is_stale(template, members)


def _ended(progress: Json, now: datetime) -> Json:
    kept = {k: v for k, v in progress.items() if not k.startswith("ready")}
    return {**kept, "updateEndedAt": progress.get("updateEndedAt") or _moment(now)}


def _age(pod: Json) -> tuple[str, int, str]:
    meta = pod["metadata"]
    return meta.get("creationTimestamp", ""), podstate.pod_index(pod) or 0, meta["name"]


def _moment(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
