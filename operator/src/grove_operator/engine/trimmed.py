"""What caches keep of objects: what somebody reads."""

from __future__ import annotations

from grove_operator.api.constants import (
    ANNOTATION_ENDS_IN_A_ROW,
    ANNOTATION_FORMER_NODE,
    ANNOTATION_REPLACES_PLACED,
)
from grove_operator.api.kinds import Json
from grove_operator.core.evidence import shortened

POD_ANNOTATIONS = (ANNOTATION_ENDS_IN_A_ROW, ANNOTATION_FORMER_NODE, ANNOTATION_REPLACES_PLACED)


def trimmed(obj: Json) -> Json:
    """All but who wrote which field, which takes more room than many an object."""
    if "managedFields" not in obj["metadata"]:
        return obj
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def trimmed_pod(pod: Json) -> Json:
    """What the reconcilers read of a pod, an eighth of its size."""
    meta, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "labels")
    kept: Json = {name: meta[name] for name in (*names, "ownerReferences") if name in meta}
    if said_of_it := {k: v for k, v in (meta.get("annotations") or {}).items() if k in POD_ANNOTATIONS}:
        kept["annotations"] = said_of_it
    said: Json = {"phase": status.get("phase", "Pending")}
    if said["phase"] == "Failed":
        said |= {name: status[name] for name in ("reason", "message") if name in status}
    if status.get("conditions"):
        said["conditions"] = [_trimmed_condition(c) for c in status["conditions"]]
    for name in ("initContainerStatuses", "containerStatuses"):
        if status.get(name):
            said[name] = [_trimmed_container(container) for container in status[name]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept,
        "spec": {name: spec[name] for name in ("nodeName", "schedulingGates") if name in spec},
        "status": said,
    }


def _trimmed_condition(condition: Json) -> Json:
    read_of = {"Ready": ("lastTransitionTime",), "PodScheduled": ("reason", "message")}
    names = ("type", "status", *read_of.get(condition["type"], ()))
    return {name: condition[name] for name in names if name in condition}


def _trimmed_container(status: Json) -> Json:
    said: Json = {"ready": status.get("ready", False), "started": status.get("started", False)}
    for field in ("state", "lastState"):
        end = (status.get(field) or {}).get("terminated") or {}
        if end.get("exitCode"):
            kept = {name: end[name] for name in ("exitCode", "reason", "finishedAt") if name in end}
            if end.get("message"):
                kept["message"] = shortened(end["message"])
            said |= {field: {"terminated": kept}, "name": status.get("name", "")}
    return said
