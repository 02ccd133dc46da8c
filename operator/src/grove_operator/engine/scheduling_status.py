"""What the scheduler writes besides bindings: PodGang status, pods' PodScheduled=False, Warning events. All pure.

    phase     Pending ── all minima bound ──> Starting ── all minima ready ──> Running
    Scheduled False/Unschedulable (never placed yet), False/MemberUnschedulable (placed before, a member waits), True

A result of None means that nothing differs: nothing is written.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from grove_operator.api import constants as c
from grove_operator.api.kinds import Json
from grove_operator.engine.ports import timestamp
from grove_operator.engine.scheduling_view import condition
from grove_operator.scheduler.model import Gang, Refusal

UNSCHEDULABLE = "Unschedulable"
MEMBER_UNSCHEDULABLE = "MemberUnschedulable"
SCHEDULED = "Scheduled"
RefusalKey = tuple[str, str, str, str, tuple[str, ...]]


def refusal_key(refusal: Refusal) -> RefusalKey:
    """What makes a refusal a different one; its numbers alone don't."""
    return refusal.reason, refusal.scope, refusal.level, refusal.resource, refusal.pods


def is_bound(gang: Gang, observed_nodes: dict[str, str]) -> bool:
    """Every podgroup has its minimum of members whose binding was observed."""
    return all(sum(m.key in observed_nodes for m in g.members) >= g.minimum for g in gang.podgroups)


def was_scheduled(pod_gang: Json) -> bool:
    """The gang stood whole before, by its own status."""
    found = condition(pod_gang, c.CONDITION_PODGANG_SCHEDULED)
    return found.get("status") == "True" or found.get("reason") == MEMBER_UNSCHEDULABLE


def gang_status_patch(
    pod_gang: Json,
    *,
    bound: bool,
    ready: bool,
    refusal: Refusal | None,
    score: float | None,
    now: datetime,
) -> Json | None:
    """Merge patch of the status subresource, other writers' conditions kept, under a resourceVersion precondition."""
    status = pod_gang.get("status") or {}
    old = condition(pod_gang, c.CONDITION_PODGANG_SCHEDULED)
    change: Json = {}
    wanted = _scheduled(pod_gang, bound, refusal)
    if wanted is not None and any(old.get(k) != wanted[k] for k in ("status", "reason", "message")):
        moved = (
            timestamp(now) if old.get("status") != wanted["status"] else old.get("lastTransitionTime", timestamp(now))
        )
        wanted = {**wanted, "lastTransitionTime": moved}
        others = [x for x in status.get("conditions") or () if x.get("type") != c.CONDITION_PODGANG_SCHEDULED]
        change["conditions"] = [*others, wanted]
    phase = ("Running" if ready else "Starting") if bound else "Pending"
    if status.get("phase") != phase:
        change["phase"] = phase
    if bound and score is not None and status.get("placementScore") != score:
        change["placementScore"] = score
    if not change:
        return None
    return {"metadata": {"resourceVersion": pod_gang["metadata"]["resourceVersion"]}, "status": change}


def _scheduled(pod_gang: Json, bound: bool, refusal: Refusal | None) -> Json | None:
    generation = pod_gang["metadata"].get("generation", 0)
    head = {"type": c.CONDITION_PODGANG_SCHEDULED, "observedGeneration": generation}
    if bound:
        return {**head, "status": "True", "reason": SCHEDULED, "message": "all minimum members are bound"}
    if refusal is None:
        return None
    reason = MEMBER_UNSCHEDULABLE if was_scheduled(pod_gang) else UNSCHEDULABLE
    return {**head, "status": "False", "reason": reason, "message": refusal.message}


def pod_unschedulable_patch(pod: Json, message: str, now: datetime) -> Json | None:
    """PodScheduled=False/Unschedulable on a trimmed pending pod, its other conditions kept."""
    old = condition(pod, "PodScheduled")
    wanted = {"type": "PodScheduled", "status": "False", "reason": UNSCHEDULABLE, "message": message}
    if all(old.get(k) == v for k, v in wanted.items()):
        return None
    moved = old.get("lastTransitionTime") if old.get("status") == "False" else None
    wanted["lastTransitionTime"] = moved or timestamp(now)
    others = [x for x in pod["conditions"] if x.get("type") != "PodScheduled"]
    meta = {"resourceVersion": pod["metadata"]["resourceVersion"], "uid": pod["metadata"]["uid"]}
    return {"metadata": meta, "status": {"conditions": [*others, wanted]}}


def warning(obj: Json, kind: str, api_version: str, reason: str, message: str, source: str, now: datetime) -> Json:
    """A core/v1 Event about an object; its name is unique per object, message and second."""
    meta = obj["metadata"]
    at = timestamp(now)
    digest = hashlib.sha256(f"{meta['uid']}/{reason}/{message}/{now.isoformat()}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:230]}.{digest}", "namespace": meta["namespace"]},
        "involvedObject": {
            "kind": kind,
            "apiVersion": api_version,
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "reason": reason,
        "message": message[:1024],
        "type": "Warning",
        "source": {"component": source},
        "reportingComponent": source,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
