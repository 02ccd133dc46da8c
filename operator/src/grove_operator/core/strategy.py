"""How a changed template may reach what runs: strategy, pause, budgets, and whose turn it is (grove-behaviour 7).

    spec changes ──> the set notices (currentGenerationHash) ──> selects a replica (currentlyUpdating) ──> its parts act

Parts act only on what the set's status says together with that very spec: one object, read at once, so that no part
runs ahead of a selection that is not written yet.
"""

from __future__ import annotations

from typing import Literal

from grove_operator.api import names
from grove_operator.api.constants import (
    ANNOTATION_ROLLOUT_PAUSED,
    LABEL_SCALING_GROUP,
    LABEL_SCALING_GROUP_REPLICA_INDEX,
)
from grove_operator.api.kinds import Json
from grove_operator.core.objects import label, label_number
from grove_operator.core.template import Clique, Template

Strategy = Literal["RollingRecreate", "OnDelete", "Coherent"]
ROLLING_RECREATE: Strategy = "RollingRecreate"
ON_DELETE: Strategy = "OnDelete"
COHERENT: Strategy = "Coherent"
UPDATE_IN_PROGRESS = "UpdateInProgress"
"""Reason of MinAvailableBreached=Unknown while the operator itself takes pods away."""


def strategy(template: Template) -> Strategy:
    """RollingRecreate where none is named."""
    declared: Strategy | None = (template.obj["spec"].get("updateStrategy") or {}).get("type")
    return declared or ROLLING_RECREATE


def is_paused(template: Template) -> bool:
    return (template.obj["metadata"].get("annotations") or {}).get(ANNOTATION_ROLLOUT_PAUSED) == "true"


def set_progress(template: Template) -> Json | None:
    progress: Json | None = (template.obj.get("status") or {}).get("updateProgress")
    return progress


def is_noticed(template: Template) -> bool:
    """The set's status speaks of this very template."""
    return bool((template.obj.get("status") or {}).get("currentGenerationHash") == template.generation_hash)


def is_running(progress: Json | None) -> bool:
    return progress is not None and not progress.get("updateEndedAt")


def is_its_turn(template: Template, i: int) -> bool:
    """Pods of replica `i` may be replaced: it is the selected one, or no update runs and what was missed is made up."""
    if not is_noticed(template) or is_paused(template):
        return False
    progress = set_progress(template)
    if progress is None or not is_running(progress):
        return True
    return any(one["replicaIndex"] == i for one in progress.get("currentlyUpdating") or ())


def max_unavailable(template: Template, name: str, minimum: int, *, is_group: bool = False) -> int:
    """Ready pods (group replicas) that may be away at once: declared, else minAvailable for Coherent, else 1."""
    field = "podCliqueScalingGroups" if is_group else "cliques"
    entries = template.obj["spec"]["template"].get(field) or ()
    entry: Json = next((entry for entry in entries if entry["name"] == name), {})
    declared = (entry.get("rollingUpdate") or {}).get("maxUnavailable")
    if declared is not None:
        return max(1, int(declared))
    return max(1, minimum) if strategy(template) == COHERENT else 1


def entry_of(template: Template, i: int, obj: Json) -> Clique | None:
    """The template's clique that a live PodClique of replica `i` is made from, found by the name it would give."""
    name, group_name = obj["metadata"]["name"], label(obj, LABEL_SCALING_GROUP)
    if not group_name:
        return next((c for c in template.standalone if names.pod_clique(template.name, i, c.name) == name), None)
    for group in template.groups:
        if names.scaling_group(template.name, i, group.name) == group_name:
            prefix = names.group_replica(group_name, member_index(obj))
            return next((c for c in template.members(group) if f"{prefix}-{c.name}" == name), None)
    return None


def member_index(obj: Json) -> int:
    """Scaling-group replica of a member PodClique; -1 when its label is lost."""
    index = label_number(obj, LABEL_SCALING_GROUP_REPLICA_INDEX)
    return -1 if index is None else index
