"""What the API server itself does to pods: gates, bindings, immutability."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from grove_operator.api.kinds import Json
from grove_operator.engine.ports import Conflict, Invalid, NotFound, timestamp

MUTABLE_SPEC = ("schedulingGates", "tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds")


def prepare_pod(obj: Json, now: datetime) -> Json:
    """A new pod is Pending; a gated one says so in PodScheduled."""
    status: Json = {"phase": "Pending"}
    if obj["spec"].get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastTransitionTime": timestamp(now),
            }
        ]
    return {**obj, "status": status}


def bind(pod: Json, binding: Json, now: datetime) -> Json:
    """The pod with the binding's node. Conflict when it has one, is gated, is being deleted or is another pod."""
    name, target = pod["metadata"]["name"], binding.get("target", {}).get("name", "")
    uid = binding.get("metadata", {}).get("uid", "")
    if uid and uid != pod["metadata"]["uid"]:
        raise Conflict(f"pod {name}: UID is {pod['metadata']['uid']}, not {uid}", reason="Conflict")
    if pod["metadata"].get("deletionTimestamp"):
        raise Conflict(f"pod {name} is being deleted, cannot be assigned to a host", reason="Conflict")
    if pod["spec"].get("nodeName"):
        raise Conflict(f"pod {name} is already assigned to node {pod['spec']['nodeName']}", reason="Conflict")
    if pod["spec"].get("schedulingGates"):
        raise Conflict(f"pod {name} has non-empty .spec.schedulingGates", reason="Conflict")
    if not target:
        raise NotFound(f"binding of pod {name} names no node", reason="Invalid")
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp(now)}
    others = [c for c in pod.get("status", {}).get("conditions", []) if c["type"] != "PodScheduled"]
    return {
        **pod,
        "metadata": dict(pod["metadata"]),
        "spec": {**pod["spec"], "nodeName": target},
        "status": {**pod.get("status", {}), "conditions": [*others, scheduled]},
    }


def check_pod_update(old: Json, new: Json) -> None:
    """Invalid when a patch changes what pods never change, or adds a scheduling gate."""
    name = old["metadata"]["name"]
    if _frozen(old["spec"]) != _frozen(new["spec"]):
        raise Invalid(f"pod {name}: pod updates may not change fields other than image, gates and tolerations")
    before = [gate["name"] for gate in old["spec"].get("schedulingGates", [])]
    if any(gate["name"] not in before for gate in new["spec"].get("schedulingGates", [])):
        raise Invalid(f"pod {name}: only deletion is allowed of scheduling gates")


def _frozen(spec: Json) -> Json:
    kept: dict[str, Any] = {k: v for k, v in spec.items() if k not in MUTABLE_SPEC}
    for containers in ("containers", "initContainers"):
        if containers in kept:
            kept[containers] = [{k: v for k, v in c.items() if k != "image"} for c in kept[containers]]
    return kept
