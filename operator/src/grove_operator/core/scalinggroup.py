"""A PodCliqueScalingGroup: its member PodCliques and its status (grove-behaviour 1.3 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from grove_operator.api import conditions, names
from grove_operator.api.constants import (
    CONDITION_GANG_TERMINATION,
    CONDITION_MIN_AVAILABLE_BREACHED,
    CONDITION_POD_CLIQUE_SCHEDULED,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_SCALING_GROUP,
)
from grove_operator.api.kinds import Json
from grove_operator.core.availability import least, reaches_least
from grove_operator.core.cliques import member_clique
from grove_operator.core.objects import default_labels, is_terminating, label, selector_text
from grove_operator.core.observed import GroupView
from grove_operator.core.outcome import Outcome
from grove_operator.core.podcliqueset import clique_is_current, last_errors
from grove_operator.core.template import Group


def reconcile(view: GroupView, now: datetime) -> Outcome:
    """Members of every replica below `spec.replicas`. None at all when the template no longer has the group."""
    group = config_of(view)
    if group is None:
        return Outcome()
    template, i = view.template, replica_index(view)
    children = [
        member_clique(template, i, group, view.obj, j, clique)
        for j in range(view.obj["spec"]["replicas"])
        for clique in template.members(group)
    ]
    status = _status(view, group, now)
    was_up = bool((view.obj.get("status") or {}).get("availableReplicas"))
    is_up = status["availableReplicas"] >= least(view.obj)
    return Outcome(tuple(children), status, is_starting=not is_up and not was_up)


def replica_index(view: GroupView) -> int:
    return int(label(view.obj, LABEL_PCS_REPLICA_INDEX))


def config_of(view: GroupView) -> Group | None:
    """The template's entry for this object, found by the name it would give."""
    template, i, name = view.template, replica_index(view), view.obj["metadata"]["name"]
    return next((g for g in template.groups if names.scaling_group(template.name, i, g.name) == name), None)


def _status(view: GroupView, group: Group, now: datetime) -> Json:
    obj, old = view.obj, view.obj.get("status") or {}
    replicas, minimum = obj["spec"]["replicas"], least(obj)
    by_replica = [list(_members(view, group, j)) for j in range(replicas)]
    scheduled = [m for m in by_replica if all(_is_scheduled(clique) for _, clique in m)]
    available = [m for m in scheduled if all(reaches_least(clique, "readyReplicas") for _, clique in m)]
    current = [m for m in by_replica if all(_is_current(view, name, clique) for name, clique in m)]
    status = {
        **old,
        "observedGeneration": obj["metadata"].get("generation", 1),
        "replicas": replicas,
        "scheduledReplicas": len(scheduled),
        "availableReplicas": len(available),
        "updatedReplicas": sum(m in current for m in available),
        "selector": selector_text(default_labels(view.template.name) | {LABEL_SCALING_GROUP: obj["metadata"]["name"]}),
        "lastErrors": last_errors(old.get("lastErrors"), view.troubles, now),
    }
    if len(current) == replicas:
        status["currentPodCliqueSetGenerationHash"] = view.template.generation_hash
    whole = sum(all(_holds(clique) for _, clique in m) for m in by_replica)
    breached = whole < minimum
    reason = "Insufficient" if breached else "Sufficient"
    message = f"{whole} of {replicas} replicas are not in breach, minAvailable is {minimum}"
    said = conditions.condition(
        CONDITION_MIN_AVAILABLE_BREACHED,
        breached,
        f"{reason}AvailablePodCliqueScalingGroupReplicas",
        message,
        observed_generation=obj["metadata"].get("generation", 1),
    )
    kept = [c for c in old.get("conditions") or () if breached or c["type"] != CONDITION_GANG_TERMINATION]
    status["conditions"] = conditions.merged(kept, [said], now)
    return {key: value for key, value in status.items() if value != []}


def _members(view: GroupView, group: Group, j: int) -> Iterator[tuple[str, Json | None]]:
    for clique in view.template.members(group):
        name = names.member_pod_clique(view.template.name, replica_index(view), group.name, j, clique.name)
        yield clique.name, view.cliques.get(name)


def _is_scheduled(clique: Json | None) -> bool:
    lives = clique is not None and not is_terminating(clique)
    return lives and conditions.is_true(clique, CONDITION_POD_CLIQUE_SCHEDULED)


def _holds(clique: Json | None) -> bool:
    lives = clique is not None and not is_terminating(clique)
    return lives and not conditions.is_true(clique, CONDITION_MIN_AVAILABLE_BREACHED)


def _is_current(view: GroupView, name: str, clique: Json | None) -> bool:
    template = view.template
    if clique is None or is_terminating(clique):
        return False
    return clique_is_current(clique, template.pod_template_hashes[name], template.generation_hash)
