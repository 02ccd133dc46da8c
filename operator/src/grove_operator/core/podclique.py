"""A PodClique: its pods, their gates, its status (grove-behaviour 1.2, 3.6, 4.5 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import (
    CONDITION_EVER_SCHEDULED,
    CONDITION_MIN_AVAILABLE_BREACHED,
    CONDITION_POD_CLIQUE_SCHEDULED,
    CONDITION_PODGANG_INITIALIZED,
    CONDITION_SETTLING,
    LABEL_BASE_POD_GANG,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_CLIQUE,
    LABEL_POD_GANG,
    LABEL_POD_TEMPLATE_HASH,
    LABEL_SCALING_GROUP,
    LABEL_SCALING_GROUP_REPLICA_INDEX,
    PART_OF,
    SCHEDULING_GATE,
)
from grove_operator.api.kinds import POD, Json
from grove_operator.api.labels import clique_labels, selector_text
from grove_operator.core import podstate
from grove_operator.core.availability import least, lost_all
from grove_operator.core.cliques import origin_of
from grove_operator.core.evidence import failures_of, is_news, last_failure, with_failure
from grove_operator.core.objects import is_terminating, label, timestamp_of
from grove_operator.core.observed import CliqueView, Trouble
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.podcliqueset import last_errors
from grove_operator.core.pods import Place, pod
from grove_operator.core.replacement import Successor, successors
from grove_operator.core.settings import Settings
from grove_operator.core.settling import settling_condition, wake_after_s
from grove_operator.core.sharing import Claims, Seat, claims_of_pod, clique_claims, lacking_templates
from grove_operator.core.startup import clique_minima
from grove_operator.core.strategy import UPDATE_IN_PROGRESS, entry_of, is_running
from grove_operator.core.updates import clique_step, replaces_placed


def reconcile(view: CliqueView, now: datetime, settings: Settings) -> Outcome:
    """Exactly `spec.replicas` pods, ungated when their gang allows it; terminating and ended pods don't count."""
    live = [p for p in view.pods if podstate.is_active(p)]
    replicas = view.obj["spec"]["replicas"]
    excess = max(0, len(live) - replicas)
    doomed = {p["metadata"]["uid"] for p in scale_in_order(live, label(view.obj, LABEL_POD_TEMPLATE_HASH))[:excess]}
    kept = [p for p in live if p["metadata"]["uid"] not in doomed]
    step = clique_step(view, kept, now)
    is_updating = is_running(step.progress) or is_running((view.obj.get("status") or {}).get("updateProgress"))
    kept = [p for p in kept if p["metadata"]["uid"] not in step.doomed]
    children = [_held(view, p) for p in kept]
    claims = _claims(view, kept, replicas)
    children += claims.manifests
    lacking: list[Trouble] = []
    events: list[EventSpec] = []
    waits_s: list[float] = []
    # an index is free when its pod is on its way out
    standing = [p for p in live if p["metadata"]["uid"] not in doomed]
    for successor in successors(free_indices(standing, replicas - len(standing)), view.pods, now):
        lacks = _lacking(view, successor.index)
        lacking += lacks
        if successor.ended and (successor.wait_s or lacks):
            children.append(_held(view, successor.ended))
            waits_s += [successor.wait_s] if successor.wait_s else []
        if successor.wait_s or lacks:
            continue
        children.append(_new_pod(view, successor, settings, is_updating=is_updating))
        if successor.ended and not is_terminating(successor.ended):
            events.append(_told_of_end(view.obj, successor.ended))
    if (settles_in_s := wake_after_s(view.template, live, now)) is not None:
        waits_s.append(settles_in_s)
    is_up = sum(podstate.is_ready(p) for p in kept) >= least(view.obj)
    is_settled = is_up or any(podstate.is_refused(p) for p in kept)
    is_starting = not is_settled and not conditions.is_true(view.obj, CONDITION_EVER_SCHEDULED)
    troubles = tuple(dict.fromkeys([*claims.troubles, *lacking]))
    view = replace(view, troubles=(*view.troubles, *troubles))
    status = _status(view, step.progress, now, is_settling=settles_in_s is not None)
    events += lost_all(view.obj, status)
    return Outcome(
        tuple(children),
        status,
        min(waits_s, default=None),
        tuple(events),
        is_starting=is_starting,
        is_urgent=step.is_decision or is_news(view.obj, status),
        troubles=troubles,
        kept=claims.kept,
    )


def _claims(view: CliqueView, kept: list[Json], replicas: int) -> Claims:
    """The clique's own claims, one for each index in use too."""
    origin = origin_of(view.template, view.obj)
    if origin is None:
        return Claims()
    indices = {*range(replicas), *(index for p in kept if (index := podstate.pod_index(p)) is not None)}
    return clique_claims(view.template, origin.clique, view.obj, indices, view.claim_templates)


