"""What is said about a whole PodCliqueSet: Available, Progressing and Degraded.

                         Available   Progressing                      Degraded
    on its way           False       True  ReplicasProgressing        False
    all there, current   True        False AllReplicasCurrent         False
    stuck                False       False ProgressDeadlineExceeded   True  ProgressDeadlineExceeded
    something broke      True/False  True                             True  MinAvailableBreached
    a write is refused   -           -                                True  SyncFailed

Each carries the generation it judges, so that `kubectl wait` and Pulumi's `waitFor` never believe an old verdict:
Available that of the last sync without a refused write.
Progress is anything that was made, scheduled or became Ready; the deadline runs from the newest of these.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from grove_operator.api import conditions
from grove_operator.api.constants import (
    CONDITION_AVAILABLE,
    CONDITION_DEGRADED,
    CONDITION_POD_CLIQUE_SCHEDULED,
    CONDITION_PROGRESSING,
)
from grove_operator.api.duration import duration_s
from grove_operator.api.kinds import Json
from grove_operator.core.availability import is_breached
from grove_operator.core.objects import listed
from grove_operator.core.observed import SetView
from grove_operator.core.template import Template

PROGRESS_DEADLINE_S = 600.0
"""As for Deployments, where no part of the template names its own."""
EXCEEDED = "ProgressDeadlineExceeded"


def set_conditions(view: SetView, available: int, updated: int, now: datetime) -> tuple[list[Json], float | None]:
    """The three conditions, and the seconds until the deadline could pass (None: no deadline runs)."""
    generation = view.template.obj["metadata"].get("generation", 1)
    replicas = view.template.replicas

    synced = (view.template.obj.get("status") or {}).get("observedGeneration", 0) if view.troubles else generation

    def say(kind: str, status: bool, reason: str, message: str, judged: int = generation) -> Json:
        return conditions.condition(kind, status, reason, message, observed_generation=judged)

    counts = f"{available} of {replicas} replicas are available, {updated} at the current template"
    is_available = available == replicas
    reason = "AllReplicasAvailable" if is_available else "ReplicasUnavailable"
    said = [say(CONDITION_AVAILABLE, is_available, reason, counts, synced)]
    if is_available and updated == replicas:
        said.append(say(CONDITION_PROGRESSING, False, "AllReplicasCurrent", counts))
        return [*said, say(CONDITION_DEGRADED, *_degraded(view, None))], None
    limit_s = deadline_s(view.template)
    left_s = limit_s - (now - _last_progress(view, generation, now)).total_seconds()
    if left_s > 0:
        said.append(say(CONDITION_PROGRESSING, True, "ReplicasProgressing", counts))
        return [*said, say(CONDITION_DEGRADED, *_degraded(view, None))], left_s
    stuck = f"{counts}; nothing was made, scheduled or became ready for {limit_s:g} s"
    said.append(say(CONDITION_PROGRESSING, False, EXCEEDED, stuck))
    return [*said, say(CONDITION_DEGRADED, *_degraded(view, stuck))], None


def deadline_s(template: Template) -> float:
    """The longest progressDeadline that a part declares, in seconds."""
    entries = [*template.obj["spec"]["template"].get("cliques", ())]
    entries += template.obj["spec"]["template"].get("podCliqueScalingGroups") or ()
    declared = [(entry.get("rollingUpdate") or {}).get("progressDeadline") for entry in entries]
    return max((duration_s(text) for text in declared if text), default=PROGRESS_DEADLINE_S)


def _degraded(view: SetView, stuck: str | None) -> tuple[bool, str, str]:
    if view.troubles:
        return True, "SyncFailed", "; ".join(sorted({trouble.description for trouble in view.troubles}))[:1000]
    broken = sorted(name for name, clique in view.cliques.items() if is_breached(clique))
    if broken:
        text = f"fewer than minAvailable pods work in {len(broken)} PodCliques: {listed(broken)}"
        return True, "MinAvailableBreached", text
    return (True, EXCEEDED, stuck) if stuck else (False, "AsExpected", "no part that worked before is broken")


def _last_progress(view: SetView, generation: int, now: datetime) -> datetime:
    """When something last moved. A new spec, or the loss of what was complete, starts anew: that is now."""
    before = conditions.find(view.template.obj, CONDITION_PROGRESSING)
    if before is None or before.get("observedGeneration") != generation:
        return now
    since, newest = datetime.fromisoformat(before["lastTransitionTime"]), _newest_movement(view)
    if before["status"] == "True":
        return max(newest, since)
    if before["reason"] == EXCEEDED and newest <= since:
        return now - timedelta(seconds=deadline_s(view.template))
    return now


def _newest_movement(view: SetView) -> datetime:
    """When a part was last made or scheduled, or a pod became Ready."""
    texts = [view.last_ready]
    for obj in (*view.cliques.values(), *view.groups.values()):
        texts.append(obj["metadata"].get("creationTimestamp", ""))
        if scheduled := conditions.find(obj, CONDITION_POD_CLIQUE_SCHEDULED):
            texts.append(scheduled["lastTransitionTime"])
    return datetime.fromisoformat(max(texts) or "1970-01-01T00:00:00Z")
