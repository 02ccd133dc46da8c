"""What of an object may leave the cluster in a dump: what scheduling reads, and nothing that may carry a secret.

Pods, nodes and pod templates are rebuilt from a list of known fields, so that a field nobody thought of stays behind.

    kept      names, labels, owners, resources, ports, placement rules, gates, volume kinds, topology constraints;
              of claims the volume that they are bound to, of volumes the nodes that can use them
    left out  environment, commands, arguments, probes, hooks, images' pull secrets, volume contents, managedFields,
              annotations other than Grove's and Dynamo's, messages of pods and nodes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grove_operator.api import kinds
from grove_operator.api.constants import GROVE_PREFIX
from grove_operator.api.kinds import Json, Kind

IDENTITY = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "ownerReferences",
)  # fmt: skip
ANNOTATIONS = (GROVE_PREFIX, f"{kinds.DYNAMO_GROUP}/")
POD_SPEC = (
    "nodeName", "schedulerName", "schedulingGates", "nodeSelector", "affinity", "tolerations", "overhead", "priority",
    "priorityClassName", "topologySpreadConstraints", "hostNetwork", "resources", "resourceClaims", "hostname",
    "subdomain", "restartPolicy", "terminationGracePeriodSeconds",
)  # fmt: skip
CONTAINER = ("name", "image", "resources", "ports", "restartPolicy")
CONTAINERS = ("containers", "initContainers")
POD_SPECS = ("podSpec", "extraPodSpec")
LEFT_OUT = frozenset({
    "env", "envs", "envFrom", "envFromSecret", "command", "args", "lifecycle", "livenessProbe", "readinessProbe",
    "startupProbe", "data", "stringData", "eppConfig", "imagePullSecrets", "managedFields",
})  # fmt: skip


def redacted(obj: Json, kind: Kind) -> Json:
    """A new object; the given one stays as it is."""
    out: Json = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": _metadata(obj["metadata"])}
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if kind is kinds.POD:
        out["spec"] = _pod_spec(spec)
        out["status"] = _picked(status, ("phase",)) | _conditions(status, ("type", "status", "reason"))
    elif kind is kinds.NODE:
        out["spec"] = _picked(spec, ("taints", "unschedulable"))
        out["status"] = _picked(status, ("allocatable", "capacity")) | _conditions(status, ("type", "status"))
    elif kind is kinds.PERSISTENT_VOLUME_CLAIM:
        out["spec"], out["status"] = _picked(spec, ("volumeName",)), _picked(status, ("phase",))
    elif kind is kinds.PERSISTENT_VOLUME:
        out["spec"] = _picked(spec, ("nodeAffinity",))
    elif kind is kinds.NODE_RESOURCE_TOPOLOGY:
        out |= _picked(obj, ("zones",))
    elif kind is kinds.PRIORITY_CLASS:
        out |= _picked(obj, ("value", "globalDefault", "preemptionPolicy"))
    else:
        out["spec"] = _stripped(spec)
    if kind is kinds.POD_GANG:
        fields = ("type", "status", "reason", "message")
        out["status"] = _picked(status, ("phase", "placementScore")) | _conditions(status, fields)
    return out


def usage_only(pod: Json) -> Json:
    """A pod of a namespace that isn't dumped: what it holds on its node, and whose it is."""
    out = redacted(pod, kinds.POD)
    out["metadata"] = _picked(out["metadata"], IDENTITY)
    return out


def _metadata(meta: Mapping[str, Any]) -> Json:
    out = _picked(meta, (*IDENTITY, "labels"))
    kept = {k: v for k, v in (meta.get("annotations") or {}).items() if k.startswith(ANNOTATIONS)}
    return out | ({"annotations": kept} if kept else {})


def _pod_spec(spec: Mapping[str, Any]) -> Json:
    out = _picked(spec, POD_SPEC)
    for name in CONTAINERS:
        if spec.get(name):
            out[name] = [_picked(container, CONTAINER) for container in spec[name]]
    if spec.get("mainContainer"):
        out["mainContainer"] = _picked(spec["mainContainer"], CONTAINER)
    if spec.get("volumes"):
        out["volumes"] = [_volume(volume) for volume in spec["volumes"]]
    return out


def _volume(volume: Mapping[str, Any]) -> Json:
    """Its name and kind; of a claim also which."""
    return {
        name: value if name == "name" else _picked(value if isinstance(value, Mapping) else {}, ("claimName",))
        for name, value in volume.items()
    }


def _stripped(value: Any) -> Any:
    """Specs of Grove's and Dynamo's kinds: pod templates rebuilt, the rest without what is left out everywhere."""
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    out: Json = {}
    for name, item in value.items():
        if name in POD_SPECS and isinstance(item, Mapping):
            out[name] = _pod_spec(item)
        elif name == "annotations" and isinstance(item, Mapping):
            out[name] = {k: v for k, v in item.items() if k.startswith(ANNOTATIONS)}
        elif name not in LEFT_OUT:
            out[name] = _stripped(item)
    return out


def _conditions(status: Mapping[str, Any], fields: tuple[str, ...]) -> Json:
    said = [_picked(condition, fields) for condition in status.get("conditions") or ()]
    return {"conditions": said} if said else {}


def _picked(value: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: value[name] for name in names if value.get(name) is not None}