def _seat(view: CliqueView, index: int) -> Seat | None:
    origin = origin_of(view.template, view.obj)
    if origin is None:
        return None
    name, group = view.obj["metadata"]["name"], label(view.obj, LABEL_SCALING_GROUP)
    return Seat(origin.clique, name, origin.i, index, origin.group, group, origin.j)


def _lacking(view: CliqueView, index: int) -> list[Trouble]:
    """What keeps the pod at `index` from being made."""
    seat = _seat(view, index)
    return lacking_templates(view.template, seat, view.claim_templates, view.claims) if seat else []


def free_indices(pods: list[Json], count: int) -> Iterator[int]:
    """The `count` lowest indices that no active pod holds."""
    taken = {podstate.pod_index(p) for p in pods if podstate.is_active(p)}
    index = 0
    while count > 0:
        if index not in taken:
            yield index
            count -= 1
        index += 1


def scale_in_order(pods: list[Json], template_hash: str) -> list[Json]:
    """First to go first: unbound, then not running, not Ready, of an old template, and newer before older."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    newest_first = sorted(
        pods,
        key=lambda p: (p["metadata"].get("creationTimestamp", "9"), podstate.pod_index(p) or 0),
        reverse=True,
    )
    return sorted(
        newest_first,
        key=lambda p: (
            bool(p["spec"].get("nodeName")),
            phases.get(p.get("status", {}).get("phase", "Pending"), 2),
            podstate.is_ready(p),
            label(p, LABEL_POD_TEMPLATE_HASH) == template_hash,
        ),
    )


def may_be_ungated(view: CliqueView, pod_name: str) -> bool:
    """The gang exists whole and names this pod; a scaled gang also waits until its base gang's minima are scheduled."""
    if view.gang is None or not conditions.is_true(view.gang, CONDITION_PODGANG_INITIALIZED):
        return False
    if pod_name not in _referenced(view.gang, view.obj["metadata"]["name"]):
        return False
    if not label(view.obj, LABEL_BASE_POD_GANG):
        return True
    if view.base_gang is None:
        return False
    return all(view.scheduled.get(g["name"], -1) >= g["minReplicas"] for g in view.base_gang["spec"]["podgroups"])


def _referenced(gang: Json, clique: str) -> set[str]:
    groups = gang["spec"]["podgroups"]
    return {ref["name"] for group in groups if group["name"] == clique for ref in group.get("podReferences") or ()}


