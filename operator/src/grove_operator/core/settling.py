"""Pods that an update doesn't count on yet: Ready for less than the set asks, like minReadySeconds of a Deployment.

    annotation grove.io/rollout-min-ready-seconds: "10"

    a pod became Ready 3 s ago ──> it counts as away            PodClique: Settling=True, looked at again in 7 s
    a PodClique is settling    ──> its group replica is away     PodCliqueScalingGroup: Settling=True
    anything of it is settling ──> a set's replica isn't done,   the next one isn't begun; a further one isn't there

"Ready" is what a pod and its node know. Whoever sends requests learns of it later, and forgets the pod that goes at
once: a model server that replaces its workers as fast as they are Ready has none for a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import (
    ANNOTATION_MIN_READY_SECONDS,
    CONDITION_SETTLING,
    LABEL_PCS_REPLICA_INDEX,
)
from grove_operator.api.kinds import Json
from grove_operator.api.syntax import positive_count
from grove_operator.core.objects import label_number
from grove_operator.core.podstate import is_ready
from grove_operator.core.strategy import ON_DELETE, strategy
from grove_operator.core.template import Template


def min_ready_s(template: Template) -> int:
    """0 where the annotation is absent or not what admission lets pass, and where updates replace nothing."""
    asked = positive_count(template.annotations.get(ANNOTATION_MIN_READY_SECONDS, ""))
    return 0 if strategy(template) == ON_DELETE else asked


def settles_in_s(pod: Json, min_ready: int, now: datetime) -> float:
    """Seconds until an update may count on the pod; 0 when it may now, and for a pod that isn't Ready."""
    since = (conditions.find(pod, "Ready") or {}).get("lastTransitionTime")
    if not min_ready or not since or not is_ready(pod):
        return 0.0
    return max(0.0, min_ready - (now - datetime.fromisoformat(since)).total_seconds())


def wake_after_s(template: Template, pods: Iterable[Json], now: datetime) -> float | None:
    """When the first of the pods that are settling will have settled; None when none is."""
    least = min_ready_s(template)
    waits_s = [settles_in_s(pod, least, now) for pod in pods] if least else []
    return min((s for s in waits_s if s > 0), default=None)


def is_settling(obj: Json | None) -> bool:
    """Of a PodClique or scaling group, by its status."""
    return obj is not None and conditions.is_true(obj, CONDITION_SETTLING)


def settling_replicas(cliques: Iterable[Json]) -> set[int]:
    """Indices of the PodCliqueSet replicas that have a PodClique, member or not, which is settling."""
    found = {label_number(clique, LABEL_PCS_REPLICA_INDEX) for clique in cliques if is_settling(clique)}
    return {i for i in found if i is not None}


def settling_condition(template: Template, obj: Json, *, is_it: bool) -> list[Json]:
    """What the PodClique or scaling group `obj` says of itself; nothing where the set doesn't ask."""
    least = min_ready_s(template)
    if not least:
        return []
    reason = "ReadyForLess" if is_it else "ReadyForLongEnough"
    text = f"{'a' if is_it else 'no'} Ready pod has been so for less than {least} s"
    generation = obj["metadata"].get("generation", 1)
    return [conditions.condition(CONDITION_SETTLING, is_it, reason, text, observed_generation=generation)]
