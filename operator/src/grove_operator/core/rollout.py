"""The update of a whole PodCliqueSet: noticed, one replica after another, ended (grove-behaviour 7.2, 7.3 and 7.7).

    hash differs ──> updateStartedAt ──> currentlyUpdating: i ──> done? next ──> ... ──> updateEndedAt
                                         first those without a scheduled pod, then breached ones, then by index

A second change during an update starts the bookkeeping anew. Nothing is selected while the rollout is paused. A set
that is taken over from another operator begins an update only where something of it is old. Further replicas
(`core.surge`) come first; while they are there, one of the set's own is done when it is available, too. What is
Ready for less than the set asks isn't done (`core.settling`).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime

from grove_operator.api import conditions, names
from grove_operator.api.constants import CONDITION_MIN_AVAILABLE_BREACHED
from grove_operator.api.kinds import Json
from grove_operator.core.adoption import is_foreign
from grove_operator.core.availability import clique_is_current, group_is_current
from grove_operator.core.observed import SetView
from grove_operator.core.strategy import ON_DELETE, is_paused, is_running, strategy
from grove_operator.core.surge import Surge
from grove_operator.core.template import Template


def progress(
    view: SetView, updated: AbstractSet[int], done: AbstractSet[int], surge: Surge, now: datetime
) -> Json | None:
    """The set's updateProgress; None before the first update. `updated`: replicas of which everything is current.

    `done`: those of them that need not be waited for any more.
    """
    template = view.template
    status = template.obj.get("status") or {}
    before, hash_before = status.get("updateProgress"), status.get("currentGenerationHash")
    if is_foreign(hash_before) and not view.is_outdated:
        if before is not None:
            before = {k: v for k, v in before.items() if k != "currentlyUpdating"}
            before.setdefault("updateEndedAt", _moment(now))
    elif hash_before is not None and hash_before != template.generation_hash:
        before = {"updateStartedAt": _moment(now)}
    if before is None:
        return None
    if strategy(template) == ON_DELETE:
        before = {k: v for k, v in before.items() if k != "currentlyUpdating"}
        before.setdefault("updateEndedAt", _moment(now))
    elif is_running(before) and hash_before == template.generation_hash:
        before = _advanced(view, before, updated, done, surge, now)
    return before | _counts(view)


def is_decision(template: Template, status: Json) -> bool:
    """The new status selects, begins or ends something that the parts wait for."""
    old = template.obj.get("status") or {}
    before, after = old.get("updateProgress") or {}, status.get("updateProgress") or {}
    fields = ("updateStartedAt", "updateEndedAt", "currentlyUpdating")
    return any(before.get(name) != after.get(name) for name in fields)


def _advanced(
    view: SetView, before: Json, updated: AbstractSet[int], done: AbstractSet[int], surge: Surge, now: datetime
) -> Json:
    waiting = [i for i in range(view.template.replicas) if i not in done]
    current = (before.get("currentlyUpdating") or [{}])[0].get("replicaIndex")
    if current in waiting or (waiting and current in surge.lacking and not surge.waits):
        return before
    rest = {k: v for k, v in before.items() if k != "currentlyUpdating"}
    if not waiting:
        return {**rest, "updateEndedAt": _moment(now)}
    if is_paused(view.template) or surge.waits:
        return rest
    chosen = min(surge.lacking, default=None)
    if chosen is None:
        chosen = min(waiting, key=lambda i: (i in updated, *_order(view, i)))
    return {**rest, "currentlyUpdating": [{"replicaIndex": chosen, "updateStartedAt": _moment(now)}]}


def _order(view: SetView, i: int) -> tuple[bool, bool, int]:
    parts = _parts(view, i)
    scheduled = any((part.get("status") or {}).get("scheduledReplicas") for part in parts)
    breached = any(conditions.is_true(part, CONDITION_MIN_AVAILABLE_BREACHED) for part in parts)
    return scheduled, not breached, i


def _parts(view: SetView, i: int) -> list[Json]:
    template = view.template
    cliques = (view.cliques.get(names.pod_clique(template.name, i, c.name)) for c in template.standalone)
    groups = (view.groups.get(names.scaling_group(template.name, i, g.name)) for g in template.groups)
    return [part for part in (*cliques, *groups) if part is not None]


def _counts(view: SetView) -> Json:
    template, generation = view.template, view.template.generation_hash
    groups = cliques = 0
    for i in range(template.replicas):
        for entry in template.standalone:
            live = view.cliques.get(names.pod_clique(template.name, i, entry.name))
            template_hash = template.pod_template_hashes[entry.name]
            cliques += live is not None and clique_is_current(live, template_hash, generation)
        for group in template.groups:
            name = names.scaling_group(template.name, i, group.name)
            groups += name not in view.stale_groups and group_is_current(view.groups.get(name), generation)
    return {
        "updatedPodCliquesCount": cliques,
        "totalPodCliquesCount": template.replicas * len(template.standalone),
        "updatedPodCliqueScalingGroupsCount": groups,
        "totalPodCliqueScalingGroupsCount": template.replicas * len(template.groups),
    }


def _moment(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
