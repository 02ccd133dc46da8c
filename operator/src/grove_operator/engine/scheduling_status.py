"""What the scheduler writes besides bindings: PodGang status, pods' PodScheduled=False, Warning events. All pure.

    phase     Pending ── all minima bound ──> Starting ── all minima ready ──> Running
    Unhealthy absent ── stood whole, a minimum lacks members ──> True ── whole again ──> False
    Scheduled False/Unschedulable (never placed yet), False/MemberUnschedulable (placed before, a member waits), True

A result of None means that nothing differs: nothing is written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from grove_operator.api import constants as c
from grove_operator.api.kinds import Json
from grove_operator.engine.ports import timestamp
from grove_operator.engine.scheduling_view import condition
from grove_operator.scheduler.model import Gang, Refusal

UNSCHEDULABLE = "Unschedulable"
MEMBER_UNSCHEDULABLE = "MemberUnschedulable"
MEMBERS_MISSING = "MembersMissing"
MINIMA_BOUND = "MinimaBound"
SCHEDULED = "Scheduled"
RETURNS = "ReturnsToItsPlace"
RefusalKey = tuple[str, str, str, str, tuple[str, ...]]


def refusal_key(refusal: Refusal) -> RefusalKey:
    """What makes a refusal a different one; its numbers alone don't."""
    return refusal.reason, refusal.scope, refusal.level, refusal.resource, refusal.pods


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gang stands: minima bound, minima ready, why it waits, minima that lack members that once were bound."""

    bound: bool
    ready: bool
    refusal: Refusal | None = None
    lost: tuple[str, ...] = ()
    score: float | None = None

    def without_refusal(self) -> Standing:
        return replace(self, refusal=None)


def lost_members(gang: Gang) -> tuple[str, ...]:
    """Podgroups with fewer bound members than their minimum, as `name (2 of 3)`."""
    counts = ((g.name, sum(m.node is not None for m in g.members), g.minimum) for g in gang.podgroups)
    return tuple(f"{name} ({bound} of {minimum})" for name, bound, minimum in counts if bound < minimum)


def was_scheduled(pod_gang: Json) -> bool:
    """The gang stood whole before, by its own status."""
    found = condition(pod_gang, c.CONDITION_PODGANG_SCHEDULED)
    return found.get("status") == "True" or found.get("reason") == MEMBER_UNSCHEDULABLE


def gang_status_patch(pod_gang: Json, standing: Standing, *, now: datetime) -> Json | None:
    """Merge patch of the status subresource, other writers' conditions kept, under a resourceVersion precondition."""
    status = pod_gang.get("status") or {}
    change: Json = {}
    wanted = [
        _dated(found, condition(pod_gang, found["type"]), now)
        for found in (_scheduled(pod_gang, standing), _unhealthy(pod_gang, standing))
        if found is not None and _differs(condition(pod_gang, found["type"]), found)
    ]
    if wanted:
        types = {x["type"] for x in wanted}
        change["conditions"] = [*(x for x in status.get("conditions") or () if x.get("type") not in types), *wanted]
    phase = ("Running" if standing.ready else "Starting") if standing.bound else "Pending"
    if status.get("phase") != phase:
        change["phase"] = phase
    if standing.bound and standing.score is not None and status.get("placementScore") != standing.score:
        change["placementScore"] = standing.score
    if not change:
        return None
    return {"metadata": {"resourceVersion": pod_gang["metadata"]["resourceVersion"]}, "status": change}


def _differs(old: Json, wanted: Json) -> bool:
    return any(old.get(k) != wanted[k] for k in ("status", "reason", "message"))


def _dated(wanted: Json, old: Json, now: datetime) -> Json:
    is_moved = old.get("status") != wanted["status"]
    return {
        **wanted,
        "lastTransitionTime": timestamp(now) if is_moved else old.get("lastTransitionTime", timestamp(now)),
    }


def _unhealthy(pod_gang: Json, standing: Standing) -> Json | None:
    """True while a gang that stood whole lacks members of a minimum; absent for one that never did."""
    generation = pod_gang["metadata"].get("generation", 0)
    head = {"type": c.CONDITION_PODGANG_UNHEALTHY, "observedGeneration": generation}
    if standing.bound:
        if condition(pod_gang, c.CONDITION_PODGANG_UNHEALTHY).get("status") != "True":
            return None
        return {**head, "status": "False", "reason": MINIMA_BOUND, "message": "all minimum members are bound"}
    if not was_scheduled(pod_gang):
        return None
    message = f"members of {', '.join(standing.lost)} are missing"
    return {**head, "status": "True", "reason": MEMBERS_MISSING, "message": message}


def _scheduled(pod_gang: Json, standing: Standing) -> Json | None:
    refusal = standing.refusal
    generation = pod_gang["metadata"].get("generation", 0)
    head = {"type": c.CONDITION_PODGANG_SCHEDULED, "observedGeneration": generation}
    if standing.bound:
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