def _held(view: CliqueView, live: Json) -> Json:
    """Of a live pod we hold its existence, what it is found by and, at the right moment, the absence of our gate."""
    meta: Json = {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"]}
    found_by = {key: label(view.obj, key) for key in (PART_OF, LABEL_PCS_REPLICA_INDEX, LABEL_POD_GANG)}
    meta["labels"] = {**found_by, LABEL_POD_CLIQUE: view.obj["metadata"]["name"]}
    if template_hash := label(live, LABEL_POD_TEMPLATE_HASH):
        meta["labels"][LABEL_POD_TEMPLATE_HASH] = template_hash  # differs from the real one where it is taken over
    held: Json = {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": meta, "spec": {}}
    if podstate.has_grove_gate(live) and may_be_ungated(view, meta["name"]):
        others = [gate for gate in live["spec"]["schedulingGates"] if gate["name"] != SCHEDULING_GATE]
        held["spec"]["schedulingGates"] = others or None
    return held


def _told_of_end(clique: Json, ended: Json) -> EventSpec:
    status = ended.get("status", {})
    why = ": ".join(text for text in (status.get("reason", ""), status.get("message", "")) if text)
    message = f"pod {ended['metadata']['name']} ended ({status['phase']}{': ' + why if why else ''}); it is replaced"
    return EventSpec(clique, "PodEnded", message, is_warning=True)


def _new_pod(view: CliqueView, successor: Successor, settings: Settings, *, is_updating: bool) -> Json:
    parents = view.obj["spec"].get("startsAfter") or ()
    group_replica = int(label(view.obj, LABEL_SCALING_GROUP_REPLICA_INDEX) or 0)
    minima = clique_minima(view.template, int(label(view.obj, LABEL_PCS_REPLICA_INDEX)), group_replica)
    waits_for = [(parent, minima.get(parent, 1)) for parent in parents]
    seat = _seat(view, successor.index)
    claims = claims_of_pod(view.template, seat) if seat else []
    previous = _newest_at(view.pods, successor.index) or view.previous_uids.get(successor.index, "")
    took_over = _took_over(view, successor.index) or (is_updating and _fills_hole(view, successor.index))
    former = "" if successor.ended else view.former_nodes.get(successor.index, "")
    place = Place(successor.index, previous, successor.ends, waits_for, took_over, claims, former)
    return pod(view.obj, view.template, place, settings)


def _fills_hole(view: CliqueView, index: int) -> bool:
    """Something stood there: whoever deleted it is dead, and what it was is forgotten."""
    return bool(index < (view.obj.get("status") or {}).get("replicas", 0))


def _took_over(view: CliqueView, index: int) -> bool:
    """An update takes a pod away for this one that had a node, or itself came after one that had."""
    target = label(view.obj, LABEL_POD_TEMPLATE_HASH)
    there = (p for p in view.pods if podstate.pod_index(p) == index and label(p, LABEL_POD_TEMPLATE_HASH) != target)
    return any(is_terminating(p) and (podstate.is_scheduled(p) or replaces_placed(p)) for p in there)


def _newest_at(pods: tuple[Json, ...], index: int) -> str:
    there = [p["metadata"] for p in pods if podstate.pod_index(p) == index]
    newest = max(there, key=lambda m: (m.get("creationTimestamp", ""), m["uid"]), default=None)
    return newest["uid"] if newest else ""


def _status(view: CliqueView, progress: Json | None, now: datetime, *, is_settling: bool) -> Json:
    obj, old = view.obj, view.obj.get("status") or {}
    live = [p for p in view.pods if podstate.is_active(p)]
    template_hash = label(obj, LABEL_POD_TEMPLATE_HASH)
    scheduled = sum(podstate.is_scheduled(p) for p in live)
    updated = sum(label(p, LABEL_POD_TEMPLATE_HASH) == template_hash for p in live)
    is_member = bool(label(obj, LABEL_SCALING_GROUP))
    selector = clique_labels(view.template.name, obj["metadata"]["name"])
    status = {
        **old,
        "observedGeneration": obj["metadata"].get("generation", 1),
        "replicas": len(live),
        "readyReplicas": sum(podstate.is_ready(p) for p in live),
        "updatedReplicas": updated,
        "scheduleGatedReplicas": sum(podstate.has_grove_gate(p) for p in live),
        "scheduledReplicas": scheduled,
        "hpaPodSelector": "" if is_member else selector_text(selector),
        "lastErrors": last_errors(old.get("lastErrors"), view.troubles, now),
    }
    entry = entry_of(view.template, int(label(obj, LABEL_PCS_REPLICA_INDEX)), obj)
    is_target = entry is not None and view.template.pod_template_hashes[entry.name] == template_hash
    if updated == len(live) and is_target and not is_running(progress):
        status["currentPodTemplateHash"] = template_hash
        status["currentPodCliqueSetGenerationHash"] = view.template.generation_hash
    if progress is not None:
        status["updateProgress"] = progress
    settling = settling_condition(view.template, obj, is_it=is_settling)
    dropped = (set() if least(obj) else {CONDITION_EVER_SCHEDULED}) | (set() if settling else {CONDITION_SETTLING})
    kept = [c for c in old.get("conditions") or () if c["type"] not in dropped]
    said = conditions.merged(kept, [*_conditions(view, live, scheduled, is_running(progress)), *settling], now)
    moment = timestamp_of(now)
    is_whole = sum(map(podstate.is_ready, live)) >= obj["spec"]["replicas"]
    failure = last_failure(old.get("conditions"), failures_of(view.pods, moment), is_whole=is_whole, now=moment)
    status["conditions"] = with_failure(said, failure)
    return {key: value for key, value in status.items() if value not in ([], "")}


def _conditions(view: CliqueView, live: list[Json], scheduled: int, is_updating: bool) -> list[Json]:
    """PodCliqueScheduled, MinAvailableBreached, and once it was scheduled EverScheduled, which then stays."""
    breached: bool | None
    minimum = least(view.obj)
    generation = view.obj["metadata"].get("generation", 1)
    enough = scheduled >= minimum
    text = f"{scheduled} pods are scheduled, minAvailable is {minimum}"
    said = conditions.condition(
        CONDITION_POD_CLIQUE_SCHEDULED,
        enough,
        "SufficientScheduledPods" if enough else "InsufficientScheduledPods",
        text,
        observed_generation=generation,
    )
    broken = sum(podstate.health(p) in ("erroneous", "started-not-ready") for p in live if podstate.is_scheduled(p))
    if not enough:
        breached, reason = True, "ScheduledReplicasBelowMinAvailable"
    elif scheduled - broken < minimum:
        breached, reason = True, "InsufficientReadyPods"
        text = f"{scheduled - broken} of {scheduled} scheduled pods are ready or starting, minAvailable is {minimum}"
    else:
        breached, reason = False, "SufficientReadyPods"
        text = f"{scheduled - broken} of {scheduled} scheduled pods are ready or starting, minAvailable is {minimum}"
    if is_updating:
        breached, reason = None, UPDATE_IN_PROGRESS
    breach = conditions.condition(
        CONDITION_MIN_AVAILABLE_BREACHED, breached, reason, text, observed_generation=generation
    )
    if not (minimum and enough):
        return [said, breach]
    ever = conditions.condition(CONDITION_EVER_SCHEDULED, True, "MinAvailableScheduled", "the minimum was reached")
    return [said, breach, ever]
